package expect

import (
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"vnetlab/emu"
	"vnetlab/lab"
	"vnetlab/lab/labfile"
	"vnetlab/lab/oracle"
)

func loadText(t *testing.T, text string) *lab.Lab {
	t.Helper()
	path := filepath.Join(t.TempDir(), "lab.yaml")
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	loaded, err := labfile.Load(path, labfile.Options{})
	if err != nil {
		t.Fatal(err)
	}
	return loaded.Lab
}

const exposed = `lab: exposed
virtualNetworks:
  - name: net
    location: West US
    addressSpace: [10.0.0.0/16]
    subnets: [{name: s, addressPrefix: 10.0.0.0/24}, {name: GatewaySubnet, addressPrefix: 10.0.255.0/29}]
    gateway: {connections: [hq]}
localNetworks:
  - {name: hq, addressSpace: [192.168.1.0/24], vpnGatewayAddress: 203.0.113.50}
cloudServices:
  - name: shop
    location: West US
    virtualNetwork: net
    virtualMachines:
      - name: vm1
        os: linux
        subnet: s
        publicIP: direct
        firewall: [allow tcp 1433 from 130.88.0.0/16, allow tcp 8000-8010, allow udp 53]
        services: [{port: 1433}, {port: 9999}, {port: 8001}]
        endpoints:
          - {name: campus, publicPort: 80, localPort: 1433}
          - {name: closed, publicPort: 81, localPort: 9999}
          - {name: listed, publicPort: 90, localPort: 8000, acl: [{order: 1, action: deny, remoteSubnet: 203.0.113.4/32}]}
  - name: empty
    location: West US
webSites:
  - {name: one, location: West US}
  - {name: two, location: West US}
internetHosts:
  - {name: laptop}
`

// asModel answers as the model says.
func asModel(l *lab.Lab) func(ExposureProbe) emu.Observation {
	return func(p ExposureProbe) emu.Observation {
		return observed(oracle.PredictFrom(l, p.Source.Address, p.Target))
	}
}

// observed is what is observed where all comes as predicted.
func observed(p oracle.Prediction) emu.Observation {
	o := emu.Observation{Verdict: p.Verdict, By: p.By, AnsweredBy: p.AnsweredBy, SeenAs: p.SeenAs}
	for _, m := range p.Members {
		o.Members = append(
			o.Members,
			emu.MemberObservation{Namespace: m.Given, Verdict: m.Verdict, By: m.By, SeenAs: m.SeenAs},
		)
	}
	return o
}

func questions(l *lab.Lab) (all []string) {
	for _, q := range NewExposure(l).Questions(l.Exposure) {
		text := q.String()
		if q.Listed {
			text += " listed"
		}
		all = append(all, text)
	}
	return all
}

func TestExposureQuestions(t *testing.T) {
	l := loadText(
		t,
		exposed+"exposure: [shop:90, \"shop.cloudapp.net:90/tcp\", \"vm1:22-8005/tcp\", \"one.azurewebsites.net:80\", \"empty.cloudapp.net:7\"]",
	)
	want := []string{
		"empty.cloudapp.net:7/tcp listed",
		"hq:1-65535/tcp",
		"hq:1-65535/udp",
		"net:1-65535/tcp",
		"net:1-65535/udp",
		"one.azurewebsites.net:1-79,81-65535/tcp",
		"one.azurewebsites.net:1-65535/udp",
		"one.azurewebsites.net:80/tcp listed",
		"shop.cloudapp.net:80/tcp",
		"shop.cloudapp.net:81/tcp",
		"shop.cloudapp.net:90/tcp listed",
		"shop.cloudapp.net:1433/tcp",
		"shop.cloudapp.net:8001/tcp",
		"shop.cloudapp.net:9999/tcp", // somebody listens there
		"two.azurewebsites.net:80/tcp",
		"vm1:1-21,8011-65535/tcp",
		"vm1:1-52,54-65535/udp",
		"vm1:22-8005/tcp listed",
		"vm1:53/udp",
		"vm1:8006-8010/tcp",
	}
	if got := questions(l); !slices.Equal(got, want) {
		t.Errorf("got  %q\nwant %q", got, want)
	}
}

// TestExposureOfStaging holds that a staging deployment is exposed under a name that is known beforehand.
func TestExposureOfStaging(t *testing.T) {
	deployment := func(slot lab.Slot) lab.PackageDeployment {
		return lab.PackageDeployment{Slot: slot, Roles: []lab.Role{{
			Name: "Web", InstanceCount: 1, Services: []lab.Service{{Port: 8080, Protocol: emu.TCP}},
			InputEndpoints: []lab.InputEndpoint{{Name: "Http", Protocol: emu.TCP, Port: 80, LocalPort: 8080}},
		}}}
	}
	l, err := lab.New("slots", lab.Origin{})
	if err != nil {
		t.Fatal(err)
	}
	l, err = l.Apply(
		lab.CreateHostedServiceOp{HostedService: lab.HostedService{Name: "shop", Location: "West US"}},
		lab.CreateDeploymentOp{Service: "shop", Deployment: deployment(lab.Production)},
	)
	if err != nil {
		t.Fatal(err)
	}
	listed := []lab.ExposedPort{{Target: lab.Target{Name: "shop.staging", Port: 80, Protocol: emu.TCP}}}
	if err := l.Clone().ExpectExposure(listed); err == nil || !strings.Contains(err.Error(), "shop.staging") {
		t.Errorf("without a staging deployment: %v", err)
	}
	if l, err = l.Apply(lab.CreateDeploymentOp{Service: "shop", Deployment: deployment(lab.Staging)}); err != nil {
		t.Fatal(err)
	}
	if err := l.ExpectExposure(listed); err != nil {
		t.Fatal(err)
	}
	want := []string{
		"shop.cloudapp.net:80/tcp",
		"shop.cloudapp.net:8080/tcp",
		"shop.staging:80/tcp listed",
		"shop.staging:8080/tcp",
	}
	if got := questions(l); !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
	x := NewExposure(l)
	for i, passes := range []bool{false, true, true, true} { // production isn't listed
		if c := x.Check(
			x.Questions(listed)[i],
			asModel(l),
		); c.Passed != passes ||
			c.Name != ExposurePrefix+strings.TrimSuffix(want[i], " listed") {
			t.Errorf("%+v", c)
		}
	}
}

// TestCheckExposure holds what is said of questions where packets and model agree.
func TestCheckExposure(t *testing.T) {
	l := loadText(t, exposed)
	x := NewExposure(l)
	one := func(name string, protocol emu.Protocol, first, last uint16) ExposureQuestion {
		return ExposureQuestion{Name: name, Protocol: protocol, Ports: []emu.PortRange{{First: first, Last: last}}}
	}
	for name, tt := range map[string]struct {
		question         ExposureQuestion
		listed, unlisted string // parts of the messages; empty: the case passes
		exposed, answers string
		verdict          emu.Verdict
	}{
		"for a campus that isn't in the lab": {
			one("shop.cloudapp.net", emu.TCP, 80, 80), "", "an unnamed host of the internet (130.88.0.1) reaches it, and it is not listed as exposed; if it is meant to be, add to exposure: - shop.cloudapp.net:80/tcp",
			"shop.cloudapp.net:80/tcp", "answered by vm1", emu.Open,
		},
		"for all but the lab's only host, and nobody listens": {
			one("shop.cloudapp.net", emu.TCP, 90, 90), "", "reaches it, and it is not listed as exposed (nothing listens yet); if it is meant to be, add to exposure: - shop.cloudapp.net:90/tcp",
			"shop.cloudapp.net:90/tcp", "nothing listens yet", emu.Refused,
		},
		"an endpoint before a guest firewall": {one("shop.cloudapp.net", emu.TCP, 81, 81), "listed as exposed, but from laptop it is blocked", "", "", "", emu.Blocked},
		"no endpoint":                         {one("shop.cloudapp.net", emu.TCP, 443, 443), "listed as exposed, but from laptop it is blocked", "", "", "", emu.Blocked},
		"a range": {
			one("vm1", emu.TCP, 8000, 8010), "", "laptop reaches it, and it is not listed", "vm1:8000-8010/tcp", "8001 answered; nothing listens on the others", emu.Open,
		},
		"part of a range": {
			one("vm1", emu.TCP, 8008, 8020), "listed as exposed, but no rule lets anybody through to 8011-8020; list - vm1:8008-8010/tcp", "add to exposure: - vm1:8008-8010/tcp",
			"vm1:8008-8010/tcp", "nothing listens yet", emu.Refused,
		},
		"several parts": {
			one("vm1", emu.TCP, 1, 9000), "list - vm1:22/tcp, - vm1:1433/tcp, - vm1:8000-8010/tcp", "add to exposure: - vm1:22/tcp, - vm1:1433/tcp, - vm1:8000-8010/tcp",
			"vm1:22/tcp vm1:1433/tcp vm1:8000-8010/tcp", "1433, 8001 answered; nothing listens on the others", emu.Open,
		},
		"nothing of a range": {one("vm1", emu.TCP, 2000, 7000), "listed as exposed, but from laptop it is blocked", "", "", "", emu.Blocked},
		"a gateway":          {one("net", emu.UDP, 500, 500), "listed as exposed, but from laptop it is blocked", "", "", "", emu.Blocked},
		"a site":             {one("two.azurewebsites.net", emu.TCP, 80, 80), "", "laptop reaches it", "two.azurewebsites.net:80/tcp", "answered by two", emu.Open},
		"no address":         {one("empty.cloudapp.net", emu.TCP, 80, 80), "has no public address just now", "", "", "", emu.Unresolved},
	} {
		t.Run(name, func(t *testing.T) {
			for _, listed := range []bool{false, true} {
				q, message, expected := tt.question, tt.unlisted, NotExposed
				if q.Listed = listed; listed {
					message, expected = tt.listed, Exposed
				}
				c := x.Check(q, asModel(l))
				if c.Passed != (message == "") || c.Passed != (c.Message == "") ||
					!strings.Contains(c.Message, message) ||
					c.Expected != expected {
					t.Errorf("listed %v: %+v", listed, c)
				}
				if strings.Join(c.Exposed, " ") != tt.exposed || c.Answers != tt.answers || c.Verdict != tt.verdict {
					t.Errorf(
						"listed %v: exposed %q, answers %q, verdict %s, want %q, %q, %s",
						listed,
						c.Exposed,
						c.Answers,
						c.Verdict,
						tt.exposed,
						tt.answers,
						tt.verdict,
					)
				}
			}
		})
	}
}

// TestCheckExposureAgainstPackets holds that no case passes where packets do what the model doesn't say, or nothing
// that could be known.
func TestCheckExposureAgainstPackets(t *testing.T) {
	l := loadText(t, exposed)
	x := NewExposure(l)
	for name, tt := range map[string]struct {
		question string
		port     uint16 // at which packets do something else
		does     emu.Observation
		message  string
	}{
		"a closed port is open":                  {"shop.cloudapp.net:81/tcp", 81, emu.Observation{Verdict: emu.Open}, "model and packets differ"},
		"a closed port refuses":                  {"shop.cloudapp.net:81/tcp", 81, emu.Observation{Verdict: emu.Refused}, "model and packets differ"},
		"another rule blocks":                    {"shop.cloudapp.net:81/tcp", 81, emu.Observation{Verdict: emu.Blocked, By: rule("x")}, "model and packets differ"},
		"no answer":                              {"shop.cloudapp.net:81/tcp", 81, emu.Observation{Verdict: emu.Timeout}, "model and packets differ"},
		"no probe":                               {"shop.cloudapp.net:81/tcp", 81, emu.Observation{Verdict: emu.Error, Detail: "no file left"}, "no file left"},
		"the port beside is open":                {"shop.cloudapp.net:81/tcp", 82, emu.Observation{Verdict: emu.Open}, "to port 82: model and packets differ"},
		"the end of what is closed":              {"vm1:1-21,23-1432,1434-7999,8011-65535/tcp", 8011, emu.Observation{Verdict: emu.Refused}, "to port 8011: model and packets differ"},
		"a program in what's closed":             {"vm1:1-21,23-1432,1434-7999,8011-65535/tcp", 9999, emu.Observation{Verdict: emu.Open}, "to port 9999: model and packets differ"},
		"a gateway answers":                      {"net:1-65535/udp", 65535, emu.Observation{Verdict: emu.Refused}, "to port 65535: model and packets differ"},
		"a built-in listener is silent over UDP": {"vm1:53/udp", 53, emu.Observation{Verdict: emu.Timeout}, "model and packets differ"},
		"web sites' outbound addresses":          {"one.azurewebsites.net:1-79,81-65535/tcp", 80, emu.Observation{Verdict: emu.Open}, "to port 80: model and packets differ"},
	} {
		t.Run(name, func(t *testing.T) {
			at := slices.IndexFunc(x.Questions(nil), func(q ExposureQuestion) bool { return q.String() == tt.question })
			if at < 0 {
				t.Fatalf("nobody asks about %s", tt.question)
			}
			c := x.Check(x.Questions(nil)[at], func(p ExposureProbe) emu.Observation {
				if p.Target.Port == tt.port {
					return tt.does
				}
				return asModel(l)(p)
			})
			if c.Passed || !strings.Contains(c.Message, tt.message) {
				t.Errorf("%+v", c)
			}
		})
	}
}

// TestSilentProgram holds that a program which doesn't answer strangers over UDP is no doubt: no rule keeps anybody
// from it.
func TestSilentProgram(t *testing.T) {
	l := loadText(t, strings.Replace(exposed, "{port: 9999}", "{port: 53, protocol: udp, run: ./silent}", 1))
	c := NewExposure(
		l,
	).Check(ExposureQuestion{Name: "vm1", Protocol: emu.UDP, Ports: []emu.PortRange{{First: 53, Last: 53}}, Listed: true}, func(ExposureProbe) emu.Observation {
		return emu.Observation{Verdict: emu.Timeout, Detail: "no answer"}
	})
	if !c.Passed || !strings.HasPrefix(c.Answers, "no answer") {
		t.Errorf("%+v", c)
	}
	// Where somebody has changed what decides, silence isn't the program's.
	c = NewExposure(l).Check(ExposureQuestion{
		Name: "vm1", Protocol: emu.UDP, Ports: []emu.PortRange{{First: 53, Last: 53}}, Listed: true,
	}, func(ExposureProbe) emu.Observation {
		return emu.Observation{Verdict: emu.Timeout, Detail: "vm1: a rule is not wanted", Drift: true}
	})
	if c.Passed {
		t.Errorf("with drift: %+v", c)
	}
}

// TestMembersDisagree holds that one member of a set that lets anybody in exposes the port, whoever else is behind it
// and be it the only one that doesn't serve just now.
func TestMembersDisagree(t *testing.T) {
	const set = `lab: set
cloudServices:
  - name: svc
    location: West US
    virtualMachines:
      - {name: vm1, os: linux, services: [{port: 80}], endpoints: [{name: w, loadBalancedSet: web, publicPort: 80, localPort: 80}]}
      - {name: vm2, os: linux, services: [{port: 80}], firewall: [allow tcp 80], endpoints: [{name: w, loadBalancedSet: web, publicPort: 80, localPort: 80}]}
`
	l := loadText(t, set)
	stopped := l.Clone()
	if err := stopped.ShutdownRole("svc", "vm2", false); err != nil {
		t.Fatal(err)
	}
	for name, l := range map[string]*lab.Lab{"both run": l, "one runs": stopped} {
		x := NewExposure(l)
		c := x.Check(x.Questions(nil)[0], asModel(l))
		if c.Passed || !strings.Contains(c.Message, "is not listed as exposed") || len(c.Exposed) != 1 ||
			c.Answers == "" {
			t.Errorf("%s: %+v", name, c)
		}
	}
}

func TestUnaccountedAddresses(t *testing.T) {
	l := loadText(t, exposed)
	x := NewExposure(l)
	var routed []netip.Addr
	for _, a := range l.PublicAddresses() {
		routed = append(routed, append(a.Outbound, a.Address)...)
	}
	if all := x.Unaccounted(routed); len(all) != 0 {
		t.Errorf("%+v", all)
	}
	at := slices.Index(routed, netip.MustParseAddr("203.0.113.50"))
	routed[at] = netip.MustParseAddr("198.18.0.99")
	var got []string
	for _, c := range x.Unaccounted(routed) {
		got = append(got, fmt.Sprint(c.Name, " ", c.Passed))
	}
	if want := []string{"exposure 198.18.0.99 false", "exposure hq false"}; !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
}

func TestPortSets(t *testing.T) {
	set := func(pairs ...uint16) (s portSet) {
		for i := 0; i < len(pairs); i += 2 {
			s = append(s, emu.PortRange{First: pairs[i], Last: pairs[i+1]})
		}
		return s
	}
	for _, tt := range []struct{ a, b, union, difference, intersection portSet }{
		{nil, nil, nil, nil, nil},
		{set(1, 65535), set(80, 80), set(1, 65535), set(1, 79, 81, 65535), set(80, 80)},
		{set(80, 80), set(81, 81), set(80, 81), set(80, 80), nil},
		{set(10, 20, 30, 40), set(15, 35), set(10, 40), set(10, 14, 36, 40), set(15, 20, 30, 35)},
		{set(1, 5, 65530, 65535), set(65535, 65535), set(1, 5, 65530, 65535), set(1, 5, 65530, 65534), set(65535, 65535)},
		{set(10, 20), set(1, 65535), set(1, 65535), nil, set(10, 20)},
		{set(10, 20), set(30, 40, 12, 13), set(10, 20, 30, 40), set(10, 11, 14, 20), set(12, 13)},
	} {
		if got := tt.a.with(tt.b...); !slices.Equal(got, tt.union) {
			t.Errorf("%v with %v: %v", tt.a, tt.b, got)
		}
		if got := tt.a.without(tt.b); !slices.Equal(got, tt.difference) {
			t.Errorf("%v without %v: %v", tt.a, tt.b, got)
		}
		if got := tt.a.within(tt.b); !slices.Equal(got, tt.intersection) {
			t.Errorf("%v within %v: %v", tt.a, tt.b, got)
		}
	}
}
