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
var equal = cmp.Options{cmp.Comparer(func(a, b netip.Addr) bool { return a == b }), cmp.Comparer(func(a, b netip.Prefix) bool { return a == b })}

// notPublic is why a rule for other profiles doesn't count.
const notPublic = "it is not for the public profile, and the network of an Azure virtual machine is public"

func TestParse(t *testing.T) {
	for _, c := range []struct{ in, short, name, inactive string }{
		{"allow tcp 1433", "allow tcp 1433", "", ""},
		{"allow tcp 1433 from 10.0.1.0/24", "allow tcp 1433 from 10.0.1.0/24", "", ""},
		{"block tcp 1433 from 10.0.1.7", "block tcp 1433 from 10.0.1.7", "", ""},
		{" Allow  UDP\n53 , 123,\t5000-5010 FROM 10.0.0.1-10.0.0.9 ,LocalSubnet, 10.1.2.3/16 ", "allow udp 53,123,5000-5010 from 10.1.0.0/16,10.0.0.1-10.0.0.9,localsubnet", "", ""},
		{"allow any", "allow any", "", ""},
		{"allow icmp from localsubnet", "allow icmp from localsubnet", "", ""},
		{"block any from 10.0.0.5-10.0.0.5,10.0.0.0/255.255.255.0", "block any from 10.0.0.5,10.0.0.0/24", "", ""},
		{"allow tcp any from any", "allow tcp", "", ""},
		{"allow tcp 80-80", "allow tcp 80", "", ""},
		{"allow tcp 0-65535 from 0.0.0.0/0", "allow tcp 0-65535", "", ""},

		{`netsh advfirewall firewall add rule name="SQL" dir=in action=allow protocol=TCP localport=1433`, "allow tcp 1433", "SQL", ""},
		{
			`NETSH.exe AdvFirewall firewall add rule NAME="SQL Server (in)" Dir=IN Action=Block protocol=17 localport=1434,5000-5010 remoteip=10.0.1.0/24,LocalSubnet,10.0.2.1-10.0.2.9 profile=private,public enable=yes description="a, b" edge=no security=notrequired interfacetype=any localip=any remoteport=any`,
			"block udp 1434,5000-5010 from 10.0.1.0/24,10.0.2.1-10.0.2.9,localsubnet", "SQL Server (in)", "",
		},
		{`netsh advfirewall firewall add rule name=all-of-it dir=in action=allow`, "allow any", "all-of-it", ""},
		{`netsh advfirewall firewall add rule name=Ping dir=in action=allow protocol=icmpv4:8,any`, "allow icmp", "Ping", ""},
		{`netsh advfirewall firewall add rule "name=A B" dir=in action=allow protocol=any remoteip=any localport=any`, "allow any", "A B", ""},
		{`netsh advfirewall firewall add rule name=x dir=in action=allow enable=no profile=domain`, "allow any", "x", "it is disabled"},
		{`netsh advfirewall firewall add rule name=x dir=in action=allow profile=domain,private`, "allow any", "x", notPublic},

		{`New-NetFirewallRule -DisplayName "SQL" -Direction Inbound -Protocol TCP -LocalPort 1433 -Action Allow`, "allow tcp 1433", "SQL", ""},
		{
			`new-netfirewallrule -DisplayName 'Bob''s "web"' -LocalPort 80, 443,"8000-8010" -Protocol tcp -RemoteAddress LocalSubnet,10.0.1.0/24`,
			"allow tcp 80,443,8000-8010 from 10.0.1.0/24,localsubnet", `Bob's "web"`, "",
		},
		{"New-NetFirewallRule `\n  -DisplayName \"a`\"b\"\"c\" `\n  -Act Block -Prof 'Private, Public' -Name x -Description 'y' -Group:z -Program Any -Enabled:True", "block any", `a"b"c`, ""},
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
			t.Errorf("%s:\n got %q name %q inactive %q\nwant %q name %q inactive %q", c.in, r, r.Name, r.Inactive, c.short, c.name, c.inactive)
		}
	}
}

func TestErrors(t *testing.T) {
	const netsh = `netsh advfirewall firewall add rule `
	const named = netsh + `name=x dir=in action=allow `
	const power = `New-NetFirewallRule -DisplayName x `
	for _, c := range []struct{ in, at, want string }{ // at: the text from the error's place on
		{"", "", "the rule is empty; write " + shortForm},
		{"alow tcp 1", "alow tcp 1", `expected allow, block, netsh or New-NetFirewallRule, got "alow"; did you mean "allow"?`},
		{"Deny tcp 1", "Deny tcp 1", `expected allow, block, netsh or New-NetFirewallRule, got "deny"; did you mean "block"?`},
		{"permit tcp 1", "permit tcp 1", `expected allow, block, netsh or New-NetFirewallRule, got "permit"; did you mean "allow"?`},
		{"iptables -A INPUT", "iptables -A INPUT", `expected allow, block, netsh or New-NetFirewallRule, got "iptables"; the short form is: ` + shortForm},
		{"allow", "", "expected a protocol after allow: tcp, udp, icmp or any"},
		{"allow 1433", "1433", `expected a protocol, tcp, udp, icmp or any, got "1433"`},
		{"allow tpc 1433", "tpc 1433", `expected a protocol, tcp, udp, icmp or any, got "tpc"; did you mean "tcp"?`},
		{"allow tcp 0", "0", `expected a port from 1 to 65535 or a range FIRST-LAST, got "0"`},
		{"allow tcp 65536", "65536", `expected a port from 1 to 65535 or a range FIRST-LAST, got "65536"`},
		{"allow tcp 80,", "", `expected a port from 1 to 65535 or a range FIRST-LAST, got ""`},
		{"allow tcp 90-80", "90-80", "the range of ports 90-80 runs backwards; write 80-90"},
		{"allow tcp 80,any", "any", "any stands for all ports and can't be in a list"},
		{"allow tcp http", "http", `expected a port from 1 to 65535 or a range FIRST-LAST, got "http"`},
		{"allow tcp 80 443", "443", `expected from or the end, got "443"; the short form is: ` + shortForm},
		{"allow tcp 80 form 1.2.3.4", "form 1.2.3.4", `expected from or the end, got "form"; did you mean "from"?`},
		{"allow tcp form 1.2.3.4", "form 1.2.3.4", `expected ports or from, got "form"; did you mean "from"?`},
		{"allow icmp 8", "icmp 8", "ports need the protocol tcp or udp; for both, write two rules"},
		{"allow any 80 from 1.2.3.4", "any 80 from 1.2.3.4", "ports need the protocol tcp or udp; for both, write two rules"},
		{"allow tcp 80 from", "", "expected an address, a prefix, FIRST-LAST, localsubnet or any after from"},
		{"allow tcp 80 from 1.2.3.4 5.6.7.8", "5.6.7.8", `expected the end of the rule, got "5.6.7.8"; several addresses are separated by commas`},
		{"allow tcp 80 from 1.2.3.4,any", "any", "any stands for everybody and can't be in a list"},
		{"allow tcp 80 from 1.2.3.0/0", "1.2.3.0/0", "the prefix 1.2.3.0/0 holds every address; write any"},
		{"allow tcp 80 from 1.2.3.0/33", "1.2.3.0/33", `expected an IPv4 address, a prefix, FIRST-LAST, localsubnet or any, got "1.2.3.0/33"`},
		{"allow tcp 80 from 1.2.3.0/255.0.255.0", "1.2.3.0/255.0.255.0", `expected an IPv4 address, a prefix, FIRST-LAST, localsubnet or any, got "1.2.3.0/255.0.255.0"`},
		{"allow tcp 80 from 2.2.3.4-1.1.1.1", "2.2.3.4-1.1.1.1", "the range of addresses 2.2.3.4-1.1.1.1 runs backwards; write 1.1.1.1-2.2.3.4"},
		{"allow tcp 80 from fe80::1", "fe80::1", `expected an IPv4 address, a prefix, FIRST-LAST, localsubnet or any, got "fe80::1"; a lab has IPv4 alone`},
		{"allow tcp 80 from localsubnets", "localsubnets", `expected an IPv4 address, a prefix, FIRST-LAST, localsubnet or any, got "localsubnets"; did you mean "localsubnet"?`},
		{"allow tcp 80 from DNS", "DNS", "the remote address DNS can't be matched: a lab doesn't know it; name the address"},

		{"netsh", "", netshArguments + "; expected netsh advfirewall firewall add rule"},
		{"netsh firewall add portopening TCP 1433 SQL", "firewall add portopening TCP 1433 SQL", `expected netsh advfirewall firewall add rule, got "firewall" in the place of advfirewall`},
		{"netsh advfirewall firewall delete rule name=x", "delete rule name=x", `expected netsh advfirewall firewall add rule, got "delete" in the place of add; in a running lab, lab firewall delete takes rules away`},
		{netsh, "", netshArguments + "; expected name=, dir=in and action="},
		{netsh + "name=SQL Server dir=in action=allow", "Server dir=in action=allow", netshArguments + `; "Server" is no argument: write NAME=VALUE without space around = and after commas, and " around what holds a space`},
		{netsh + "name=x dir=in", "", "action= is missing; expected name=, dir=in and action=allow or action=block"},
		{netsh + "name=all dir=in action=allow", "all dir=in action=allow", "a rule can't have the name all"},
		{netsh + `name="x dir=in`, `"x dir=in`, "the quotation mark is never closed"},
		{netsh + "name=x dir=out action=allow", "out action=allow", "rules for outgoing traffic can't hold in a lab: its guest firewall filters what comes in"},
		{netsh + "name=x dir=in action=bypass", "bypass", "the action bypass can't hold in a lab: there is no IPsec in it; expected allow or block"},
		{netsh + "name=x dir=in action=alow", "alow", `action is "alow", expected allow or block; did you mean "allow"?`},
		{named + "protocl=tcp", "protocl=tcp", `"protocl" is not an argument of netsh advfirewall firewall add rule; did you mean "protocol"?`},
		{named + "action=block", "action=block", "action is given twice"},
		{named + "localport=", "localport=", "localport has no value"},
		{named + "localport=80", "80", "ports need the protocol tcp or udp; for both, write two rules"},
		{named + "protocol=tcp localport=RPC", "RPC", "port RPC can't be matched: it stands for whatever port a Windows program was given; name the port"},
		{named + "protocol=47", "47", `protocol "47" can't be matched, expected tcp, udp, icmpv4 or any`},
		{named + "protocol=icmpv6", "icmpv6", "protocol icmpv6 can't be matched: a lab has IPv4 alone"},
		{named + "protocol=icmpv4:13,any", "icmpv4:13,any", `ICMP type "13" can't be matched, expected 8 (echo request) or any`},
		{named + "protocol=tcp:8", "tcp:8", `protocol "tcp:8" is not known`},
		{named + `program="C:\sql.exe"`, `"C:\sql.exe"`, "the condition program= can't hold in a lab: its firewall sees packets, not the programs behind them; remove it"},
		{named + "service=any", "any", "the condition service= can't hold in a lab: its firewall sees packets, not the programs behind them; remove it"},
		{named + "localip=10.0.0.4", "10.0.0.4", "the condition localip= can't hold in a lab: an instance has one address alone; remove it"},
		{named + "remoteport=1024", "1024", "the condition remoteport= can't hold in a lab: clients use any source port; remove it"},
		{named + "interfacetype=lan", "lan", "the condition interfacetype= can't hold in a lab: an instance has one interface alone; remove it"},
		{named + "security=authenticate", "authenticate", "the condition security= can't hold in a lab: there is no IPsec in it; remove it"},
		{named + "edge=yes", "yes", "the condition edge= can't hold in a lab: there is no Teredo and no other tunnel in it; remove it"},
		{named + "profile=publik", "publik", `profile "publik" is not known, expected public, private, domain or any; did you mean "public"?`},
		{named + "enable=maybe", "maybe", `enable is "maybe", expected yes or no`},
		{named + "remoteip=defaultgateway", "defaultgateway", "the remote address defaultgateway can't be matched: a lab doesn't know it; name the address"},

		{"New-NetFirewallRule", "", "-DisplayName is missing"},
		{"New-NetFirewallRules -DisplayName x", "New-NetFirewallRules -DisplayName x", `expected allow, block, netsh or New-NetFirewallRule, got "New-NetFirewallRules"; did you mean "New-NetFirewallRule"?`},
		{"New-NetFirewallRule SQL", "SQL", `expected a parameter, -NAME VALUE, got "SQL"; a list is separated by commas, and what holds a space is quoted`},
		{power + "-LocalPrt 80", "-LocalPrt 80", `New-NetFirewallRule has no parameter -LocalPrt; did you mean "LocalPort"?`},
		{power + "-Local 80", "-Local 80", "the parameter -Local is ambiguous: -LocalAddress, -LocalPort, -LocalUser"},
		{power + "-Profile", "", "-Profile has no value"},
		{power + "-Action -Profile Any", "-Profile Any", "-Action has no value"},
		{power + "-Protocol TCP -LocalPort 80,", "", "-LocalPort has no value"},
		{power + "-Action Allow -action Allow", "-action Allow", "-Action is given twice"},
		{power + "-Action Allow,Block", "Block", "-Action takes one value"},
		{power + "-Direction Outbound", "Outbound", "rules for outgoing traffic can't hold in a lab: its guest firewall filters what comes in"},
		{power + "-Enabled $yes", "$yes", `"$" is not understood: write plain values, without variables, expressions and pipes`},
		{power + "| Out-Null", "| Out-Null", `"|" is not understood: write plain values, without variables, expressions and pipes`},
		{power + `-Description "for $you"`, `$you"`, "variables in strings are not understood; write the value, or single quotes"},
		{power + "-Description 'x", "'x", "the quotation mark is never closed"},
		{power + "-LocalPort 80", "80", "ports need the protocol tcp or udp; for both, write two rules"},
		{power + "-IcmpType 8", "8", "-IcmpType needs -Protocol ICMPv4"},
		{power + "-Program C:\\x.exe", "C:\\x.exe", "the condition -Program can't hold in a lab: its firewall sees packets, not the programs behind them; remove it"},
		{power + "-OverrideBlockRules True", "True", "the condition -OverrideBlockRules can't hold in a lab: there is no IPsec in it; remove it"},
	} {
		_, err := Parse(c.in)
		var e *Error
		if !errors.As(err, &e) || e.Error() != c.want {
			t.Errorf("%s:\n got %v\nwant %s", c.in, err, c.want)
			continue
		}
		if c.in[e.Offset:] != c.at {
			t.Errorf("%s: placed at %q, want %q", c.in, c.in[e.Offset:], c.at)
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
			r.LocalPorts = append(r.LocalPorts, emu.PortRange{First: first, Last: rapid.Uint16Range(first, 65535).Draw(t, "last")})
		}
	}
	for range rapid.IntRange(0, 4).Draw(t, "prefixes") {
		r.Remote = append(r.Remote, netip.PrefixFrom(address.Draw(t, "prefix"), rapid.IntRange(1, 32).Draw(t, "bits")).Masked())
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
		`netsh advfirewall firewall add rule name="SQL Server" dir=in action=allow protocol=TCP localport=1433,80-90 remoteip=localsubnet profile=any`,
		"New-NetFirewallRule -DisplayName \"SQL\" -Direction Inbound `\n -Protocol:TCP -LocalPort 1433,'80' -Action Allow",
	} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, text string) {
		r, err := Parse(text)
		if err != nil {
			var e *Error
			if !errors.As(err, &e) || e.Message == "" || e.Offset < 0 || e.Offset > len(text) {
				t.Fatalf("%q: %#v", text, err)
			}
			return
		}
		again, err := Parse(r.String())
		if err != nil {
			t.Fatalf("%q: its short form %q: %v", text, r, err)
		}
		again.Name, again.Inactive, again.Text = r.Name, r.Inactive, r.Text
		if diff := cmp.Diff(r, again, equal); diff != "" {
			t.Fatalf("%q (-parsed +again)\n%s", text, diff)
		}
	})
}
