package lab_test

import (
	"errors"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"vnetlab/lab"
)

// machine is what a name means: an instance, or without a service another member.
type machine struct {
	service string
	id      string
}

// meaning returns the machine that a name means; false: none, or several.
func meaning(l *lab.Lab, name string) (machine, bool) {
	m, ok := l.Find(name)
	if !ok {
		return machine{}, false
	}
	if m.Instance == nil {
		return machine{"", m.ID()}, true
	}
	return machine{m.Instance.Service, m.Instance.ID}, true
}

// shops is a lab with two services for roles and one for machines.
func shops(t testing.TB) *lab.Lab {
	t.Helper()
	l := world(t)
	must(t, l.CreateHostedService(lab.HostedService{Name: "shop", Location: "East US"}))
	must(t, l.CreateHostedService(lab.HostedService{Name: "store", Location: "East US"}))
	return l
}

func deploy(t testing.TB, l *lab.Lab, service string, slot lab.Slot) {
	t.Helper()
	must(
		t,
		l.CreateDeployment(
			service,
			lab.PackageDeployment{Slot: slot, Roles: []lab.Role{role("Contoso.Web", 1, "", 80)}},
		),
	)
}

// TestNamesOfInstances holds what each name means as other things come and go.
func TestNamesOfInstances(t *testing.T) {
	const short, qualified, production, staging = "Contoso.Web_IN_0", "shop.Contoso.Web_IN_0", "shop.production.Contoso.Web_IN_0", "shop.staging.Contoso.Web_IN_0"
	names := []string{short, qualified, production, staging}
	for _, tt := range []struct {
		name  string
		after func(*lab.Lab)
		// first and second are the names of the instance that was deployed to production, and of the one that was
		// deployed to staging, the one that is shown first.
		first, second []string
		fails         map[string]string
	}{
		{"production only", func(l *lab.Lab) { deploy(t, l, "shop", lab.Production) }, []string{short, qualified, production}, nil, map[string]string{
			staging: "Did you mean Contoso.Web_IN_0?",
		}},
		{"staging only", func(l *lab.Lab) { deploy(t, l, "shop", lab.Staging) }, nil, []string{staging}, map[string]string{
			short: "Did you mean " + staging + "?", qualified: "Did you mean " + staging + "?", production: "Did you mean " + staging + "?",
		}},
		{"with staging", func(l *lab.Lab) {
			deploy(t, l, "shop", lab.Production)
			deploy(t, l, "shop", lab.Staging)
		}, []string{short, qualified, production}, []string{staging}, nil},
		{"swapped", func(l *lab.Lab) {
			deploy(t, l, "shop", lab.Production)
			deploy(t, l, "shop", lab.Staging)
			must(t, l.SwapDeployment("shop"))
		}, []string{staging}, []string{short, qualified, production}, nil},
		{"swapped, and the other deployment deleted", func(l *lab.Lab) {
			deploy(t, l, "shop", lab.Production)
			deploy(t, l, "shop", lab.Staging)
			must(t, l.SwapDeployment("shop"))
			must(t, l.DeleteDeployment("shop", lab.Staging))
		}, nil, []string{short, qualified, production}, nil},
		{"production deleted", func(l *lab.Lab) {
			deploy(t, l, "shop", lab.Production)
			deploy(t, l, "shop", lab.Staging)
			must(t, l.DeleteDeployment("shop", lab.Production))
		}, nil, []string{staging}, nil},
		{"the same role in two services", func(l *lab.Lab) {
			deploy(t, l, "shop", lab.Production)
			deploy(t, l, "store", lab.Production)
		}, []string{qualified, production}, nil, map[string]string{
			short: "BadRequest: The name 'Contoso.Web_IN_0' may mean shop.Contoso.Web_IN_0 or store.Contoso.Web_IN_0.",
		}},
		{"the same role in the staging of another service", func(l *lab.Lab) {
			deploy(t, l, "shop", lab.Production)
			deploy(t, l, "store", lab.Staging)
		}, []string{short, qualified, production}, nil, nil},
	} {
		t.Run(tt.name, func(t *testing.T) {
			l := shops(t)
			tt.after(l)
			shop, _ := l.CloudService("shop")
			made := map[string]*lab.Instance{} // by the names of their deployments, which a swap doesn't change
			for _, d := range shop.Deployments() {
				made[d.Name] = d.Instances[0]
			}
			want := map[string]*lab.Instance{}
			for deployment, all := range map[string][]string{"shop": tt.first, "staging": tt.second} {
				for _, name := range all {
					want[name] = made[deployment]
				}
				if len(all) > 0 && l.InstanceName(made[deployment]) != all[0] {
					t.Errorf(
						"the instance of %s is shown as %s, want %s",
						deployment,
						l.InstanceName(made[deployment]),
						all[0],
					)
				}
			}
			for _, name := range names {
				m, ok := l.Find(name)
				if ok != (want[name] != nil) || ok && m.Instance != want[name] {
					t.Errorf("%s means %v, want %v", name, m.Instance, want[name])
				}
				_, err := l.Namespace(name)
				if ok != (err == nil) {
					t.Errorf("%s: %v", name, err)
				}
				target, err := l.EmuTarget(lab.Target{Name: name, Port: 80})
				if ok != (err == nil) || ok && target.Address != m.Address() {
					t.Errorf("as a target %s is %v, %v", name, target, err)
				}
			}
			for name, text := range tt.fails {
				_, err := l.Namespace(name)
				var refusal *lab.Error
				if !errors.As(err, &refusal) || !strings.Contains(refusal.Error()+"\n"+refusal.Hint, text) {
					t.Errorf("%s: %v, want %s", name, refusal, text)
				}
			}
		})
	}
}

// TestNamesOfMachines holds of virtual machines, and of hosts with their names, what each name means.
func TestNamesOfMachines(t *testing.T) {
	l := shops(t)
	must(t, l.AddVirtualMachine("standalone", vm("a")))
	must(
		t,
		l.CreateLocalNetwork(
			lab.LocalNetwork{
				Name:         "hq",
				AddressSpace: prefixes("192.168.0.0/24"),
				Hosts:        []*lab.LocalHost{{Name: "b"}},
			},
		),
	)
	must(t, l.AddVirtualMachine("standalone", vm("b")))
	for name, want := range map[string]string{
		"a": "standalone.a", "standalone.a": "standalone.a", "standalone.production.a": "standalone.a", "standalone.staging.a": "",
		"b": "hq.b", "standalone.b": "standalone.b", "contactsql.a": "", "standalone.": "", ".a": "", "production.a": "", "a.": "",
	} {
		m, ok := l.Find(name)
		got := ""
		switch {
		case !ok:
		case m.LocalHost != nil:
			got = "hq." + m.LocalHost.Name
		default:
			got = m.Instance.Service + "." + m.Instance.Name
		}
		if got != want {
			t.Errorf("%s means %q, want %q", name, got, want)
		}
	}
	var refusal *lab.Error
	if err := l.AddFirewallRule("b", lab.GuestFirewallRule{}); !errors.As(err, &refusal) ||
		refusal.Hint != "Did you mean standalone.b?" {
		t.Errorf("a rule for a host that has no firewall: %v", err)
	}
	if err := l.CreateInternetHost(lab.InternetHost{Name: "a"}); err == nil {
		t.Error("an internet host gets the name of a machine")
	}
	if _, err := l.EmuTarget(lab.Target{Name: "shop.staging", Port: 80}); err == nil {
		t.Error("a staging deployment that isn't there is a target")
	}
	deploy(t, l, "shop", lab.Staging)
	shop, _ := l.CloudService("shop")
	target, err := l.EmuTarget(lab.Target{Name: "shop.staging", Port: 80})
	if a, ok := l.AddressNamed(
		"shop.staging",
	); err != nil || target.Name != shop.NameOf(shop.Staging) || !ok ||
		a != shop.Staging.VIP {
		t.Errorf("the staging deployment is %v, %v, has %v", target, err, a)
	}
}

// TestNamesHold does operations at random. A name that the lab shows finds the machine that it is shown for, and no
// name comes to mean another machine, unless the operation was a swap of its service, or made or deleted a machine of
// that very name.
func TestNamesHold(t *testing.T) {
	var names []string
	for _, host := range []string{"a", "b", "Web_IN_0", "Web_IN_1", "shop.Web_IN_0", "shop.staging.Web_IN_0"} {
		names = append(names, host)
		for _, service := range []string{"shop", "store", "standalone", "contactsql"} {
			names = append(names, service+"."+host, service+".production."+host, service+".staging."+host)
		}
	}
	rapid.Check(t, func(rt *rapid.T) {
		l := shops(t)
		for range rapid.IntRange(1, 25).Draw(rt, "operations") {
			o, says := nameOperation(rt)
			next, err := l.Apply(o)
			if err != nil {
				continue
			}
			for _, m := range next.Members() {
				// Roles that are named like other services' instances may leave one without a name of its own.
				odd := slices.ContainsFunc(
					next.Instances(),
					func(i *lab.Instance) bool { return strings.HasPrefix(i.Name, "shop.") },
				)
				if found, ok := next.Find(next.MemberName(m)); (!ok && !odd) || ok && found != m {
					rt.Fatalf("after %s, %s is shown as %s, which means %v", o, m.ID(), next.MemberName(m), found)
				}
			}
			for _, name := range names {
				was, before := meaning(l, name)
				now, after := meaning(next, name)
				if before && after && was != now && !says(name, was, now) {
					rt.Fatalf("after %s, %s means %v; it meant %v", o, name, now, was)
				}
			}
			l = next
		}
	})
}

// nameOperation draws an operation that makes, deletes or moves machines, and which names may mean another machine
// after it.
func nameOperation(rt *rapid.T) (o lab.Operation, says func(name string, was, now machine) bool) {
	service := rapid.SampledFrom([]string{"shop", "store"}).Draw(rt, "service")
	slot := rapid.SampledFrom([]lab.Slot{lab.Production, lab.Staging}).Draw(rt, "slot")
	host := rapid.SampledFrom([]string{"a", "b"}).Draw(rt, "machine")
	nothing := func(string, machine, machine) bool { return false }
	switch rapid.IntRange(0, 9).Draw(rt, "operation") {
	case 0, 1:
		name := rapid.SampledFrom([]string{"Web", "Web", "Web", "shop.Web", "shop.staging.Web"}).Draw(rt, "role")
		return lab.CreateDeploymentOp{
			Service:    service,
			Deployment: lab.PackageDeployment{Slot: slot, Roles: []lab.Role{role(name, 2, "", 80)}},
		}, nothing
	case 2:
		return lab.DeleteDeploymentOp{Service: service, Slot: slot}, nothing
	case 3, 4:
		return lab.SwapDeploymentOp{Service: service}, func(_ string, was, now machine) bool {
			return was.service == service && now.service == service
		}
	case 5:
		return lab.ScaleRoleOp{
			Service: service,
			Slot:    slot,
			Role:    "Web",
			Count:   rapid.IntRange(1, 2).Draw(rt, "count"),
		}, nothing
	case 6:
		return lab.AddRoleOp{Service: "standalone", VirtualMachine: vm(host)}, nothing
	case 7:
		return lab.DeleteRoleOp{Service: "standalone", Name: host}, nothing
	case 8:
		return lab.AddRoleOp{Service: "contactsql", VirtualMachine: inSubnet(vm(host), "FrontEnd")}, nothing
	}
	named := func(name string, _, _ machine) bool { return name == host }
	if rapid.Bool().Draw(rt, "created") {
		return lab.CreateInternetHostOp{InternetHost: lab.InternetHost{Name: host}}, named
	}
	return lab.DeleteInternetHostOp{Name: host}, named
}
