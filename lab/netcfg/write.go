package netcfg

import (
	"encoding/xml"
	"fmt"
	"io"
	"net/netip"
	"slices"

	"vnetlab/lab"
)

// The document as it is written. The namespace stands on the root alone, and all below inherits it.
type (
	document struct {
		XMLName xml.Name      `xml:"http://schemas.microsoft.com/ServiceHosting/2011/07/NetworkConfiguration NetworkConfiguration"`
		DNS     *dnsServers   `xml:"VirtualNetworkConfiguration>Dns"`
		Local   *localSites   `xml:"VirtualNetworkConfiguration>LocalNetworkSites"`
		Sites   []writtenSite `xml:"VirtualNetworkConfiguration>VirtualNetworkSites>VirtualNetworkSite"`
	}
	dnsServers struct {
		Servers []writtenServer `xml:"DnsServers>DnsServer"`
	}
	writtenServer struct {
		Name    string `xml:"name,attr"`
		Address string `xml:"IPAddress,attr"`
	}
	localSites struct {
		Sites []writtenLocal `xml:"LocalNetworkSite"`
	}
	writtenLocal struct {
		Name              string   `xml:"name,attr"`
		AddressSpace      []string `xml:"AddressSpace>AddressPrefix"`
		VPNGatewayAddress string   `xml:"VPNGatewayAddress,omitempty"`
	}
	writtenSite struct {
		Name          string          `xml:"name,attr"`
		AffinityGroup string          `xml:"AffinityGroup,attr,omitempty"`
		Location      string          `xml:"Location,attr,omitempty"`
		AddressSpace  []string        `xml:"AddressSpace>AddressPrefix"`
		Subnets       *writtenSubnets `xml:"Subnets"`
		DNSServers    *references     `xml:"DnsServersRef"`
		Gateway       *writtenGateway `xml:"Gateway"`
	}
	writtenSubnets struct {
		Subnets []writtenSubnet `xml:"Subnet"`
	}
	writtenSubnet struct {
		Name          string `xml:"name,attr"`
		AddressPrefix string `xml:"AddressPrefix"`
	}
	references struct {
		Servers []reference `xml:"DnsServerRef"`
	}
	reference struct {
		Name string `xml:"name,attr"`
	}
	writtenGateway struct {
		Connections *connections `xml:"ConnectionsToLocalNetwork"`
	}
	connections struct {
		Sites []siteReference `xml:"LocalNetworkSiteRef"`
	}
	siteReference struct {
		Name       string     `xml:"name,attr"`
		Connection connection `xml:"Connection"`
	}
	connection struct {
		Type string `xml:"type,attr"`
	}
)

// WriteNetworkConfiguration writes virtual networks with their gateways, and local network sites, as a network configuration, which Read
// reads back as the same networks: Get Network Configuration. A name server has no name in a lab and is called after its address. A
// virtual network that a gateway connects to is written as a local network site that stands for it. The hosts of local network sites have
// no place in the file.
func WriteNetworkConfiguration(w io.Writer, networks []lab.VirtualNetwork, sites ...lab.LocalNetwork) error {
	var d document
	for _, s := range sites {
		d.addLocal(s.Name, s.AddressSpace, s.VPNGatewayAddress)
	}
	for _, n := range networks {
		site := writtenSite{Name: n.Name, AffinityGroup: n.AffinityGroup, Location: n.Location}
		for _, p := range n.AddressSpace {
			site.AddressSpace = append(site.AddressSpace, p.String())
		}
		if len(n.Subnets) > 0 {
			site.Subnets = &writtenSubnets{}
		}
		for _, s := range n.Subnets {
			site.Subnets.Subnets = append(site.Subnets.Subnets, writtenSubnet{s.Name, s.AddressPrefix.String()})
		}
		if len(n.DNSServers) > 0 {
			site.DNSServers = &references{}
		}
		for _, a := range n.DNSServers {
			// A network refers to a server once.
			if ref := (reference{serverName(a)}); !slices.Contains(site.DNSServers.Servers, ref) {
				site.DNSServers.Servers = append(site.DNSServers.Servers, ref)
			}
			d.addServer(a)
		}
		if n.Gateway != nil {
			site.Gateway = &writtenGateway{}
			for _, c := range n.Gateway.Connections {
				site.Gateway.connect(c)
				d.addStandIn(c, networks)
			}
		}
		d.Sites = append(d.Sites, site)
	}
	if _, err := io.WriteString(w, xml.Header); err != nil {
		return fmt.Errorf("write the network configuration: %w", err)
	}
	encoder := xml.NewEncoder(w)
	encoder.Indent("", "  ")
	if err := encoder.Encode(d); err != nil {
		return fmt.Errorf("write the network configuration: %w", err)
	}
	if _, err := io.WriteString(w, "\n"); err != nil {
		return fmt.Errorf("write the network configuration: %w", err)
	}
	return nil
}

func (d *document) addServer(a netip.Addr) {
	if d.DNS == nil {
		d.DNS = &dnsServers{}
	}
	if s := (writtenServer{serverName(a), a.String()}); !slices.Contains(d.DNS.Servers, s) {
		d.DNS.Servers = append(d.DNS.Servers, s)
	}
}

func (g *writtenGateway) connect(name string) {
	if g.Connections == nil {
		g.Connections = &connections{}
	}
	g.Connections.Sites = append(g.Connections.Sites, siteReference{name, connection{"IPsec"}})
}

// addStandIn adds a local network site for the virtual network of a name, where there is one.
func (d *document) addStandIn(name string, networks []lab.VirtualNetwork) {
	i := slices.IndexFunc(networks, func(n lab.VirtualNetwork) bool { return n.Name == name })
	if i < 0 || d.Local != nil && slices.ContainsFunc(d.Local.Sites, func(l writtenLocal) bool { return l.Name == name }) {
		return
	}
	var gateway netip.Addr
	if networks[i].Gateway != nil {
		gateway = networks[i].Gateway.Address
	}
	d.addLocal(name, networks[i].AddressSpace, gateway)
}

func (d *document) addLocal(name string, space []netip.Prefix, gateway netip.Addr) {
	site := writtenLocal{Name: name}
	for _, p := range space {
		site.AddressSpace = append(site.AddressSpace, p.String())
	}
	if gateway.IsValid() {
		site.VPNGatewayAddress = gateway.String()
	}
	if d.Local == nil {
		d.Local = &localSites{}
	}
	d.Local.Sites = append(d.Local.Sites, site)
}

func serverName(a netip.Addr) string { return "dns-" + a.String() }
