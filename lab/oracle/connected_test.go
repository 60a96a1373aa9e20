package oracle_test

import (
	"testing"

	"vnetlab/lab"
	"vnetlab/lab/labtest"
	"vnetlab/lab/oracle"
)

// TestConnectedTruthTable goes on where TestTruthTable ends: slots, internal and instance input endpoints, probes,
// internal load balancing, direct server return, public addresses of instances, stopped machines and gateways.
func TestConnectedTruthTable(t *testing.T) {
	l := labtest.Connected(t)
	l.SetHealth("data1/cql", true) // data2 isn't healthy, data3 doesn't run
	const (
		shop = "edge.shop.cloudapp.net"
		west = "edge.West"
	)
	for _, tt := range []struct{ name, from, to, want string }{
		{"probe: only healthy members serve", "laptop", "data.cloudapp.net:9042", "open by data1, seen as 203.0.113.5"},
		{"probe: nobody runs", "laptop", "napping.cloudapp.net:80", "no-backend by edge.napping.cloudapp.net no-backend:napping/nap1:tcp/80"},
		{"released VIP", "laptop", "asleep.cloudapp.net:80", "unresolved"},
		{"stopped machine", "laptop", "data3:9042", "blocked by internet private-address"},

		{"direct server return", "laptop", "data.cloudapp.net:1433", "open by data1, seen as 203.0.113.5"},
		{"direct server return from another service", "client1", "data.cloudapp.net:1433", "open by data1, seen as 198.18.0.17"},
		{"direct server return from the same service", "data2", "data.cloudapp.net:1433", "blocked by " + west + " direct-return-from-inside:data/listener:tcp/1433"},

		{"internal load balancer", "client1", "10.1.1.100:9043", "open: data1 open, seen as 10.1.1.7; data2 open, seen as 10.1.1.7"},
		{"internal load balancer without endpoint", "client1", "10.1.1.100:9042", "blocked by " + west + " no-internal-endpoint"},
		{"internal load balancer from a member", "data1", "10.1.1.100:9043", "mixed: data1 blocked by " + west + " hairpin-to-self; data2 open, seen as 10.1.1.4"},
		{"internal load balancer from the premises", "desk", "10.1.1.100:9043", "open: data1 open, seen as 192.168.10.4; data2 open, seen as 192.168.10.4"},
		{"direct server return by an internal load balancer", "client1", "10.1.1.100:1434", "open by data1, seen as 10.1.1.7"},
		{"direct server return by an internal load balancer from the same service", "data2", "10.1.1.100:1434", "blocked by " + west + " direct-return-from-inside:data/listener-inside:tcp/1434.internal"},
		{"internal load balancer lets in by own address", "client1", "10.1.1.100:9044", "open: data1 open, seen as 10.1.1.7; data2 open, seen as 10.1.1.7"},
		{"internal load balancer keeps out by own address", "desk", "10.1.1.100:9044", "blocked by " + west + " acl:data/guarded:tcp/9044.internal:1"},
		{"internal load balancer keeps out by default", "data1", "10.1.1.100:9044", "blocked by " + west + " acl:data/guarded:tcp/9044.internal:default"},
		{"internal endpoint is not on the VIP", "laptop", "data.cloudapp.net:9043", "blocked by " + west + " no-endpoint"},

		{"own public address: every port", "laptop", "198.18.0.18:22", "open by client1, seen as 203.0.113.5"},
		{"own public address: the guest firewall", "laptop", "198.18.0.18:5000", "blocked by client1 firewall-default"},
		{"own public address over UDP", "laptop", "198.18.0.18:5060/udp", "open by client1, seen as 203.0.113.5"},
		{"own public address from the same network", "data1", "198.18.0.18:22", "open by client1, seen as 198.18.0.16"},
		{"own public address from itself", "client1", "198.18.0.18:22", "blocked by " + west + " hairpin-to-self"},

		{"instance input endpoint of the first", "laptop", "shop.cloudapp.net:10100", "open by Worker_IN_0, seen as 203.0.113.5"},
		{"instance input endpoint of the second", "laptop", "shop.cloudapp.net:10101", "open by Worker_IN_1, seen as 203.0.113.5"},
		{"instance input endpoint of nobody", "laptop", "shop.cloudapp.net:10102", "blocked by " + shop + " no-endpoint"},
		{"internal endpoint from the internet", "laptop", "shop.cloudapp.net:7000", "blocked by " + shop + " no-endpoint"},
		{"internal endpoint from another role", "Web_IN_0", "Worker_IN_0:7000", "open by Worker_IN_0, seen as 100.64.12.4"},
		{"internal endpoint from the same role", "Worker_IN_1", "Worker_IN_0:7000", "open by Worker_IN_0, seen as 100.64.12.7"},
		{"network traffic rule: named role", "Web_IN_0", "Worker_IN_0:7001", "open by Worker_IN_0, seen as 100.64.12.4"},
		{"network traffic rule: another role", "Worker_IN_1", "Worker_IN_0:7001", "blocked by Worker_IN_0 firewall-default"},
		{"staging to production", "shop.staging.Web_IN_0", "Worker_IN_0:7000", "blocked by " + shop + " other-deployment:shop"},
		{"staging to production by the VIP", "shop.staging.Web_IN_0", "shop.cloudapp.net:10100", "open by Worker_IN_0, seen as 198.18.16.19"},

		{"network to network", "branch1", "data1:9042", "open by data1, seen as 10.2.1.4"},
		{"network to premises", "data1", "desk:445", "open by desk, seen as 10.1.1.4"},
		{"premises to network", "desk", "data1:9042", "open by data1, seen as 192.168.10.4"},
		{"guest firewall behind the tunnel", "branch1", "data1:9", "blocked by data1 firewall-default"},
		{"no transit", "desk", "branch1:22", "blocked by site.hq private-address"},
		{"no transit back", "branch1", "desk:445", "blocked by edge.East private-address"},
		{"network to public addresses of premises", "branch1", "lecturer:445", "open by lecturer, seen as 10.2.1.4"},
		{"public addresses of premises to network", "lecturer", "branch1:22", "open by branch1, seen as 130.88.0.4"},
		{"nobody at a public address of premises", "branch1", "65.52.1.9:80", "blocked by site.west no-instance"},
		{"public addresses of premises from another network", "data1", "lecturer:445", "blocked by internet no-route"},
		{"public addresses of premises from the internet", "laptop", "130.88.0.4:445", "blocked by internet no-route"},
		{"premises to the internet", "lecturer", "laptop:53/udp", "open by laptop, seen as " + l.LocalNetworks[1].Address.String()},
		{"mapped VPN device from the internet", "laptop", l.LocalNetworks[1].Address.String() + ":445", "blocked by site.west no-endpoint"},
		{"VPN device by its own address", "laptop", "130.88.0.1:445", "blocked by internet no-route"},
		{"gateway address", "laptop", "198.18.0.19:500", "blocked by " + west + " platform-port"},
		{"premises from the internet", "laptop", "203.0.113.4:445", "blocked by site.hq no-endpoint"},
	} {
		t.Run(tt.name, func(t *testing.T) {
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
