package lab_test

import (
	"errors"
	"testing"

	"vnetlab/lab"
)

// TestHintsOfNames holds that hints name only what can be chosen, and quote names as a shell needs it.
func TestHintsOfNames(t *testing.T) {
	l := &lab.Lab{}
	must(t, l.CreateAffinityGroup(lab.AffinityGroup{Name: "my group", Location: "West US"}))
	must(
		t,
		l.CreateVirtualNetwork(
			lab.VirtualNetwork{Name: "it's", AffinityGroup: "my group", AddressSpace: prefixes("10.1.0.0/16")},
		),
	)
	must(t, l.CreateVirtualNetwork(lab.VirtualNetwork{
		Name: "G net", Location: "West US", AddressSpace: prefixes("10.0.0.0/16"), Subnets: []lab.Subnet{
			{
				Name:          "sub [1]",
				AddressPrefix: prefix("10.0.0.0/24"),
			},
			{Name: "GatewaySubnet", AddressPrefix: prefix("10.0.1.0/29")},
		},
	}))
	must(t, l.CreateLocalNetwork(lab.LocalNetwork{Name: "HQ (main)", AddressSpace: prefixes("192.168.0.0/24")}))
	must(t, l.CreateGateway("G net", lab.VPNGateway{
		Connections: []lab.GatewayConnection{{Name: "HQ (main)", To: lab.ToLocalNetwork}},
	}))
	must(t, l.CreateHostedService(lab.HostedService{Name: "data", Location: "West US", VirtualNetwork: "G net"}))
	for _, tt := range []struct {
		err  error
		hint string
	}{
		{l.DeleteLocalNetwork("HQ (main)"), "lab gateway delete 'G net'"},
		{l.DeleteAffinityGroup("my group"), `lab network delete it\'s`},
		{l.AddVirtualMachine("data", vm("a")), "There is: sub [1]."},
		{l.AddVirtualMachine("data", inSubnet(vm("a"), "GatewaySubnet")), ""},
		{l.AddVirtualMachine("data", inSubnet(vm("a"), "sub [2]")), "Did you mean sub [1]?"},
	} {
		var refusal *lab.Error
		if !errors.As(tt.err, &refusal) || refusal.Hint != tt.hint {
			t.Errorf("%v: the hint is %q, want %q", tt.err, refusal.Hint, tt.hint)
		}
	}
}
