package guestfirewall

import (
	"errors"
	"strings"
	"testing"
)

func TestErrors(t *testing.T) {
	const netsh = `netsh advfirewall firewall add rule `
	const named = netsh + `name=x dir=in action=allow `
	const power = `New-NetFirewallRule -DisplayName x `
	linux := func(program string) string {
		return `"` + program + `" is a command for the firewall of a Linux guest, which is not read here; `
	}
	for _, c := range []struct{ in, at, want string }{ // at: the text from the error's place on
		{"", "", "the rule is empty; write " + shortForm},
		{"alow tcp 1", "alow tcp 1", `expected allow, block, netsh or New-NetFirewallRule, got "alow"; did you mean ` +
			`"allow"?`},
		{"Deny tcp 1", "Deny tcp 1", `expected allow, block, netsh or New-NetFirewallRule, got "deny"; did you mean ` +
			`"block"?`},
		{
			"permit tcp 1", "permit tcp 1",
			`expected allow, block, netsh or New-NetFirewallRule, got "permit"; did you mean "allow"?`,
		},
		{"iptables -A INPUT", "iptables -A INPUT", linux("iptables") + "the short form is: " + shortForm},
		{
			"sudo iptables -A INPUT -p tcp --dport 9160 -j ACCEPT", "iptables -A INPUT -p tcp --dport 9160 -j ACCEPT",
			linux("iptables") + "write allow tcp 9160",
		},
		{
			"iptables -I INPUT 1 -p tcp -s 10.0.1.0/24 --dport 7000:7001 -m state --state NEW -j ACCEPT",
			"iptables -I INPUT 1 -p tcp -s 10.0.1.0/24 --dport 7000:7001 -m state --state NEW -j ACCEPT",
			linux("iptables") + "write allow tcp 7000-7001 from 10.0.1.0/24",
		},
		{
			"iptables -A INPUT -i lo -p tcp --dport 80 -j ACCEPT", "iptables -A INPUT -i lo -p tcp --dport 80 -j ACCEPT",
			linux("iptables") + "the short form is: " + shortForm,
		},
		{"$ sudo ufw allow 22/tcp", "ufw allow 22/tcp", linux("ufw") + "write allow tcp 22"},
		{"ufw deny 9160", "ufw deny 9160", linux("ufw") + "write block tcp 9160 and block udp 9160"},
		{
			"ufw allow from 10.0.1.0/24 to any port 7000 proto tcp",
			"ufw allow from 10.0.1.0/24 to any port 7000 proto tcp",
			linux("ufw") + "write allow tcp 7000 from 10.0.1.0/24",
		},
		{
			"firewall-cmd --permanent --add-port=80-90/tcp", "firewall-cmd --permanent --add-port=80-90/tcp",
			linux("firewall-cmd") + "write allow tcp 80-90",
		},
		{"sudo ufw disable", "ufw disable", linux("ufw") + "write firewall: off"},
		{"sudo service iptables stop", "service iptables stop", linux("service") + "write firewall: off"},
		{"allow", "", "expected a protocol after allow: tcp, udp, icmp or any"},
		{"allow 1433", "1433", `expected a protocol, tcp, udp, icmp or any, got "1433"`},
		{"allow tpc 1433", "tpc 1433", `expected a protocol, tcp, udp, icmp or any, got "tpc"; did you mean "tcp"?`},
		{"allow tcp 0", "0", `expected a port from 1 to 65535 or a range FIRST-LAST, got "0"`},
		{"allow tcp 65536", "65536", `expected a port from 1 to 65535 or a range FIRST-LAST, got "65536"`},
		{"allow tcp 80,", "", `expected a port from 1 to 65535 or a range FIRST-LAST, got ""`},
		{"allow tcp 90-80", "90-80", "the range of ports 90-80 is reversed; write 80-90"},
		{"allow tcp 80,any", "any", "any means all ports and can't be in a list"},
		{"allow tcp http", "http", `expected a port from 1 to 65535 or a range FIRST-LAST, got "http"`},
		{"allow tcp 80 443", "443", `expected from or the end, got "443"; the short form is: ` + shortForm},
		{"allow tcp 80 form 1.2.3.4", "form 1.2.3.4", `expected from or the end, got "form"; did you mean "from"?`},
		{"allow tcp form 1.2.3.4", "form 1.2.3.4", `expected ports or from, got "form"; did you mean "from"?`},
		{"allow icmp 8", "icmp 8", "ports need the protocol tcp or udp; for both, write two rules"},
		{
			"allow any 80 from 1.2.3.4", "any 80 from 1.2.3.4",
			"ports need the protocol tcp or udp; for both, write two rules",
		},
		{"allow tcp 80 from", "", "expected an address, a prefix, FIRST-LAST, localsubnet or any after from"},
		{
			"allow tcp 80 from 1.2.3.4 5.6.7.8", "5.6.7.8",
			`expected the end of the rule, got "5.6.7.8"; several addresses are separated by commas`,
		},
		{"allow tcp 80 from 1.2.3.4,any", "any", "any means all addresses and can't be in a list"},
		{"allow tcp 80 from 1.2.3.0/0", "1.2.3.0/0", "the prefix 1.2.3.0/0 contains every address; write any"},
		{
			"allow tcp 80 from 1.2.3.0/33", "1.2.3.0/33",
			`expected an IPv4 address, a prefix, FIRST-LAST, localsubnet or any, got "1.2.3.0/33"`,
		},
		{
			"allow tcp 80 from 1.2.3.0/255.0.255.0", "1.2.3.0/255.0.255.0",
			`expected an IPv4 address, a prefix, FIRST-LAST, localsubnet or any, got "1.2.3.0/255.0.255.0"`,
		},
		{
			"allow tcp 80 from 2.2.3.4-1.1.1.1", "2.2.3.4-1.1.1.1",
			"the range of addresses 2.2.3.4-1.1.1.1 is reversed; write 1.1.1.1-2.2.3.4",
		},
		{
			"allow tcp 80 from fe80::1", "fe80::1",
			"the remote address fe80::1 is IPv6, and a lab has only IPv4; leave it out",
		},
		{"allow tcp 80 from localsubnets", "localsubnets", `expected an IPv4 address, a prefix, FIRST-LAST, ` +
			`localsubnet or any, got "localsubnets"; did you mean "localsubnet"?`},
		{"allow tcp 80 from DNS", "DNS", "nothing in a lab connects from the remote address DNS; leave it out"},
		{"allow tcp rpc", "rpc", "port rpc is one that Windows assigns; a lab doesn't know it; " +
			"name the port"},

		{"netsh", "", netshArguments + "; expected netsh advfirewall firewall add rule"},
		{
			"netsh advfirewall firewall delete rule name=x", "delete rule name=x",
			`expected netsh advfirewall firewall add rule, got "delete" instead of add; in a running lab, ` +
				`delete ` +
				`rules with lab firewall delete`,
		},
		{strings.TrimSpace(netsh), "", netshArguments + "; expected name=, dir=in and action="},
		{
			netsh + "name=SQL Server dir=in action=allow", "Server dir=in action=allow",
			netshArguments + `; "Server" is no argument: write NAME=VALUE, without spaces after commas, and with " ` +
				`around a value with spaces`,
		},
		{netsh + "name=x dir=in", "", "action= is missing; expected name=, dir=in and action=allow or action=block"},
		{netsh + "name=all dir=in action=allow", "all dir=in action=allow", "a rule can't have the name all"},
		{netsh + `name="x dir=in`, `"x dir=in`, "the quotation mark is never closed"},
		{
			netsh + "name=x dir=out action=block remoteport=80", "out action=block remoteport=80",
			"outgoing traffic can't be blocked in a lab: its guest firewall filters what comes in",
		},
		{
			netsh + "name=x dir=in action=alow", "alow",
			`action is "alow", expected allow or block; did you mean "allow"?`,
		},
		{
			named + "protocl=tcp", "protocl=tcp",
			`"protocl" is not an argument of netsh advfirewall firewall add rule; did you mean "protocol"?`,
		},
		{named + "action=block", "action=block", "action is given twice"},
		{named + "localport=", "localport=", "localport has no value"},
		{named + "localport=80", "80", "ports need the protocol tcp or udp; for both, write two rules"},
		{named + "protocol=tcp:8", "tcp:8", `protocol "tcp:8" is not known`},
		{
			named + "profile=publik", "publik",
			`profile "publik" is not known, expected public, private, domain or any; did you mean "public"?`,
		},
		{named + "enable=maybe", "maybe", `enable is "maybe", expected yes or no`},

		{"New-NetFirewallRule", "", "-DisplayName is missing"},
		{
			"New-NetFirewallRules -DisplayName x", "New-NetFirewallRules -DisplayName x",
			`expected allow, block, netsh or New-NetFirewallRule, got "New-NetFirewallRules"; did you mean ` +
				`"New-NetFirewallRule"?`,
		},
		{
			"New-NetFirewallRule SQL", "SQL",
			`expected a parameter, -NAME VALUE, got "SQL"; separate lists with commas, and quote values with spaces`,
		},
		{
			power + "-LocalPrt 80", "-LocalPrt 80",
			`New-NetFirewallRule has no parameter -LocalPrt; did you mean "LocalPort"?`,
		},
		{
			power + "-Local 80", "-Local 80",
			"the parameter -Local is ambiguous: -LocalAddress, -LocalOnlyMapping, -LocalPort, -LocalUser",
		},
		{power + "-Profile", "", "-Profile has no value"},
		{power + "-Action -Profile Any", "-Profile Any", "-Action has no value"},
		{power + "-Protocol TCP -LocalPort 80,", "", "-LocalPort has no value"},
		{power + "-Action Allow -action Allow", "-action Allow", "-Action is given twice"},
		{power + "-Action Allow,Block", "Block", "-Action takes one value"},
		{
			power + "-Direction Outbound -Action Block", "Outbound -Action Block",
			"outgoing traffic can't be blocked in a lab: its guest firewall filters what comes in",
		},
		{power + "-LocalPort (80", "", "the parenthesis is never closed"},
		{power + "-LocalPort (80 443)", "443)", `expected a comma or the end of the list, got "443"`},
		{power + "@rules", "@rules", `"@" is not understood: write plain values, without variables and expressions`},
		{
			power + "| Set-NetFirewallRule -Enabled False", " Set-NetFirewallRule -Enabled False"[1:],
			`a command whose output goes to "Set-NetFirewallRule" is not understood; remove what follows |`,
		},
		{
			power + "| Out-Null; Restart-Computer", "Restart-Computer",
			`a second command, "Restart-Computer", is not understood here; write one command a line`,
		},
		{
			power + "; Write-Host a; " + power, power[:len(power)-1],
			`a second command, "New-NetFirewallRule", is not understood here; write one command a line`,
		},
		{
			named + "> nul 2>&1 & netsh advfirewall reset", "netsh advfirewall reset",
			`a second command, "netsh", is not understood here; write one command a line`,
		},
		{
			power + "# a\n" + power, power[:len(power)-1],
			`a second command, "New-NetFirewallRule", is not understood here; write one command a line`,
		},
		{
			named + "\r\n" + named, named[:len(named)-1],
			`a second command, "netsh", is not understood here; write one command a line`,
		},
		{
			power + "; Restart-Computer", "Restart-Computer",
			`a second command, "Restart-Computer", is not understood here; write one command a line`,
		},
		{
			"powershell -File rules.ps1", "-File rules.ps1",
			"a script in a file is not read; write its commands, one a line",
		},
		{
			"powershell -NoProfile", "powershell -NoProfile",
			"powershell runs nothing here; write powershell -Command COMMAND, or the command itself",
		},
		{"powershell -EncodedCommand xyz", "xyz", "-EncodedCommand is not UTF-16 in base64"},
		{"cmd netsh", "cmd netsh", "cmd runs nothing without /c; write cmd /c COMMAND, or the command itself"},
		{
			"Remove-NetFirewallRule -Name x", "Remove-NetFirewallRule -Name x",
			`"Remove-NetFirewallRule" deletes a rule; a lab file only lists the rules that are added; in a running ` +
				`lab, delete rules with lab firewall delete`,
		},
		{"netsh firewall", "", netshArguments + "; expected netsh firewall add portopening, add allowedprogram, set " +
			"opmode, set service or set icmpsetting"},
		{
			"netsh firewall delete portopening TCP 80", "delete portopening TCP 80",
			"expected netsh firewall add portopening, add allowedprogram, set opmode, set service or set " +
				"icmpsetting, " +
				`got "delete"; in a running lab, delete rules with lab firewall delete`,
		},
		{
			"netsh firewall add portopenin TCP 80 x", "portopenin TCP 80 x",
			`expected netsh firewall add portopening, add allowedprogram, set opmode, set service or set ` +
				`icmpsetting, got "portopenin"; did you mean "portopening"?`,
		},
		{
			"netsh firewall add portopening protocol=TCP name=x", "",
			"port= is missing; expected netsh firewall add portopening TCP 80 NAME",
		},
		{
			"netsh firewall add portopening TCP 80 x enable custom", "",
			"addresses= is missing; scope=custom needs addresses=ADDRESS,PREFIX,localsubnet",
		},
		{
			"netsh advfirewall set allprofile state off", "allprofile state off",
			`expected netsh advfirewall set allprofiles state off, got "allprofile" instead of the profile; ` +
				`did you mean "allprofiles"?`,
		},
		{
			"netsh advfirewall set allprofiles state of", "of",
			`state is "of", expected on, off or notconfigured; did you mean "on"?`,
		},
		{
			"netsh advfirewall set allprofiles firewallpolicy blockinbound,blockoutbound", "blockoutbound",
			"outgoing traffic can't be blocked in a lab: its guest firewall filters what comes in",
		},
		{
			"Set-NetFirewallProfile -Profile Publik* -Enabled False", "Publik* -Enabled False",
			`profile "Publik*" is not known, expected public, private, domain or any; did you mean "public"?`,
		},
		{
			"Set-NetFirewallRule -Name WINRM-HTTP-In-TCP -Enabled True -LocalPort 81", "81",
			"Set-NetFirewallRule with -LocalPort is not understood: only with -Profile and -RemoteAddress; " +
				"write the rule as it should be with New-NetFirewallRule",
		},
		{
			"Set-NetFirewallRule -Name WINRM-HTTP-In-TCP -Enabled True -Action Block", "Block",
			"rules that Windows comes with can't be changed to block here; write a block rule",
		},
		{
			`netsh advfirewall firewall set rule group="remote desktop" new enable=yes localport=81`,
			"new enable=yes localport=81",
			"only new enable=yes is understood, with profile= and remoteip=: other changes of rules are not; " +
				"write the rule as it should be with add rule",
		},
		{
			`netsh advfirewall firewall set rule group="remote desktop" new profile=any`, "new profile=any",
			"enable=yes is missing: changes of rules that stay disabled are not understood; " +
				"write the rule as it should be with add rule",
		},
		{
			"Set-NetFirewallProfile Public -Enabled Fals", "Fals",
			`-Enabled is "Fals", expected true, false or notconfigured; did you mean "false"?`,
		},
		{
			power + "-Enabled $yes", "$yes",
			`"$" is not understood: write plain values, without variables and expressions`,
		},
		{
			power + `-Description "for $you"`, `$you"`,
			"variables in strings are not understood; write the value, or single quotes",
		},
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
		if strings.TrimSpace(c.in[e.Offset:]) != strings.TrimSpace(c.at) {
			t.Errorf("%s: placed at %q, want %q", c.in, c.in[e.Offset:], c.at)
		}
	}
}
