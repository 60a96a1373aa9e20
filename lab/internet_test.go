package lab_test

import (
	"errors"
	"net/netip"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"vnetlab/emu"
	"vnetlab/lab"
	"vnetlab/lab/labtest"
)

// ranges reads ranges of addresses: FIRST-LAST, with spaces between them.
func ranges(text string) (all []lab.AddressRange) {
	for r := range strings.FieldsSeq(text) {
		first, last, _ := strings.Cut(r, "-")
		all = append(all, lab.AddressRange{First: netip.MustParseAddr(first), Last: netip.MustParseAddr(last)})
	}
	return all
}

// TestUnnamedAddresses holds which addresses ask for those who aren't in the lab.
func TestUnnamedAddresses(t *testing.T) {
	l := labtest.Everything(t) // laptop has 203.0.113.4, intruder 203.0.113.5
	for name, tt := range map[string]struct{ remotes, want string }{
		"nobody is told apart":         {"", "198.51.100.7"},
		"a campus":                     {"130.88.0.0-130.88.255.255", "130.88.0.1 198.51.100.7"},
		"a host in it":                 {"130.88.0.0-130.88.255.255 130.88.0.1-130.88.0.1", "130.88.0.1 130.88.0.3 198.51.100.7"},
		"the host of the lab":          {"203.0.113.4-203.0.113.4", "198.51.100.7"},
		"its network":                  {"203.0.113.0-203.0.113.255", "198.51.100.7 203.0.113.1"},
		"the preferred address itself": {"198.51.100.7-198.51.100.7", "192.0.2.1 198.51.100.7"},
		"everybody":                    {"0.0.0.0-255.255.255.255", "198.51.100.7"},
		"nobody on the internet":       {"10.0.0.0-10.255.255.255 198.18.0.0-198.19.255.255 224.0.0.0-255.255.255.255", "198.51.100.7"},
		"partly private":               {"10.255.0.0-11.0.0.255", "11.0.0.1 198.51.100.7"},
		"ranges that overlap": {
			"130.0.0.0-130.0.0.99 130.0.0.50-130.0.0.199", "130.0.0.1 130.0.0.51 130.0.0.101 198.51.100.7",
		},
	} {
		t.Run(name, func(t *testing.T) {
			var got []string
			for _, a := range l.RepresentativeAddresses(ranges(tt.remotes)) {
				got = append(got, a.String())
			}
			if text := strings.Join(got, " "); text != tt.want {
				t.Errorf("got %s, want %s", text, tt.want)
			}
		})
	}
}

// TestUnnamedAddressesStandForAll holds that whatever address of the internet nobody has, one that is in the same
// ranges is among those asked from, and that there are no more of them than it needs.
func TestUnnamedAddressesStandForAll(t *testing.T) {
	l := labtest.Everything(t)
	internet := l.InternetHosts
	outside := append(
		lab.PrivateSpace(),
		netip.MustParsePrefix("198.18.0.0/15"),
		netip.MustParsePrefix("0.0.0.0/8"),
		netip.MustParsePrefix("127.0.0.0/8"),
		netip.MustParsePrefix("224.0.0.0/3"),
	)
	address := rapid.Custom(func(rt *rapid.T) netip.Addr {
		// Near each other, so that ranges meet.
		return netip.AddrFrom4([4]byte{
			rapid.SampledFrom([]byte{9, 10, 11, 130, 198, 203, 223}).
				Draw(rt, "a"),
			rapid.SampledFrom([]byte{0, 18, 51, 88, 255}).Draw(rt, "b"),
			rapid.SampledFrom([]byte{0, 100, 113, 255}).Draw(rt, "c"),
			rapid.Byte().Draw(rt, "d"),
		})
	})
	rapid.Check(t, func(rt *rapid.T) {
		var remotes []lab.AddressRange
		for range rapid.IntRange(0, 8).Draw(rt, "ranges") {
			a, b := address.Draw(rt, "first"), address.Draw(rt, "last")
			if b.Less(a) {
				a, b = b, a
			}
			remotes = append(remotes, lab.AddressRange{First: a, Last: b})
		}
		class := func(a netip.Addr) string {
			in := make([]byte, len(remotes))
			for i, r := range remotes {
				if r.Contains(a) {
					in[i] = 1
				}
			}
			return string(in)
		}
		known := map[string]bool{}
		for _, a := range l.RepresentativeAddresses(remotes) {
			if known[class(a)] {
				rt.Errorf("%s is one too many", a)
			}
			known[class(a)] = true
			if slices.ContainsFunc(outside, func(p netip.Prefix) bool { return p.Contains(a) }) ||
				slices.ContainsFunc(internet, func(h *lab.InternetHost) bool { return h.Address == a }) {
				rt.Errorf("%s isn't an unnamed address of the internet", a)
			}
		}
		for range 20 {
			a := address.Draw(rt, "anybody")
			had := a == lab.PublicResolver || a.String() == "203.0.113.254" ||
				slices.ContainsFunc(internet, func(h *lab.InternetHost) bool { return h.Address == a })
			if !had && !known[class(a)] &&
				!slices.ContainsFunc(outside, func(p netip.Prefix) bool { return p.Contains(a) }) {
				rt.Errorf("nobody stands for %s among %v", a, remotes)
			}
		}
	})
}

func TestDistinctSources(t *testing.T) {
	at := func(host, address string) lab.InternetSource {
		return lab.InternetSource{Host: host, Address: netip.MustParseAddr(address)}
	}
	sources := []lab.InternetSource{
		at("one", "203.0.113.4"),
		at("two", "203.0.113.5"),
		at("three", "203.0.113.6"),
		at("", "130.0.0.1"),
		at("", "131.0.0.1"),
	}
	got := lab.DistinctSources(
		sources,
		ranges("203.0.113.5-203.0.113.5 131.0.0.0-131.255.255.255"),
	)
	want := []lab.InternetSource{sources[0], sources[1], sources[3], sources[4]}
	if !slices.Equal(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
	if got := lab.DistinctSources(sources, nil); !slices.Equal(got, []lab.InternetSource{sources[0], sources[3]}) {
		t.Errorf("without ranges: %v", got)
	}
}

// TestRemoteRanges holds that what counts are the lists of public endpoints and the added rules of guest firewalls
// behind them.
func TestRemoteRanges(t *testing.T) {
	l := labtest.Everything(t)
	s, _ := l.CloudService("cassandra")
	want := ranges("198.18.0.0-198.19.255.255 203.0.113.0-203.0.113.255 203.0.113.5-203.0.113.5")
	if got := s.Production.RemoteRanges(); !slices.Equal(got, want) {
		t.Errorf("a list: %v, want %v", got, want)
	}
	sql, _ := l.CloudService("contactsql") // has no endpoint
	if got := sql.Production.RemoteRanges(); len(got) != 0 {
		t.Errorf("a firewall that the internet doesn't meet: %v", got)
	}
	a, _ := labtest.Connected(t).PublicAddressNamed("client1")
	if got := a.RemoteRanges(); !slices.Equal(got, ranges("203.0.113.0-203.0.113.255")) {
		t.Errorf("the firewall of an instance with a public address: %v", got)
	}
}

func TestParseExposedPort(t *testing.T) {
	for text, want := range map[string]string{
		"sql1:80":                      "sql1 80 tcp",
		"sql1:80/tcp":                  "sql1 80 tcp",
		"shop.cloudapp.net:53/udp":     "shop.cloudapp.net 53 udp",
		"sql1:1-65535/tcp":             "sql1 1-65535 tcp",
		"sql1:10-20":                   "sql1 10-20 tcp",
		"sql1:7-7/udp":                 "sql1 7 udp",
		"shop-web.cloudapp.net:10-11":  "shop-web.cloudapp.net 10-11 tcp",
		"shop-web.cloudapp.net:80/tcp": "shop-web.cloudapp.net 80 tcp",
		"sql1":                         "is not a target",
		"sql1:":                        "is not a target",
		"sql1:1-":                      "are not a range",
		"sql1:20-10":                   "are not a range",
		"sql1:1-65536":                 "are not a range",
		"sql1:0-10":                    "not a number from 1 to 65535",
		"sql1:-10":                     "is not a target",
		"sql1:1-2-3":                   "are not a range",
		"sql1:1-10/icmp":               "neither tcp nor udp",
		"sql1:1-10/":                   "neither tcp nor udp",
		":1-10":                        "is not a target",
	} {
		p, err := lab.ParseExposedPort(text)
		if err != nil {
			var refusal *lab.Error
			if !errors.As(err, &refusal) || !containsText(err, want) {
				t.Errorf("%s: %v, want %q", text, err, want)
			}
			continue
		}
		if got := p.Name + " " + lab.PortsText(p.Ports()) + " " + string(p.Protocol); got != want {
			t.Errorf("%s: got %s, want %s", text, got, want)
		}
	}
}

// TestExposureNames holds by which names a list of exposed ports calls public addresses.
func TestExposureNames(t *testing.T) {
	l := labtest.Connected(t)
	if err := l.CreateWebSite(lab.WebSite{Name: "news", Location: "West US"}); err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]string{
		"shop.cloudapp.net":      "shop.cloudapp.net",
		"shop":                   "shop.cloudapp.net",
		"shop.staging":           "shop.staging",
		"client1":                "client1",
		"clients.client1":        "client1",
		"news":                   "news.azurewebsites.net",
		"news.azurewebsites.net": "news.azurewebsites.net",
		"West":                   "West",
		"hq":                     "hq",
		"asleep":                 "asleep.cloudapp.net", // without an address for now
		"data1":                  "has no public address of its own",
		"laptop":                 "is on the internet itself",
		"shpo.cloudapp.net":      "Did you mean shop.cloudapp.net?",
		"data.staging":           "has no public address",
		"desk":                   "has no public address",
		"nobody":                 "has no public address",
	} {
		next := l.Clone()
		err := next.ExpectExposure([]lab.ExposedPort{{Target: lab.Target{Name: name, Port: 80, Protocol: emu.TCP}}})
		switch {
		case err != nil && !containsText(err, want):
			t.Errorf("%s: %v, want %q", name, err, want)
		case err == nil && next.ExposureName(next.Exposure[0].Name) != want:
			t.Errorf("%s is %s, want %s", name, next.Exposure[0].Name, want)
		}
	}
	if err := l.ExpectExposure(nil); err != nil || l.Exposure == nil {
		t.Errorf("that nothing is exposed is something said: %v, %v", l.Exposure, err)
	}
}

// TestExposureOfOneName holds who is meant where an instance and its cloud service have one name.
func TestExposureOfOneName(t *testing.T) {
	for publicIP, want := range map[string]string{"": "web.cloudapp.net", "direct": "web"} {
		l, err := lab.New("names", lab.Origin{})
		if err != nil {
			t.Fatal(err)
		}
		vm := lab.VirtualMachine{
			Name:         "web",
			PublicIPName: publicIP,
			Endpoints:    []lab.Endpoint{{Name: "a", PublicPort: 80, LocalPort: 80}},
		}
		if err := errors.Join(
			l.CreateHostedService(lab.HostedService{Name: "web", Location: "West US"}),
			l.AddVirtualMachine("web", vm),
		); err != nil {
			t.Fatal(err)
		}
		if err := l.ExpectExposure(
			[]lab.ExposedPort{{Target: lab.Target{Name: "web", Port: 80, Protocol: emu.TCP}}},
		); err != nil ||
			l.ExposureName(l.Exposure[0].Name) != want {
			t.Errorf("with the public IP %q: %v, %v, want %s", publicIP, l.Exposure, err, want)
		}
	}
}

// containsText reports whether a refusal says something, in its message or its hint.
func containsText(err error, text string) bool {
	var refusal *lab.Error
	return errors.As(err, &refusal) && strings.Contains(refusal.Message+" "+refusal.Hint, text)
}

// TestSourcesOfANetworkWithPublicAddresses checks that the internet is asked from addresses that some network has, and
// that nobody asks about what leads into the network itself from there: answers would stay inside.
func TestSourcesOfANetworkWithPublicAddresses(t *testing.T) {
	l, err := lab.New("public", lab.Origin{})
	if err != nil {
		t.Fatal(err)
	}
	space := netip.MustParsePrefix("130.88.0.0/16")
	endpoint := lab.Endpoint{Name: "a", PublicPort: 80, LocalPort: 80, Balancing: lab.Balancing{ACL: []lab.ACLRule{
		{Order: 1, Permit: true, RemoteSubnet: netip.MustParsePrefix("130.0.0.0/8")},
	}}}
	network := lab.VirtualNetwork{
		Name: "net", Location: "West US", AddressSpace: []netip.Prefix{space},
		Subnets: []lab.Subnet{{Name: "s", AddressPrefix: netip.MustParsePrefix("130.88.0.0/24")}},
	}
	inside := lab.HostedService{Name: "inside", Location: "West US", VirtualNetwork: "net"}
	outside := lab.HostedService{Name: "outside", Location: "West US"}
	endpoints := []lab.Endpoint{endpoint}
	if err := errors.Join(
		l.CreateVirtualNetwork(network), l.CreateHostedService(inside), l.CreateHostedService(outside),
		l.AddVirtualMachine("inside", lab.VirtualMachine{Name: "in1", Subnet: "s", Endpoints: endpoints}),
		l.AddVirtualMachine("outside", lab.VirtualMachine{Name: "out1", Endpoints: endpoints}),
	); err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]string{
		"inside.cloudapp.net":  "anybody, 130.0.0.1, 198.51.100.7",
		"outside.cloudapp.net": "anybody, 130.0.0.1, 130.88.0.1, 198.51.100.7",
	} {
		a, _ := l.PublicAddressNamed(name)
		var got []string
		for _, s := range a.SourcesTo(l.InternetSources()) {
			if s.Host == "" {
				s.Host = s.Address.String()
			}
			got = append(got, s.Host)
		}
		if text := strings.Join(got, ", "); text != want {
			t.Errorf("about %s asks %s, want %s", name, text, want)
		}
	}
}
