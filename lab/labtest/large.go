package labtest

import (
	"fmt"
	"net/netip"
	"testing"

	"vnetlab/emu"
	"vnetlab/lab"
)

// Large is a virtual network with so many instances in services of 25, each with a firewall and a port through its
// VIP; beside them the virtual machine vm of the service machines, and shop with a role in both slots.
func Large(t testing.TB, instances int) *lab.Lab {
	t.Helper()
	l, err := lab.New("large", lab.Origin{})
	do := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	do(err)
	do(l.CreateVirtualNetwork(lab.VirtualNetwork{
		Name: "Net", Location: "West US", AddressSpace: []netip.Prefix{netip.MustParsePrefix("10.0.0.0/16")},
		Subnets: []lab.Subnet{
			{
				Name:          "a",
				AddressPrefix: netip.MustParsePrefix("10.0.0.0/24"),
			},
			{Name: "b", AddressPrefix: netip.MustParsePrefix("10.0.8.0/21")},
		},
	}))
	do(l.CreateHostedService(lab.HostedService{Name: "machines", Location: "West US", VirtualNetwork: "Net"}))
	do(l.AddVirtualMachine("machines", lab.VirtualMachine{Name: "vm", Subnet: "a", Services: Listen(80)}))
	deploy := func(service string, slot lab.Slot, role string, count int) {
		do(
			l.CreateDeployment(
				service,
				lab.PackageDeployment{Name: role, Slot: slot, VirtualNetwork: "Net", Roles: []lab.Role{
					{
						Name:           role,
						InstanceCount:  count,
						Subnet:         "b",
						Services:       Listen(80),
						InputEndpoints: []lab.InputEndpoint{{Name: "In", Protocol: emu.TCP, Port: 80}},
					},
				}},
			),
		)
	}
	const each = 25
	for n := 0; n < instances; n += each {
		name := fmt.Sprintf("service%d", n/each)
		do(l.CreateHostedService(lab.HostedService{Name: name, Location: "West US"}))
		deploy(name, lab.Production, "Web", min(each, instances-n))
	}
	do(l.CreateHostedService(lab.HostedService{Name: "shop", Location: "West US"}))
	deploy("shop", lab.Production, "Blue", 2)
	deploy("shop", lab.Staging, "Green", 2)
	return l
}
