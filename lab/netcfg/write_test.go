package netcfg

import (
	"bytes"
	"errors"
	"fmt"
	"net/netip"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"vnetlab/lab"
)

const written = `<?xml version="1.0" encoding="UTF-8"?>
<NetworkConfiguration xmlns="http://schemas.microsoft.com/ServiceHosting/2011/07/NetworkConfiguration">
  <VirtualNetworkConfiguration>
    <Dns>
      <DnsServers>
        <DnsServer name="dns-10.0.2.20" IPAddress="10.0.2.20"></DnsServer>
      </DnsServers>
    </Dns>
    <VirtualNetworkSites>
      <VirtualNetworkSite name="SampleNetwork" AffinityGroup="contacts-west">
        <AddressSpace>
          <AddressPrefix>10.0.0.0/16</AddressPrefix>
        </AddressSpace>
        <Subnets>
          <Subnet name="FrontEnd">
            <AddressPrefix>10.0.1.0/24</AddressPrefix>
          </Subnet>
        </Subnets>
        <DnsServersRef>
          <DnsServerRef name="dns-10.0.2.20"></DnsServerRef>
        </DnsServersRef>
      </VirtualNetworkSite>
      <VirtualNetworkSite name="Other" Location="West US">
        <AddressSpace>
          <AddressPrefix>192.168.0.0/16</AddressPrefix>
        </AddressSpace>
      </VirtualNetworkSite>
    </VirtualNetworkSites>
  </VirtualNetworkConfiguration>
</NetworkConfiguration>
`

func TestWrite(t *testing.T) {
	var b bytes.Buffer
	err := WriteNetworkConfiguration(&b, []lab.VirtualNetwork{
		{
			Name: "SampleNetwork", AffinityGroup: "contacts-west",
			AddressSpace: []netip.Prefix{netip.MustParsePrefix("10.0.0.0/16")},
			Subnets:      []lab.Subnet{{Name: "FrontEnd", AddressPrefix: netip.MustParsePrefix("10.0.1.0/24")}},
			DNSServers: []lab.DNSServer{
				{Address: netip.MustParseAddr("10.0.2.20")}, {Address: netip.MustParseAddr("10.0.2.20")},
			},
		},
		{Name: "Other", Location: "West US", AddressSpace: []netip.Prefix{netip.MustParsePrefix("192.168.0.0/16")}},
	})
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(written, b.String()); diff != "" {
		t.Errorf("-want +got\n%s", diff)
	}
}

const writtenGateways = `<?xml version="1.0" encoding="UTF-8"?>
<NetworkConfiguration xmlns="http://schemas.microsoft.com/ServiceHosting/2011/07/NetworkConfiguration">
  <VirtualNetworkConfiguration>
    <LocalNetworkSites>
      <LocalNetworkSite name="hq">
        <AddressSpace>
          <AddressPrefix>192.168.10.0/24</AddressPrefix>
        </AddressSpace>
        <VPNGatewayAddress>203.0.113.10</VPNGatewayAddress>
      </LocalNetworkSite>
      <LocalNetworkSite name="East">
        <AddressSpace>
          <AddressPrefix>10.1.0.0/16</AddressPrefix>
        </AddressSpace>
      </LocalNetworkSite>
      <LocalNetworkSite name="West">
        <AddressSpace>
          <AddressPrefix>10.0.0.0/16</AddressPrefix>
        </AddressSpace>
        <VPNGatewayAddress>198.51.100.4</VPNGatewayAddress>
      </LocalNetworkSite>
    </LocalNetworkSites>
    <VirtualNetworkSites>
      <VirtualNetworkSite name="West" Location="West US">
        <AddressSpace>
          <AddressPrefix>10.0.0.0/16</AddressPrefix>
        </AddressSpace>
        <Gateway>
          <ConnectionsToLocalNetwork>
            <LocalNetworkSiteRef name="hq">
              <Connection type="IPsec"></Connection>
            </LocalNetworkSiteRef>
            <LocalNetworkSiteRef name="East">
              <Connection type="IPsec"></Connection>
            </LocalNetworkSiteRef>
          </ConnectionsToLocalNetwork>
        </Gateway>
      </VirtualNetworkSite>
      <VirtualNetworkSite name="East" Location="East US">
        <AddressSpace>
          <AddressPrefix>10.1.0.0/16</AddressPrefix>
        </AddressSpace>
        <Gateway>
          <ConnectionsToLocalNetwork>
            <LocalNetworkSiteRef name="West">
              <Connection type="IPsec"></Connection>
            </LocalNetworkSiteRef>
          </ConnectionsToLocalNetwork>
        </Gateway>
      </VirtualNetworkSite>
      <VirtualNetworkSite name="Alone" Location="East US">
        <AddressSpace>
          <AddressPrefix>10.1.0.0/16</AddressPrefix>
        </AddressSpace>
        <Gateway>
          <ConnectionsToLocalNetwork></ConnectionsToLocalNetwork>
        </Gateway>
      </VirtualNetworkSite>
    </VirtualNetworkSites>
  </VirtualNetworkConfiguration>
</NetworkConfiguration>
`

func toSite(name string) lab.GatewayConnection {
	return lab.GatewayConnection{Name: name, To: lab.ToLocalNetwork}
}

func toNetwork(name string) lab.GatewayConnection {
	return lab.GatewayConnection{Name: name, To: lab.ToVirtualNetwork}
}

func TestWriteGateways(t *testing.T) {
	var b bytes.Buffer
	space := func(s string) []netip.Prefix { return []netip.Prefix{netip.MustParsePrefix(s)} }
	err := WriteNetworkConfiguration(&b, []lab.VirtualNetwork{
		{
			Name: "West", Location: "West US", AddressSpace: space("10.0.0.0/16"),
			Gateway: &lab.VPNGateway{
				Address:     netip.MustParseAddr("198.51.100.4"),
				Connections: []lab.GatewayConnection{toSite("hq"), toNetwork("East")},
			},
		},
		{
			Name: "East", Location: "East US", AddressSpace: space("10.1.0.0/16"),
			Gateway: &lab.VPNGateway{Connections: []lab.GatewayConnection{toNetwork("West")}},
		},
		{Name: "Alone", Location: "East US", AddressSpace: space("10.1.0.0/16"), Gateway: &lab.VPNGateway{}},
	}, lab.LocalNetwork{
		Name: "hq", AddressSpace: space("192.168.10.0/24"),
		VPNGatewayAddress: netip.MustParseAddr("203.0.113.10"), Hosts: []*lab.LocalHost{{Name: "desk"}},
	})
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(writtenGateways, b.String()); diff != "" {
		t.Errorf("-want +got\n%s", diff)
	}
	c, err := Read("n", b.Bytes())
	if err != nil {
		t.Fatal(err)
	}
	for i, want := range []string{"", "East", "West"} {
		if got := c.LocalNetworkSites[i]; got.VirtualNetworkSite != want {
			t.Errorf("%s stands for %q", got.Name, got.VirtualNetworkSite)
		}
	}
}

// TestWriteNames holds that a gateway's connections are read back as what they are, whatever has one name: a site and
// a virtual network, and the site that stands for one.
func TestWriteNames(t *testing.T) {
	space := func(s string) []netip.Prefix { return []netip.Prefix{netip.MustParsePrefix(s)} }
	subnet := func(s string) []lab.Subnet {
		return []lab.Subnet{{Name: "GatewaySubnet", AddressPrefix: netip.MustParsePrefix(s)}}
	}
	networks := []lab.VirtualNetwork{
		{
			Name: "Prod net", Location: "West US", AddressSpace: space("10.0.0.0/16"), Subnets: subnet("10.0.9.0/29"),
			Gateway: &lab.VPNGateway{
				Address: netip.MustParseAddr("198.18.0.16"), Profile: "Small",
				ClientAddressPool: space("172.16.0.0/24"),
				Connections: []lab.GatewayConnection{
					toNetwork("Dev"), toSite("dev"),
					{Name: "Prod net", To: lab.ToLocalNetwork, Dedicated: true},
					toSite("Prod net"),
				},
			},
		},
		{
			Name: "Dev", Location: "West US", AddressSpace: space("10.1.0.0/16"), Subnets: subnet("10.1.9.0/29"),
			Gateway: &lab.VPNGateway{
				Address: netip.MustParseAddr("198.18.0.17"),
			},
		},
	}
	var b bytes.Buffer
	if err := WriteNetworkConfiguration(&b, networks,
		lab.LocalNetwork{
			Name: "dev", AddressSpace: space("130.88.0.0/24"),
			VPNGatewayAddress: netip.MustParseAddr("8.20.30.40"), Address: netip.MustParseAddr("198.19.128.1"),
		},
		lab.LocalNetwork{
			Name: "Prod net", AddressSpace: space("192.168.0.0/24"),
			Address: netip.MustParseAddr("203.0.113.4"),
		},
	); err != nil {
		t.Fatal(err)
	}
	c, err := Read("n", b.Bytes())
	if err != nil {
		t.Fatal(err)
	}
	var sites []string
	for _, l := range c.LocalNetworkSites {
		sites = append(sites, fmt.Sprint(l.Name, " ", l.VPNGatewayAddress, " ", l.VirtualNetworkSite))
	}
	// One half of a pair of joined networks is one by the address of the other's gateway.
	if diff := cmp.Diff([]string{"dev 8.20.30.40 ", "Prod net invalid IP ", "Dev-network 198.18.0.17 Dev"},
		sites); diff != "" {
		t.Errorf("-want +got\n%s", diff)
	}
	want := &Gateway{
		Profile: "Small", VPNClientAddressPool: []Prefix{prefix("172.16.0.0/24")},
		Connections: []Connection{
			{LocalNetworkSite: "Dev-network", Type: IPsec},
			{LocalNetworkSite: "dev", Type: IPsec},
			{LocalNetworkSite: "Prod net", Type: Dedicated},
			{LocalNetworkSite: "Prod net", Type: IPsec},
		},
	}
	if diff := cmp.Diff(want, c.VirtualNetworkSites[0].Gateway, ignore); diff != "" {
		t.Errorf("-want +got\n%s", diff)
	}
}

// TestPremisesWithTheAddressesOfANetwork holds that a site with a VPN device is read back as that, whatever
// network has its addresses, until the two networks that it would join name each other.
func TestPremisesWithTheAddressesOfANetwork(t *testing.T) {
	space := func(s string) []netip.Prefix { return []netip.Prefix{netip.MustParsePrefix(s)} }
	networks := []lab.VirtualNetwork{
		{
			Name: "West", Location: "West US", AddressSpace: space("10.0.0.0/16"),
			Gateway: &lab.VPNGateway{Connections: []lab.GatewayConnection{toSite("hq")}},
		},
		{
			Name: "East", Location: "East US", AddressSpace: space("10.1.0.0/16"),
			Gateway: &lab.VPNGateway{Connections: []lab.GatewayConnection{toSite("office")}},
		},
	}
	for _, tt := range []struct{ hq, stands string }{{"192.168.0.0/16", ""}, {"10.1.0.0/16", "West"}} {
		var b bytes.Buffer
		err := WriteNetworkConfiguration(&b, networks,
			lab.LocalNetwork{
				Name: "office", AddressSpace: space("10.0.0.0/16"),
				VPNGatewayAddress: netip.MustParseAddr("203.0.113.6"),
			},
			lab.LocalNetwork{
				Name: "hq", AddressSpace: space(tt.hq),
				VPNGatewayAddress: netip.MustParseAddr("203.0.113.7"),
			})
		if err != nil {
			t.Fatal(err)
		}
		c, err := Read("n", b.Bytes())
		if err != nil {
			t.Fatal(err)
		}
		if got := c.LocalNetworkSites[0]; got.VirtualNetworkSite != tt.stands {
			t.Errorf("beside hq %s the office stands for %q", tt.hq, got.VirtualNetworkSite)
		}
	}
}

// network draws a virtual network; whether its prefixes fit together is of no interest here.
func network(name string) *rapid.Generator[lab.VirtualNetwork] {
	address := rapid.Custom(func(t *rapid.T) netip.Addr {
		return netip.AddrFrom4([4]byte{
			10, rapid.Byte().Draw(t, "b"), rapid.Byte().Draw(t, "c"),
			rapid.Byte().Draw(t, "d"),
		})
	})
	prefixes := rapid.Custom(func(t *rapid.T) netip.Prefix {
		return netip.PrefixFrom(address.Draw(t, "address"), rapid.IntRange(8, 29).Draw(t, "bits")).Masked()
	})
	return rapid.Custom(func(t *rapid.T) lab.VirtualNetwork {
		n := lab.VirtualNetwork{Name: name, AddressSpace: rapid.SliceOfNDistinct(prefixes, 1, 3, rapid.ID).
			Draw(t, "address space")}
		if rapid.Bool().Draw(t, "in a group") {
			n.AffinityGroup = rapid.StringMatching(`[A-Za-z][A-Za-z0-9_-]{0,20}`).Draw(t, "group")
		} else {
			n.Location = rapid.SampledFrom(lab.Locations).Draw(t, "location")
		}
		for i := range rapid.IntRange(0, 3).Draw(t, "subnets") {
			n.Subnets = append(n.Subnets, lab.Subnet{
				Name:          fmt.Sprintf("subnet<&\"%d", i),
				AddressPrefix: prefixes.Draw(t, "subnet"),
			})
		}
		for i, a := range rapid.SliceOfNDistinct(address, -1, 3, rapid.ID).Draw(t, "name servers") {
			n.DNSServers = append(n.DNSServers, lab.DNSServer{Name: fmt.Sprintf("%s <&\"%d", name, i), Address: a})
		}
		return n
	})
}

// TestRoundTrip holds that what is exported can be imported again and is the same.
func TestRoundTrip(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var want []lab.VirtualNetwork
		for i := range rapid.IntRange(0, 4).Draw(t, "networks") {
			want = append(want, network(fmt.Sprintf("net%d", i)).Draw(t, "network"))
		}
		var b bytes.Buffer
		if err := WriteNetworkConfiguration(&b, want); err != nil {
			t.Fatal(err)
		}
		c, err := Read("n", b.Bytes())
		if err != nil {
			t.Fatalf("%v\n%s", err, b.String())
		}
		var got []lab.VirtualNetwork
		for _, site := range c.VirtualNetworkSites {
			n := lab.VirtualNetwork{Name: site.Name, AffinityGroup: site.AffinityGroup, Location: site.Location}
			for _, p := range site.AddressSpace {
				n.AddressSpace = append(n.AddressSpace, p.Prefix)
			}
			for _, s := range site.Subnets {
				n.Subnets = append(n.Subnets, lab.Subnet{Name: s.Name, AddressPrefix: s.AddressPrefix})
			}
			for _, s := range site.DNSServers {
				n.DNSServers = append(n.DNSServers, lab.DNSServer{Name: s.Name, Address: s.Address})
			}
			got = append(got, n)
		}
		if diff := cmp.Diff(want, got, ignore, cmp.Transformer("empty", func(all []netip.Addr) []string {
			out := []string{}
			for _, a := range all {
				out = append(out, a.String())
			}
			return out
		})); diff != "" {
			t.Fatalf("-want +got\n%s", diff)
		}
	})
}

type fullDisk struct{ room int }

func (f *fullDisk) Write(p []byte) (int, error) {
	if len(p) > f.room {
		return 0, errors.New("no space left on device")
	}
	f.room -= len(p)
	return len(p), nil
}

func TestWriteFails(t *testing.T) {
	for room := range 200 {
		if err := WriteNetworkConfiguration(&fullDisk{room}, nil); err == nil && room < 180 || err != nil &&
			!strings.Contains(err.Error(), "no space left") {
			t.Errorf("with room for %d bytes: %v", room, err)
		}
	}
}

// TestWriteServerNames holds the names of name servers: those of the networks, and where two networks have the same
// name for different addresses, another one for the second.
func TestWriteServerNames(t *testing.T) {
	server := func(name, address string) lab.DNSServer {
		return lab.DNSServer{Name: name, Address: netip.MustParseAddr(address)}
	}
	networks := []lab.VirtualNetwork{
		{Name: "a", Location: "West US", DNSServers: []lab.DNSServer{
			server("AD 1", "10.0.0.4"),
			server("", "10.0.0.5"),
		}},
		{Name: "b", Location: "West US", DNSServers: []lab.DNSServer{
			server("ad 1", "10.0.0.6"),
			server("DNS-10.0.0.5", "10.0.0.7"),
		}},
		{Name: "c", Location: "West US", DNSServers: []lab.DNSServer{
			server("ad 1", "10.0.0.4"),
			server("other", "10.0.0.4"),
		}},
	}
	for i := range networks {
		networks[i].AddressSpace = []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8")}
	}
	var b bytes.Buffer
	if err := WriteNetworkConfiguration(&b, networks); err != nil {
		t.Fatal(err)
	}
	c, err := Read("n", b.Bytes())
	if err != nil {
		t.Fatalf("%v\n%s", err, b.String())
	}
	want := []string{
		"a: AD 1=10.0.0.4 dns-10.0.0.5=10.0.0.5",
		"b: ad 1-10.0.0.6=10.0.0.6 DNS-10.0.0.5-10.0.0.7=10.0.0.7",
		"c: AD 1=10.0.0.4 other=10.0.0.4",
	}
	var got []string
	for _, v := range c.VirtualNetworkSites {
		text := v.Name + ":"
		for _, s := range v.DNSServers {
			text += " " + s.Name + "=" + s.Address.String()
		}
		got = append(got, text)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("-want +got\n%s", diff)
	}
}
