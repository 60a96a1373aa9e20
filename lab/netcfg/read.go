package netcfg

import (
	"net/netip"
	"slices"

	"vnetlab/lab/strictxml"
)

// Read reads a network configuration. The error is of type strictxml.Errors and has all problems of the file.
func Read(file string, data []byte) (*NetworkConfiguration, error) {
	doc, err := strictxml.Read(file, data, schema)
	if err != nil {
		return nil, err
	}
	c := &NetworkConfiguration{Origin: doc.Root.Origin}
	body := doc.Root.Child("VirtualNetworkConfiguration")

	servers := body.Child("Dns").Child("DnsServers").All("DnsServer")
	strictxml.Unique(servers, "name", "DNS server")
	for _, e := range servers {
		c.DNSServers = append(c.DNSServers, DNSServer{
			Name: e.Get("name"), Address: e.Address("IPAddress"),
			Origin: e.Origin,
		})
	}
	local := body.Child("LocalNetworkSites").All("LocalNetworkSite")
	strictxml.Unique(local, "name", "local network site")
	for _, e := range local {
		c.LocalNetworkSites = append(c.LocalNetworkSites, readLocal(e))
	}
	sites := body.Child("VirtualNetworkSites").All("VirtualNetworkSite")
	strictxml.Unique(sites, "name", "virtual network site")
	dnsNames, localNames := names(servers), names(local)
	for _, e := range sites {
		c.VirtualNetworkSites = append(c.VirtualNetworkSites, c.readSite(e, dnsNames, localNames))
	}
	if err := doc.Err(); err != nil {
		return nil, err
	}
	c.standIns()
	c.notes = doc.Notes
	c.noteDifferences()
	return c, nil
}

func readLocal(e *strictxml.Element) LocalNetworkSite {
	l := LocalNetworkSite{
		Name:         e.Get("name"),
		AddressSpace: readPrefixes(e.Child("AddressSpace").All("AddressPrefix")), Origin: e.Origin,
	}
	if g := e.Child("VPNGatewayAddress"); g != nil && g.Text != "" {
		addr, ok := strictxml.ParseAddress(g.Text)
		if !ok {
			g.Fail("VPNGatewayAddress is %.60q, expected an IPv4 address", g.Text)
			return l
		}
		l.VPNGatewayAddress = addr
		g.ReadAs(g.Origin, "VPNGatewayAddress", g.Text, addr)
	}
	return l
}

// readPrefixes reads the prefixes of an address space, each once.
func readPrefixes(elements []*strictxml.Element) []Prefix {
	var all []Prefix
	for _, e := range elements {
		p := readPrefix(e)
		if !slices.ContainsFunc(all, func(o Prefix) bool { return o.Prefix == p }) {
			all = append(all, Prefix{p, e.Origin})
		}
	}
	return all
}

// readPrefix reads the text of an element. The platform accepted 10.0.0.11/8 as 10.0.0.0/8.
func readPrefix(e *strictxml.Element) netip.Prefix {
	if e == nil || e.Text == "" {
		return netip.Prefix{}
	}
	p, ok := strictxml.ParsePrefix(e.Text)
	if !ok {
		e.Fail("%s is %.60q, expected an IPv4 prefix such as 10.0.0.0/16", e.Name, e.Text)
		return p
	}
	e.ReadAs(e.Origin, e.Name, e.Text, p)
	return p
}

func names(elements []*strictxml.Element) []string {
	all := make([]string, len(elements))
	for i, e := range elements {
		all[i] = e.Get("name")
	}
	return all
}

// readSite reads a virtual network; it can refer to the DNS servers and local network sites of some names.
func (c *NetworkConfiguration) readSite(e *strictxml.Element, dns, local []string) VirtualNetworkSite {
	v := VirtualNetworkSite{
		Name:          e.Get("name"),
		AffinityGroup: e.Get("AffinityGroup"),
		Location:      e.Get("Location"),
		AddressSpace:  readPrefixes(e.Child("AddressSpace").All("AddressPrefix")),
		Origin:        e.Origin,
	}
	if l := e.Child("Label"); l != nil {
		v.Label = l.Text
	}
	switch {
	case v.AffinityGroup == "" && v.Location == "":
		// The platform's own text, its spelling included.
		e.Fail("Neither Affinity Group nor Location elemet is specified in virtual network site '%.60s'. "+
			"Either Affinity Group or Location must be specified for every virtual network.", v.Name)
	case v.AffinityGroup != "" && v.Location != "":
		e.FailAt("Location", "virtual network site %.60q has both an affinity group and a location", v.Name).
			WithHint("keep one of the two")
	}
	subnets := e.Child("Subnets").All("Subnet")
	strictxml.Unique(subnets, "name", "subnet")
	for _, s := range subnets {
		v.Subnets = append(v.Subnets,
			Subnet{Name: s.Get("name"), AddressPrefix: readPrefix(s.Child("AddressPrefix")), Origin: s.Origin})
	}
	refs := e.Child("DnsServersRef").All("DnsServerRef")
	strictxml.Unique(refs, "name", "reference to DNS server")
	for _, r := range refs {
		mustExist(r, "DNS server", dns)
		if i := slices.Index(dns, r.Get("name")); i >= 0 {
			v.DNSServers = append(v.DNSServers, DNSServer{
				Name: dns[i], Address: c.DNSServers[i].Address,
				Origin: r.Origin,
			})
		}
	}
	v.Gateway = readGateway(e.Child("Gateway"), local)
	return v
}

func readGateway(e *strictxml.Element, local []string) *Gateway {
	if e == nil {
		return nil
	}
	g := &Gateway{
		Profile: e.Get("profile"), VPNClientAddressPool: readPrefixes(e.Child("VPNClientAddressPool").
				All("AddressPrefix")), Origin: e.Origin,
	}
	refs := e.Child("ConnectionsToLocalNetwork").All("LocalNetworkSiteRef")
	strictxml.Unique(refs, "name", "reference to local network site")
	for _, r := range refs {
		connection := Connection{LocalNetworkSite: r.Get("name"), Type: IPsec, Origin: r.Origin}
		types := r.All("Connection")
		for _, t := range types {
			connection.Type = t.OneOf("type", IPsec, IPsec, Dedicated)
			if !slices.Contains(g.Connections, connection) {
				g.Connections = append(g.Connections, connection)
			}
		}
		if len(types) == 0 {
			g.Connections = append(g.Connections, connection)
		}
		mustExist(r, "local network site", local)
	}
	return g
}

// mustExist adds an error if a reference has an unknown name.
func mustExist(ref *strictxml.Element, what string, known []string) {
	if name := ref.Get("name"); name != "" && !slices.Contains(known, name) {
		ref.FailAt("name", "%s %.60q is not defined", what, name).DidYouMean(name, known)
	}
}
