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
		Sites   []writtenSite `xml:"VirtualNetworkConfiguration>VirtualNetworkSites>VirtualNetworkSite"`
	}
	dnsServers struct {
		Servers []writtenServer `xml:"DnsServers>DnsServer"`
	}
	writtenServer struct {
		Name    string `xml:"name,attr"`
		Address string `xml:"IPAddress,attr"`
	}
	writtenSite struct {
		Name          string          `xml:"name,attr"`
		AffinityGroup string          `xml:"AffinityGroup,attr,omitempty"`
		Location      string          `xml:"Location,attr,omitempty"`
		AddressSpace  []string        `xml:"AddressSpace>AddressPrefix"`
		Subnets       *writtenSubnets `xml:"Subnets"`
		DNSServers    *references     `xml:"DnsServersRef"`
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
)

// WriteNetworkConfiguration writes virtual networks as a network configuration, which Read reads back as the same networks: Get Network
// Configuration. A name server has no name in a lab and is called after its address.
func WriteNetworkConfiguration(w io.Writer, networks []lab.VirtualNetwork) error {
	var d document
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

func serverName(a netip.Addr) string { return "dns-" + a.String() }
