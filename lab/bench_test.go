package lab_test

import (
	"fmt"
	"testing"

	"vnetlab/lab"
	"vnetlab/lab/labtest"
)

// BenchmarkApply measures one operation on labs of different sizes; most of what it takes should not depend on the
// size.
func BenchmarkApply(b *testing.B) {
	for _, bb := range []struct {
		name      string
		operation lab.Operation
	}{
		{"endpoint", lab.AddEndpointOp{Service: "machines", VirtualMachine: "vm", Endpoint: lab.Endpoint{Name: "e", PublicPort: 4000, LocalPort: 4000}}},
		{"firewall", lab.AddFirewallRuleOp{Instance: "vm", Rule: labtest.Rule(b, "allow tcp 4000", 1)}},
		{"last firewall", lab.AddFirewallRuleOp{Instance: "Green_IN_1", Rule: labtest.Rule(b, "allow tcp 4000", 1)}},
		{"vm", lab.AddRoleOp{Service: "machines", VirtualMachine: lab.VirtualMachine{Name: "added", Subnet: "a", Services: labtest.Listen(80)}}},
		{"swap", lab.SwapDeploymentOp{Service: "shop"}},
	} {
		for _, instances := range []int{10, 1000} {
			l := labtest.Large(b, instances)
			b.Run(fmt.Sprintf("%s/%d", bb.name, instances), func(b *testing.B) {
				b.ReportAllocs()
				for b.Loop() {
					if _, err := l.Apply(bb.operation); err != nil {
						b.Fatal(err)
					}
				}
			})
		}
	}
}

// BenchmarkPublicNames measures what every change of a lab asks for.
func BenchmarkPublicNames(b *testing.B) {
	l := labtest.Large(b, 1000)
	b.ReportAllocs()
	for b.Loop() {
		l.PublicNames()
	}
}
