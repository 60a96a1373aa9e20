package lab_test

import (
	"net/netip"
	"strings"
	"testing"

	"vnetlab/emu"
	"vnetlab/lab"
)

// joined is a lab with the virtual networks a, b and c, where a has gateways to both others and b one to a.
func joined(t testing.TB) *lab.Lab {
	t.Helper()
	l := world(t)
	for name, space := range map[string]string{"a": "10.101.0.0/16", "b": "10.102.0.0/16", "c": "10.103.0.0/16"} {
		must(t, l.CreateVirtualNetwork(network(name, space)))
	}
	must(t, l.CreateGateway("a", lab.VPNGateway{Connections: lab.ConnectTo("b", "c")}))
	must(t, l.CreateGateway("b", lab.VPNGateway{Connections: lab.ConnectTo("a")}))
	return l
}

// network is a virtual network with a subnet for its gateway.
func network(name, space string) lab.VirtualNetwork {
	p := prefix(space)
	return lab.VirtualNetwork{Name: name, Location: "West US", AddressSpace: prefixes(space), Subnets: []lab.Subnet{
		{Name: "GatewaySubnet", AddressPrefix: netip.PrefixFrom(p.Addr(), 29)},
	}}
}

// TestUpdateChecksGatewaysOfOthers refuses an address space that overlaps what the gateway of another network joins.
func TestUpdateChecksGatewaysOfOthers(t *testing.T) {
	l := joined(t)
	err := l.UpdateVirtualNetwork(network("b", "10.103.0.0/17"))
	if err == nil || !strings.Contains(err.Error(), "overlap") {
		t.Errorf("b got the address space of c, which a joins it with: %v", err)
	}
	if err := l.UpdateVirtualNetwork(network("b", "10.104.0.0/16")); err != nil {
		t.Errorf("b can't move to a free address space: %v", err)
	}
}

// TestReconcileKeepsGatewaySettings changes the connections of a gateway that has a pool of client addresses and a
// profile.
func TestReconcileKeepsGatewaySettings(t *testing.T) {
	running, wanted := joined(t), joined(t)
	must(t, wanted.DeleteGateway("a"))
	gateway := lab.VPNGateway{
		Connections: lab.ConnectTo("b"), ClientAddressPool: prefixes("10.105.0.0/24"), Profile: "Small",
	}
	must(t, wanted.CreateGateway("a", gateway))
	operations, err := lab.Reconcile(running, wanted)
	must(t, err)
	next, err := running.Apply(operations...)
	must(t, err)
	n, _ := next.VirtualNetwork("a")
	if n.Gateway == nil || len(n.Gateway.ClientAddressPool) != 1 || n.Gateway.Profile != "Small" {
		t.Errorf("the gateway is %+v", n.Gateway)
	}
	if again, err := lab.Reconcile(next, wanted); err != nil || len(again) > 0 {
		t.Errorf("a second reconciliation asks for %v, %v", again, err)
	}
}

// TestUpgradeKeepsInternalLoadBalancer upgrades a deployment with an endpoint on its internal load balancer, and adds
// an instance.
func TestUpgradeKeepsInternalLoadBalancer(t *testing.T) {
	for _, tt := range []struct{ name, network, subnet string }{{"in a network", "Net", "a"}, {"outside", "", ""}} {
		t.Run(tt.name, func(t *testing.T) {
			l := world(t)
			must(t, l.CreateVirtualNetwork(lab.VirtualNetwork{
				Name: "Net", Location: "West US", AddressSpace: prefixes("10.101.0.0/16"),
				Subnets: []lab.Subnet{{Name: "a", AddressPrefix: prefix("10.101.1.0/24")}},
			}))
			must(t, l.CreateHostedService(lab.HostedService{Name: "balanced", Location: "West US"}))
			request := func(instances int) lab.PackageDeployment {
				return lab.PackageDeployment{
					VirtualNetwork:       tt.network,
					InternalLoadBalancer: &lab.InternalLoadBalancer{Name: "inside", Subnet: tt.subnet},
					Roles: []lab.Role{{
						Name: "Web", InstanceCount: instances, Subnet: tt.subnet,
						InputEndpoints: []lab.InputEndpoint{
							{
								Name:      "In",
								Protocol:  emu.TCP,
								Port:      80,
								Balancing: lab.Balancing{InternalLoadBalancer: "inside"},
							},
						},
					}},
				}
			}
			must(t, l.CreateDeployment("balanced", request(1)))
			before := deployed(t, l, "balanced")
			must(t, l.UpgradeDeployment("balanced", request(3)))
			after := deployed(t, l, "balanced")
			if *after.InternalLoadBalancer != *before.InternalLoadBalancer {
				t.Errorf(
					"the internal load balancer is %+v, was %+v",
					after.InternalLoadBalancer,
					before.InternalLoadBalancer,
				)
			}
			if after.Instances[0].DIP != before.Instances[0].DIP {
				t.Errorf("the instance that stays has %s, had %s", after.Instances[0].DIP, before.Instances[0].DIP)
			}
			taken := map[netip.Addr]bool{after.InternalLoadBalancer.Address: true}
			for _, i := range after.Instances {
				if taken[i.DIP] || !after.Block.Contains(i.DIP) && tt.network == "" {
					t.Errorf("%s has the address %s", i.Name, i.DIP)
				}
				taken[i.DIP] = true
			}
		})
	}
}

// TestScaledRoleHasTheListOfItsSet adds an instance after the access control list of the role's endpoint was replaced.
func TestScaledRoleHasTheListOfItsSet(t *testing.T) {
	l := inhabited(t)
	must(t, l.SetEndpointACL("shop", lab.Production, "", "In80", acl(1)))
	must(t, l.ScaleRole("shop", lab.Production, "Web", 3))
	for _, i := range deployed(t, l, "shop").Instances {
		if len(i.Endpoints[0].ACL) != 1 {
			t.Errorf("%s has the list %v", i.Name, i.Endpoints[0].ACL)
		}
	}
}

// TestUpdateMemberOfSet changes the settings of a load-balanced set without naming its public port.
func TestUpdateMemberOfSet(t *testing.T) {
	l := inhabited(t)
	e := member("web", endpoint("web", 0, 8080))
	e.IdleTimeoutInMinutes = 20
	must(t, l.UpdateEndpoint("standalone", "a", "web", e))
	for _, f := range deployed(t, l, "standalone").Frontends() {
		if f.Name == "web" && (f.PublicPort != 80 || f.IdleTimeoutInMinutes != 20 || len(f.Members) != 2) {
			t.Errorf("the set is %+v", f)
		}
	}
	for _, i := range deployed(t, l, "standalone").Instances {
		for _, e := range i.Endpoints {
			if e.Name == "web" && e.IdleTimeoutInMinutes != 20 {
				t.Errorf("%s has an idle timeout of %d minutes", i.Name, e.IdleTimeoutInMinutes)
			}
		}
	}
}

// TestDeploymentNamesAndRoles refuses names that the ids of rules and the names of instances can't be made of.
func TestDeploymentNamesAndRoles(t *testing.T) {
	for want, p := range map[string]lab.PackageDeployment{
		"The name 'a/b' is not valid for a deployment.": {Name: "a/b", Roles: []lab.Role{role("Web", 1, "", 80)}},
		"The deployment has a role web already.": {
			Roles: []lab.Role{role("Web", 1, "", 80), role("web", 1, "", 81)},
		},
	} {
		l := world(t)
		must(t, l.CreateHostedService(lab.HostedService{Name: "named", Location: "West US"}))
		if err := l.CreateDeployment("named", p); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("got %v, want %s", err, want)
		}
	}
}

// TestInternalPortsAvoidRanges picks ports for internal endpoints outside the ranges of others.
func TestInternalPortsAvoidRanges(t *testing.T) {
	l := world(t)
	must(t, l.CreateHostedService(lab.HostedService{Name: "ranges", Location: "West US"}))
	web := role("Web", 1, "", 80)
	web.InternalEndpoints = []lab.InternalEndpoint{
		{
			Name:     "Fixed",
			Protocol: "tcp",
			Ports:    emu.PortRange{First: 19990, Last: 20009},
		},
		{Name: "Any", Protocol: "tcp"},
	}
	must(t, l.CreateDeployment("ranges", lab.PackageDeployment{Roles: []lab.Role{web}}))
	if p := deployed(t, l, "ranges").Instances[0].InternalEndpoints[1].Ports.First; p != 20010 {
		t.Errorf("the port is %d, want the first after the range", p)
	}
}
