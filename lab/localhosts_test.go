package lab_test

import (
	"net/netip"
	"slices"
	"testing"

	"vnetlab/lab"
	"vnetlab/lab/labtest"
)

func TestLocalHosts(t *testing.T) {
	l := lab.Lab{Name: "sites"}
	must(
		t,
		l.CreateLocalNetwork(
			lab.LocalNetwork{
				Name:         "hq",
				AddressSpace: prefixes("192.168.0.0/29", "172.16.0.0/24"),
				Hosts:        []*lab.LocalHost{{Name: "desk"}},
			},
		),
	)
	must(
		t,
		l.AddLocalHost(
			"hq",
			lab.LocalHost{Name: "printer", Address: netip.MustParseAddr("192.168.0.6"), Services: labtest.Listen(631)},
		),
	)
	must(t, l.AddLocalHost("hq", lab.LocalHost{Name: "phone"}))
	if got := address(t, &l, "phone").String(); got != "192.168.0.5" {
		t.Errorf("the second free address is %s", got)
	}
	for _, tt := range []struct {
		operation lab.Operation
		text      string
	}{
		{lab.AddLocalHostOp{Site: "hw", Host: lab.LocalHost{Name: "x"}}, "ResourceNotFound: The local network site 'hw' does not exist."},
		{lab.AddLocalHostOp{Site: "hq", Host: lab.LocalHost{Name: "x"}}, "BadRequest: No free address is left in hq (192.168.0.0/29): all 3 are in use."},
		{lab.AddLocalHostOp{Site: "hq", Host: lab.LocalHost{Name: "phone"}}, "ConflictError: The site hq has a host phone already."},
		{lab.AddLocalHostOp{Site: "hq", Host: lab.LocalHost{Name: "anybody"}}, "BadRequest: The name anybody is reserved."},
		{lab.AddLocalHostOp{Site: "hq", Host: lab.LocalHost{Name: "x", Address: netip.MustParseAddr("192.168.0.5")}}, "BadRequest: The address 192.168.0.5 is in use."},
		{lab.AddLocalHostOp{Site: "hq", Host: lab.LocalHost{Name: "x", Address: netip.MustParseAddr("192.168.0.1")}}, "BadRequest: The address 192.168.0.1 of hq (192.168.0.0/29) is reserved."},
		{lab.AddLocalHostOp{Site: "hq", Host: lab.LocalHost{Name: "x", Address: netip.MustParseAddr("172.16.0.9")}}, "BadRequest: The address 172.16.0.9 of the host x is not in 192.168.0.0/29."},
		{lab.AddLocalHostOp{Site: "hq", Host: lab.LocalHost{Name: "x", Services: labtest.Listen(80, 80)}}, "BadRequest: Two services listen on port 80/tcp."},
		{lab.DeleteLocalHostOp{Site: "hw", Name: "desk"}, "ResourceNotFound: The local network site 'hw' does not exist."},
		{lab.DeleteLocalHostOp{Site: "hq", Name: "fax"}, "ResourceNotFound: The local network site hq has no host 'fax'."},
	} {
		before := fingerprint(&l)
		if _, err := l.Apply(tt.operation); err == nil || err.Error() != tt.text {
			t.Errorf("%s: got %v, want %s", tt.operation, err, tt.text)
		}
		if fingerprint(&l) != before {
			t.Errorf("%s: the refusal changed the lab", tt.operation)
		}
	}
	must(t, l.DeleteLocalHost("hq", "desk"))
	if _, ok := l.Find("desk"); ok || len(l.LocalNetworks[0].Hosts) != 2 {
		t.Error("the host is still there")
	}
}

// TestReconcileHosts holds that hosts of a site come, go and change without the site and its gateway.
func TestReconcileHosts(t *testing.T) {
	make := func(hosts ...*lab.LocalHost) *lab.Lab {
		l := &lab.Lab{Name: "sites"}
		must(t, l.CreateVirtualNetwork(lab.VirtualNetwork{
			Name:         "net",
			Location:     "West US",
			AddressSpace: prefixes("10.0.0.0/16"),
			Subnets:      []lab.Subnet{{Name: "GatewaySubnet", AddressPrefix: prefix("10.0.0.0/29")}},
		}))
		must(
			t,
			l.CreateLocalNetwork(lab.LocalNetwork{Name: "hq", AddressSpace: prefixes("192.168.0.0/24"), Hosts: hosts}),
		)
		must(t, l.CreateGateway("net", lab.VPNGateway{Connections: lab.ConnectTo("hq")}))
		return l
	}
	host := func(name, address string, ports ...uint16) *lab.LocalHost {
		return &lab.LocalHost{Name: name, Address: netip.MustParseAddr(address), Services: labtest.Listen(ports...)}
	}
	from := make(
		host("stays", "192.168.0.4"),
		host("goes", "192.168.0.5"),
		host("moves", "192.168.0.6"),
		host("serves", "192.168.0.7", 80),
	)
	to := make(
		host("serves", "192.168.0.7", 81),
		host("stays", "192.168.0.4"),
		host("comes", "192.168.0.6"),
		host("moves", "192.168.0.5"),
	)
	operations, err := lab.Reconcile(from, to)
	must(t, err)
	want := []string{
		"delete host goes of local network site hq",
		"delete host moves of local network site hq",
		"change what listens in serves",
		"add host comes to local network site hq",
		"add host moves to local network site hq",
	}
	var got []string
	for _, o := range operations {
		got = append(got, o.String())
	}
	if !slices.Equal(got, want) {
		t.Errorf("got  %q\nwant %q", got, want)
	}
	now, err := from.Apply(operations...)
	must(t, err)
	if again, err := lab.Reconcile(now, to); err != nil || len(again) > 0 {
		t.Errorf("there is still to do: %v, %v", again, err)
	}
	if a, _ := from.Find("stays"); a.LocalHost != now.LocalNetworks[0].Hosts[0] {
		t.Error("a host that stays is another")
	}
}
