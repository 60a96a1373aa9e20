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
	cmp.Comparer(func(a, b netip.Addr) bool { return a == b }),
	cmp.Comparer(func(a, b netip.Prefix) bool { return a == b }),
}

func prefix(s string) Prefix { return Prefix{Prefix: netip.MustParsePrefix(s)} }

func TestReadFull(t *testing.T) {
	c, err := Read("n.netcfg", []byte(full))
	if err != nil {
		t.Fatal(err)
	}
	dns := DNSServer{Name: "YourDNS", Address: netip.MustParseAddr("10.1.0.4")}
	want := &NetworkConfiguration{
		DNSServers: []DNSServer{dns},
		LocalNetworkSites: []LocalNetworkSite{{
			Name: "YourCorpHQ", AddressSpace: []Prefix{prefix("10.1.0.0/16")},
			VPNGatewayAddress: netip.MustParseAddr("203.0.113.10"),
		}},
		VirtualNetworkSites: []VirtualNetworkSite{{
			Name: "YourVirtualNetwork", AffinityGroup: "YourAffinityGroup",
			AddressSpace: []Prefix{prefix("10.4.0.0/16")},
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
	if c.WithoutEffect() != nil {
		t.Error(c.WithoutEffect())
	}
}

// TestAsExported holds that what the platform took is read, with a note where the lab differs.
func TestAsExported(t *testing.T) {
	for _, c := range []struct{ name, old, new, notes string }{
		{"ExpressRoute", `"IPsec"`, `"Dedicated"`, `n:22:13: the lab has no dedicated circuits (ExpressRoute): ` +
			`virtual network site "YourVirtualNetwork" isn't connected to local network site "YourCorpHQ" by one`},
		{
			"point-to-site", "<Gateway>", `<Gateway ` +
				`profile="Small"><VPNClientAddressPool><AddressPrefix>10.9.0.0/24</AddressPrefix></VPNClientAddressPool>`,
			`n:20:56: the lab has no point-to-site clients: nothing connects to the virtual network site ` +
				`"YourVirtualNetwork" with an address of the pool`,
		},
		{
			"no gateway subnet", `"GatewaySubnet"`, `"Gateway"`,
			`n:20:9: virtual network site "YourVirtualNetwork" has no subnet named GatewaySubnet, so that no ` +
				`gateway can be created in it: it isn't connected`,
		},
		{"no connection", `<Connection type="IPsec" />`, ``, ""},
		{"connection without type", `<Connection type="IPsec" />`, `<Connection/>`, ""},
		{"two connections", `<Connection type="IPsec" />`, `<Connection type="IPsec"/><Connection type="IPsec"/>`, ""},
		{"no VPN device", `<VPNGatewayAddress>203.0.113.10</VPNGatewayAddress>`, `<VPNGatewayAddress/>`, ""},
		{"empty pool", "<Gateway>", `<Gateway profile=""><VPNClientAddressPool/>`, ""},
		{"empty label", "<Subnets>", "<Label></Label><Subnets>", ""},
		{
			"one prefix twice", `<AddressPrefix>10.1.0.0/16</AddressPrefix>`,
			`<AddressPrefix>10.1.0.0/16</AddressPrefix><AddressPrefix>10.1.2.0/16</AddressPrefix>`, "",
		},
		{"zeros", `<AddressPrefix>10.1.0.0/16</AddressPrefix>`, `<AddressPrefix>10.01.00.000/16</AddressPrefix>`, ""},
		{"zeros in an address", `IPAddress="10.1.0.4"`, `IPAddress="10.1.000.004"`, ""},
		{
			"zeros that may be octal", `<AddressPrefix>10.1.0.0/16</AddressPrefix>`,
			`<AddressPrefix>10.011.0.0/16</AddressPrefix>`,
			`n:7:23: AddressPrefix "10.011.0.0/16" is read as 10.11.0.0/16`,
		},
		{
			"style sheet", "<NetworkConfiguration", "<?xml-stylesheet type='text/xsl' href='n.xsl'?><NetworkConfiguration",
			"",
		},
	} {
		read, err := Read("n", []byte(strings.Replace(full, c.old, c.new, 1)))
		if err != nil {
			t.Errorf("%s: %v", c.name, err)
			continue
		}
		var notes []string
		for _, n := range read.WithoutEffect() {
			notes = append(notes, n.String())
			if !n.Differs {
				t.Errorf("%s: nobody is told that %s", c.name, n)
			}
		}
		if diff := cmp.Diff(c.notes, strings.Join(notes, "\n")); diff != "" {
			t.Errorf("%s: -want +got\n%s", c.name, diff)
		}
		if g := read.VirtualNetworkSites[0].Gateway; len(g.Connections) != 1 ||
			len(read.LocalNetworkSites[0].AddressSpace) != 1 {
			t.Errorf("%s: %+v", c.name, g)
		}
	}
	for _, in := range []string{
		`<NetworkConfiguration xmlns="` + Namespace + `"/>`,
		`<NetworkConfiguration xmlns="` + Namespace +
			`"><VirtualNetworkConfiguration><Dns><DnsServers/></Dns><LocalNetworkSites/><VirtualNetworkSites/></VirtualNetworkConfiguration></NetworkConfiguration>`,
		strings.Replace(small, "<Label>", "<Gateway/><Label>", 1),
		strings.Replace(small, "<Label>",
			"<Gateway><ConnectionsToLocalNetwork></ConnectionsToLocalNetwork></Gateway><Label>", 1),
		strings.Replace(small, `<Subnets><Subnet name="FrontEnd"><AddressPrefix> 10.0.1.77/24 `+
			`</AddressPrefix></Subnet></Subnets>`, "<Subnets/>", 1),
	} {
		if c, err := Read("n", []byte(in)); err != nil || len(c.WithoutEffect()) > 0 {
			t.Errorf("%s: %v %v", in, err, c)
		}
	}
}

// TestStandIns holds that a site with exactly the address space of a virtual network stands for it where the file
// joins the two, and only there.
func TestStandIns(t *testing.T) {
	site := func(name, space string) string {
		return fmt.Sprintf(`<LocalNetworkSite `+
			`name=%q><AddressSpace><AddressPrefix>%s</AddressPrefix></AddressSpace><VPNGatewayAddress>23.96.0.9</VPNGatewayAddress></LocalNetworkSite>`, name, space)
	}
	network := func(name, space string, sites ...string) string {
		refs := ""
		for _, s := range sites {
			refs += fmt.Sprintf(`<LocalNetworkSiteRef name=%q><Connection type="IPsec"/></LocalNetworkSiteRef>`, s)
		}
		return fmt.Sprintf(`<VirtualNetworkSite name=%q Location="West `+
			`US"><AddressSpace><AddressPrefix>%s</AddressPrefix></AddressSpace><Subnets><Subnet `+
			`name="GatewaySubnet"><AddressPrefix>%s</AddressPrefix></Subnet></Subnets><Gateway><ConnectionsToLocalNetwork>%s</ConnectionsToLocalNetwork></Gateway></VirtualNetworkSite>`,
			name, space, strings.Replace(space, "/16", "/29", 1), refs)
	}
	for name, c := range map[string]struct{ sites, networks, want string }{
		"joined": {
			site("ToB", "10.2.0.0/16") + site("ToA", "10.1.0.0/16"),
			network("A", "10.1.0.0/16", "ToB") + network("B", "10.2.0.0/16", "ToA"), "ToB=B ToA=A",
		},
		"joined, by the networks' names": {
			site("B", "10.2.0.0/16") + site("A", "10.1.0.0/16"),
			network("A", "10.1.0.0/16", "B") + network("B", "10.2.0.0/16", "A"), "B=B A=A",
		},
		"one knows the other": {
			site("ToB", "10.2.0.0/16") + site("ToA", "10.1.0.0/16"),
			network("A", "10.1.0.0/16", "ToB") + network("B", "10.2.0.0/16"), "ToB= ToA=",
		},
		"another with the addresses": {
			site("Branch", "10.2.0.0/16"),
			network("A", "10.1.0.0/16", "Branch") + network("B", "10.2.0.0/16"), "Branch=",
		},
		"and with the name": {
			site("B", "10.2.0.0/16"),
			network("A", "10.1.0.0/16", "B") + network("B", "10.2.0.0/16"), "B=",
		},
		"nobody is connected": {
			site("B", "10.2.0.0/16") + site("A", "10.1.0.0/16"),
			network("A", "10.1.0.0/16") + network("B", "10.2.0.0/16"), "B= A=",
		},
		"a part of the addresses": {
			site("ToB", "10.2.0.0/17") + site("ToA", "10.1.0.0/16"),
			network("A", "10.1.0.0/16", "ToB") + network("B", "10.2.0.0/16", "ToA"), "ToB= ToA=",
		},
		"a third with the addresses": {
			site("ToB", "10.2.0.0/16") + site("ToA", "10.1.0.0/16"),
			network("C", "10.2.0.0/16") + network("A", "10.1.0.0/16", "ToB") + network("B", "10.2.0.0/16", "ToA"),
			"ToB=B ToA=A",
		},
		"two that may be meant": {
			site("B", "10.2.0.0/16") + site("ToA", "10.1.0.0/16"),
			network("C", "10.2.0.0/16", "ToA") + network("A", "10.1.0.0/16", "B") + network("B", "10.2.0.0/16", "ToA"),
			"B=B ToA=A",
		},
	} {
		in := fmt.Sprintf(`<NetworkConfiguration `+
			`xmlns=%q><VirtualNetworkConfiguration><LocalNetworkSites>%s</LocalNetworkSites><VirtualNetworkSites>%s</VirtualNetworkSites></VirtualNetworkConfiguration></NetworkConfiguration>`,
			Namespace, c.sites, c.networks)
		read, err := Read("n", []byte(in))
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		var got []string
		stand := 0
		for _, l := range read.LocalNetworkSites {
			got = append(got, l.Name+"="+l.VirtualNetworkSite)
			if l.VirtualNetworkSite != "" {
				stand++
			}
		}
		if got := strings.Join(got, " "); got != c.want {
			t.Errorf("%s: %s, want %s", name, got, c.want)
		}
		if notes := read.WithoutEffect(); len(notes) != stand {
			t.Errorf("%s: notes %v", name, notes)
		}
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
}

func TestErrors(t *testing.T) {
	for _, c := range []struct{ in, old, new, want string }{
		{small, ` Location="West US"`, ``, `n:3:1: Neither Affinity Group nor Location elemet is specified in ` +
			`virtual network site 'SampleNetwork'. Either Affinity Group or Location must be specified for every ` +
			`virtual network.`},
		{
			small, ` Location="West US"`, ` Location="West US" AffinityGroup="g"`,
			`n:3:42: virtual network site "SampleNetwork" has both an affinity group and a location; keep one of ` +
				`the two`,
		},
		{small, ` Location=`, ` location=`, `n:3:1: Neither Affinity Group nor Location elemet is specified in ` +
			`virtual network site 'SampleNetwork'. Either Affinity Group or Location must be specified for every ` +
			`virtual network.` +
			"\n" + `n:3:42: <VirtualNetworkSite> has no attribute "location"; did you mean "Location"?`},
		{
			small, ` 10.0.1.77/24 `, `10.0.1.0`,
			`n:5:34: AddressPrefix is "10.0.1.0", expected an IPv4 prefix such as 10.0.0.0/16`,
		},
		{
			small, ` 10.0.1.77/24 `, `fd00::/64`,
			`n:5:34: AddressPrefix is "fd00::/64", expected an IPv4 prefix such as 10.0.0.0/16`,
		},
		{
			small, `<AddressPrefix> 10.0.1.77/24 </AddressPrefix>`, ``,
			`n:5:10: <Subnet> lacks the element <AddressPrefix>`,
		},
		{
			small, `</AddressPrefix></Subnet>`, `</AddressPrefix><AddressPrefix>10.0.2.0/24</AddressPrefix></Subnet>`,
			`n:5:79: <AddressPrefix> is more than once in <Subnet>; the first is at line 5`,
		},
		{
			small, `</Subnet>`, `</Subnet><Subnet name="frontend"><AddressPrefix>10.0.2.0/24</AddressPrefix></Subnet>`,
			`n:5:96: subnet "frontend" exists already; the first is at line 5`,
		},
		{
			small, `<DnsServersRef/>`, `<DnsServersRef><DnsServerRef name="x"/></DnsServersRef>`,
			`n:4:30: DNS server "x" is not defined`,
		},
		{
			small, `<AddressPrefix>10.0.0.11/8</AddressPrefix><AddressPrefix>172.16.0.0/12</AddressPrefix>`, ``,
			`n:6:1: <AddressSpace> lacks the element <AddressPrefix>`,
		},
		{
			small, `</VirtualNetworkSite>`, `</VirtualNetworkSite><VirtualNetworkSite name="samplenetwork" ` +
				`Location="x"><AddressSpace><AddressPrefix>10.0.0.0/8</AddressPrefix></AddressSpace></VirtualNetworkSite>`,
			`n:8:42: virtual network site "samplenetwork" exists already; the first is at line 3`,
		},
		{
			full, `<DnsServerRef name="YourDNS" />`, `<DnsServerRef name="YouDNS" />`,
			`n:19:38: DNS server "YouDNS" is not defined; did you mean "YourDNS"?`,
		},
		{
			full, `IPAddress="10.1.0.4"`, `IPAddress="10.1.0.400"`,
			`n:4:48: IPAddress is "10.1.0.400", expected an IPv4 address`,
		},
		{
			full, `203.0.113.10`, `vpn.example.org`,
			`n:8:9: VPNGatewayAddress is "vpn.example.org", expected an IPv4 address`,
		},
		{
			full, `Ref name="YourCorpHQ"`, `Ref name="YourCorp"`,
			`n:22:34: local network site "YourCorp" is not defined; did you mean "YourCorpHQ"?`,
		},
		{
			full, `203.0.113.10`, `0203.0.113.10`,
			`n:8:9: VPNGatewayAddress is "0203.0.113.10", expected an IPv4 address`,
		},
		{
			full, `type="IPsec"`, `type="IPSec"`,
			`n:22:64: type is "IPSec", expected IPsec or Dedicated; did you mean "IPsec"?`,
		},
		// as in MSDN's own sample
		{
			full, `<LocalNetworkSiteRef name="YourCorpHQ">`, `<LocalNetworkSiteRef name="YourCorpHQ"/>`,
			`n:22:102: this is not well-formed XML: element <ConnectionsToLocalNetwork> closed by ` +
				`</LocalNetworkSiteRef>`,
		},
		{full, `2011/07`, `2011/08`, `n:2:1: <NetworkConfiguration> is in the namespace ` +
			`"http://schemas.microsoft.com/ServiceHosting/2011/08/NetworkConfiguration"; expected xmlns="` + Namespace +
			`"`},
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
