package expect

import (
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"vnetlab/emu"
	"vnetlab/lab"
	"vnetlab/lab/labfile"
	"vnetlab/lab/oracle"
)

const file = `lab: shop
cloudServices:
  - name: shopweb
    location: West US
    virtualMachines:
      - name: web1
        endpoints: [{name: http, publicPort: 80, localPort: 8080, loadBalancedSet: web}]
        services: [{port: 8080}, {port: 9000, protocol: udp}]
      - name: web2
        endpoints: [{name: http, publicPort: 80, localPort: 8080, loadBalancedSet: web}]
  - name: empty
    location: West US
webSites:
  - {name: site, location: West US}
internetHosts:
  - {name: laptop}
EXPOSURE
`

func load(t *testing.T, exposure string) *lab.Lab {
	t.Helper()
	path := filepath.Join(t.TempDir(), "lab.yaml")
	if err := os.WriteFile(path, []byte(strings.Replace(file, "EXPOSURE", exposure, 1)), 0o600); err != nil {
		t.Fatal(err)
	}
	loaded, err := labfile.Load(path, labfile.Options{})
	if err != nil {
		t.Fatal(err)
	}
	return loaded.Lab
}

func rule(id string) *emu.RuleReference { return &emu.RuleReference{Namespace: "web1", ID: id} }

// says makes the prediction that what is observed agrees with.
func says(o emu.Observation) oracle.Prediction {
	p := oracle.Prediction{
		Outcome: oracle.Outcome{Verdict: o.Verdict, By: o.By, AnsweredBy: o.AnsweredBy, SeenAs: o.SeenAs},
	}
	for _, m := range o.Members {
		p.Members = append(
			p.Members,
			oracle.Outcome{Verdict: m.Verdict, By: m.By, SeenAs: m.SeenAs, Given: m.Namespace},
		)
	}
	return p
}

func TestJudge(t *testing.T) {
	l := load(t, "")
	address := func(name string) netip.Addr { return Addresses(l, name)[0] }
	open := func(by, seenAs string) emu.Observation {
		return emu.Observation{Verdict: emu.Open, AnsweredBy: by, SeenAs: address(seenAs)}
	}
	member := func(name string, v emu.Verdict, by *emu.RuleReference) emu.MemberObservation {
		m := emu.MemberObservation{Namespace: name, Verdict: v, By: by}
		if v == emu.Open {
			m.SeenAs = address("laptop")
		}
		return m
	}
	both := open("web1", "laptop")
	both.Members = []emu.MemberObservation{member("web1", emu.Open, nil), member("web2", emu.Open, nil)}
	elsewhere := both
	elsewhere.Members = []emu.MemberObservation{
		both.Members[0],
		{Namespace: "web2", Verdict: emu.Open, SeenAs: address("shopweb.cloudapp.net")},
	}
	mixed := emu.Observation{
		Verdict: emu.Mixed,
		Detail:  "1 open, 1 blocked",
		Members: []emu.MemberObservation{member("web1", emu.Open, nil), member("web2", emu.Blocked, rule("a"))},
	}
	program := emu.Observation{Verdict: emu.Open} // doesn't say who it is
	stranger := emu.Observation{
		Verdict:    emu.WrongHost,
		AnsweredBy: "web2",
		Detail:     "another machine than the one meant accepted",
	}
	for name, tt := range map[string]struct {
		expected lab.Expectation
		model    oracle.Prediction
		seen     emu.Observation
		message  string // a part of it; empty: the case passes
	}{
		"open": {expected: lab.Expectation{Verdict: emu.Open}, seen: program},
		"blocked by the rule that the model says": {
			expected: lab.Expectation{Verdict: emu.Blocked}, seen: emu.Observation{Verdict: emu.Blocked, By: rule("a")},
		},
		"another verdict": {
			expected: lab.Expectation{Verdict: emu.Open}, seen: emu.Observation{Verdict: emu.Refused}, message: "expected open, but it is refused",
		},
		"blocked by another rule": {
			expected: lab.Expectation{Verdict: emu.Blocked}, seen: emu.Observation{Verdict: emu.Blocked, By: rule("a")},
			model: says(emu.Observation{Verdict: emu.Blocked, By: rule("b")}), message: "model and packets differ",
		},
		"what was expected, but not what the model says": {
			expected: lab.Expectation{Verdict: emu.Open}, seen: program,
			model: says(emu.Observation{Verdict: emu.Blocked, By: rule("b")}), message: "model and packets differ",
		},
		"a timeout is not blocked": {
			expected: lab.Expectation{Verdict: emu.Blocked}, model: says(emu.Observation{Verdict: emu.Blocked, By: rule("a")}),
			seen: emu.Observation{Verdict: emu.Timeout, Detail: "no answer"}, message: "no answer",
		},
		"nor with a model that can't tell": {
			expected: lab.Expectation{Verdict: emu.Blocked}, model: oracle.Prediction{},
			seen: emu.Observation{Verdict: emu.Timeout, Detail: "no answer"}, message: "expected blocked, but it is timeout (no answer)",
		},
		"seen as itself":     {expected: lab.Expectation{Verdict: emu.Open, SeenAs: "laptop"}, seen: open("web1", "laptop")},
		"seen as the VIP":    {expected: lab.Expectation{Verdict: emu.Open, SeenAs: "shopweb.cloudapp.net"}, seen: open("web1", "shopweb.cloudapp.net")},
		"seen as a web site": {expected: lab.Expectation{Verdict: emu.Open, SeenAs: "site"}, seen: open("web1", "site")},
		"seen as another": {
			expected: lab.Expectation{Verdict: emu.Open, SeenAs: "web2"}, seen: open("web1", "laptop"), message: "seen as laptop, not as web2",
		},
		"seen as itself by both": {expected: lab.Expectation{Verdict: emu.Open, SeenAs: "laptop"}, seen: both},
		"seen as another by one": {expected: lab.Expectation{Verdict: emu.Open, SeenAs: "laptop"}, seen: elsewhere, message: "seen as shopweb.cloudapp.net, not as laptop"},
		"seen by a program":      {expected: lab.Expectation{Verdict: emu.Open, SeenAs: "laptop"}, seen: program, message: "only built-in listeners tell"},
		"answered by both":       {expected: lab.Expectation{Verdict: emu.Open, AnsweredBy: []string{"web1", "web2"}}, seen: both},
		"answered by one of two": {
			expected: lab.Expectation{Verdict: emu.Open, AnsweredBy: []string{"web1", "web2"}}, seen: open("web1", "laptop"),
			message: "all connections from laptop are given to web1, none to web2",
		},
		"answered by somebody else, too": {expected: lab.Expectation{Verdict: emu.Open, AnsweredBy: []string{"web1"}}, seen: both, message: "web2 answered"},
		"answered by a program": {
			expected: lab.Expectation{Verdict: emu.Open, AnsweredBy: []string{"web1"}}, seen: program, message: "only built-in listeners tell",
		},
		"mixed":             {expected: lab.Expectation{Verdict: emu.Mixed}, seen: mixed},
		"mixed is not open": {expected: lab.Expectation{Verdict: emu.Open}, seen: mixed, message: `expected open, but it is mixed (web1 open, web2 blocked by "a" in web1)`},
		"nor blocked":       {expected: lab.Expectation{Verdict: emu.Blocked}, seen: mixed, message: "expected blocked, but it is mixed"},
		"nor is it mixed when they agree": {
			expected: lab.Expectation{Verdict: emu.Mixed}, seen: both, message: "expected mixed, but it is open",
		},
		"mixed in another way": {
			expected: lab.Expectation{Verdict: emu.Mixed}, seen: mixed, model: oracle.Prediction{Outcome: oracle.Outcome{Verdict: emu.Mixed}, Members: []oracle.Outcome{
				{Verdict: emu.Open, Given: "web2"}, {Verdict: emu.Blocked, By: rule("a"), Given: "web1"},
			}}, message: `model and packets differ: the model says mixed: web2 open; web1 blocked by web1 a, the packets say mixed (web1 open, web2 blocked by "a" in web1)`,
		},
		"another machine":        {expected: lab.Expectation{Verdict: emu.WrongHost}, seen: stranger},
		"another machine's open": {expected: lab.Expectation{Verdict: emu.Open}, seen: stranger, message: "expected open, but it is wrong-host by web2 (another machine than the one meant accepted)"},
	} {
		t.Run(name, func(t *testing.T) {
			e := tt.expected
			e.From, e.To = "laptop", lab.Target{Name: "shopweb.cloudapp.net", Port: 80, Protocol: emu.TCP}
			if !tt.model.Known() && !strings.Contains(name, "can't tell") {
				tt.model = says(tt.seen)
			}
			c := Judge(l, e, tt.model, tt.seen)
			if c.Passed != (tt.message == "") || !strings.Contains(c.Message, tt.message) {
				t.Errorf("%+v", c)
			}
			if c.Name != "laptop -> shopweb.cloudapp.net:80" || c.Expected != string(e.Verdict) ||
				c.Verdict != tt.seen.Verdict {
				t.Errorf("%+v", c)
			}
		})
	}
}

func TestDescribe(t *testing.T) {
	o := emu.Observation{Verdict: emu.Blocked, By: &emu.RuleReference{
		Namespace: "sql1",
		ID:        "firewall-default",
		Text:      "inbound is blocked",
		Origin:    emu.Origin{File: "lab.yaml", Line: 7, Column: 3},
	}}
	if got, want := Describe(o), `blocked by "inbound is blocked" in sql1 (lab.yaml:7:3)`; got != want {
		t.Errorf("%s, want %s", got, want)
	}
	o = emu.Observation{Verdict: emu.Timeout, Detail: "no answer"}
	if got, want := Describe(o), `timeout (no answer)`; got != want {
		t.Errorf("%s, want %s", got, want)
	}
}

func TestResult(t *testing.T) {
	var r Result
	r.Add(Case{Passed: true})
	r.Add(Case{})
	r.Add(Case{})
	if r.Passed != 1 || r.Failed != 2 || len(r.Cases) != 3 {
		t.Errorf("%+v", r)
	}
}
