package lab_test

import (
	"errors"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"vnetlab/lab"
	"vnetlab/lab/labtest"
)

// TestReconcile holds that the operations it gives lead from any lab to any other, or that it refuses.
func TestReconcile(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		from, to := randomLab(t, rt), randomLab(t, rt)
		operations, err := lab.Reconcile(from, to)
		if err != nil {
			var refusal *lab.Error
			if !errors.As(err, &refusal) {
				rt.Fatalf("refused without a code: %v", err)
			}
			return
		}
		got, err := from.Apply(operations...)
		if err != nil {
			rt.Fatal(err)
		}
		if again, err := lab.Reconcile(got, to); err != nil || len(again) > 0 {
			rt.Fatalf("after %v there is still to do: %v %v", operations, again, err)
		}
	})
}

// TestReconcileReservedIP leads a lab to another one where the reserved IP has another user, or the user is gone.
func TestReconcileReservedIP(t *testing.T) {
	const nobody = lab.Slot("nobody")
	with := func(machine string, slot lab.Slot) *lab.Lab {
		l := world(t)
		must(t, l.CreateReservedIP(lab.ReservedIP{Name: "kept", Location: "East US"}))
		must(t, l.CreateHostedService(lab.HostedService{Name: "shop", Location: "East US"}))
		for _, s := range []lab.Slot{lab.Production, lab.Staging} {
			must(
				t,
				l.CreateDeployment(
					"shop",
					lab.PackageDeployment{Slot: s, Name: string(s), Roles: []lab.Role{role("Web", 1, "", 80)}},
				),
			)
		}
		if machine != "" {
			must(t, l.AddVirtualMachine("standalone", vm(machine, endpoint("web", 80, 80))))
		}
		switch {
		case slot == "":
			must(t, l.AssociateReservedIP("kept", "standalone", ""))
		case slot != nobody:
			must(t, l.AssociateReservedIP("kept", "shop", slot))
		}
		return l
	}
	for name, labs := range map[string][2]*lab.Lab{
		"its machine is replaced":      {with("a", ""), with("b", "")},
		"its machine is deleted":       {with("a", ""), with("", nobody)},
		"from a deleted machine":       {with("a", ""), with("", lab.Staging)},
		"from one slot to the other":   {with("a", lab.Production), with("a", lab.Staging)},
		"from a slot to a machine":     {with("a", lab.Staging), with("a", "")},
		"from a slot to a new machine": {with("a", lab.Staging), with("b", "")},
		"free":                         {with("a", lab.Staging), with("a", nobody)},
	} {
		t.Run(name, func(t *testing.T) {
			operations, err := lab.Reconcile(labs[0], labs[1])
			if err != nil {
				t.Fatal(err)
			}
			got, err := labs[0].Apply(operations...)
			if err != nil {
				t.Fatal(err)
			}
			if again, err := lab.Reconcile(got, labs[1]); err != nil || len(again) > 0 {
				t.Errorf("after %v there is still to do: %v %v", operations, again, err)
			}
		})
	}
}

func TestReconcileRefusals(t *testing.T) {
	running := inhabited(t)
	for _, tt := range []struct {
		name string
		edit func(*lab.Lab)
		text string
	}{
		{"service into a network", func(l *lab.Lab) {
			must(t, l.DeleteRole("standalone", "a"))
			must(t, l.DeleteRole("standalone", "b"))
			must(t, l.CreateVirtualNetwork(lab.VirtualNetwork{
				Name: "East", Location: "East US", AddressSpace: prefixes("10.0.0.0/16"), Subnets: []lab.Subnet{{Name: "s", AddressPrefix: prefix("10.0.0.0/24")}},
			}))
			a := inSubnet(vm("a"), "s")
			a.VirtualNetwork = "East"
			must(t, l.AddVirtualMachine("standalone", a))
		}, "an existing deployment can't be moved to the virtual network East"},
		{"service elsewhere", func(l *lab.Lab) {
			must(t, l.DeleteDeployment("shop", lab.Production))
			must(t, l.DeleteDeployment("shop", lab.Staging))
			must(t, l.DeleteHostedService("shop"))
			must(t, l.CreateHostedService(lab.HostedService{Name: "shop", Location: "West US"}))
		}, "bound to East US for life"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			wanted := inhabited(t)
			tt.edit(wanted)
			if _, err := lab.Reconcile(running, wanted); err == nil || !strings.Contains(err.Error(), tt.text) {
				t.Errorf("got %v, want …%s…", err, tt.text)
			}
		})
	}
}

// randomLab does operations at random in world; what is refused doesn't happen.
func randomLab(t testing.TB, rt *rapid.T) *lab.Lab {
	l := world(t)
	_ = l.CreateInternetHost(lab.InternetHost{Name: "laptop"})
	name := rapid.SampledFrom([]string{"a", "b", "c"})
	port := rapid.SampledFrom([]uint16{22, 80, 81})
	for range rapid.IntRange(0, 12).Draw(rt, "operations") {
		var o lab.Operation
		switch rapid.IntRange(0, 14).Draw(rt, "operation") {
		case 0:
			o = lab.AddRoleOp{
				Service:        "standalone",
				VirtualMachine: vm(name.Draw(rt, "name"), endpoint("e", port.Draw(rt, "public"), 80)),
			}
		case 1:
			o = lab.AddRoleOp{Service: "contactsql", VirtualMachine: inSubnet(vm(name.Draw(rt, "name")), "FrontEnd")}
		case 2:
			o = lab.DeleteRoleOp{Service: "standalone", Name: name.Draw(rt, "name")}
		case 3:
			o = lab.AddEndpointOp{
				Service:        "standalone",
				VirtualMachine: name.Draw(rt, "name"),
				Endpoint:       endpoint("f", port.Draw(rt, "public"), 443),
			}
		case 4:
			o = lab.CreateHostedServiceOp{HostedService: lab.HostedService{Name: "shop", Location: "East US"}}
		case 5:
			slot := rapid.SampledFrom([]lab.Slot{lab.Production, lab.Staging}).Draw(rt, "slot")
			o = lab.CreateDeploymentOp{
				Service: "shop",
				Deployment: lab.PackageDeployment{
					Slot:  slot,
					Name:  string(slot),
					Roles: []lab.Role{role("Web", rapid.IntRange(1, 3).Draw(rt, "count"), "", port.Draw(rt, "public"))},
				},
			}
		case 6:
			o = lab.SetFirewallOp{Instance: name.Draw(rt, "name"), Off: rapid.Bool().Draw(rt, "off")}
		case 7:
			o = lab.CreateWebSiteOp{
				WebSite: lab.WebSite{
					Name:     "site",
					Location: rapid.SampledFrom([]string{"West US", "East US"}).Draw(rt, "location"),
				},
			}
		case 8:
			o = lab.DeleteDeploymentOp{Service: "shop", Slot: lab.Staging}
		case 9:
			o = lab.CreateReservedIPOp{ReservedIP: lab.ReservedIP{Name: "kept", Location: "East US"}}
		case 10:
			o = lab.AssociateReservedIPOp{
				Name: "kept", Service: rapid.SampledFrom([]string{"standalone", "shop"}).Draw(rt, "service"),
				Slot: rapid.SampledFrom([]lab.Slot{lab.Production, lab.Staging}).Draw(rt, "slot"),
			}
		case 11:
			o = lab.CreateLocalNetworkOp{LocalNetwork: lab.LocalNetwork{
				Name: rapid.SampledFrom([]string{"hq", "branch"}).
					Draw(rt, "site"),
				AddressSpace: prefixes("192.168.0.0/24"),
			}}
		case 12:
			o = lab.AddLocalHostOp{
				Site: rapid.SampledFrom([]string{"hq", "branch"}).
					Draw(rt, "site"),
				Host: lab.LocalHost{Name: name.Draw(rt, "name"), Services: labtest.Listen(port.Draw(rt, "port"))},
			}
		case 13:
			o = lab.DeleteLocalHostOp{Site: "hq", Name: name.Draw(rt, "name")}
		case 14:
			o = lab.UpdateVirtualNetworkOp{VirtualNetwork: lab.VirtualNetwork{
				Name:          "SampleNetwork",
				AffinityGroup: "west",
				AddressSpace:  prefixes("10.0.0.0/16"),
				Subnets: []lab.Subnet{
					{Name: "FrontEnd", AddressPrefix: prefix("10.0.1.0/24")},
					{Name: "Other", AddressPrefix: prefix("10.0.9.0/24")},
				},
			}}
		}
		if next, err := l.Apply(o); err == nil {
			l = next
		}
	}
	return l
}
