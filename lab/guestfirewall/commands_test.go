package guestfirewall

import (
	"net/netip"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// TestCommands has commands as people type them: each adds these rules, in the short form, turns the firewall
// on or off, and is read with these remarks.
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
		{`powershell.exe -NoProfile -ExecutionPolicy Bypass -c "& { New-NetFirewallRule -DisplayName 'a b' ` +
			`-Protocol TCP -LocalPort 80 }"`, []string{"allow tcp 80"}, ""},
		{
			`powershell -enc TgBlAHcALQBOAGUAdABGAGkAcgBlAHcAYQBsAGwAUgB1AGwAZQAgAC0ARABpAHMAcABsAGEAeQBOAGEAbQBlACAAYQA=`,
			[]string{"allow any"},
			"",
		},
		{web + " > NUL 2>&1", []string{"allow tcp 80"}, ""},
		{web + " && echo done", []string{"allow tcp 80"}, ""},
		{web + " || exit /b 1", []string{"allow tcp 80"}, ""},
		{`cmd /c ` + web, []string{"allow tcp 80"}, ""},
		{
			`cmd.exe /c "netsh advfirewall firewall add rule name=""a b"" dir=in action=allow protocol=TCP localport=80"`,
			[]string{"allow tcp 80"},
			"",
		},
		{`C:\Windows\System32\netsh.exe advfirewall firewall add rule name=x dir=in action=allow protocol=TCP ` +
			`localport=80`, []string{"allow tcp 80"}, ""},
		{`& "C:\Windows\System32\netsh.exe" advfirewall firewall add rule name=x dir=in action=allow protocol=TCP ` +
			`localport=80`, []string{"allow tcp 80"}, ""},
		{`start /wait ` + web, []string{"allow tcp 80"}, ""},
		{`Invoke-Expression "` + web + `"`, []string{"allow tcp 80"}, ""},
		{
			"netsh advfirewall firewall add rule name=x ^\n dir=in action=allow ^\n protocol=TCP localport=80",
			[]string{"allow tcp 80"},
			"",
		},
		{`C:\Windows\system32>` + web, []string{"allow tcp 80"}, ""},
		{`PS C:\Users\Administrator> ` + webRule, []string{"allow tcp 80"}, ""},
		{"PS> " + webRule, []string{"allow tcp 80"}, ""},
		{`NetSecurity\` + webRule, []string{"allow tcp 80"}, ""},
		{webRule + " | Out-Null; Write-Host ok", []string{"allow tcp 80"}, ""},
		{"@echo off\r\nREM the web\r\n" + web + "\r\npause\r\n", []string{"allow tcp 80"}, ""},
		{"# the web; not the database\n" + webRule + " # | Out-Null\n", []string{"allow tcp 80"}, ""},
		{
			"New-NetFirewallRule `\n  -DisplayName x `\n  -Protocol TCP `\n  -LocalPort 80 # web\n",
			[]string{"allow tcp 80"},
			"",
		},
		{web + ` description="see # 1; this & that | here > there"`, []string{"allow tcp 80"}, ""},
		{
			"Get-NetFirewallRule -DisplayGroup 'Remote Desktop' |\n  Enable-NetFirewallRule; Write-Host ok",
			[]string{"allow tcp 3389", "allow udp 3389"},
			"",
		},
		// Spelling.
		{
			`netsh advfirewall firewall add rule name= "x" dir = in action =allow protocol=TCP localport = 80`,
			[]string{"allow tcp 80"},
			"",
		},
		{
			`netsh advf fire add rule name=x dir=in action=allow prot=TCP localport="80, 443" desc='Bob''`,
			[]string{"allow tcp 80,443"},
			"",
		},
		{
			`netsh advfirewall firewall add rule name=”ICMP in” dir=in action=allow protocol=icmpv4:8,any`,
			[]string{"allow icmp"},
			"",
		},
		{
			`New-NetFirewallRule –DisplayName “Web server” —Protocol TCP –LocalPort 80–90`,
			[]string{"allow tcp 80-90"},
			"",
		},
		{power + `-Protocol TCP -LocalPort @('80', '443') -Profile @('Any') -RemoteAddress ` +
			`("10.0.0.0/8","192.168.0.0/16")`, []string{"allow tcp 80,443 from 10.0.0.0/8,192.168.0.0/16"}, ""},
		{power + `-Protocol TCP -LocalPort "80,443"`, []string{"allow tcp 80,443"}, ""},
		// Without effect.
		{
			netsh + "service=any edge=yes interfacetype=lan remoteport=any security=notrequired localip=any",
			[]string{"allow any"},
			"",
		},
		{power + `-EdgeTraversalPolicy Allow -Platform 6.2+ -InterfaceAlias "Ethernet" -LocalAddress Any ` +
			`-RemotePort Any -OverrideBlockRules False`, []string{"allow any"}, ""},
		{
			netsh + "protocol=icmpv6",
			[]string{"allow any"},
			"the rule has no effect: it is for IPv6, and a lab has only IPv4",
		},
		{
			netsh + "protocol=47",
			[]string{"allow any"},
			"the rule has no effect: it is for the protocol 47, and what connects in a lab is TCP, UDP and ICMP",
		},
		{
			netsh + "protocol=icmpv4:13,any",
			[]string{"allow icmp"},
			"the rule has no effect: it is for ICMP of type 13, and only echo requests, type 8, begin something in " +
				"a lab",
		},
		{
			netsh + "protocol=TCP remoteport=389,445",
			[]string{"allow tcp"},
			"the rule has no effect: its condition remoteport=389,445 never holds: clients in a lab connect from " +
				"any port",
		},
		{
			netsh + "security=authenticate",
			[]string{"allow any"},
			"the rule has no effect: its condition security=authenticate never holds: there is no IPsec in a lab",
		},
		{
			"netsh advfirewall firewall add rule name=x dir=in action=bypass",
			[]string{"allow any"},
			"the rule has no effect: it is for connections with IPsec, and there is no IPsec in a lab",
		},
		{
			"netsh advfirewall firewall add rule name=x dir=out action=allow",
			[]string{"allow any"},
			"the rule has no effect: it is for outgoing traffic, which a lab allows anyway",
		},
		{
			power + "-WhatIf",
			[]string{"allow any"},
			"the rule has no effect: -WhatIf only shows what the command would do",
		},
		{
			netsh + "protocol=TCP localport=RPC",
			[]string{"allow tcp"},
			"the rule has no effect: a lab knows none of its ports; port RPC is one that Windows assigns; a lab " +
				"doesn't know it",
		},
		{netsh + "protocol=TCP localport=RPC-EPMap,80", []string{"allow tcp 135,80"}, ""},
		{
			netsh + "remoteip=defaultgateway",
			[]string{"allow any"},
			"the rule has no effect: nothing in a lab connects from its remote addresses; nothing in a lab connects " +
				"from the remote address defaultgateway",
		},
		{
			netsh + "remoteip=fe80::/10,10.0.0.0/8",
			[]string{"allow any from 10.0.0.0/8"},
			"the remote address fe80::/10 is IPv6, and a lab has only IPv4",
		},
		{
			netsh + "remoteip=intranet",
			[]string{"allow any from " +
				"10.0.0.0-10.255.255.255,100.64.0.0-100.127.255.255,172.16.0.0-172.31.255.255,192.168.0.0-192.168.255.255"},
			"the remote address intranet is taken as the private addresses",
		},
		// Bound to a program.
		{
			netsh + `program="C:\a b.exe" protocol=TCP`,
			[]string{"allow tcp"},
			`the rule is bound to the program C:\a b.exe; a lab's firewall sees packets, not programs, so it allows ` +
				`every program`,
		},
		{
			`netsh advfirewall firewall add rule name=x dir=in action=block service=W3SVC`,
			[]string{"block any"},
			"the rule has no effect: it is bound to the service W3SVC" + unseen,
		},
		{
			power + `-Program C:\x.exe -Action Block`,
			[]string{"block any"},
			`the rule has no effect: it is bound to the program C:\x.exe` + unseen,
		},
		// The firewall as a whole.
		{"netsh advfirewall set allprofiles state off", off, ""},
		{"netsh advfirewall set currentprofile state off", off, ""},
		{"netsh advfirewall set allprofiles state on", []string{"on"}, ""},
		{"netsh advfirewall set domainprofile state off", none, "the command has no effect: " + notForPublic},
		{"netsh advfirewall set publicprofile firewallpolicy allowinbound,allowoutbound", []string{"allow any"}, ""},
		{
			"netsh advfirewall set allprofiles firewallpolicy blockinboundalways,allowoutbound",
			[]string{"block any"},
			"",
		},
		{
			"netsh advfirewall set allprofiles logging filename x.log", none,
			"the command has no effect: a lab has no logging of a firewall",
		},
		{"netsh firewall set opmode disable", off, ""},
		{"netsh firewall set opmode mode = enable", []string{"on"}, ""},
		{"Set-NetFirewallProfile -Profile Domain,Public,Private -Enabled False", off, ""},
		{"Set-NetFirewallProfile Private,Public -Enabled $false", off, ""},
		{"Set-NetFirewallProfile -All -DefaultInboundAction Allow", []string{"allow any"}, ""},
		{"Set-NetFirewallProfile -Profile Domain -Enabled False", none, "the command has no effect: " + notForPublic},
		{"Get-NetFirewallProfile | Set-NetFirewallProfile -Enabled False", off, ""},
		{
			"netsh advfirewall firewall show rule name=all", none,
			"the command has no effect: it only shows what there is",
		},
		{"Get-NetFirewallProfile | Format-Table Name, Enabled", none, onlyShows},
		{`netsh advfirewall export "C:\fw.wfw"`, none, onlyShows},
		{
			"netsh advfirewall set global statefulftp disable", none,
			"the command has no effect: a lab has no global settings of a firewall",
		},
		{"Set-NetFirewallProfile -Enabled 2", none, ""},
		{"Set-NetFirewallProfile -AllowInboundRules False", []string{"block any"}, ""},
		{"Set-NetFirewallProfile -AllowInboundRules NotConfigured", none, ""},
		{
			"netsh firewall add allowedprogram C:\\a.exe A ENABLE ALL profile=DOMAIN",
			[]string{"allow any"},
			"the rule has no effect: " + notForPublic,
		},
		{"netsh advfirewall show currentprofile", none, "the command has no effect: it only shows what there is"},
		{"netsh firewall show config", none, "the command has no effect: it only shows what there is"},
		{"Set-NetFirewallProfile -Enabled False", off, ""},
		{"Set-NetFirewallProfile -Profile * -Enabled False", off, ""},
		{"Set-NetFirewallProfile -Name Pub*,Domain -Enabled False", off, ""},
		{"Set-NetFirewallProfile -Name D* -Enabled False", none, "the command has no effect: " + notForPublic},
		// netsh firewall.
		{
			`netsh firewall add portopening protocol = TCP port = 135 name = "RPC" mode = ENABLE scope = SUBNET`,
			[]string{"allow tcp 135 from localsubnet"},
			"",
		},
		{`netsh firewall add portopening ALL 53 DNS`, []string{"allow tcp 53", "allow udp 53"}, ""},
		{
			`netsh firewall add portopening TCP 80 Web ENABLE CUSTOM 10.0.0.0/8,localsubnet`,
			[]string{"allow tcp 80 from 10.0.0.0/8,localsubnet"},
			"",
		},
		{
			`netsh firewall add portopening TCP 80 Web DISABLE`,
			[]string{"allow tcp 80"},
			"the rule has no effect: it is disabled",
		},
		{
			`netsh firewall add allowedprogram C:\x.exe "X" ENABLE`,
			[]string{"allow any"},
			`the rule is bound to the program C:\x.exe; a lab's firewall sees packets, not programs, so it allows ` +
				`every program`,
		},
		{`netsh firewall set service type=remotedesktop mode=enable`, []string{"allow tcp 3389"}, ""},
		{`netsh firewall set icmpsetting 8`, []string{"allow icmp"}, ""},
		// Rules that Windows came with.
		{
			`netsh advfirewall firewall set rule group="remote desktop" new enable=Yes`,
			[]string{"allow tcp 3389", "allow udp 3389"},
			"",
		},
		{`netsh advfirewall firewall set rule name="File and Printer Sharing (Echo Request - ICMPv4-In)" new ` +
			`enable=yes`, []string{"allow icmp"}, ""},
		{"Enable-NetFirewallRule -Name FPS-ICMP4-ERQ-In", []string{"allow icmp"}, ""},
		{
			"Get-NetFirewallRule -DisplayGroup 'Remote Desktop' | Enable-NetFirewallRule",
			[]string{"allow tcp 3389", "allow udp 3389"},
			"",
		},
		{
			"Set-NetFirewallRule -DisplayGroup 'Remote Desktop' -Enabled True",
			[]string{"allow tcp 3389", "allow udp 3389"},
			"",
		},
		{
			"Set-NetFirewallRule -Name WINRM-HTTP-In-TCP-PUBLIC -Enabled True -Direction Inbound -Action Allow " +
				"-Profile Any -RemoteAddress Any",
			[]string{"allow tcp 5985"},
			"",
		},
		{
			"Set-NetFirewallRule -Name WINRM-HTTP-In-TCP -Enabled True -RemoteAddress 10.0.0.0/8,LocalSubnet",
			[]string{"allow tcp 5985 from 10.0.0.0/8,localsubnet"},
			"",
		},
		{
			"Set-NetFirewallRule -DisplayGroup 'Windows Remote Management' -Enabled True -Profile 'Private, Domain'",
			[]string{"allow tcp 5985"},
			"the rule has no effect: " + notForPublic,
		},
		{
			`netsh advfirewall firewall set rule group="Windows Remote Management" new enable=yes ` +
				`profile=private,public remoteip=10.0.0.0/8`,
			[]string{"allow tcp 5985 from 10.0.0.0/8"},
			"",
		},
		{
			`netsh advfirewall firewall set rule group="Windows Remote Management" new enable=yes profile=domain`,
			[]string{"allow tcp 5985"},
			"the rule has no effect: " + notForPublic,
		},
		{
			"netsh firewall set allowedprogram program=C:\\a.exe name=a mode=DISABLE",
			[]string{"allow any"},
			"the rule has no effect: it is disabled",
		},
		{
			"Enable-NetFirewallRule -DisplayGroup Other", none,
			"the command has no effect: which ports Other opens is not known here; add rules for them",
		},
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
		case Unchanged:
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
	r, err := Parse("netsh advfirewall firewall add rule name=x dir=in action=allow " +
		"localip=10.0.0.4,10.1.0.0/16,10.2.0.1-10.2.0.9")
	if err != nil {
		t.Fatal(err)
	}
	for address, want := range map[string]bool{
		"10.0.0.4": true, "10.0.0.5": false, "10.1.2.3": true, "10.2.0.9": true,
		"10.2.0.10": false,
	} {
		if got := r.ForAddress(netip.MustParseAddr(address)); got != want {
			t.Errorf("%s: %t, want %t", address, got, want)
		}
	}
}
