package expect

import (
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

// says makes a prediction of one outcome from what is observed.
func says(o emu.Observation) oracle.Prediction {
	return oracle.Prediction{Outcomes: []oracle.Outcome{{Verdict: o.Verdict, By: o.By, AnsweredBy: o.AnsweredBy, SeenAs: o.SeenAs}}}
}

func TestJudge(t *testing.T) {
	l := load(t, "")
	address := func(name string) netip.Addr { return Addresses(l, name)[0] }
	open := func(by, seenAs string) emu.Observation {
		return emu.Observation{Verdict: emu.Open, AnsweredBy: by, SeenAs: address(seenAs)}
	}
	either := oracle.Prediction{Outcomes: []oracle.Outcome{{Verdict: emu.Open, AnsweredBy: "web1"}, {Verdict: emu.Open, AnsweredBy: "web2"}}}
	program := emu.Observation{Verdict: emu.Open} // doesn't say who it is
	for name, tt := range map[string]struct {
		expected lab.Expectation
		model    oracle.Prediction
		seen     []emu.Observation
		message  string // a part of it; empty: the case passes
	}{
		"open": {expected: lab.Expectation{Verdict: emu.Open}, seen: []emu.Observation{program}},
		"blocked by the rule that the model says": {
			expected: lab.Expectation{Verdict: emu.Blocked}, seen: []emu.Observation{{Verdict: emu.Blocked, By: rule("a")}},
		},
		"another verdict": {
			expected: lab.Expectation{Verdict: emu.Open}, seen: []emu.Observation{{Verdict: emu.Refused}}, message: "expected open, but it is refused",
		},
		"blocked by another rule": {
			expected: lab.Expectation{Verdict: emu.Blocked}, seen: []emu.Observation{{Verdict: emu.Blocked, By: rule("a")}},
			model: says(emu.Observation{Verdict: emu.Blocked, By: rule("b")}), message: "model and packets differ",
		},
		"what was expected, but not what the model says": {
			expected: lab.Expectation{Verdict: emu.Open}, seen: []emu.Observation{program},
			model: says(emu.Observation{Verdict: emu.Blocked, By: rule("b")}), message: "model and packets differ",
		},
		"a timeout is not blocked": {
			expected: lab.Expectation{Verdict: emu.Blocked}, model: says(emu.Observation{Verdict: emu.Blocked, By: rule("a")}),
			seen: []emu.Observation{{Verdict: emu.Timeout, Detail: "no answer"}}, message: "no answer",
		},
		"nor with a model that can't tell": {
			expected: lab.Expectation{Verdict: emu.Blocked}, model: oracle.Prediction{},
			seen: []emu.Observation{{Verdict: emu.Timeout, Detail: "no answer"}}, message: "expected blocked, but it is timeout (no answer)",
		},
		"seen as itself":     {expected: lab.Expectation{Verdict: emu.Open, SeenAs: "laptop"}, seen: []emu.Observation{open("web1", "laptop")}},
		"seen as the VIP":    {expected: lab.Expectation{Verdict: emu.Open, SeenAs: "shopweb.cloudapp.net"}, seen: []emu.Observation{open("web1", "shopweb.cloudapp.net")}},
		"seen as a web site": {expected: lab.Expectation{Verdict: emu.Open, SeenAs: "site"}, seen: []emu.Observation{open("web1", "site")}},
		"seen as another": {
			expected: lab.Expectation{Verdict: emu.Open, SeenAs: "web2"}, seen: []emu.Observation{open("web1", "laptop")}, message: "seen as laptop, not as web2",
		},
		"seen by a program": {expected: lab.Expectation{Verdict: emu.Open, SeenAs: "laptop"}, seen: []emu.Observation{program}, message: "only built-in listeners tell"},
		"answered by both": {
			expected: lab.Expectation{Verdict: emu.Open, AnsweredBy: []string{"web1", "web2"}}, model: either,
			seen: []emu.Observation{open("web1", "laptop"), open("web2", "laptop")},
		},
		"answered by one of two": {
			expected: lab.Expectation{Verdict: emu.Open, AnsweredBy: []string{"web1", "web2"}}, model: either,
			seen: []emu.Observation{open("web1", "laptop"), open("web1", "laptop")}, message: "web2 did not answer any of 2 connections",
		},
		"answered by somebody else": {
			expected: lab.Expectation{Verdict: emu.Open, AnsweredBy: []string{"web1"}}, model: either,
			seen: []emu.Observation{open("web1", "laptop"), open("web2", "laptop")}, message: "web2 answered",
		},
		"answered by a program": {
			expected: lab.Expectation{Verdict: emu.Open, AnsweredBy: []string{"web1"}}, seen: []emu.Observation{program}, message: "only built-in listeners tell",
		},
	} {
		t.Run(name, func(t *testing.T) {
			e := tt.expected
			e.From, e.To = "laptop", lab.Target{Name: "shopweb.cloudapp.net", Port: 80, Protocol: emu.TCP}
			if tt.model.Outcomes == nil && !strings.Contains(name, "can't tell") {
				tt.model = says(tt.seen[0])
			}
			c := Judge(l, e, tt.model, tt.seen)
			if c.Passed != (tt.message == "") || !strings.Contains(c.Message, tt.message) {
				t.Errorf("%+v", c)
			}
			if c.Name != "laptop -> shopweb.cloudapp.net:80" || c.Expected != string(e.Verdict) || c.Verdict != tt.seen[len(tt.seen)-1].Verdict {
				t.Errorf("%+v", c)
			}
			if tt.message == "" && slices.ContainsFunc(tt.seen, func(o emu.Observation) bool { return !Acceptable(l, e, tt.model, o) }) {
				t.Error("a case passes with an observation that isn't acceptable")
			}
		})
	}
}

func TestDescribe(t *testing.T) {
	o := emu.Observation{Verdict: emu.Blocked, By: &emu.RuleReference{
		Namespace: "sql1", ID: "firewall-default", Text: "inbound is blocked", Origin: emu.Origin{File: "lab.yaml", Line: 7, Column: 3},
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
