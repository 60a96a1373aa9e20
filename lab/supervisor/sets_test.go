package supervisor

import (
	"strings"
	"testing"

	"vnetlab/emu"
	"vnetlab/lab/api"
)

// setsAndTwins has a load-balanced set of which one member is shut, and two networks with the same addresses. What is
// expected of it is true up to the marked line, and wrong from there on.
const setsAndTwins = `
lab: sets
virtualNetworks:
  - {name: One, location: West US, addressSpace: [10.0.0.0/16], subnets: [{name: s, addressPrefix: 10.0.1.0/24}]}
  - {name: Two, location: West US, addressSpace: [10.0.0.0/16], subnets: [{name: s, addressPrefix: 10.0.1.0/24}]}
cloudServices:
  - name: svc
    location: West US
    virtualMachines:
      - {name: vm1, os: linux, services: [{port: 80}], endpoints: [{name: w, loadBalancedSet: web, publicPort: 80, localPort: 80}]}
      - {name: vm2, os: linux, services: [{port: 80, run: exec env TEST_SERVER=1 ./server}], firewall: [allow tcp 80], endpoints: [{name: w, loadBalancedSet: web, publicPort: 80, localPort: 80}]}
      - {name: vm3, os: linux, firewall: [allow tcp 80], endpoints: [{name: w, loadBalancedSet: web, publicPort: 80, localPort: 80}]}
  - name: pair
    location: West US
    virtualMachines:
      - {name: p1, os: linux, services: [{port: 80}], firewall: [allow tcp 80], endpoints: [{name: w, loadBalancedSet: web, publicPort: 80, localPort: 80}]}
      - {name: p2, os: linux, services: [{port: 80}], firewall: [allow tcp 80], endpoints: [{name: w, loadBalancedSet: web, publicPort: 80, localPort: 80}]}
  - {name: data, location: West US, virtualNetwork: One, virtualMachines: [{name: sql1, os: linux, subnet: s, firewall: [allow tcp 1433-1434], services: [{port: 1433}]}]}
  - name: web
    location: West US
    virtualNetwork: Two
    virtualMachines:
      - {name: web2, os: linux, subnet: s, firewall: [allow tcp 1433-1434], services: [{port: 1433, run: exec env TEST_SERVER=1 ./server}]}
      - {name: web3, os: linux, subnet: s}
webSites: [{name: site, location: West US}]
internetHosts: [{name: laptop}]
expect:
  - {from: laptop, to: "svc.cloudapp.net:80", verdict: mixed}
  - {from: site, to: "svc.cloudapp.net:80", verdict: mixed}
  - {from: vm2, to: "svc.cloudapp.net:80", verdict: mixed}
  - {from: p1, to: "pair.cloudapp.net:80", verdict: mixed}
  - {from: laptop, to: "pair.cloudapp.net:80", answeredBy: [p1, p2], seenAs: laptop}
  - {from: site, to: "pair.cloudapp.net:80", answeredBy: [p1, p2], seenAs: site}
  - {from: web3, to: "sql1:1433", verdict: wrong-host}
  - {from: web3, to: "sql1:1434", verdict: wrong-host}
  - {from: web3, to: "sql1:445", verdict: blocked}
  - {from: web3, to: "web2:1433", verdict: open}
  - {from: web3, to: "web2:1434", verdict: refused}
  # Wrong:
  - {from: laptop, to: "svc.cloudapp.net:80", verdict: open}
  - {from: laptop, to: "svc.cloudapp.net:80", verdict: blocked}
  - {from: laptop, to: "pair.cloudapp.net:80", answeredBy: [p1]}
  - {from: laptop, to: "pair.cloudapp.net:80", verdict: mixed}
  - {from: web3, to: "sql1:1433", verdict: open}
  - {from: web3, to: "sql1:1434", verdict: refused}
  - {from: web3, to: "web2:1433", verdict: wrong-host}
exposure: [pair.cloudapp.net:80, site.azurewebsites.net:80]
`

// TestVerdictsOfSetsAndTwins holds that each expectation up to the mark passes, and none after it, and that one open
// member is an exposure.
func TestVerdictsOfSetsAndTwins(t *testing.T) {
	setUp(t)
	right, _, _ := strings.Cut(setsAndTwins, "# Wrong:")
	passes := strings.Count(right, "- {from:")
	c := up(t, write(t, "sets", setsAndTwins))
	result, err := c.Test(t.Context(), api.TestRequest{}, nil)
	if err != nil {
		t.Fatal(err)
	}
	for i, r := range result.Cases {
		exposure := strings.HasPrefix(r.Name, "exposure ")
		want := i < passes || exposure && r.Name != "exposure svc.cloudapp.net:80/tcp"
		if r.Passed != want {
			t.Errorf("%s: expected %s: %+v", r.Name, r.Expected, r)
		}
		if exposure && r.Name == "exposure svc.cloudapp.net:80/tcp" && !strings.Contains(r.Message, "vm2 open") {
			t.Errorf("%s: %s", r.Name, r.Message)
		}
	}
	p, err := c.Probe(t.Context(), api.ProbeRequest{From: "laptop", To: "svc.cloudapp.net:80"})
	if err != nil || p.Verdict != emu.Mixed || !p.Agrees || p.By != nil || len(p.Members) != 3 {
		t.Fatalf("%+v, %v", p, err)
	}
	for i, want := range []api.ProbeMember{{Member: "vm1", Verdict: emu.Blocked}, {Member: "vm2", Verdict: emu.Open, SeenAs: "laptop"}, {Member: "vm3", Verdict: emu.Refused}} {
		if m := p.Members[i]; m.Member != want.Member || m.Verdict != want.Verdict || m.SeenAs != want.SeenAs ||
			(m.By != nil) != (m.Verdict == emu.Blocked) {
			t.Errorf("%+v, want %+v", m, want)
		}
	}
	p, err = c.Probe(t.Context(), api.ProbeRequest{From: "web3", To: "sql1:1433"})
	if err != nil || p.Verdict != emu.WrongHost || p.AnsweredBy != "web2" || !p.Agrees || p.Detail == "" {
		t.Errorf("%+v, %v", p, err)
	}
	if c := result.Cases[passes]; c.Verdict != emu.Mixed || !strings.Contains(c.Message, "vm1 blocked by ") ||
		len(c.Members) != 3 {
		t.Errorf("%+v", c)
	}
}
