package guestfirewall

import (
	"errors"
	"net/netip"
	"strings"
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

// TestCommands has commands as people type them: each adds these rules, in the short form, turns the firewall on or off, and is read with
// these remarks.
func TestCommands(t *testing.T) {
	const (
		netsh   = `netsh advfirewall firewall add rule name=x dir=in action=allow `
		web     = netsh + `protocol=TCP localport=80`
		power   = `New-NetFirewallRule -DisplayName x `
		webRule = power + `-Protocol TCP -LocalPort 80`
		unseen  = ", and a lab's firewall sees packets, not programs"
	)
	off := []string{"off"}
	none := []string(nil)
	for _, c := range []struct {
		in      string
		rules   []string
		remarks string
	}{
		// Around the command.
		{webRule + " | Out-Null", []string{"allow tcp 80"}, ""},
		{webRule + " -Confirm:$false -EA SilentlyContinue; Write-Host 'done' # web", []string{"allow tcp 80"}, ""},
		{"$null = " + webRule, []string{"allow tcp 80"}, ""},
		{"[void](" + webRule + ")", []string{"allow tcp 80"}, ""},
		{`powershell -Command "` + webRule + `"`, []string{"allow tcp 80"}, ""},
		{`powershell.exe -NoProfile -ExecutionPolicy Bypass -c "& { New-NetFirewallRule -DisplayName 'a b' -Protocol TCP -LocalPort 80 }"`, []string{"allow tcp 80"}, ""},
		{`powershell -enc TgBlAHcALQBOAGUAdABGAGkAcgBlAHcAYQBsAGwAUgB1AGwAZQAgAC0ARABpAHMAcABsAGEAeQBOAGEAbQBlACAAYQA=`, []string{"allow any"}, ""},
		{web + " > NUL 2>&1", []string{"allow tcp 80"}, ""},
		{web + " && echo done", []string{"allow tcp 80"}, ""},
		{web + " || exit /b 1", []string{"allow tcp 80"}, ""},
		{`cmd /c ` + web, []string{"allow tcp 80"}, ""},
		{`cmd.exe /c "netsh advfirewall firewall add rule name=""a b"" dir=in action=allow protocol=TCP localport=80"`, []string{"allow tcp 80"}, ""},
		{`C:\Windows\System32\netsh.exe advfirewall firewall add rule name=x dir=in action=allow protocol=TCP localport=80`, []string{"allow tcp 80"}, ""},
		{`& "C:\Windows\System32\netsh.exe" advfirewall firewall add rule name=x dir=in action=allow protocol=TCP localport=80`, []string{"allow tcp 80"}, ""},
		{`start /wait ` + web, []string{"allow tcp 80"}, ""},
		{`Invoke-Expression "` + web + `"`, []string{"allow tcp 80"}, ""},
		{"netsh advfirewall firewall add rule name=x ^\n dir=in action=allow ^\n protocol=TCP localport=80", []string{"allow tcp 80"}, ""},
		// Spelling.
		{`netsh advfirewall firewall add rule name= "x" dir = in action =allow protocol=TCP localport = 80`, []string{"allow tcp 80"}, ""},
		{`netsh advf fire add rule name=x dir=in action=allow prot=TCP localport="80, 443" desc='Bob''`, []string{"allow tcp 80,443"}, ""},
		{`netsh advfirewall firewall add rule name=”ICMP in” dir=in action=allow protocol=icmpv4:8,any`, []string{"allow icmp"}, ""},
		{`New-NetFirewallRule –DisplayName “Web server” —Protocol TCP –LocalPort 80–90`, []string{"allow tcp 80-90"}, ""},
		{power + `-Protocol TCP -LocalPort @('80', '443') -Profile @('Any') -RemoteAddress ("10.0.0.0/8","192.168.0.0/16")`, []string{"allow tcp 80,443 from 10.0.0.0/8,192.168.0.0/16"}, ""},
		{power + `-Protocol TCP -LocalPort "80,443"`, []string{"allow tcp 80,443"}, ""},
		// Without effect.
		{netsh + "service=any edge=yes interfacetype=lan remoteport=any security=notrequired localip=any", []string{"allow any"}, ""},
		{power + `-EdgeTraversalPolicy Allow -Platform 6.2+ -InterfaceAlias "Ethernet" -LocalAddress Any -RemotePort Any -OverrideBlockRules False`, []string{"allow any"}, ""},
		{netsh + "protocol=icmpv6", []string{"allow any"}, "the rule has no effect: it is for IPv6, and a lab has only IPv4"},
		{netsh + "protocol=47", []string{"allow any"}, "the rule has no effect: it is for the protocol 47, and what connects in a lab is TCP, UDP and ICMP"},
		{netsh + "protocol=icmpv4:13,any", []string{"allow icmp"}, "the rule has no effect: it is for ICMP of type 13, and only echo requests, type 8, begin something in a lab"},
		{netsh + "protocol=TCP remoteport=389,445", []string{"allow tcp"}, "the rule has no effect: its condition remoteport=389,445 never holds: clients in a lab connect from any port"},
		{netsh + "security=authenticate", []string{"allow any"}, "the rule has no effect: its condition security=authenticate never holds: there is no IPsec in a lab"},
		{"netsh advfirewall firewall add rule name=x dir=in action=bypass", []string{"allow any"}, "the rule has no effect: it is for connections with IPsec, and there is no IPsec in a lab"},
		{"netsh advfirewall firewall add rule name=x dir=out action=allow", []string{"allow any"}, "the rule has no effect: it is for outgoing traffic, which a lab allows anyway"},
		{power + "-WhatIf", []string{"allow any"}, "the rule has no effect: -WhatIf only shows what the command would do"},
		{netsh + "protocol=TCP localport=RPC", []string{"allow tcp"}, "the rule has no effect: a lab knows none of its ports; port RPC stands for whatever port Windows gave a program; a lab doesn't know it"},
		{netsh + "protocol=TCP localport=RPC-EPMap,80", []string{"allow tcp 135,80"}, ""},
		{netsh + "remoteip=defaultgateway", []string{"allow any"}, "the rule has no effect: nothing connects from its remote addresses in a lab; from the remote address defaultgateway nothing connects in a lab"},
		{netsh + "remoteip=fe80::/10,10.0.0.0/8", []string{"allow any from 10.0.0.0/8"}, "the remote address fe80::/10 is IPv6, and a lab has only IPv4"},
		{netsh + "remoteip=intranet", []string{"allow any from 10.0.0.0-10.255.255.255,100.64.0.0-100.127.255.255,172.16.0.0-172.31.255.255,192.168.0.0-192.168.255.255"}, "the remote address intranet is taken as the private addresses"},
		// Bound to a program.
		{netsh + `program="C:\a b.exe" protocol=TCP`, []string{"allow tcp"}, `the rule is bound to the program C:\a b.exe; a lab's firewall sees packets, not programs, so it allows every program`},
		{`netsh advfirewall firewall add rule name=x dir=in action=block service=W3SVC`, []string{"block any"}, "the rule has no effect: it is bound to the service W3SVC" + unseen},
		{power + `-Program C:\x.exe -Action Block`, []string{"block any"}, `the rule has no effect: it is bound to the program C:\x.exe` + unseen},
		// The firewall as a whole.
		{"netsh advfirewall set allprofiles state off", off, ""},
		{"netsh advfirewall set currentprofile state off", off, ""},
		{"netsh advfirewall set allprofiles state on", []string{"on"}, ""},
		{"netsh advfirewall set domainprofile state off", none, "the command has no effect: " + notForPublic},
		{"netsh advfirewall set publicprofile firewallpolicy allowinbound,allowoutbound", []string{"allow any"}, ""},
		{"netsh advfirewall set allprofiles firewallpolicy blockinboundalways,allowoutbound", []string{"block any"}, ""},
		{"netsh advfirewall set allprofiles logging filename x.log", none, "the command has no effect: a lab has no logging of a firewall"},
		{"netsh firewall set opmode disable", off, ""},
		{"netsh firewall set opmode mode = enable", []string{"on"}, ""},
		{"Set-NetFirewallProfile -Profile Domain,Public,Private -Enabled False", off, ""},
		{"Set-NetFirewallProfile Private,Public -Enabled $false", off, ""},
		{"Set-NetFirewallProfile -All -DefaultInboundAction Allow", []string{"allow any"}, ""},
		{"Set-NetFirewallProfile -Profile Domain -Enabled False", none, "the command has no effect: " + notForPublic},
		{"Get-NetFirewallProfile | Set-NetFirewallProfile -Enabled False", off, ""},
		{"netsh advfirewall firewall show rule name=all", none, "the command has no effect: it only shows what there is"},
		{"netsh advfirewall show currentprofile", none, "the command has no effect: it only shows what there is"},
		{"netsh firewall show config", none, "the command has no effect: it only shows what there is"},
		{"Set-NetFirewallProfile -Enabled False", off, ""},
		{"Set-NetFirewallProfile -Profile * -Enabled False", off, ""},
		{"Set-NetFirewallProfile -Name Pub*,Domain -Enabled False", off, ""},
		{"Set-NetFirewallProfile -Name D* -Enabled False", none, "the command has no effect: " + notForPublic},
		// netsh firewall.
		{`netsh firewall add portopening protocol = TCP port = 135 name = "RPC" mode = ENABLE scope = SUBNET`, []string{"allow tcp 135 from localsubnet"}, ""},
		{`netsh firewall add portopening ALL 53 DNS`, []string{"allow tcp 53", "allow udp 53"}, ""},
		{`netsh firewall add portopening TCP 80 Web ENABLE CUSTOM 10.0.0.0/8,localsubnet`, []string{"allow tcp 80 from 10.0.0.0/8,localsubnet"}, ""},
		{`netsh firewall add portopening TCP 80 Web DISABLE`, []string{"allow tcp 80"}, "the rule has no effect: it is disabled"},
		{`netsh firewall add allowedprogram C:\x.exe "X" ENABLE`, []string{"allow any"}, `the rule is bound to the program C:\x.exe; a lab's firewall sees packets, not programs, so it allows every program`},
		{`netsh firewall set service type=remotedesktop mode=enable`, []string{"allow tcp 3389"}, ""},
		{`netsh firewall set icmpsetting 8`, []string{"allow icmp"}, ""},
		// Rules that Windows came with.
		{`netsh advfirewall firewall set rule group="remote desktop" new enable=Yes`, []string{"allow tcp 3389", "allow udp 3389"}, ""},
		{`netsh advfirewall firewall set rule name="File and Printer Sharing (Echo Request - ICMPv4-In)" new enable=yes`, []string{"allow icmp"}, ""},
		{"Enable-NetFirewallRule -Name FPS-ICMP4-ERQ-In", []string{"allow icmp"}, ""},
		{"Get-NetFirewallRule -DisplayGroup 'Remote Desktop' | Enable-NetFirewallRule", []string{"allow tcp 3389", "allow udp 3389"}, ""},
		{"Set-NetFirewallRule -DisplayGroup 'Remote Desktop' -Enabled True", []string{"allow tcp 3389", "allow udp 3389"}, ""},
		{"Set-NetFirewallRule -Name WINRM-HTTP-In-TCP-PUBLIC -Enabled True -Direction Inbound -Action Allow -Profile Any -RemoteAddress Any",
			[]string{"allow tcp 5985"}, ""},
		{"Set-NetFirewallRule -Name WINRM-HTTP-In-TCP -Enabled True -RemoteAddress 10.0.0.0/8,LocalSubnet",
			[]string{"allow tcp 5985 from 10.0.0.0/8,localsubnet"}, ""},
		{"Set-NetFirewallRule -DisplayGroup 'Windows Remote Management' -Enabled True -Profile 'Private, Domain'",
			[]string{"allow tcp 5985"}, "the rule has no effect: " + notForPublic},
		{`netsh advfirewall firewall set rule group="Windows Remote Management" new enable=yes profile=private,public remoteip=10.0.0.0/8`,
			[]string{"allow tcp 5985 from 10.0.0.0/8"}, ""},
		{`netsh advfirewall firewall set rule group="Windows Remote Management" new enable=yes profile=domain`,
			[]string{"allow tcp 5985"}, "the rule has no effect: " + notForPublic},
		{"netsh firewall set allowedprogram program=C:\\a.exe name=a mode=DISABLE", []string{"allow any"},
			"the rule has no effect: it is disabled"},
		{"Enable-NetFirewallRule -DisplayGroup Other", none, "the command has no effect: which ports Other opens is not known here; add rules for them"},
	} {
		command, err := ParseCommand(c.in)
		if err != nil {
			t.Errorf("%s: %v", c.in, err)
			continue
		}
		var got []string
		for _, r := range command.Rules {
			got = append(got, r.String())
		}
		switch command.Switch {
		case TurnOn:
			got = append(got, "on")
		case TurnOff:
			got = append(got, "off")
		}
		if diff := cmp.Diff(c.rules, got); diff != "" {
			t.Errorf("%s (-want +got)\n%s", c.in, diff)
		}
		if got := strings.Join(command.Remarks(), "; "); got != c.remarks {
			t.Errorf("%s:\n got %s\nwant %s", c.in, got, c.remarks)
		}
	}
}

func TestForAddress(t *testing.T) {
	r, err := Parse("netsh advfirewall firewall add rule name=x dir=in action=allow localip=10.0.0.4,10.1.0.0/16,10.2.0.1-10.2.0.9")
	if err != nil {
		t.Fatal(err)
	}
	for address, want := range map[string]bool{"10.0.0.4": true, "10.0.0.5": false, "10.1.2.3": true, "10.2.0.9": true, "10.2.0.10": false} {
		if got := r.ForAddress(netip.MustParseAddr(address)); got != want {
			t.Errorf("%s: %t, want %t", address, got, want)
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
		{"allow tcp 80 from fe80::1", "fe80::1", "the remote address fe80::1 is IPv6, and a lab has only IPv4; leave it out"},
		{"allow tcp 80 from localsubnets", "localsubnets", `expected an IPv4 address, a prefix, FIRST-LAST, localsubnet or any, got "localsubnets"; did you mean "localsubnet"?`},
		{"allow tcp 80 from DNS", "DNS", "from the remote address DNS nothing connects in a lab; leave it out"},
		{"allow tcp rpc", "rpc", "port rpc stands for whatever port Windows gave a program; a lab doesn't know it; name the port"},

		{"netsh", "", netshArguments + "; expected netsh advfirewall firewall add rule"},
		{"netsh advfirewall firewall delete rule name=x", "delete rule name=x", `expected netsh advfirewall firewall add rule, got "delete" in the place of add; in a running lab, lab firewall delete takes rules away`},
		{strings.TrimSpace(netsh), "", netshArguments + "; expected name=, dir=in and action="},
		{netsh + "name=SQL Server dir=in action=allow", "Server dir=in action=allow", netshArguments + `; "Server" is no argument: write NAME=VALUE, without space after commas, and " around what holds a space`},
		{netsh + "name=x dir=in", "", "action= is missing; expected name=, dir=in and action=allow or action=block"},
		{netsh + "name=all dir=in action=allow", "all dir=in action=allow", "a rule can't have the name all"},
		{netsh + `name="x dir=in`, `"x dir=in`, "the quotation mark is never closed"},
		{netsh + "name=x dir=out action=block remoteport=80", "out action=block remoteport=80", "outgoing traffic can't be blocked in a lab: its guest firewall filters what comes in"},
		{netsh + "name=x dir=in action=alow", "alow", `action is "alow", expected allow or block; did you mean "allow"?`},
		{named + "protocl=tcp", "protocl=tcp", `"protocl" is not an argument of netsh advfirewall firewall add rule; did you mean "protocol"?`},
		{named + "action=block", "action=block", "action is given twice"},
		{named + "localport=", "localport=", "localport has no value"},
		{named + "localport=80", "80", "ports need the protocol tcp or udp; for both, write two rules"},
		{named + "protocol=tcp:8", "tcp:8", `protocol "tcp:8" is not known`},
		{named + "profile=publik", "publik", `profile "publik" is not known, expected public, private, domain or any; did you mean "public"?`},
		{named + "enable=maybe", "maybe", `enable is "maybe", expected yes or no`},

		{"New-NetFirewallRule", "", "-DisplayName is missing"},
		{"New-NetFirewallRules -DisplayName x", "New-NetFirewallRules -DisplayName x", `expected allow, block, netsh or New-NetFirewallRule, got "New-NetFirewallRules"; did you mean "New-NetFirewallRule"?`},
		{"New-NetFirewallRule SQL", "SQL", `expected a parameter, -NAME VALUE, got "SQL"; a list is separated by commas, and what holds a space is quoted`},
		{power + "-LocalPrt 80", "-LocalPrt 80", `New-NetFirewallRule has no parameter -LocalPrt; did you mean "LocalPort"?`},
		{power + "-Local 80", "-Local 80", "the parameter -Local is ambiguous: -LocalAddress, -LocalOnlyMapping, -LocalPort, -LocalUser"},
		{power + "-Profile", "", "-Profile has no value"},
		{power + "-Action -Profile Any", "-Profile Any", "-Action has no value"},
		{power + "-Protocol TCP -LocalPort 80,", "", "-LocalPort has no value"},
		{power + "-Action Allow -action Allow", "-action Allow", "-Action is given twice"},
		{power + "-Action Allow,Block", "Block", "-Action takes one value"},
		{power + "-Direction Outbound -Action Block", "Outbound -Action Block", "outgoing traffic can't be blocked in a lab: its guest firewall filters what comes in"},
		{power + "-LocalPort (80", "", "the parenthesis is never closed"},
		{power + "-LocalPort (80 443)", "443)", `expected a comma or the end of the list, got "443"`},
		{power + "@rules", "@rules", `"@" is not understood: write plain values, without variables and expressions`},
		{power + "| Set-NetFirewallRule -Enabled False", " Set-NetFirewallRule -Enabled False"[1:], `a command whose output goes to "Set-NetFirewallRule" is not understood; leave out what stands after |`},
		{power + "; Restart-Computer", "Restart-Computer", `a second command, "Restart-Computer", is not understood here; write one command a line`},
		{"powershell -File rules.ps1", "-File rules.ps1", "a script in a file is not read; write its commands, one a line"},
		{"powershell -NoProfile", "powershell -NoProfile", "powershell runs nothing here; write powershell -Command COMMAND, or the command itself"},
		{"powershell -EncodedCommand xyz", "xyz", "-EncodedCommand is not UTF-16 in base64"},
		{"cmd netsh", "cmd netsh", "cmd runs nothing without /c; write cmd /c COMMAND, or the command itself"},
		{"Remove-NetFirewallRule -Name x", "Remove-NetFirewallRule -Name x", `"Remove-NetFirewallRule" takes a rule away; a lab file has only the rules that are added; in a running lab, lab firewall delete takes rules away`},
		{"netsh firewall", "", netshArguments + "; expected netsh firewall add portopening, add allowedprogram, set opmode, set service or set icmpsetting"},
		{"netsh firewall add portopenin TCP 80 x", "portopenin TCP 80 x", `expected netsh firewall add portopening, add allowedprogram, set opmode, set service or set icmpsetting, got "portopenin"; did you mean "portopening"?`},
		{"netsh firewall add portopening protocol=TCP name=x", "", "port= is missing; expected netsh firewall add portopening TCP 80 NAME"},
		{"netsh firewall add portopening TCP 80 x enable custom", "", "addresses= is missing; scope=custom needs addresses=ADDRESS,PREFIX,localsubnet"},
		{"netsh advfirewall set allprofile state off", "allprofile state off", `expected netsh advfirewall set allprofiles state off, got "allprofile" in the place of the profile; did you mean "allprofiles"?`},
		{"netsh advfirewall set allprofiles state of", "of", `state is "of", expected on or off or notconfigured; did you mean "on"?`},
		{"netsh advfirewall set allprofiles firewallpolicy blockinbound,blockoutbound", "blockoutbound", "outgoing traffic can't be blocked in a lab: its guest firewall filters what comes in"},
		{"Set-NetFirewallProfile -Profile Publik* -Enabled False", "Publik* -Enabled False",
			`profile "Publik*" is not known, expected public, private, domain or any; did you mean "public"?`},
		{"Set-NetFirewallRule -Name WINRM-HTTP-In-TCP -Enabled True -LocalPort 81", "81",
			"Set-NetFirewallRule with -LocalPort is not understood: only with -Profile and -RemoteAddress; " +
				"write the rule as it should be with New-NetFirewallRule"},
		{"Set-NetFirewallRule -Name WINRM-HTTP-In-TCP -Enabled True -Action Block", "Block",
			"rules that Windows came with can't be turned around here; write a block rule"},
		{`netsh advfirewall firewall set rule group="remote desktop" new enable=yes localport=81`, "new enable=yes localport=81",
			"only new enable=yes is understood, with profile= and remoteip=: other changes of rules are not; " +
				"write the rule as it should be with add rule"},
		{`netsh advfirewall firewall set rule group="remote desktop" new profile=any`, "new profile=any",
			"enable=yes is missing: changes of rules that stay disabled are not understood; " +
				"write the rule as it should be with add rule"},
		{"Set-NetFirewallProfile Public -Enabled Fals", "Fals", `-Enabled is "Fals", expected true or false; did you mean "false"?`},
		{power + "-Enabled $yes", "$yes", `"$" is not understood: write plain values, without variables and expressions`},
		{power + `-Description "for $you"`, `$you"`, "variables in strings are not understood; write the value, or single quotes"},
		{power + "-Description 'x", "'x", "the quotation mark is never closed"},
		{power + "-LocalPort 80", "80", "ports need the protocol tcp or udp; for both, write two rules"},
		{power + "-IcmpType 8", "8", "-IcmpType needs -Protocol ICMPv4"},
	} {
		_, err := ParseCommand(c.in)
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
		`cmd.exe /c "netsh firewall add portopening TCP 80 ""Web"" ENABLE CUSTOM 10.0.0.0/8" > nul 2>&1`,
		`powershell -NoProfile -Command "& {New-NetFirewallRule –DisplayName ‘x’ -LocalPort @('80', '443') -Protocol TCP -Confirm:$false | Out-Null}" # web`,
		"Get-NetFirewallProfile | Set-NetFirewallProfile -Enabled False",
		"netsh advfirewall firewall set rule group=\"remote desktop\" new enable=yes",
		"New-NetFirewallRule -DisplayName \"SQL\" -Direction Inbound `\n -Protocol:TCP -LocalPort 1433,'80' -Action Allow",
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
			again.Name, again.Text, again.Note, again.Local, again.LocalRanges = r.Name, r.Text, r.Note, r.Local, r.LocalRanges
			if diff := cmp.Diff(r, again, equal); diff != "" {
				t.Fatalf("%q (-parsed +again)\n%s", text, diff)
			}
		}
	})
}
