package oracle_test

import (
	"fmt"
	"strings"
	"testing"

	"vnetlab/emu"
	"vnetlab/lab"
	"vnetlab/lab/labtest"
	"vnetlab/lab/oracle"
)

// TestTruthTable has the reachability of the platform, one line a rule of it.
func TestTruthTable(t *testing.T) {
	l := labtest.Everything(t)
	const (
		cassandraEdge = "edge.cassandra.cloudapp.net"
		networkEdge   = "edge.SampleNetwork"
		siteEdge      = "edge.azurewebsites.west-us"
	)
	for _, tt := range []struct{ from, to, want string }{
		// From the internet.
		{"laptop", "contactmanager.cloudapp.net:80", "open: ContactManager.Web_IN_0 open, seen as 203.0.113.4; ContactManager.Web_IN_1 open, seen as 203.0.113.4"},
		{"laptop", "contactsql.cloudapp.net:1433", "blocked by " + networkEdge + " no-endpoint"},
		{"laptop", "contactmanager.cloudapp.net:81", "blocked by " + networkEdge + " no-endpoint"},
		{"laptop", "sql1:1433", "blocked by internet private-address"},
		{"laptop", "198.18.0.200:80", "blocked by datacenter.west-us no-deployment"},
		{"laptop", "198.19.0.200:80", "blocked by internet no-route"},
		{"laptop", "8.8.8.8:53", "blocked by internet no-route"},
		{"laptop", "nowhere.cloudapp.net:80", "unresolved"},
		{"laptop", "intruder:22", "refused"},
		{"intruder", "laptop:8000", "open by laptop, seen as 203.0.113.5"},
		{"laptop", "192.0.2.53:53", "open"},
		{"laptop", "192.0.2.53:80", "refused"},
		{"laptop", "168.63.129.16:53", "blocked by internet private-address"},
		// An endpoint alone is not enough: the guest firewall decides, then whether somebody listens.
		{"laptop", "cassandra.cloudapp.net:2201", "refused"},
		// Access control lists.
		{"laptop", "cassandra.cloudapp.net:9160", "open: cas1 open, seen as 203.0.113.4; cas2 open, seen as 203.0.113.4; cas3 open, seen as 203.0.113.4"},
		{"intruder", "cassandra.cloudapp.net:9160", "blocked by " + cassandraEdge + " acl:cassandra/cassandra:tcp/9160:100"},
		// Inside a virtual network: any port the guest firewall lets through, no endpoint, no load balancer.
		{"ContactManager.Web_IN_0", "sql1:1433", "open by sql1, seen as 10.0.1.4"},
		{"ContactManager.Web_IN_1", "sql1:1433", "blocked by sql1 firewall:block tcp 1433 from 10.0.1.5"},
		{"ContactManager.Web_IN_0", "sql1:445", "blocked by sql1 firewall-default"},
		{"ContactManager.Web_IN_0", "sql1:3389", "open by sql1, seen as 10.0.1.4"},
		{"report1", "sql1:1433", "blocked by sql1 firewall-default"},
		{"report1", "ContactManager.Web_IN_0:80", "open by ContactManager.Web_IN_0, seen as 10.0.2.5"},
		{"sql1", "report1:8080", "open by report1, seen as 10.0.2.4"},
		{"sql1", "report1:8081", "refused"},
		{"sql1", "10.0.1.77:80", "blocked by " + networkEdge + " no-instance"},
		{"sql1", "10.0.2.77:80", "timeout"},
		{"sql1", "10.0.77.4:80", "blocked by " + networkEdge + " no-instance"},
		{"sql1", "10.0.2.1:80", "blocked by " + networkEdge + " platform-port"},
		{"sql1", "168.63.129.16:53", "open"},
		{"sql1", "168.63.129.16:80", "blocked by " + networkEdge + " platform-port"},
		{"sql1", "sql1:1433", "open by sql1, seen as 10.0.2.4"},
		// Between networks and services: VIPs alone, seen as the caller's VIP.
		{"node1", "sql1:1433", "blocked by edge.node.cloudapp.net private-address"},
		{"sql1", "node1:80", "blocked by " + networkEdge + " private-address"},
		{"node1", "cassandra.cloudapp.net:9160", "open: cas1 open, seen as 198.18.0.18; cas2 open, seen as 198.18.0.18; cas3 open, seen as 198.18.0.18"},
		{"sql1", "node.cloudapp.net:80", "open by node1, seen as 198.18.0.16"},
		{"node1", "laptop:8000", "open by laptop, seen as 198.18.0.18"},
		// A VIP from inside its own network.
		{"sql1", "contactmanager.cloudapp.net:80", "open: ContactManager.Web_IN_0 open, seen as 198.18.0.16; ContactManager.Web_IN_1 open, seen as 198.18.0.16"},
		{"ContactManager.Web_IN_0", "contactmanager.cloudapp.net:80", "mixed: ContactManager.Web_IN_0 blocked by " + networkEdge + " hairpin-to-self; ContactManager.Web_IN_1 open, seen as 198.18.0.17"},
		{"node1", "node.cloudapp.net:80", "blocked by edge.node.cloudapp.net hairpin-to-self"},
		{"cas1", "cassandra.cloudapp.net:9160", "mixed: cas1 blocked by " + cassandraEdge + " hairpin-to-self; cas2 open, seen as 198.18.16.16; cas3 open, seen as 198.18.16.16"},
		// One cloud service outside any network.
		{"cas1", "cas2:7000", "open by cas2, seen as 100.64.8.4"},
		{"cas1", "cas2.cassandra.internal.cloudapp.net:7000", "open by cas2, seen as 100.64.8.4"},
		{"node1", "cas2.cassandra.internal.cloudapp.net:7000", "unresolved"},
		{"sql1", "ContactManager.Web_IN_0.contactmanager.internal.cloudapp.net:80", "unresolved"},
		// Web sites.
		{"laptop", "contacts:80", "open by contacts"},
		{"laptop", "contacts.azurewebsites.net:80", "open by contacts"},
		{"laptop", "contacts.azurewebsites.net:443", "blocked by " + siteEdge + " no-endpoint"},
		{"contacts", "sql1:1433", "blocked by " + siteEdge + " private-address"},
		{"contacts", "cassandra.cloudapp.net:2201", "refused"},
	} {
		t.Run(tt.from+" "+tt.to, func(t *testing.T) {
			target, err := lab.ParseTarget(tt.to)
			if err != nil {
				t.Fatal(err)
			}
			got, err := oracle.Predict(l, tt.from, target)
			if err != nil {
				t.Fatal(err)
			}
			if got.String() != tt.want {
				t.Errorf("got  %s\nwant %s", got, tt.want)
			}
		})
	}
}

// TestNoEndpointSaysWhere holds that a port without an endpoint is told of the VIP that has none.
func TestNoEndpointSaysWhere(t *testing.T) {
	l := labtest.Connected(t)
	for target, want := range map[string]string{
		"data.cloudapp.net:9043": "data.cloudapp.net has no endpoint on port 9043/tcp",
		"10.1.1.100:9042":        "the internal load balancer inside of data.cloudapp.net has no endpoint on port 9042/tcp",
	} {
		to, err := lab.ParseTarget(target)
		if err != nil {
			t.Fatal(err)
		}
		p, err := oracle.Predict(l, "client1", to)
		if err != nil || len(p.Members) > 0 || p.By == nil || p.By.Text != want {
			t.Errorf("%s: got %v, %+v, want %q", target, err, p, want)
		}
	}
}

func TestUnknownNames(t *testing.T) {
	l := labtest.Everything(t)
	for _, tt := range []struct{ from, to, want string }{
		{"laptp", "sql1:1433", "Did you mean laptop"},
		{"laptop", "sql11:1433", "Did you mean sql1"},
	} {
		target, _ := lab.ParseTarget(tt.to)
		_, err := oracle.Predict(l, tt.from, target)
		refusal, ok := err.(*lab.Error) //nolint:errorlint // exactly this type
		if !ok || !strings.Contains(refusal.Hint, tt.want) {
			t.Errorf("%s to %s: got %v, want a hint %q", tt.from, tt.to, err, tt.want)
		}
	}
}

func TestAgrees(t *testing.T) {
	rule := func(id string) *emu.RuleReference { return &emu.RuleReference{Namespace: "sql1", ID: id} }
	blocked := func(id string) emu.Observation { return emu.Observation{Verdict: emu.Blocked, By: rule(id)} }
	member := func(name string, v emu.Verdict, by *emu.RuleReference) emu.MemberObservation {
		return emu.MemberObservation{Namespace: name, Verdict: v, By: by}
	}
	mixed := func(members ...emu.MemberObservation) emu.Observation {
		return emu.Observation{Verdict: emu.Mixed, Members: members}
	}
	byRule := oracle.Prediction{Outcome: oracle.Outcome{Verdict: emu.Blocked, By: rule("firewall-default")}}
	byWeb1 := oracle.Prediction{Outcome: oracle.Outcome{Verdict: emu.Open, AnsweredBy: "web1"}}
	both := oracle.Prediction{Outcome: oracle.Outcome{Verdict: emu.Mixed}, Members: []oracle.Outcome{
		{
			Verdict: emu.Blocked,
			By:      rule("firewall-default"),
			Given:   "sql1",
		},
		{Verdict: emu.Open, AnsweredBy: "web1", Given: "web1"},
	}}
	for _, tt := range []struct {
		p        oracle.Prediction
		observed emu.Observation
		want     bool
	}{
		{byRule, blocked("firewall-default"), true},
		{byRule, blocked("firewall-3"), false},
		{byRule, emu.Observation{Verdict: emu.Blocked}, false},
		{byRule, emu.Observation{Verdict: emu.Timeout}, false},
		{byRule, mixed(member("sql1", emu.Blocked, rule("firewall-default")), member("web1", emu.Open, nil)), false},
		{byWeb1, emu.Observation{Verdict: emu.Open, AnsweredBy: "web1"}, true},
		{byWeb1, emu.Observation{Verdict: emu.Open, AnsweredBy: "web2"}, false},
		{byWeb1, emu.Observation{Verdict: emu.Open}, true},
		{byWeb1, emu.Observation{Verdict: emu.WrongHost, AnsweredBy: "web1"}, false},
		{byWeb1, emu.Observation{Verdict: emu.Error}, false},
		{both, mixed(member("web1", emu.Open, nil), member("sql1", emu.Blocked, rule("firewall-default"))), true},
		{both, mixed(member("web1", emu.Open, nil), member("sql1", emu.Blocked, rule("firewall-3"))), false},
		{both, mixed(member("web2", emu.Open, nil), member("sql1", emu.Blocked, rule("firewall-default"))), false},
		{both, mixed(member("web1", emu.Open, nil)), false},
		{both, mixed(member("web1", emu.Open, nil), member("web2", emu.Open, nil), member("sql1", emu.Blocked, rule("firewall-default"))), false},
		{both, emu.Observation{Verdict: emu.Open, AnsweredBy: "web1"}, false},
		{oracle.Prediction{}, blocked("x"), true}, // can't tell
	} {
		if got := tt.p.Agrees(tt.observed); got != tt.want {
			t.Errorf("%s, %s: agrees %v, want %v", tt.p, fmt.Sprint(tt.observed), got, tt.want)
		}
	}
}
