package netcfg

import (
	"cmp"
	"encoding/xml"
	"fmt"
	"io"
	"net/netip"
	"slices"
	"strings"

	"vnetlab/lab"
)

// The document as it is written. Only the root names the namespace; all elements inherit it.
type (
	document struct {
		XMLName xml.Name      `xml:"http://schemas.microsoft.com/ServiceHosting/2011/07/NetworkConfiguration NetworkConfiguration"`
		DNS     *dnsServers   `xml:"VirtualNetworkConfiguration>Dns"`
		Local   *localSites   `xml:"VirtualNetworkConfiguration>LocalNetworkSites"`
		Sites   []writtenSite `xml:"VirtualNetworkConfiguration>VirtualNetworkSites>VirtualNetworkSite"`

		standIns map[string]string // by the virtual network
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
		Profile     string      `xml:"profile,attr,omitempty"`
		Clients     *space      `xml:"VPNClientAddressPool"`
		Connections connections `xml:"ConnectionsToLocalNetwork"`
	}
	space struct {
		Prefixes []string `xml:"AddressPrefix"`
	}
	connections struct {
		Sites []siteReference `xml:"LocalNetworkSiteRef"`
	}
	siteReference struct {
		Name        string       `xml:"name,attr"`
		Connections []connection `xml:"Connection"`
	}
	connection struct {
		Type string `xml:"type,attr"`
	}
)

// WriteNetworkConfiguration writes virtual networks with their gateways, and local network sites, as a network
// configuration, which Read reads back as the same networks: Get Network Configuration. A name server has no name
// in a lab and is called after its address. A virtual network that a gateway connects to is written as a local
// network site that stands for it. The hosts of local network sites can't be written.
func WriteNetworkConfiguration(w io.Writer, networks []lab.VirtualNetwork, sites ...lab.LocalNetwork) error {
	var d document
	for _, s := range sites {
		d.addLocal(s.Name, s.AddressSpace, s.VPNGatewayAddress)
	}
	for _, n := range networks {
		site := writtenSite{
			Name: n.Name, AffinityGroup: n.AffinityGroup, Location: n.Location,
			AddressSpace: texts(n.AddressSpace),
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
		for _, s := range n.DNSServers {
			// A network refers to a server once.
			if ref := (reference{d.addServer(s)}); !slices.Contains(site.DNSServers.Servers, ref) {
				site.DNSServers.Servers = append(site.DNSServers.Servers, ref)
			}
		}
		if n.Gateway != nil {
			site.Gateway = d.gateway(n.Gateway, networks)
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

// addServer adds a name server, unless it is there, and returns its name in the file. Where networks have the same name
// for different addresses, the later ones get the address in addition.
func (d *document) addServer(s lab.DNSServer) string {
	if d.DNS == nil {
		d.DNS = &dnsServers{}
	}
	w := writtenServer{cmp.Or(strings.TrimSpace(s.Name), "dns-"+s.Address.String()), s.Address.String()}
	for {
		i := slices.IndexFunc(d.DNS.Servers, func(o writtenServer) bool { return strings.EqualFold(o.Name, w.Name) })
		if i < 0 {
			d.DNS.Servers = append(d.DNS.Servers, w)
			return w.Name
		}
		if d.DNS.Servers[i].Address == w.Address {
			return d.DNS.Servers[i].Name
		}
		w.Name += "-" + w.Address
	}
}

// gateway returns a gateway as it is written. A connection to a virtual network becomes one to a local network site
// that stands for it.
func (d *document) gateway(g *lab.VPNGateway, networks []lab.VirtualNetwork) *writtenGateway {
	w := &writtenGateway{Profile: g.Profile}
	if len(g.ClientAddressPool) > 0 {
		w.Clients = &space{texts(g.ClientAddressPool)}
	}
	for _, c := range g.Connections {
		name, kind := c.Name, connection{IPsec}
		if c.Dedicated {
			kind.Type = Dedicated
		}
		if c.To == lab.ToVirtualNetwork {
			name = d.standIn(c.Name, networks)
		}
		if i := slices.IndexFunc(w.Connections.Sites, func(r siteReference) bool { return r.Name == name }); i >= 0 {
			w.Connections.Sites[i].Connections = append(w.Connections.Sites[i].Connections, kind)
			continue
		}
		w.Connections.Sites = append(w.Connections.Sites, siteReference{name, []connection{kind}})
	}
	return w
}

// standIn returns the name of the local network site that stands for a virtual network: the network's, unless a
// site on the customer's premises has it.
func (d *document) standIn(network string, networks []lab.VirtualNetwork) string {
	if name, ok := d.standIns[network]; ok {
		return name
	}
	name := network
	for d.Local != nil &&
		slices.ContainsFunc(d.Local.Sites, func(l writtenLocal) bool { return strings.EqualFold(l.Name, name) }) {
		name += "-network"
	}
	if d.standIns == nil {
		d.standIns = map[string]string{}
	}
	d.standIns[network] = name
	if i := slices.IndexFunc(networks, func(n lab.VirtualNetwork) bool { return n.Name == network }); i >= 0 {
		var gateway netip.Addr
		if networks[i].Gateway != nil {
			gateway = networks[i].Gateway.Address
		}
		d.addLocal(name, networks[i].AddressSpace, gateway)
	}
	return name
}

func texts(prefixes []netip.Prefix) []string {
	all := make([]string, len(prefixes))
	for i, p := range prefixes {
		all[i] = p.String()
	}
	return all
}

func (d *document) addLocal(name string, space []netip.Prefix, gateway netip.Addr) {
	site := writtenLocal{Name: name, AddressSpace: texts(space)}
	if gateway.IsValid() {
		site.VPNGatewayAddress = gateway.String()
	}
	if d.Local == nil {
		d.Local = &localSites{}
	}
	d.Local.Sites = append(d.Local.Sites, site)
}
