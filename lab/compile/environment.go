package compile

import (
	"fmt"
	"slices"
	"strings"

	"vnetlab/emu"
	"vnetlab/lab"
)

// environment tells the programs of a role instance what the platform's RoleEnvironment tells: its own endpoints, and
// the internal endpoints of every instance of the deployment.
//
//	ENDPOINT_HTTPIN=10.0.1.4:80
//	PEERS_CONTACTMANAGER_WORKER_GOSSIP=10.0.2.4:7000,10.0.2.5:7000
type environment struct {
	peers    []string
	desktops []emu.Desktop // to which forwarders lead
}

func newEnvironment(d *lab.Deployment) *environment {
	peers := map[string][]string{}
	for _, i := range d.Running() {
		for _, e := range i.InternalEndpoints {
			if e.Ports.First != 0 {
				name := "PEERS_" + variable(i.Role) + "_" + variable(e.Name)
				peers[name] = append(peers[name], fmt.Sprintf("%s:%d", i.DIP, e.Ports.First))
			}
		}
	}
	e := &environment{desktops: d.Desktops()}
	for name, addresses := range peers {
		e.peers = append(e.peers, name+"="+strings.Join(addresses, ","))
	}
	return e
}

// of gives the environment of an instance; a virtual machine has none.
func (e *environment) of(i *lab.Instance) []string {
	if i.Role == "" {
		return nil
	}
	env := slices.Clone(e.peers)
	for _, e := range i.Endpoints {
		env = append(env, fmt.Sprintf("ENDPOINT_%s=%s:%d", variable(e.Name), i.DIP, e.LocalPort))
	}
	for _, e := range i.InternalEndpoints {
		if e.Ports.First != 0 {
			env = append(env, fmt.Sprintf("ENDPOINT_%s=%s:%d", variable(e.Name), i.DIP, e.Ports.First))
		}
	}
	slices.Sort(env)
	return env
}

// services are those of an instance, which know the deployment around them.
func (e *environment) services(i *lab.Instance) []emu.Service {
	all := services(i.Services, e.of(i))
	for n := range all {
		if all[n].RemoteDesktop == emu.RemoteDesktopForwarder {
			all[n].Desktops = e.desktops
		}
	}
	return all
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

func serviceName(s lab.Service) string { return fmt.Sprintf("%d-%s", s.Port, s.Protocol) }
