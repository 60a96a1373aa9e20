package labfile

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"vnetlab/emu"
	"vnetlab/lab"
	"vnetlab/lab/limits"
)

func write(t testing.TB, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "lab.yaml")
	if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	return path
}

func load(t testing.TB, path string, opts Options) *Loaded {
	t.Helper()
	loaded, err := Load(path, opts)
	if err != nil {
		t.Fatal(err)
	}
	return loaded
}

func problems(t testing.TB, path string) Errors {
	t.Helper()
	_, err := Load(path, Options{})
	var wrong Errors
	if !errors.As(err, &wrong) {
		t.Fatalf("got the error %v, not Errors", err)
	}
	return wrong
}

func instance(t testing.TB, l *lab.Lab, name string) *lab.Instance {
	t.Helper()
	m, ok := l.Find(name)
	if !ok || m.Instance == nil {
		t.Fatalf("no instance %s", name)
	}
	return m.Instance
}

func TestLoadDesign(t *testing.T) {
	const file = "testdata/good/design.yaml"
	loaded := load(t, file, Options{})
	if loaded.Prepare != "npm ci --prefix web" || loaded.Lab.Name != "contacts" || !filepath.IsAbs(loaded.Dir) ||
		filepath.Base(loaded.Dir) != "good" {
		t.Errorf("got %+v", loaded)
	}
	sql1 := instance(t, loaded.Lab, "sql1")
	if sql1.DIP != netip.MustParseAddr("10.0.2.10") || !sql1.StaticAddress ||
		sql1.Origin != (emu.Origin{File: file, Line: 23, Column: 9}) {
		t.Errorf("sql1 is %+v", sql1)
	}
	if e := sql1.Endpoints[0]; e.PublicPort != 57500 || e.Distribution != lab.DistributeSourceIP || len(e.ACL) != 1 ||
		!e.ACL[0].Permit || e.ACL[0].Origin.Line != 35 {
		t.Errorf("endpoint of sql1 is %+v", e)
	}
	rules := sql1.Firewall[len(sql1.Firewall)-3:]
	for i, want := range []string{"allow tcp 1433 from 10.0.1.0/24", "block tcp 1433 from 10.0.1.7", "allow tcp 1433"} {
		if rules[i].String() != want || rules[i].Origin != (emu.Origin{File: file, Line: 37 + i, Column: 13}) {
			t.Errorf("rule %d is %s at %v", i, rules[i], rules[i].Origin)
		}
	}
	if s := sql1.Services; len(s) != 2 || s[0].Command != "" || s[0].Port != 1433 || s[1].Command != "node server.js" ||
		s[1].Dir != loaded.Dir {
		t.Errorf("services of sql1 are %+v", s)
	}
	open1 := instance(t, loaded.Lab, "open1")
	if !open1.FirewallOff || open1.FirewallOrigin.Line != 46 || open1.Services[0].Port != 80 || open1.OS != lab.Linux {
		t.Errorf("open1 is %+v", open1)
	}
	expect := loaded.Lab.Expectations
	if len(expect) != 4 || expect[2].Verdict != emu.Open || expect[2].Name != "inside" || *expect[2].Real ||
		!*expect[3].Real || *expect[3].HTTP != (lab.HTTPExpectation{Path: "/", Status: 200, Contains: "Contacts"}) {
		t.Errorf("expectations are %+v", expect)
	}
	if len(loaded.Lab.Exposure) != 2 {
		t.Errorf("exposure is %+v", loaded.Lab.Exposure)
	}
	if s := instance(t, load(t, file, Options{Real: true}).Lab, "sql1").
		Services; s[0].Command != "./postgres.sh" || s[0].Dir != loaded.Dir || s[1].Command != "node server.js" {
		t.Errorf("real services of sql1 are %+v", s)
	}
}

func TestExposureSaysNothingOrNone(t *testing.T) {
	if exposure := load(t, write(t, "lab: a"), Options{}).Lab.Exposure; exposure != nil {
		t.Errorf("without the key: %v", exposure)
	}
	if exposure := load(t, write(t, "lab: a\nexposure: []"), Options{}).Lab.Exposure; exposure == nil {
		t.Error("an empty list came out as no list")
	}
}

func TestFolderOfALink(t *testing.T) {
	path := write(t, "lab: a\ncloudServices: [{name: abc, location: West US, virtualMachines: [{name: v, services: "+
		"[{port: 80, run: ./x}]}]}]")
	link := filepath.Join(t.TempDir(), "link.yaml")
	if err := os.Symlink(path, link); err != nil {
		t.Fatal(err)
	}
	want, err := filepath.EvalSymlinks(filepath.Dir(path))
	if err != nil {
		t.Fatal(err)
	}
	loaded := load(t, link, Options{})
	if loaded.Dir != want || loaded.Lab.CloudServices[0].Origin.File != link {
		t.Errorf("folder %s, file %s", loaded.Dir, loaded.Lab.CloudServices[0].Origin.File)
	}
}

func TestUnreadable(t *testing.T) {
	dir := t.TempDir()
	big := filepath.Join(dir, "big.yaml")
	f, err := os.Create(big)
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(f.Truncate(10<<20), f.Close()); err != nil {
		t.Fatal(err)
	}
	for path, want := range map[string]string{
		filepath.Join(dir, "nowhere.yaml"): "no such file or directory",
		dir:                                "it is a folder",
		big:                                "the maximum is 1048576",
		"/dev/zero":                        "more than 1048576 bytes",
		"":                                 "no such file or directory",
	} {
		wrong := problems(t, path)
		if len(wrong) != 1 || !strings.Contains(wrong.Error(), want) || wrong[0].Origin != (emu.Origin{File: path}) {
			t.Errorf("%q: %v", path, wrong)
		}
	}
}

// TestBombs holds that what the parser would need quadratic time or a deep stack for, here in full size, is
// refused before the parser sees it, and that a file full of errors is not answered with as many. A file that
// takes minutes all the same ends with go test's patience.
func TestBombs(t *testing.T) {
	many := func(n int, format string) string {
		var b strings.Builder
		for i := range n {
			fmt.Fprintf(&b, format, i)
		}
		return b.String()
	}
	repeat := strings.Repeat
	const (
		deep  = "nested more than 50 levels deep"
		keys  = "more than 1000 keys in one mapping"
		empty = "more than 1000 keys or items without a value"
		large = "the maximum is 1048576"
	)
	bombs := map[string]struct{ text, problem string }{
		"brackets":     {"a: " + repeat("[", 50_000), deep},
		"closed":       {repeat("]", 90_000), "could not find '['"},
		"pairs":        {"a: " + repeat("[", 40_000) + repeat("]", 40_000), deep},
		"braces":       {repeat("{a: ", 20_000), deep},
		"entries":      {repeat("- ", 50_000), deep},
		"complex":      {repeat("? ", 50_000), "complex keys (?) are not allowed"},
		"complex down": {repeat("?\n", 50_000), "a lab file must be a mapping"},
		"anchors":      {repeat("&a ", 30_000), "anchors (&) are not allowed"},
		"tags":         {repeat("!a ", 30_000), "tags (!) are not allowed"},
		"keys":         {many(100_000, "k%d: v\n"), keys},
		"deep keys":    {"lab: a\nx:\n" + many(90_000, "  k%d: v\n"), large},
		"flow keys":    {"{" + many(100_000, "k%d: v, ") + "}", large},
		"bare keys":    {"{" + repeat("a,", 400_000) + "}", keys},
		"bare list":    {"lab: [" + repeat("a,", 40_000) + "]", "lab must be a text, not a list"},
		"commas":       {"[" + repeat(",", 90_000), "expected sequence element"},
		"colons":       {repeat(":", 90_000), `unknown key ":::`},
		"quotes":       {repeat(`"`, 90_000), "value is not allowed in this context"},
		"documents":    {repeat("---\n", 20_000), "the file is empty"},
		"indentation": {func() string {
			var b strings.Builder
			for i := range 1000 {
				b.WriteString(repeat(" ", i) + "a:\n")
			}
			return b.String()
		}(), `unknown key "a" in a lab file`},
		"long text": {"lab: " + repeat("x ", 50_000), "The name 'x x"},
		"hosts": {
			"lab: a\ninternetHosts:\n" + repeat("- x\n", 20_000),
			"an item of internetHosts must be a mapping",
		},
		"literal":      {"lab: |\n" + repeat("  x\n", 20_000), "The name 'x"},
		"directives":   {repeat("%a\n", 30_000), "directives (%) are not allowed"},
		"null values":  {repeat("- a:\n", 150_000), empty},
		"null items":   {"lab: a\nx:\n" + repeat("- a:\n  b:\n", 19_000), empty},
		"null flow":    {"[" + repeat("{a: },", 150_000) + "]", empty},
		"null lists":   {repeat("- - -\n", 19_000), empty},
		"lists":        {repeat("- -\n  -\n", 19_000), empty},
		"null in many": {"lab: a\n" + many(900, "k%d:\n"+repeat("- a:\n", 150)), empty},
		"bare in many": {"[" + repeat("{"+repeat("a,", 900)+"},", 400) + "]", empty},
		"block lists":  {"lab: a\nexposure:\n" + repeat("-\n", 400_000), empty},
	}
	for name, bomb := range bombs {
		t.Run(name, func(t *testing.T) {
			wrong := problems(t, write(t, bomb.text))
			if !strings.Contains(wrong.Error(), bomb.problem) {
				t.Errorf("%.300s; want %q", wrong.Error(), bomb.problem)
			}
			if len(wrong) > maxProblems+1 || len(wrong.Error()) > 100_000 {
				t.Errorf("%d problems, %d bytes", len(wrong), len(wrong.Error()))
			}
		})
	}
}

func TestLongLists(t *testing.T) {
	var b strings.Builder
	b.WriteString("lab: many\ninternetHosts:\n")
	for i := range 500 {
		fmt.Fprintf(&b, "- name: host%d\n  services: [{port: 80}, {port: 443}]\n", i)
	}
	b.WriteString("expect:\n")
	for i := range 5000 {
		fmt.Fprintf(&b, "- {from: host%d, to: 'host1:80', verdict: open}\n", i%500)
	}
	if l := load(t, write(t, b.String()), Options{}).Lab; len(l.InternetHosts) != 500 || len(l.Expectations) != 5000 {
		t.Errorf("%d hosts, %d expectations", len(l.InternetHosts), len(l.Expectations))
	}
}

func TestMachinesWithoutAddress(t *testing.T) {
	var b strings.Builder
	b.WriteString("lab: many\nvirtualNetworks: [{name: net, location: West US, addressSpace: [10.0.0.0/16], " +
		"subnets: [{name: s, addressPrefix: 10.0.0.0/24}]}]\ncloudServices:\n")
	for s := range 6 {
		fmt.Fprintf(&b, "- {name: svc%d, location: West US, virtualNetwork: net, virtualMachines: [\n", s)
		for i := range 50 {
			fmt.Fprintf(&b, "  {name: vm%d-%d, subnet: s},\n", s, i)
		}
		b.WriteString("  ]}\n")
	}
	wrong := problems(t, write(t, b.String()))
	if len(wrong) != 300-251 || wrong[0].Code != "BadRequest" || wrong[0].Origin.Line != 3+5*52+1+2 {
		t.Errorf("%d problems, the first: %v", len(wrong), wrong[0])
	}
}

func TestErrorsAsJSON(t *testing.T) {
	wrong := problems(t, write(t, "lab: a\ncloudServices: [{name: abc, location: West US}, {name: abc, location: "+
		"West US}]\nfoo: 1\n"))
	wrong = append(wrong, problems(t, write(t, "lab: A"))...)
	data, err := json.Marshal(wrong)
	if err != nil {
		t.Fatal(err)
	}
	var got []struct {
		Error struct {
			Code, Message, Hint, File string
			HTTPStatus, Line, Column  int
		}
	}
	if err := json.Unmarshal(data, &got); err != nil {
		t.Fatal(err)
	}
	if len(got) != 2 || got[0].Error.Code != InvalidFile || got[0].Error.Line != 3 || got[0].Error.Column != 1 ||
		got[0].Error.Hint == "" ||
		got[1].Error.Code != "BadRequest" || got[1].Error.HTTPStatus != 400 || got[1].Error.File == "" {
		t.Errorf("%s", data)
	}
}

func TestNotes(t *testing.T) {
	loaded := load(t, write(t, `lab: a
cloudServices:
  - name: abc
    location: West US
    virtualMachines:
      - name: v
        firewall:
          - netsh advfirewall firewall add rule name=x dir=in action=allow protocol=tcp localport=80 enable=no
`), Options{})
	if len(loaded.Notes) != 1 || loaded.Notes[0].Origin.Line != 8 || loaded.Notes[0].Origin.Column != 13 {
		t.Errorf("notes: %v", loaded.Notes)
	}
}

func TestByteOrderMarkAndLineBreaks(t *testing.T) {
	load(t, write(t, "\xef\xbb\xbflab: a\r\ninternetHosts:\r\n  - name: b\r\n"), Options{})
	wrong := problems(t, write(t, "\xef\xbb\xbflab: a\r\nfoo: b\r\n"))
	if wrong[0].Origin.Line != 2 || strings.Contains(wrong.Error(), "\r") {
		t.Errorf("%q", wrong.Error())
	}
}

func TestLoadRoles(t *testing.T) {
	const file, definition = "testdata/good/roles.yaml", "testdata/good/platform/ServiceDefinition.csdef"
	loaded := load(t, file, Options{Real: true})
	web := instance(t, loaded.Lab, "ContactManager.Web_IN_1")
	if web.DIP != netip.MustParseAddr("10.0.1.5") || web.Subnet != "FrontEnd" || web.Origin.File != definition {
		t.Errorf("web role is %+v", web)
	}
	admin := web.Endpoints[1]
	if admin.LocalPort != limits.FirstRolePort || admin.PublicPort != 8443 ||
		admin.Distribution != lab.DistributeSourceIP || len(admin.ACL) != 1 || !admin.ACL[0].Permit {
		t.Errorf("endpoint Admin is %+v", admin)
	}
	if last := web.Firewall[len(web.Firewall)-1]; last.String() != "allow tcp 8080 from localsubnet" ||
		last.Origin.File != file {
		t.Errorf("last rule is %+v", last)
	}
	if s := web.Services; len(s) != 3 || s[0].Port != 80 || s[0].Command != "node web/server.js" ||
		s[0].Dir != loaded.Dir || s[1].Port != limits.FirstRolePort || s[2].Port != 8080 {
		t.Errorf("services are %+v", s)
	}
	if worker := instance(t, loaded.Lab, "ContactManager.Worker_IN_0"); !worker.FirewallOff ||
		worker.DIP != netip.MustParseAddr("10.0.2.4") {
		t.Errorf("worker role is %+v", worker)
	}
	if network, ok := loaded.Lab.VirtualNetwork("SampleNetwork"); !ok ||
		network.Origin.File != "testdata/good/platform/NetworkConfig.netcfg" {
		t.Errorf("network is %+v", network)
	}
	if len(loaded.Notes) == 0 {
		t.Error("no notes on what has no effect")
	}
}

// TestFirewallCommands holds what commands of Windows in a list do: they add one rule, or several, or none, or
// switch the firewall.
func TestFirewallCommands(t *testing.T) {
	for _, tt := range []struct {
		name, commands string
		off            bool
		rules          []string
		note           string
	}{
		{
			"two rules", `- netsh firewall add portopening ALL 53 DNS`, false,
			[]string{"allow tcp 53", "allow udp 53"},
			"",
		},
		{"off", `- netsh advfirewall set allprofiles state off`, true, nil, ""},
		{"off and on", "- Set-NetFirewallProfile -All -Enabled False\n          - netsh advfirewall set allprofiles " +
			"state on", false, nil, ""},
		{"program", `- 'netsh advfirewall firewall add rule name=x program="C:\x.exe" dir=in action=allow ` +
			`protocol=TCP'`, false, []string{"allow tcp"}, "is bound to the program"},
		{
			"policies", "- netsh advfirewall set allprofiles firewallpolicy allowinbound,allowoutbound\n          " +
				"- allow tcp 80\n          - Set-NetFirewallProfile -DefaultInboundAction Block", false,
			[]string{"allow tcp 80"},
			"",
		},
		{"script", "- |\n            @echo off\n            REM the web\n            " +
			"netsh advfirewall firewall add rule name=x ^\n              dir=in action=allow protocol=TCP " +
			"localport=80\n" +
			"            pause\n", false, []string{"allow tcp 80"}, ""},
		{
			"comment", `- 'New-NetFirewallRule -DisplayName “x” –Protocol TCP –LocalPort 80 | Out-Null # web'`, false,
			[]string{"allow tcp 80"},
			"",
		},
	} {
		t.Run(tt.name, func(t *testing.T) {
			file := write(t, "lab: x\ncloudServices:\n  - name: svc\n    location: West US\n    virtualMachines:\n"+
				"      - name: vm1\n        firewall:\n          "+tt.commands+"\n")
			loaded, err := Load(file, Options{})
			if err != nil {
				t.Fatal(err)
			}
			vm := instance(t, loaded.Lab, "vm1")
			var rules []string
			for _, r := range vm.Firewall {
				rules = append(rules, r.String())
			}
			if vm.FirewallOff != tt.off || !slices.Equal(rules, tt.rules) {
				t.Errorf("off %t, rules %q", vm.FirewallOff, rules)
			}
			switch {
			case tt.note == "" && len(loaded.Notes) > 0:
				t.Errorf("notes %v", loaded.Notes)
			case tt.note != "" && (len(loaded.Notes) != 1 || !strings.Contains(loaded.Notes[0].Text, tt.note)):
				t.Errorf("notes %v, want %q", loaded.Notes, tt.note)
			}
		})
	}
}
