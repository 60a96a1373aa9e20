package lab_test

import (
	"fmt"
	"net/netip"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"vnetlab/lab"
)

func TestAddresses(t *testing.T) {
	l := world(t)
	must(t, l.AddVirtualMachine("contactsql", inSubnet(vm("a"), "FrontEnd")))
	static := inSubnet(vm("b"), "FrontEnd")
	static.StaticAddress = netip.MustParseAddr("10.0.1.6")
	must(t, l.AddVirtualMachine("contactsql", static))
	must(t, l.AddVirtualMachine("contactsql", inSubnet(vm("c"), "FrontEnd")))
	must(t, l.AddVirtualMachine("contactsql", inSubnet(vm("d"), "FrontEnd")))
	must(t, l.AddVirtualMachine("standalone", vm("a")))
	want := map[string]string{
		"contactsql.a": "10.0.1.4",
		"b":            "10.0.1.6",
		"c":            "10.0.1.5",
		"d":            "10.0.1.7",
		"standalone.a": "100.64.4.4",
	}
	for name, address := range want {
		m, ok := l.Find(name)
		if !ok || m.Address().String() != address {
			t.Fatalf("%s is found: %t, has %v, want %s", name, ok, m, address)
		}
	}
	for wrong, text := range map[string]string{
		"10.0.1.3": "BadRequest: The address 10.0.1.3 of the subnet FrontEnd (10.0.1.0/24) is reserved.", "10.0.1.255": "BadRequest: The address 10.0.1.255 of the subnet FrontEnd (10.0.1.0/24) is reserved.",
		"10.0.2.4": "BadRequest: The address 10.0.2.4 is not in the subnet FrontEnd (10.0.1.0/24).", "10.0.1.5": "Networking.DeploymentVNetAddressAllocationFailure: The address 10.0.1.5 is in use.",
	} {
		m := inSubnet(vm("e"), "FrontEnd")
		m.StaticAddress = netip.MustParseAddr(wrong)
		if err := l.AddVirtualMachine("contactsql", m); err == nil || err.Error() != text {
			t.Errorf("the static address %s: got %v, want %s", wrong, err, text)
		}
	}
	for _, service := range []string{"contactsql", "standalone"} {
		s, _ := l.CloudService(service)
		if !lab.LocationBlock(l.LocationOf(s.AffinityGroup, s.Location)).Contains(s.Production.VIP) {
			t.Errorf("the VIP %s of %s is not of its location", s.Production.VIP, service)
		}
	}
}

func TestAutomaticPorts(t *testing.T) {
	l := world(t)
	must(t, l.AddVirtualMachine("standalone", vm("a", endpoint("rdp", 0, 3389), member("web", endpoint("web", 0, 80)))))
	must(
		t,
		l.AddVirtualMachine("standalone", vm("b", endpoint("rdp", 0, 3389), member("web", endpoint("web", 0, 8080)))),
	)
	s, _ := l.CloudService("standalone")
	var got []string
	for _, f := range s.Production.Frontends() {
		got = append(got, fmt.Sprintf("%s %d ×%d", f.Name, f.PublicPort, len(f.Members)))
	}
	if want := "[rdp 49152 ×1 web 49153 ×2 rdp 49154 ×1]"; fmt.Sprint(got) != want {
		t.Errorf("got %v, want %s", got, want)
	}
}

func TestPermits(t *testing.T) {
	deny := lab.ACLRule{Order: 100, RemoteSubnet: prefix("175.1.0.0/24")}
	permit := lab.ACLRule{Order: 200, Permit: true, RemoteSubnet: prefix("175.0.0.0/8")}
	for _, tt := range []struct {
		rules  []lab.ACLRule
		client string
		want   bool
	}{
		{nil, "1.2.3.4", true},
		{[]lab.ACLRule{deny}, "175.1.0.9", false},
		{[]lab.ACLRule{deny}, "1.2.3.4", true},
		{[]lab.ACLRule{deny, permit}, "175.1.0.9", false},
		{[]lab.ACLRule{deny, permit}, "175.9.9.9", true},
		{[]lab.ACLRule{deny, permit}, "1.2.3.4", false},
	} {
		if got, _ := (lab.Frontend{
			Balancing: lab.Balancing{ACL: tt.rules},
		}).Permits(netip.MustParseAddr(tt.client)); got != tt.want {
			t.Errorf("%v: %s permitted %v, want %v", tt.rules, tt.client, got, tt.want)
		}
	}
}

func TestParseTarget(t *testing.T) {
	for text, want := range map[string]string{
		"sql1:1433": "sql1:1433", "a.cloudapp.net:80/tcp": "a.cloudapp.net:80", "10.0.0.4:53/udp": "10.0.0.4:53/udp", "ContactManager.Web_IN_0:80": "ContactManager.Web_IN_0:80",
		"sql1": "", ":80": "", "sql1:": "", "sql1:0": "", "sql1:70000": "", "sql1:80/sctp": "", "sql1:http": "",
	} {
		got, err := lab.ParseTarget(text)
		if (err != nil) != (want == "") || err == nil && got.String() != want {
			t.Errorf("%q: got %v, %v, want %q", text, got, err, want)
		}
	}
}

func TestWrongTargetsAreExplained(t *testing.T) {
	for text, want := range map[string]string{
		"sql1:http": "The port of 'sql1:http' is not a number", "sql1:-1": "The port of 'sql1:-1' is not a number",
		"sql1:80/tpc": "The protocol of 'sql1:80/tpc' is neither", "[::1]:80": "'[::1]' is an IPv6 address",
		"[::1]": "'[::1]' is an IPv6 address", "fe80::1": "is an IPv6 address", "::1:80": "is an IPv6 address",
		"http://sql1:80/": "is a URL and not a target", "https://contactsql.cloudapp.net": "is a URL and not a target",
	} {
		if _, err := lab.ParseTarget(text); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: got %v, want %q", text, err, want)
		}
	}
}

// TestNamesStayUnique holds for any order of creation that members have names and addresses of their own.
func TestNamesStayUnique(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		l := world(t)
		for i := range rapid.IntRange(1, 20).Draw(rt, "operations") {
			name := rapid.SampledFrom([]string{"a", "b", "c", "d"}).Draw(rt, "name")
			switch rapid.IntRange(0, 4).Draw(rt, "operation") {
			case 0:
				_ = l.AddVirtualMachine("contactsql", inSubnet(vm(name), "FrontEnd"))
			case 1:
				_ = l.AddVirtualMachine("standalone", vm(name, endpoint("e", uint16(80+i), 80)))
			case 2:
				_ = l.CreateDeployment("standalone", lab.PackageDeployment{Roles: []lab.Role{role(name, 2, "", 80)}})
			case 3:
				_ = l.CreateWebSite(lab.WebSite{Name: name + "site", Location: "West US"})
			case 4:
				_ = l.CreateInternetHost(lab.InternetHost{Name: name})
			}
		}
		ids := map[string]bool{}
		for _, m := range l.Members() {
			if ids[m.ID()] {
				rt.Fatalf("two members are named %s", m.ID())
			}
			ids[m.ID()] = true
			if found, ok := l.Find(l.MemberName(m)); !ok || found != m {
				rt.Fatalf("%s finds another member", l.MemberName(m))
			}
		}
	})
}
