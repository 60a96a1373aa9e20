package labfile

import (
	"errors"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"vnetlab/emu"
	"vnetlab/lab"
	"vnetlab/lab/limits"
)

func TestLoadBalanced(t *testing.T) {
	loaded := load(t, "testdata/good/balanced.yaml", Options{})
	service, _ := loaded.Lab.CloudService("front")
	d := service.Production
	if d.ReservedIP != "kept" || d.VIP != loaded.Lab.ReservedIPs[0].Address {
		t.Errorf("the VIP is %v, of %q", d.VIP, d.ReservedIP)
	}
	if b := d.InternalLoadBalancer; b == nil || b.Name != "inside" || b.Address != netip.MustParseAddr("10.0.0.100") {
		t.Errorf("the internal load balancer is %+v", b)
	}
	web1 := instance(t, loaded.Lab, "web1")
	if web1.PublicIPName != "own" || !web1.PublicIP.IsValid() {
		t.Errorf("web1 is %+v", web1)
	}
	web, sql, dns := web1.Endpoints[0], web1.Endpoints[1], web1.Endpoints[2]
	if web.IdleTimeoutInMinutes != 30 || *web.Probe != (lab.Probe{
		Protocol: "http", Port: 8081, Path: "/health",
		IntervalInSeconds: 5, TimeoutInSeconds: 11,
	}) {
		t.Errorf("endpoint web is %+v, %+v", web, web.Probe)
	}
	if sql.InternalLoadBalancer != "inside" ||
		*sql.Probe != (lab.Probe{Protocol: "tcp", IntervalInSeconds: 15, TimeoutInSeconds: 31}) {
		t.Errorf("endpoint sql is %+v, %+v", sql, sql.Probe)
	}
	if !dns.DirectServerReturn || dns.Protocol != emu.UDP || dns.Probe != nil {
		t.Errorf("endpoint dns is %+v", dns)
	}
	if len(instance(t, loaded.Lab, "web2").Endpoints) != 1 {
		t.Error("web2 lacks its endpoint")
	}
}

func TestLoadGateways(t *testing.T) {
	const file = "testdata/good/site-to-site.yaml"
	loaded := load(t, file, Options{})
	l := loaded.Lab
	west, _ := l.VirtualNetwork("West")
	if g := west.Gateway; g == nil || !slices.Equal(g.Names(), []string{"hq", "South", "Branch"}) ||
		!g.Address.IsValid() || g.Origin != (emu.Origin{File: file, Line: 11, Column: 14}) {
		t.Errorf("the gateway of West is %+v", g)
	}
	hq, branch := l.LocalNetworks[1], l.LocalNetworks[0]
	if hq.Name != "hq" || hq.VPNGatewayAddress != netip.MustParseAddr("203.0.113.20") || len(hq.Hosts) != 2 ||
		hq.Origin.Line != 18 {
		t.Errorf("hq is %+v", hq)
	}
	if desk, printer := hq.Hosts[0], hq.Hosts[1]; !desk.Address.IsValid() || desk.Services[0].Port != 445 ||
		printer.Address != netip.MustParseAddr("192.168.10.50") || printer.Origin.Line != 23 {
		t.Errorf("its hosts are %+v and %+v", desk, printer)
	}
	if branch.Name != "Branch" || branch.VPNGatewayAddress != netip.MustParseAddr("203.0.113.10") ||
		branch.Origin.File != "testdata/good/platform/Joined.netcfg" {
		t.Errorf("Branch is %+v", branch)
	}
	var joined []string
	for _, c := range l.Connections() {
		if c.LocalNetwork != nil {
			joined = append(joined, c.Network.Name+" "+c.LocalNetwork.Name)
		} else {
			joined = append(joined, c.Network.Name+" "+c.VirtualNetwork.Name)
		}
	}
	slices.Sort(joined)
	if want := []string{"East Branch", "East North", "West Branch", "West South", "West hq"}; !slices.Equal(joined,
		want) {
		t.Errorf("joined are %q, want %q", joined, want)
	}
	if len(loaded.Notes) != 2 || !strings.Contains(loaded.Notes[0].Text, "stands for the virtual network") {
		t.Errorf("notes are %+v", loaded.Notes)
	}
}

func TestReadNetworks(t *testing.T) {
	all, err := ReadNetworks("testdata/good/platform/Joined.netcfg")
	if err != nil {
		t.Fatal(err)
	}
	if len(all.VirtualNetworks) != 2 || len(all.LocalNetworks) != 1 || len(all.Notes) != 2 || len(all.Gateways) != 2 ||
		all.Gateways[0].String() != "create the gateway of East to Branch, North" ||
		all.Gateways[1].String() != "create the gateway of North to East" {
		t.Errorf("got %+v", all)
	}
	for file, want := range map[string]string{
		"nowhere": `the network configuration "nowhere" can't be read: no such file or ` +
			`directory`,
		"testdata/bad/platform/Network.netcfg": "testdata/bad/platform/Network.netcfg:5:9: ",
	} {
		if _, err := ReadNetworks(file); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: got %v", file, err)
		}
	}
}

func TestLoadSteps(t *testing.T) {
	const file = "testdata/good/balanced.yaml"
	loaded := load(t, file, Options{})
	at := func(line, column int) emu.Origin { return emu.Origin{File: file, Line: line, Column: column} }
	want := []Step{
		{
			Origin: at(42, 5), Command: "lab vm create web3 --service front --subnet s --endpoint tcp:80:80",
			Fails: "BadRequest", Message: "Port 80 is already in use",
		},
		{
			Origin: at(45, 5), Command: "lab vm create web4 --service front --subnet s --endpoint tcp:81:80",
			Expect: []lab.Expectation{
				{
					From: "laptop", To: lab.Target{Name: "front.cloudapp.net", Port: 81, Protocol: emu.TCP},
					Verdict: emu.Refused, Origin: at(47, 9),
				},
				{
					From: "laptop", To: lab.Target{Name: "web4", Port: 80, Protocol: emu.TCP}, Verdict: emu.Open,
					AnsweredBy: []string{"web4"},
					HTTP:       &lab.HTTPExpectation{Path: "/", Status: 200}, Origin: at(48, 9),
				},
			},
			Exposure: &[]lab.ExposedPort{
				{Target: lab.Target{Name: "front.cloudapp.net", Port: 80, Protocol: emu.TCP}, Origin: at(49, 16)},
				{Target: lab.Target{Name: "front.cloudapp.net", Port: 53, Protocol: emu.UDP}, Origin: at(49, 41)},
			},
		},
		{Origin: at(50, 5), Command: "lab vm delete web4", Exposure: &[]lab.ExposedPort{}},
		{Origin: at(51, 5), Command: "lab show"},
	}
	if diff := cmp.Diff(want, loaded.Steps); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
	if len(loaded.Lab.Expectations) != 0 || loaded.Lab.Exposure != nil {
		t.Error("what steps expect is expected of the lab as it starts")
	}
}

func TestLoadSlots(t *testing.T) {
	loaded := load(t, "testdata/good/slots.yaml", Options{})
	service, _ := loaded.Lab.CloudService("shop")
	production, staging := service.Production, service.Staging
	if production.Name != "first" || production.ReservedIP != "kept" || staging.Name != "staging" ||
		staging.ReservedIP != "staged" {
		t.Errorf("production is %s with %s, staging %s with %s", production.Name, production.ReservedIP, staging.Name,
			staging.ReservedIP)
	}
	if a := production.InternalLoadBalancer.Address; a != netip.MustParseAddr("10.0.0.100") {
		t.Errorf("the internal load balancer is at %v", a)
	}
	web := instance(t, loaded.Lab, "Web_IN_0")
	if web.PublicIPName != "own" || !web.PublicIP.IsValid() || web.Services[0].Port != limits.FirstRolePort {
		t.Errorf("Web is %+v", web)
	}
	if e := web.Endpoints[0]; e.IdleTimeoutInMinutes != 30 ||
		*e.Probe != (lab.Probe{
			Protocol: "http", Port: 8080, Path: "/health", IntervalInSeconds: 5,
			TimeoutInSeconds: 11,
		}) {
		t.Errorf("endpoint HttpIn is %+v, %+v", e, e.Probe)
	}
	if e := web.Endpoints[1]; e.Probe != nil {
		t.Errorf("endpoint Plain has the probe %+v, not the platform's own", e.Probe)
	}
	worker := instance(t, loaded.Lab, "Worker_IN_1")
	sql, debug := worker.Endpoints[0], worker.Endpoints[1]
	if sql.InternalLoadBalancer != "inside" || sql.Probe.Protocol != "tcp" ||
		sql.Distribution != lab.DistributeSourceIP || debug.PublicPort != 10001 || debug.LocalPort != 20000 {
		t.Errorf("public endpoints of Worker are %+v", worker.Endpoints)
	}
	type internal struct {
		protocol   string
		ports      emu.PortRange
		from       string
		restricted bool
	}
	var got []internal
	for _, e := range worker.InternalEndpoints {
		got = append(got, internal{e.Protocol, e.Ports, strings.Join(e.FromRoles, " "), e.Restricted})
	}
	want := []internal{
		{"tcp", emu.PortRange{First: 7000, Last: 7001}, "", false},
		{"tcp", emu.PortRange{First: 20001, Last: 20001}, "Web", true}, // 20000 is another endpoint's
		{"udp", emu.PortRange{First: 53, Last: 53}, "", false},
		{"", emu.PortRange{}, "", false},
	}
	if !slices.Equal(got, want) {
		t.Errorf("internal endpoints of Worker are %+v", got)
	}
	var ports []string
	for _, s := range worker.Services {
		ports = append(ports, fmt.Sprintf("%d/%s", s.Port, s.Protocol))
	}
	if text := strings.Join(ports, " "); text != "20000/tcp 7000/tcp 20001/tcp 53/udp 1433/tcp" {
		t.Errorf("Worker listens on %s", text)
	}
}

func TestReadDeployment(t *testing.T) {
	const definition, configuration = "testdata/good/slots/Shop.csdef", "testdata/good/slots/Staging.cscfg"
	request, _, err := ReadDeployment("shop", definition, configuration, lab.Staging)
	if err != nil {
		t.Fatal(err)
	}
	if request.Slot != lab.Staging || request.Name != "" || request.ReservedIP != "staged" ||
		request.VirtualNetwork != "net" || len(request.Roles) != 2 {
		t.Errorf("got %+v", request)
	}
	if worker := request.Roles[1]; worker.InstanceCount != 2 || len(worker.Services) != 5 ||
		worker.Services[4] != (lab.Service{Port: 53, Protocol: emu.UDP, Origin: worker.InternalEndpoints[2].Origin}) {
		t.Errorf("the role is %+v", worker)
	}
	before := load(t, "testdata/good/slots.yaml", Options{}).Lab
	after, err := before.Apply(lab.DeleteDeploymentOp{Service: "shop", Slot: lab.Staging},
		lab.CreateDeploymentOp{Service: "shop", Deployment: request})
	if err != nil {
		t.Fatal(err)
	}
	if service, _ := after.CloudService("shop"); len(service.Staging.Instances) != 4 {
		t.Errorf("%d instances", len(service.Staging.Instances))
	}

	for _, c := range []struct{ definition, configuration, want string }{
		{
			"nowhere.csdef", configuration,
			`the service definition "nowhere.csdef" can't be read: no such file or directory`,
		},
		{definition, t.TempDir(), "can't be read: it is a folder"},
		{configuration, configuration, configuration +
			":1:1: the root element is <ServiceConfiguration>, expected <ServiceDefinition>"},
		{
			"testdata/bad/platform/Service.csdef", "testdata/bad/platform/Mismatch.cscfg",
			"testdata/bad/platform/Mismatch.cscfg:2:9: ",
		},
		{
			"testdata/bad/platform/Service.csdef", "testdata/bad/platform/Unsupported.cscfg",
			"testdata/bad/platform/Unsupported.cscfg:8:43: ",
		},
	} {
		_, _, err := ReadDeployment("shop", c.definition, c.configuration, lab.Production)
		var wrong Errors
		if !errors.As(err, &wrong) || !strings.Contains(err.Error(), c.want) ||
			strings.Contains(err.Error(), "lab file") {
			t.Errorf("%s, %s: got %v", c.definition, c.configuration, err)
		}
	}
}

// TestImportedSites holds that a lab file gives hosts to the sites of a network configuration, and that what it gives
// internet hosts is theirs, whatever VPN devices the configuration has.
func TestImportedSites(t *testing.T) {
	path := write(t, `lab: imported
networkConfiguration: n.netcfg
localNetworks:
  - {name: campus, hosts: [{name: desk, services: [{port: 80}]}, {name: printer, address: 130.88.0.9}]}
  - {name: own, addressSpace: [192.168.7.0/24], vpnGatewayAddress: 203.0.113.5}
internetHosts: [{name: laptop, address: 203.0.113.4}, {name: other, address: 203.0.113.7}, {name: third}]
`)
	configuration := `<NetworkConfiguration xmlns="http://schemas.microsoft.com/ServiceHosting/2011/07/NetworkConfiguration"><VirtualNetworkConfiguration>
<LocalNetworkSites>
<LocalNetworkSite name="campus"><AddressSpace><AddressPrefix>130.88.0.0/24</AddressPrefix></AddressSpace><VPNGatewayAddress>203.0.113.7</VPNGatewayAddress></LocalNetworkSite>
<LocalNetworkSite name="no device"><AddressSpace><AddressPrefix>192.168.0.0/24</AddressPrefix></AddressSpace></LocalNetworkSite>
<LocalNetworkSite name="twin"><AddressSpace><AddressPrefix>192.168.0.0/24</AddressPrefix></AddressSpace><VPNGatewayAddress>203.0.113.5</VPNGatewayAddress></LocalNetworkSite>
</LocalNetworkSites></VirtualNetworkConfiguration></NetworkConfiguration>`
	if err := os.WriteFile(filepath.Join(filepath.Dir(path), "n.netcfg"), []byte(configuration), 0o600); err != nil {
		t.Fatal(err)
	}
	loaded := load(t, path, Options{})
	l := loaded.Lab
	campus := l.LocalNetworks[0]
	if len(campus.Hosts) != 2 || campus.Hosts[0].Address.String() != "130.88.0.4" ||
		campus.Hosts[1].Address.String() != "130.88.0.9" || len(campus.Hosts[0].Services) != 1 {
		t.Errorf("campus has %+v", campus.Hosts)
	}
	var devices []string
	for _, n := range l.LocalNetworks {
		devices = append(devices, fmt.Sprintf("%s %s %v", n.Name, n.VPNGatewayAddress, n.Mapped()))
	}
	// The first to ask for an address has it; of two sites with one, the lab file's stands for it.
	if got := strings.Join(devices,
		", "); got != "campus 203.0.113.7 true, no device invalid IP false, twin 203.0.113.5 false, own 203.0.113.5 "+
		"true" {
		t.Error(got)
	}
	if a := l.LocalNetworks[1].Address.String(); a != "203.0.113.6" {
		t.Errorf("the site without a device has %s", a)
	}
	if len(loaded.Notes) != 2 || !strings.Contains(loaded.Notes[0].Text, "which stands for 203.0.113.7") ||
		loaded.Notes[1].Origin.Line != 5 || !loaded.Notes[1].Differs {
		t.Errorf("notes are %v", loaded.Notes)
	}
	wrong := problems(t, write(t, "lab: a\nlocalNetworks: [{name: campus, hosts: [{name: desk}]}]\n"))
	if !strings.Contains(wrong.Error(), "The local network site campus has no address space.") {
		t.Error(wrong)
	}
}
