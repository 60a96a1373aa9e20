package compile

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"vnetlab/emu"
	"vnetlab/lab"
)

// healthProbes are the questions that the load balancer of a domain asks the running members of its endpoints.
func (b *builder) healthProbes(d domain) (all []emu.HealthProbe) {
	for _, deployment := range d.deployments {
		for _, f := range deployment.Frontends() {
			for _, m := range f.Members {
				if f.Probe == nil || m.Instance.State != lab.Running {
					continue
				}
				port := f.Probe.Port
				if port == 0 {
					port = m.LocalPort
				}
				all = append(all, emu.HealthProbe{
					ID: m.ProbeID, Source: lab.PlatformResolver, Target: netip.AddrPortFrom(m.Instance.DIP, port), Protocol: f.Probe.Protocol,
					Path: f.Probe.Path, Interval: f.Probe.IntervalInSeconds, Timeout: f.Probe.TimeoutInSeconds,
				})
			}
		}
	}
	return all
}

// directReturn gives the members that answer as the VIP themselves.
func (b *builder) directReturn(d domain) map[*lab.Instance]netip.Addr {
	all := map[*lab.Instance]netip.Addr{}
	for _, deployment := range d.deployments {
		direct := func(f lab.Frontend) bool { return f.DirectServerReturn && !f.Internal }
		if !slices.ContainsFunc(deployment.Frontends(), direct) {
			continue
		}
		for _, i := range deployment.Running() {
			if vip, ok := b.lab.DirectReturnAddress(i); ok {
				all[i] = vip
			}
		}
	}
	return all
}

// environment tells the programs of a role instance what the platform's RoleEnvironment tells: its own endpoints, and the internal
// endpoints of every instance of the deployment.
//
//	ENDPOINT_HTTPIN=10.0.1.4:80
//	PEERS_CONTACTMANAGER_WORKER_GOSSIP=10.0.2.4:7000,10.0.2.5:7000
func environment(d *lab.Deployment, i *lab.Instance) (env []string) {
	if i.Role == "" {
		return nil
	}
	for _, e := range i.Endpoints {
		env = append(env, fmt.Sprintf("ENDPOINT_%s=%s:%d", variable(e.Name), i.DIP, e.LocalPort))
	}
	for _, e := range i.InternalEndpoints {
		if e.Ports.First != 0 {
			env = append(env, fmt.Sprintf("ENDPOINT_%s=%s:%d", variable(e.Name), i.DIP, e.Ports.First))
		}
	}
	peers := map[string][]string{}
	for _, other := range d.Running() {
		for _, e := range other.InternalEndpoints {
			if e.Ports.First != 0 {
				name := "PEERS_" + variable(other.Role) + "_" + variable(e.Name)
				peers[name] = append(peers[name], fmt.Sprintf("%s:%d", other.DIP, e.Ports.First))
			}
		}
	}
	for name, addresses := range peers {
		env = append(env, name+"="+strings.Join(addresses, ","))
	}
	slices.Sort(env)
	return env
}

// variable is a name fit for an environment variable.
func variable(name string) string {
	return strings.Map(func(r rune) rune {
		if r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' {
			return r
		}
		return '_'
	}, strings.ToUpper(name))
}
