package supervisor

import (
	"fmt"
	"os"
	"testing"
	"time"

	"vnetlab/emu/emulator"
	"vnetlab/emu/kerneltest"
	"vnetlab/lab"
	"vnetlab/lab/engine"
	"vnetlab/lab/guestfirewall"
	"vnetlab/lab/labfile"
	"vnetlab/lab/labtest"
)

// settle is how long the kernel needs to destroy what an operation removed: until then the next transaction waits.
const settle = 100 * time.Millisecond

// BenchmarkOperation measures one operation on a running lab of many instances, from the operation to the packets.
func BenchmarkOperation(b *testing.B) {
	kerneltest.RequireRoot(b)
	for _, instances := range []int{10, 100, 1000} {
		l := labtest.Large(b, instances)
		b.Setenv("VNETLAB_RUN", b.TempDir())
		e, emulated := startEngine(b, l, emulator.Options{})
		if err := e.Start(emulated); err != nil {
			b.Fatal(err)
		}
		apply := func(b *testing.B, o lab.Operation) {
			b.Helper()
			if _, err := e.Do(b.Context(), o); err != nil {
				b.Fatal(err)
			}
		}
		allowed, _ := guestfirewall.Parse("allow tcp 4000")
		for _, bb := range []struct {
			name string
			do   func(int) lab.Operation
			undo func(int) lab.Operation
		}{
			{"vm", func(int) lab.Operation {
				return lab.AddRoleOp{Service: "machines", VirtualMachine: lab.VirtualMachine{Name: "added", Subnet: "a", Services: labtest.Listen(80)}}
			}, func(int) lab.Operation { return lab.DeleteRoleOp{Service: "machines", Name: "added"} }},
			{"endpoint", func(int) lab.Operation {
				return lab.AddEndpointOp{Service: "machines", VirtualMachine: "vm", Endpoint: lab.Endpoint{Name: "e", PublicPort: 4000, LocalPort: 4000}}
			}, func(int) lab.Operation {
				return lab.DeleteEndpointOp{Service: "machines", VirtualMachine: "vm", Name: "e"}
			}},
			{"firewall", func(int) lab.Operation {
				return lab.AddFirewallRuleOp{Instance: "vm", Rule: lab.GuestFirewallRule{Rule: allowed}}
			}, func(int) lab.Operation { return lab.DeleteFirewallRuleOp{Instance: "vm", Name: "allow tcp 4000"} }},
		} {
			b.Run(fmt.Sprintf("%s/%d", bb.name, instances), func(b *testing.B) {
				for i := range b.N {
					apply(b, bb.do(i))
					b.StopTimer()
					apply(b, bb.undo(i))
					time.Sleep(settle)
					b.StartTimer()
				}
			})
		}
		if err := emulated.Close(); err != nil {
			b.Error(err)
		}
	}
}

// startEngine starts an emulator and an engine in this process, with names for the namespaces. The caller closes the
// emulator.
func startEngine(t testing.TB, l *lab.Lab, opts emulator.Options) (*engine.Engine, *emulator.Emulator) {
	t.Helper()
	var names *links
	e := engine.New(
		l,
		labfile.Input{},
		engine.Options{NamespacesChanged: func(removed, added []string, name func(string) string) error {
			return names.update(removed, added, name)
		}},
	)
	emulated, err := emulator.Start(t.Context(), e.Network(), opts, nil)
	if err != nil {
		t.Fatal(err)
	}
	if names, err = newLinks(
		l.Name,
		os.Getpid(),
		emulated.NamespaceFD,
		emulated.Namespaces(),
		l.NamespaceName,
	); err != nil {
		t.Fatal(err)
	}
	return e, emulated
}
