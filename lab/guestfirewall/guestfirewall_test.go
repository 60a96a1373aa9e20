package guestfirewall

import (
	"errors"
	"net/netip"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"vnetlab/emu"
)

// equal compares rules with their addresses.
var equal = cmp.Options{
	cmp.Comparer(func(a, b netip.Addr) bool { return a == b }),
	cmp.Comparer(func(a, b netip.Prefix) bool { return a == b }),
}

// notPublic is why a rule for other profiles doesn't count.
const notPublic = "it is not for the public profile, and the network of an Azure virtual machine is public"

func TestParse(t *testing.T) {
	for _, c := range []struct{ in, short, name, inactive string }{
		{"allow tcp 1433", "allow tcp 1433", "", ""},
		{"allow tcp 1433 from 10.0.1.0/24", "allow tcp 1433 from 10.0.1.0/24", "", ""},
		{"block tcp 1433 from 10.0.1.7", "block tcp 1433 from 10.0.1.7", "", ""},
		{
			" Allow  UDP\n53 , 123,\t5000-5010 FROM 10.0.0.1-10.0.0.9 ,LocalSubnet, 10.1.2.3/16 ",
			"allow udp 53,123,5000-5010 from 10.1.0.0/16,10.0.0.1-10.0.0.9,localsubnet", "", "",
		},
		{"allow any", "allow any", "", ""},
		{"allow icmp from localsubnet", "allow icmp from localsubnet", "", ""},
		{"block any from 10.0.0.5-10.0.0.5,10.0.0.0/255.255.255.0", "block any from 10.0.0.5,10.0.0.0/24", "", ""},
		{"allow tcp any from any", "allow tcp", "", ""},
		{"allow tcp 80-80", "allow tcp 80", "", ""},
		{"allow tcp 0-65535 from 0.0.0.0/0", "allow tcp 0-65535", "", ""},

		{
			`netsh advfirewall firewall add rule name="SQL" dir=in action=allow protocol=TCP localport=1433`,
			"allow tcp 1433", "SQL", "",
		},
		{
			`NETSH.exe AdvFirewall firewall add rule NAME="SQL Server (in)" Dir=IN Action=Block protocol=17 ` +
				`localport=1434,5000-5010 remoteip=10.0.1.0/24,LocalSubnet,10.0.2.1-10.0.2.9 profile=private,public ` +
				`enable=yes description="a, b" edge=no security=notrequired interfacetype=any localip=any ` +
				`remoteport=any`,
			"block udp 1434,5000-5010 from 10.0.1.0/24,10.0.2.1-10.0.2.9,localsubnet", "SQL Server (in)", "",
		},
		{`netsh advfirewall firewall add rule name=all-of-it dir=in action=allow`, "allow any", "all-of-it", ""},
		{
			`netsh advfirewall firewall add rule name=Ping dir=in action=allow protocol=icmpv4:8,any`, "allow icmp",
			"Ping", "",
		},
		{
			`netsh advfirewall firewall add rule "name=A B" dir=in action=allow protocol=any remoteip=any localport=any`,
			"allow any", "A B", "",
		},
		{
			`netsh advfirewall firewall add rule name=x dir=in action=allow enable=no profile=domain`, "allow any", "x",
			"it is disabled",
		},
		{
			`netsh advfirewall firewall add rule name=x dir=in action=allow profile=domain,private`, "allow any", "x",
			notPublic,
		},

		{
			`New-NetFirewallRule -DisplayName "SQL" -Direction Inbound -Protocol TCP -LocalPort 1433 -Action Allow`,
			"allow tcp 1433", "SQL", "",
		},
		{
			`new-netfirewallrule -DisplayName 'Bob''s "web"' -LocalPort 80, 443,"8000-8010" -Protocol tcp ` +
				`-RemoteAddress LocalSubnet,10.0.1.0/24`,
			"allow tcp 80,443,8000-8010 from 10.0.1.0/24,localsubnet", `Bob's "web"`, "",
		},
		{"New-NetFirewallRule `\n  -DisplayName \"a`\"b\"\"c\" `\n  -Act Block -Prof 'Private, Public' -Name x " +
			"-Description 'y' -Group:z -Program Any -Enabled:True", "block any", `a"b"c`, ""},
		{"New-NetFirewallRule -DisplayName Ping -Protocol ICMPv4 -IcmpType 8", "allow icmp", "Ping", ""},
		{"New-NetFirewallRule -DisplayName x -Enabled False", "allow any", "x", "it is disabled"},
		{"New-NetFirewallRule -DisplayName x -Enabled $False", "allow any", "x", "it is disabled"},
		{"New-NetFirewallRule -DisplayName x -OverrideBlockRules:$false -Action Block", "block any", "x", ""},
		{"New-NetFirewallRule -DisplayName x -Profile Domain", "allow any", "x", notPublic},
	} {
		r, err := Parse(c.in)
		if err != nil {
			t.Errorf("%s: %v", c.in, err)
			continue
		}
		if r.String() != c.short || r.Name != c.name || r.Inactive != c.inactive || r.Text != c.in {
			t.Errorf("%s:\n got %q name %q inactive %q\nwant %q name %q inactive %q", c.in, r, r.Name, r.Inactive,
				c.short, c.name, c.inactive)
		}
	}
}

// rules makes any rule that the short form can say.
var rules = rapid.Custom(func(t *rapid.T) Rule {
	address := rapid.Custom(func(t *rapid.T) netip.Addr {
		return netip.AddrFrom4([4]byte(rapid.SliceOfN(rapid.Byte(), 4, 4).Draw(t, "address")))
	})
	r := Rule{
		Allow:       rapid.Bool().Draw(t, "allow"),
		Protocol:    rapid.SampledFrom([]string{"", "tcp", "udp", "icmp"}).Draw(t, "protocol"),
		LocalSubnet: rapid.Bool().Draw(t, "localsubnet"),
	}
	if r.Protocol == "tcp" || r.Protocol == "udp" {
		for range rapid.IntRange(0, 4).Draw(t, "ports") {
			first := rapid.Uint16Range(1, 65535).Draw(t, "first")
			r.LocalPorts = append(r.LocalPorts, emu.PortRange{
				First: first,
				Last:  rapid.Uint16Range(first, 65535).Draw(t, "last"),
			})
		}
	}
	for range rapid.IntRange(0, 4).Draw(t, "prefixes") {
		r.Remote = append(r.Remote, netip.PrefixFrom(address.Draw(t, "prefix"), rapid.IntRange(1, 32).Draw(t, "bits")).
			Masked())
	}
	for range rapid.IntRange(0, 4).Draw(t, "ranges") {
		if a, b := address.Draw(t, "low"), address.Draw(t, "high"); a.Less(b) {
			r.RemoteRanges = append(r.RemoteRanges, [2]netip.Addr{a, b})
		}
	}
	return r
})

func TestRoundTrip(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		want := rules.Draw(t, "rule")
		want.Text = want.String()
		got, err := Parse(want.Text)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(want, got, equal); diff != "" {
			t.Fatalf("%s (-want +got)\n%s", want.Text, diff)
		}
	})
}

func FuzzParse(f *testing.F) {
	for _, s := range []string{
		"allow tcp 1433 from 10.0.1.0/24,10.0.0.1-10.0.0.9,localsubnet",
		`netsh advfirewall firewall add rule name="SQL Server" dir=in action=allow protocol=TCP ` +
			`localport=1433,80-90 remoteip=localsubnet profile=any`,
		`cmd.exe /c "netsh firewall add portopening TCP 80 ""Web"" ENABLE CUSTOM 10.0.0.0/8" > nul 2>&1`,
		`powershell -NoProfile -Command "& {New-NetFirewallRule –DisplayName ‘x’ -LocalPort @('80', '443') ` +
			`-Protocol TCP -Confirm:$false | Out-Null}" # web`,
		"Get-NetFirewallProfile | Set-NetFirewallProfile -Enabled False",
		"netsh advfirewall firewall set rule group=\"remote desktop\" new enable=yes",
		"New-NetFirewallRule -DisplayName \"SQL\" -Direction Inbound `\n -Protocol:TCP -LocalPort 1433,'80' -Action " +
			"Allow",
	} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, text string) {
		command, err := ParseCommand(text)
		if err != nil {
			var e *Error
			if !errors.As(err, &e) || e.Message == "" || e.Offset < 0 || e.Offset > len(text) {
				t.Fatalf("%q: %#v", text, err)
			}
			return
		}
		for _, r := range command.Rules {
			if r.Inactive != "" {
				continue // what it is for may have no short form
			}
			again, err := Parse(r.String())
			if err != nil {
				t.Fatalf("%q: its short form %q: %v", text, r, err)
			}
			again.Name, again.Text, again.Note, again.Local, again.LocalRanges = r.Name, r.Text, r.Note, r.Local,
				r.LocalRanges
			if diff := cmp.Diff(r, again, equal); diff != "" {
				t.Fatalf("%q (-parsed +again)\n%s", text, diff)
			}
		}
	})
}
