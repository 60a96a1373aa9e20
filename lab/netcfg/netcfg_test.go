package netcfg

import (
	"errors"
	"fmt"
	"net/netip"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"vnetlab/emu"
	"vnetlab/lab/strictxml"
)

const full = `<?xml version="1.0" encoding="utf-8"?>
<NetworkConfiguration xmlns:xsd="http://www.w3.org/2001/XMLSchema" xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance" xmlns="http://schemas.microsoft.com/ServiceHosting/2011/07/NetworkConfiguration">
  <VirtualNetworkConfiguration>
    <Dns><DnsServers><DnsServer name="YourDNS" IPAddress="10.1.0.4" /></DnsServers></Dns>
    <LocalNetworkSites>
      <LocalNetworkSite name="YourCorpHQ">
        <AddressSpace><AddressPrefix>10.1.0.0/16</AddressPrefix></AddressSpace>
        <VPNGatewayAddress>203.0.113.10</VPNGatewayAddress>
      </LocalNetworkSite>
    </LocalNetworkSites>
    <VirtualNetworkSites>
      <VirtualNetworkSite name="YourVirtualNetwork" AffinityGroup="YourAffinityGroup">
        <AddressSpace><AddressPrefix>10.4.0.0/16</AddressPrefix></AddressSpace>
        <Subnets>
          <Subnet name="FrontEndSubnet"><AddressPrefix>10.4.2.0/24</AddressPrefix></Subnet>
          <Subnet name="BackEndSubnet"><AddressPrefix>10.4.3.0/24</AddressPrefix></Subnet>
          <Subnet name="GatewaySubnet"><AddressPrefix>10.4.1.0/24</AddressPrefix></Subnet>
        </Subnets>
        <DnsServersRef><DnsServerRef name="YourDNS" /></DnsServersRef>
        <Gateway>
          <ConnectionsToLocalNetwork>
            <LocalNetworkSiteRef name="YourCorpHQ"><Connection type="IPsec" /></LocalNetworkSiteRef>
          </ConnectionsToLocalNetwork>
        </Gateway>
      </VirtualNetworkSite>
    </VirtualNetworkSites>
  </VirtualNetworkConfiguration>
</NetworkConfiguration>
`

const small = `<NetworkConfiguration xmlns="http://schemas.microsoft.com/ServiceHosting/2011/07/NetworkConfiguration"><VirtualNetworkConfiguration>
<VirtualNetworkSites>
<VirtualNetworkSite name="SampleNetwork" Location="West US">
<DnsServersRef/>
<Subnets><Subnet name="FrontEnd"><AddressPrefix> 10.0.1.77/24 </AddressPrefix></Subnet></Subnets>
<AddressSpace><AddressPrefix>10.0.0.11/8</AddressPrefix><AddressPrefix>172.16.0.0/12</AddressPrefix></AddressSpace>
<Label>our network</Label>
</VirtualNetworkSite>
</VirtualNetworkSites>
<LocalNetworkSites/>
<Dns/>
</VirtualNetworkConfiguration></NetworkConfiguration>`

var ignore = cmp.Options{
	cmpopts.IgnoreUnexported(NetworkConfiguration{}), cmpopts.IgnoreTypes(emu.Origin{}),
	cmp.Comparer(func(a, b netip.Addr) bool { return a == b }), cmp.Comparer(func(a, b netip.Prefix) bool { return a == b }),
}

func prefix(s string) Prefix { return Prefix{Prefix: netip.MustParsePrefix(s)} }

func TestReadFull(t *testing.T) {
	c, err := Read("n.netcfg", []byte(full))
	if err != nil {
		t.Fatal(err)
	}
	dns := DNSServer{Name: "YourDNS", Address: netip.MustParseAddr("10.1.0.4")}
	want := &NetworkConfiguration{
		DNSServers:        []DNSServer{dns},
		LocalNetworkSites: []LocalNetworkSite{{Name: "YourCorpHQ", AddressSpace: []Prefix{prefix("10.1.0.0/16")}, VPNGatewayAddress: netip.MustParseAddr("203.0.113.10")}},
		VirtualNetworkSites: []VirtualNetworkSite{{
			Name: "YourVirtualNetwork", AffinityGroup: "YourAffinityGroup", AddressSpace: []Prefix{prefix("10.4.0.0/16")},
			Subnets: []Subnet{
				{Name: "FrontEndSubnet", AddressPrefix: netip.MustParsePrefix("10.4.2.0/24")},
				{Name: "BackEndSubnet", AddressPrefix: netip.MustParsePrefix("10.4.3.0/24")},
				{Name: "GatewaySubnet", AddressPrefix: netip.MustParsePrefix("10.4.1.0/24")},
			},
			DNSServers: []DNSServer{dns},
			Gateway:    &Gateway{Connections: []Connection{{LocalNetworkSite: "YourCorpHQ", Type: "IPsec"}}},
		}},
	}
	if diff := cmp.Diff(want, c, ignore); diff != "" {
		t.Errorf("-want +got\n%s", diff)
	}
	v := c.VirtualNetworkSites[0]
	for got, want := range map[string]string{
		v.Origin.String(): "n.netcfg:12:7", v.Subnets[1].Origin.String(): "n.netcfg:16:11",
		v.DNSServers[0].Origin.String(): "n.netcfg:19:24", v.AddressSpace[0].Origin.String(): "n.netcfg:13:23",
	} {
		if got != want {
			t.Errorf("place %s, want %s", got, want)
		}
	}
	if c.Unsupported() != nil || c.WithoutEffect() != nil {
		t.Error(c.Unsupported(), c.WithoutEffect())
	}
}

func TestUnsupported(t *testing.T) {
	in := strings.Replace(full, "IPsec", "Dedicated", 1)
	in = strings.Replace(in, "<Gateway>", "<Gateway><VPNClientAddressPool><AddressPrefix>10.9.0.0/24</AddressPrefix></VPNClientAddressPool>", 1)
	c, err := Read("n", []byte(in))
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(`n:20:40: gateway of virtual network site "YourVirtualNetwork": this version of vnetlab can't build point-to-site connections; remove it, and the lab is without it
n:22:13: gateway of virtual network site "YourVirtualNetwork": this version of vnetlab can't build dedicated connections (ExpressRoute); remove it, and the lab is without it`, c.Unsupported().Error()); diff != "" {
		t.Errorf("-want +got\n%s", diff)
	}
}

// TestStandIns holds that a site with exactly the address space of a virtual network stands for it.
func TestStandIns(t *testing.T) {
	site := func(name string, prefixes ...string) string {
		return fmt.Sprintf(`<LocalNetworkSite name=%q><AddressSpace><AddressPrefix>%s</AddressPrefix></AddressSpace><VPNGatewayAddress>23.96.0.9</VPNGatewayAddress></LocalNetworkSite>`,
			name, strings.Join(prefixes, "</AddressPrefix><AddressPrefix>"))
	}
	in := strings.Replace(small, "<LocalNetworkSites/>", "<LocalNetworkSites>"+
		site("ToSample", "172.16.0.0/12", "10.0.0.0/8")+site("Part", "10.0.0.0/8")+site("Desk", "10.0.0.0/9", "172.16.0.0/12")+"</LocalNetworkSites>", 1)
	c, err := Read("n", []byte(in))
	if err != nil || c.Unsupported() != nil {
		t.Fatal(err, c.Unsupported())
	}
	for i, want := range []string{"SampleNetwork", "", ""} {
		if got := c.LocalNetworkSites[i]; got.VirtualNetworkSite != want {
			t.Errorf("%s stands for %q", got.Name, got.VirtualNetworkSite)
		}
	}
	if all := c.WithoutEffect(); len(all) != 1 || !strings.Contains(all[0].Text, `"ToSample" has no effect: it stands for the virtual network "SampleNetwork"`) {
		t.Errorf("%v", all)
	}

	twin := `<VirtualNetworkSite name="Twin" Location="West US"><AddressSpace><AddressPrefix>172.16.0.0/12</AddressPrefix><AddressPrefix>10.0.0.0/8</AddressPrefix></AddressSpace></VirtualNetworkSite></VirtualNetworkSites>`
	in = strings.Replace(in, "</VirtualNetworkSites>", twin, 1)
	if c, err = Read("n", []byte(in)); err != nil {
		t.Fatal(err)
	}
	if got := c.Unsupported(); len(got) != 1 || !strings.HasSuffix(got.Error(), "it can't be told which it stands for; give it the name of one of them: SampleNetwork, Twin") {
		t.Error(got)
	}
	if c, err = Read("n", []byte(strings.Replace(in, "ToSample", "Twin", 1))); err != nil || c.Unsupported() != nil || c.LocalNetworkSites[0].VirtualNetworkSite != "Twin" {
		t.Error(err, c.Unsupported(), c.LocalNetworkSites[0])
	}
}

func TestReadSmall(t *testing.T) {
	c, err := Read("n", []byte(small))
	if err != nil {
		t.Fatal(err)
	}
	want := &NetworkConfiguration{VirtualNetworkSites: []VirtualNetworkSite{{
		Name: "SampleNetwork", Location: "West US", Label: "our network",
		AddressSpace: []Prefix{prefix("10.0.0.0/8"), prefix("172.16.0.0/12")},
		Subnets:      []Subnet{{Name: "FrontEnd", AddressPrefix: netip.MustParsePrefix("10.0.1.0/24")}},
	}}}
	if diff := cmp.Diff(want, c, ignore); diff != "" {
		t.Errorf("-want +got\n%s", diff)
	}
	if c.Unsupported() != nil {
		t.Error(c.Unsupported())
	}
}

func TestErrors(t *testing.T) {
	for _, c := range []struct{ in, old, new, want string }{
		{small, ` Location="West US"`, ``, `n:3:1: Neither Affinity Group nor Location elemet is specified in virtual network site 'SampleNetwork'. Either Affinity Group or Location must be specified for every virtual network.`},
		{small, ` Location="West US"`, ` Location="West US" AffinityGroup="g"`, `n:3:42: virtual network site "SampleNetwork" has both an affinity group and a location; keep one of the two`},
		{small, ` Location=`, ` location=`, `n:3:1: Neither Affinity Group nor Location elemet is specified in virtual network site 'SampleNetwork'. Either Affinity Group or Location must be specified for every virtual network.` +
			"\n" + `n:3:42: <VirtualNetworkSite> has no attribute "location"; did you mean "Location"?`},
		{small, ` 10.0.1.77/24 `, `10.0.1.0`, `n:5:34: AddressPrefix is "10.0.1.0", expected an IPv4 prefix such as 10.0.0.0/16`},
		{small, ` 10.0.1.77/24 `, `fd00::/64`, `n:5:34: AddressPrefix is "fd00::/64", expected an IPv4 prefix such as 10.0.0.0/16`},
		{small, `<AddressPrefix> 10.0.1.77/24 </AddressPrefix>`, ``, `n:5:10: <Subnet> lacks the element <AddressPrefix>`},
		{small, `</AddressPrefix></Subnet>`, `</AddressPrefix><AddressPrefix>10.0.2.0/24</AddressPrefix></Subnet>`, `n:5:79: <AddressPrefix> stands more than once in <Subnet>; the first is at line 5`},
		{small, `</Subnet>`, `</Subnet><Subnet name="frontend"><AddressPrefix>10.0.2.0/24</AddressPrefix></Subnet>`, `n:5:96: subnet "frontend" is there already; the first is at line 5`},
		{small, `<DnsServersRef/>`, `<DnsServersRef><DnsServerRef name="x"/></DnsServersRef>`, `n:4:30: DNS server "x" is not defined`},
		{small, `<AddressPrefix>10.0.0.11/8</AddressPrefix><AddressPrefix>172.16.0.0/12</AddressPrefix>`, ``, `n:6:1: <AddressSpace> lacks the element <AddressPrefix>`},
		{
			small, `</VirtualNetworkSite>`, `</VirtualNetworkSite><VirtualNetworkSite name="samplenetwork" Location="x"><AddressSpace><AddressPrefix>10.0.0.0/8</AddressPrefix></AddressSpace></VirtualNetworkSite>`,
			`n:8:42: virtual network site "samplenetwork" is there already; the first is at line 3`,
		},
		{full, `<DnsServerRef name="YourDNS" />`, `<DnsServerRef name="YouDNS" />`, `n:19:38: DNS server "YouDNS" is not defined; did you mean "YourDNS"?`},
		{full, `IPAddress="10.1.0.4"`, `IPAddress="10.1.0.400"`, `n:4:48: IPAddress is "10.1.0.400", expected an IPv4 address`},
		{full, `203.0.113.10`, `vpn.example.org`, `n:8:9: VPNGatewayAddress is "vpn.example.org", expected an IPv4 address`},
		{full, `Ref name="YourCorpHQ"`, `Ref name="YourCorp"`, `n:22:34: local network site "YourCorp" is not defined; did you mean "YourCorpHQ"?`},
		{full, `type="IPsec"`, `type="IPSec"`, `n:22:64: type is "IPSec", expected IPsec or Dedicated; did you mean "IPsec"?`},
		// as in MSDN's own sample
		{full, `<LocalNetworkSiteRef name="YourCorpHQ">`, `<LocalNetworkSiteRef name="YourCorpHQ"/>`, `n:22:102: this is not well-formed XML: element <ConnectionsToLocalNetwork> closed by </LocalNetworkSiteRef>`},
		{full, `2011/07`, `2011/08`, `n:2:1: <NetworkConfiguration> is in the namespace "http://schemas.microsoft.com/ServiceHosting/2011/08/NetworkConfiguration"; expected xmlns="` + Namespace + `"`},
	} {
		_, err := Read("n", []byte(strings.Replace(c.in, c.old, c.new, 1)))
		if err == nil || err.Error() != c.want {
			t.Errorf("%s -> %s:\n got %v\nwant %s", c.old, c.new, err, c.want)
		}
	}
}

func FuzzRead(f *testing.F) {
	f.Add([]byte(full))
	f.Add([]byte(small))
	f.Fuzz(func(t *testing.T, data []byte) {
		c, err := Read("f", data)
		if err == nil {
			for _, v := range c.VirtualNetworkSites {
				for _, p := range v.AddressSpace {
					if !p.IsValid() || p.Masked() != p.Prefix {
						t.Fatal(p)
					}
				}
				for _, s := range v.Subnets {
					if !s.AddressPrefix.IsValid() {
						t.Fatal(s)
					}
				}
			}
			return
		}
		var all strictxml.Errors
		if !errors.As(err, &all) || len(all) == 0 {
			t.Fatalf("%T %v", err, err)
		}
		for _, e := range all {
			if e.Origin.Line < 1 || e.Origin.Column < 1 || e.Message == "" {
				t.Fatalf("an error without place or text: %#v", e)
			}
		}
	})
}
