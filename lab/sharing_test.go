package lab_test

import (
	"fmt"
	"reflect"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"vnetlab/lab"
	"vnetlab/lab/labtest"
)

// dump is all that is in a value, behind its pointers and in its unexported fields. What a lab only remembers to find
// things sooner is left out.
func dump(v any) string {
	var b strings.Builder
	dumpTo(&b, reflect.ValueOf(v))
	return b.String()
}

func dumpTo(b *strings.Builder, v reflect.Value) {
	switch v.Kind() {
	case reflect.Pointer, reflect.Interface:
		if v.IsNil() {
			b.WriteString("nil")
			return
		}
		dumpTo(b, v.Elem())
	case reflect.Struct:
		b.WriteString("{")
		for n := range v.NumField() {
			if name := v.Type().Field(n).Name; name != "places" {
				fmt.Fprintf(b, "%s:", name)
				dumpTo(b, v.Field(n))
				b.WriteString(" ")
			}
		}
		b.WriteString("}")
	case reflect.Slice, reflect.Array:
		b.WriteString("[")
		for n := range v.Len() {
			dumpTo(b, v.Index(n))
			b.WriteString(" ")
		}
		b.WriteString("]")
	default: // no resource has a map, a channel or a function: fmt would show a map's pointers, not what they lead to
		if v.Kind() == reflect.Map || v.Kind() == reflect.Chan || v.Kind() == reflect.Func {
			panic(v.Type().String())
		}
		fmt.Fprintf(b, "%#v", v)
	}
}

// resource is something that labs share, by a name that no other has.
type resource struct {
	pointer any
	text    string // what is in it, when it was seen
}

// resources lists what labs can share. Deployments go by their identity: slots are exchanged.
func resources(l *lab.Lab) map[string]resource {
	all := map[string]resource{}
	add := func(kind, name string, pointer any) { all[kind+" "+name] = resource{pointer, dump(pointer)} }
	for _, g := range l.AffinityGroups {
		add("affinity group", g.Name, g)
	}
	for _, n := range l.VirtualNetworks {
		add("virtual network", n.Name, n)
	}
	for _, r := range l.ReservedIPs {
		add("reserved IP", r.Name, r)
	}
	for _, n := range l.LocalNetworks {
		add("local network", n.Name, n)
		for _, h := range n.Hosts {
			add("local host", h.Name, h)
		}
	}
	for _, s := range l.WebSites {
		add("web site", s.Name, s)
	}
	for _, h := range l.InternetHosts {
		add("internet host", h.Name, h)
	}
	for _, s := range l.CloudServices {
		add("service", s.Name, s)
		for _, d := range s.Deployments() {
			add("deployment", d.Service+" "+d.PrivateID, d)
			for _, i := range d.Instances {
				add("instance", d.Service+" "+d.PrivateID+" "+i.Name, i)
			}
		}
	}
	return all
}

// setHealth is an answer to a health probe, as an operation.
type setHealth struct {
	probe   string
	healthy bool
}

func (o setHealth) Do(l *lab.Lab) error { l.SetHealth(o.probe, o.healthy); return nil }
func (o setHealth) String() string      { return fmt.Sprintf("%s is healthy: %v", o.probe, o.healthy) }

// anyOperation draws an operation of any kind on a lab that began as everythingToChange.
func anyOperation(rt *rapid.T) lab.Operation {
	network := lab.VirtualNetwork{
		Name:         "Net",
		Location:     "West US",
		AddressSpace: prefixes("10.0.0.0/16"),
		Subnets: []lab.Subnet{
			{
				Name:          "a",
				AddressPrefix: prefix("10.0.1.0/24"),
			},
			{Name: "b", AddressPrefix: prefix("10.0.2.0/29")},
			{Name: "GatewaySubnet", AddressPrefix: prefix("10.0.3.0/29")},
		},
	}
	site := lab.LocalNetwork{
		Name: "hq",
		AddressSpace: prefixes(
			rapid.SampledFrom([]string{"192.168.0.0/24", "192.168.0.0/23", "10.0.0.0/24"}).Draw(rt, "space"),
		),
		Hosts: []*lab.LocalHost{{Name: "desk"}},
	}
	host := rapid.SampledFrom([]string{"laptop", "phone"}).Draw(rt, "host")
	switch rapid.IntRange(0, 28).Draw(rt, "kind") {
	case 0:
		return lab.UpdateVirtualNetworkOp{VirtualNetwork: network}
	case 1:
		network.AddressSpace = prefixes("10.0.0.0/16", "10.1.0.0/16")
		return lab.UpdateVirtualNetworkOp{VirtualNetwork: network}
	case 2:
		return lab.CreateLocalNetworkOp{LocalNetwork: site}
	case 3:
		return lab.UpdateLocalNetworkOp{LocalNetwork: site}
	case 4:
		return lab.DeleteLocalNetworkOp{Name: "hq"}
	case 5:
		return lab.CreateGatewayOp{Network: "Net", Gateway: lab.VPNGateway{Connections: lab.ConnectTo("hq")}}
	case 6:
		return lab.DeleteGatewayOp{Network: "Net"}
	case 7:
		return lab.CreateInternetHostOp{InternetHost: lab.InternetHost{Name: host}}
	case 8:
		return lab.DeleteInternetHostOp{Name: host}
	case 9:
		return lab.DeleteWebSiteOp{Name: "site1"}
	case 10:
		return lab.AddRoleOp{Service: "probed", Location: "West US", VirtualMachine: vm(
			rapid.SampledFrom([]string{"four", "five"}).
				Draw(rt, "machine"),
			probed(member("web", endpoint("web", 80, 80))),
		)}
	case 11:
		return lab.UpdateEndpointOp{
			Service:        "probed",
			VirtualMachine: "four",
			Name:           "web",
			Endpoint: probed(
				member("web", endpoint("web", 80, rapid.SampledFrom([]uint16{80, 8080}).Draw(rt, "local"))),
			),
		}
	case 12, 13, 14:
		return setHealth{
			rapid.SampledFrom([]string{"four/web", "five/web", "nobody/web", "nobody"}).Draw(rt, "probe"),
			rapid.Bool().Draw(rt, "healthy"),
		}
	case 15:
		return lab.DeleteHostedServiceOp{Name: rapid.SampledFrom([]string{"probed", "outside"}).Draw(rt, "service")}
	case 16:
		return lab.DeleteRoleOp{Service: "probed", Name: "four"}
	case 17:
		return lab.AddLocalHostOp{
			Site: "hq",
			Host: lab.LocalHost{Name: rapid.SampledFrom([]string{"desk", "printer", "laptop"}).Draw(rt, "local host")},
		}
	case 18:
		return lab.DeleteLocalHostOp{
			Site: "hq",
			Name: rapid.SampledFrom([]string{"desk", "printer"}).Draw(rt, "local host"),
		}
	}
	return labtest.Operation(rt)
}

func probed(e lab.Endpoint) lab.Endpoint {
	e.Probe = &lab.Probe{Protocol: "tcp"}
	return e
}

func everythingToChange(t testing.TB) *lab.Lab {
	t.Helper()
	l := labtest.Sequence(t)
	must(t, l.CreateHostedService(lab.HostedService{Name: "probed", Location: "West US"}))
	must(t, l.AddVirtualMachine("probed", vm("four", probed(member("web", endpoint("web", 80, 80))))))
	must(t, l.AddVirtualMachine("probed", vm("five", probed(member("web", endpoint("web", 80, 80))))))
	return l
}

// TestOperationsShare holds for any operations that they leave the lab as it was, that what the labs share is the
// same in both, and that what an operation doesn't change is shared.
func TestOperationsShare(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		l := everythingToChange(t)
		for range rapid.IntRange(1, 20).Draw(rt, "operations") {
			o := anyOperation(rt)
			whole, before := dump(l), resources(l)
			meanwhile := make(chan string)
			go func() { meanwhile <- readAll(l) }() // for the race detector
			next, err := l.Apply(o)
			<-meanwhile
			if now := dump(l); now != whole {
				rt.Fatalf("%s (%v) changed the lab it was done on:\n%s\n%s", o, err, whole, now)
			}
			if err != nil {
				continue
			}
			if reversed, ok := o.(setHealth); ok && l.Healthy(reversed.probe) == reversed.healthy &&
				dump(next) != whole {
				rt.Fatalf("%s changed something", o)
			}
			checkSharing(rt, o, before, resources(next))
			checkLookUps(rt, l, next)
			readAll(next) // what it remembers from now on must not outlive a change
			if again := next.Clone(); o.Do(again) == nil {
				checkLookUps(rt, next, again)
			}
			if o.Do(next) == nil {
				checkLookUps(rt, l, next)
			} else {
				next, _ = l.Apply(o)
			}
			l = next
		}
	})
}

// checkLookUps holds that what a lab tells of its parts is so, also of parts as another state of the lab had them.
func checkLookUps(rt *rapid.T, before, l *lab.Lab) {
	var names []string
	for _, s := range l.CloudServices {
		for _, d := range s.Deployments() {
			if d.VIP.IsValid() {
				names = append(names, fmt.Sprint(s.NameOf(d), d.VIP))
			}
			for _, i := range d.Instances {
				if l.Deployment(i) != d {
					rt.Fatalf("%s is not in its deployment", i.ID)
				}
			}
		}
	}
	for n, r := range l.PublicNames()[:len(names)] {
		if got := fmt.Sprint(r.Name, r.Address); got != names[n] {
			rt.Fatalf("got %s, want %s", got, names[n])
		}
	}
	for _, i := range before.Instances() {
		now, ok := l.Find(l.InstanceName(i))
		ok = ok && now.ID() == i.ID
		if d := l.Deployment(i); ok != (d != nil) || ok && !slices.Contains(d.Instances, now.Instance) {
			rt.Fatalf("the deployment of %s is %v", i.ID, d)
		}
	}
}

// readAll asks a lab what it finds out only when asked.
func readAll(l *lab.Lab) string {
	var b strings.Builder
	for _, i := range l.Instances() {
		d := l.Deployment(i)
		vip, _ := l.DirectReturnAddress(i)
		fmt.Fprint(&b, d.Frontends(), vip, l.FirewallRules(i), l.Healthy(i.ID+"/web"))
	}
	fmt.Fprint(&b, l.PublicNames(), l.Members())
	return b.String()
}

func checkSharing(rt *rapid.T, o lab.Operation, before, after map[string]resource) {
	anew, services := 0, 0
	for name, now := range after {
		was, ok := before[name]
		switch {
		case !ok:
		case was.pointer == now.pointer && was.text != now.text:
			rt.Fatalf("%s: both labs have the same %s, but it changed:\n%s\n%s", o, name, was.text, now.text)
		case was.pointer != now.pointer && was.text == now.text:
			anew++
		}
		if ok && was.pointer != now.pointer && strings.HasPrefix(name, "service ") {
			services++
		}
	}
	if services > 1 {
		rt.Fatalf("%s: %d services aren't shared", o, services)
	}
	// An operation that asks for what is there already may make the instance anew, with its deployment and its service.
	most := 3
	switch o.(type) {
	case lab.UpgradeDeploymentOp, lab.UpdateEndpointOp, lab.SetEndpointACLOp:
		most = 5 // or all instances of the deployment, or of the load-balanced set
	case setHealth:
		most = 0
	}
	if anew > most {
		rt.Fatalf("%s: %d resources are the same as before but aren't shared", o, anew)
	}
}

// TestOperationsShareTheRest holds of some operations what exactly isn't shared.
func TestOperationsShareTheRest(t *testing.T) {
	four := "probed " + deployed(t, everythingToChange(t), "probed").PrivateID
	for _, tt := range []struct {
		operation lab.Operation
		changed   []string
	}{
		{lab.AddEndpointOp{Service: "probed", VirtualMachine: "four", Endpoint: endpoint("more", 81, 81)}, []string{"service probed", "deployment " + four, "instance " + four + " four"}},
		{lab.AddFirewallRuleOp{Instance: "four", Rule: labtest.Rule(t, "allow tcp 1", 1)}, []string{"service probed", "deployment " + four, "instance " + four + " four"}},
		{setHealth{"four/web", true}, []string{"service probed", "deployment " + four, "instance " + four + " four"}},
		{setHealth{"four/web", false}, nil},
		{setHealth{"six/web", true}, nil},
		{lab.AddRoleOp{Service: "probed", VirtualMachine: vm("six")}, []string{"service probed", "deployment " + four, "new instance " + four + " six"}},
		{lab.DeleteRoleOp{Service: "probed", Name: "four"}, []string{"service probed", "deployment " + four, "gone instance " + four + " four"}},
		{lab.CreateInternetHostOp{InternetHost: lab.InternetHost{Name: "phone"}}, []string{"new internet host phone"}},
		{lab.SetServicesOp{Member: "laptop", Services: labtest.Listen(1)}, []string{"internet host laptop"}},
	} {
		t.Run(tt.operation.String(), func(t *testing.T) {
			l := everythingToChange(t)
			next, err := l.Apply(tt.operation)
			must(t, err)
			changed, before, after := map[string]bool{}, resources(l), resources(next)
			for name, was := range before {
				if now, ok := after[name]; !ok {
					changed["gone "+name] = true
				} else if now.pointer != was.pointer {
					changed[name] = true
				}
			}
			for name := range after {
				if _, ok := before[name]; !ok {
					changed["new "+name] = true
				}
			}
			want := map[string]bool{}
			for _, name := range tt.changed {
				want[name] = true
			}
			if !reflect.DeepEqual(changed, want) {
				t.Errorf("not shared: %v, want %v", changed, want)
			}
		})
	}
}
