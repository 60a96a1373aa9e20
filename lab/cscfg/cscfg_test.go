package cscfg

import (
	"errors"
	"fmt"
	"net/netip"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"vnetlab/emu"
	"vnetlab/lab/csdef"
	"vnetlab/lab/strictxml"
)

const contactManager = `<?xml version="1.0" encoding="utf-8"?>
<ServiceConfiguration serviceName="ContactManager" xmlns="http://schemas.microsoft.com/ServiceHosting/2008/10/ServiceConfiguration" osFamily="1" osVersion="*" schemaVersion="2012-05.1.7">
  <Role name="ContactManager.Web">
    <Instances count="1" />
    <ConfigurationSettings>
      <Setting name="Microsoft.WindowsAzure.Plugins.Diagnostics.ConnectionString" value="UseDevelopmentStorage=true" />
    </ConfigurationSettings>
  </Role>
  <NetworkConfiguration>
    <VirtualNetworkSite name="SampleNetwork" />
    <AddressAssignments>
      <InstanceAddress roleName="ContactManager.Web">
        <Subnets><Subnet name="FrontEnd" /></Subnets>
      </InstanceAddress>
    </AddressAssignments>
  </NetworkConfiguration>
</ServiceConfiguration>
`

const everything = `<ServiceConfiguration serviceName="All" xmlns="http://schemas.microsoft.com/ServiceHosting/2008/10/ServiceConfiguration">
  <Role name="Web1" vmName="web">
    <Certificates><Certificate name="tls" thumbprint="00" thumbprintAlgorithm="sha1"/></Certificates>
    <Instances count="20"/>
  </Role>
  <NetworkConfiguration>
    <LoadBalancers><LoadBalancer name="inside"><FrontendIPConfiguration type="private" subnet="A" staticVirtualNetworkIPAddress="10.0.1.9"/></LoadBalancer></LoadBalancers>
    <AddressAssignments>
      <ReservedIPs><ReservedIP name="kept"/></ReservedIPs>
      <InstanceAddress roleName="Web1">
        <PublicIPs><PublicIP name="pub" idleTimeoutInMinutes="30" domainNameLabel="d"/><PublicIP name="more"/></PublicIPs>
        <Subnets><Subnet name="A"/><Subnet name="B"/></Subnets>
      </InstanceAddress>
    </AddressAssignments>
    <VirtualNetworkSite name="Net"/>
    <Dns><DnsServers><DnsServer name="dns1" IPAddress="10.0.1.4"/></DnsServers></Dns>
    <EndpointAcls><EndpointAcl role="Web1" endpoint="Https" accessControl="office"/></EndpointAcls>
    <AccessControls>
      <AccessControl name="office">
        <Rule order="200" action="permit" remoteSubnet="175.0.0.0/8"/>
        <Rule order="100" action="deny" remoteSubnet="175.1.0.1/24" description="not these"/>
      </AccessControl>
    </AccessControls>
  </NetworkConfiguration>
</ServiceConfiguration>`

var ignore = cmp.Options{
	cmpopts.IgnoreUnexported(Configuration{}), cmpopts.IgnoreTypes(emu.Origin{}),
	cmp.Comparer(func(a, b netip.Addr) bool { return a == b }),
	cmp.Comparer(func(a, b netip.Prefix) bool { return a == b }),
}

func TestReadContactManager(t *testing.T) {
	c, err := Read("s.cscfg", []byte(contactManager))
	if err != nil {
		t.Fatal(err)
	}
	want := &Configuration{
		ServiceName: "ContactManager",
		Roles: []Role{{Name: "ContactManager.Web", InstanceCount: 1, Settings: []Setting{
			{Name: "Microsoft.WindowsAzure.Plugins.Diagnostics.ConnectionString", Value: "UseDevelopmentStorage=true"},
		}}},
		VirtualNetworkSite: &Named{Name: "SampleNetwork"},
		InstanceAddresses:  []InstanceAddress{{Role: "ContactManager.Web", Subnets: []Named{{Name: "FrontEnd"}}}},
	}
	if diff := cmp.Diff(want, c, ignore); diff != "" {
		t.Errorf("-want +got\n%s", diff)
	}
	if a, ok := c.InstanceAddress("ContactManager.Web"); !ok || a.Subnets[0].Origin.String() != "s.cscfg:13:18" {
		t.Error(a)
	}
	if c.Unsupported() != nil {
		t.Error(c.Unsupported())
	}
	var b strings.Builder
	for _, n := range c.WithoutEffect() {
		fmt.Fprintln(&b, n.Origin, n.Text)
	}
	if got := b.String(); got != `s.cscfg:2:133 osFamily has no effect on the network
s.cscfg:2:146 osVersion has no effect on the network
s.cscfg:5:5 <ConfigurationSettings> of role "ContactManager.Web" has no effect on the network
` {
		t.Error(got)
	}
}

func TestReadEverything(t *testing.T) {
	c, err := Read("s", []byte(everything))
	if err != nil {
		t.Fatal(err)
	}
	rules := []Rule{
		{Order: 100, RemoteSubnet: netip.MustParsePrefix("175.1.0.0/24"), Description: "not these"},
		{Order: 200, Permit: true, RemoteSubnet: netip.MustParsePrefix("175.0.0.0/8")},
	}
	want := &Configuration{
		ServiceName:        "All",
		Roles:              []Role{{Name: "Web1", VMName: "web", InstanceCount: 20}},
		AccessControls:     []AccessControl{{Name: "office", Rules: rules}},
		EndpointACLs:       []EndpointACL{{Role: "Web1", Endpoint: "Https", AccessControl: "office"}},
		DNSServers:         []DNSServer{{Name: "dns1", Address: netip.MustParseAddr("10.0.1.4")}},
		VirtualNetworkSite: &Named{Name: "Net"},
		InstanceAddresses: []InstanceAddress{{
			Role: "Web1", Subnets: []Named{{Name: "A"}, {Name: "B"}},
			PublicIPs: []PublicIP{{Name: "pub", DomainNameLabel: "d"}, {Name: "more"}},
		}},
		ReservedIPs: []Named{{Name: "kept"}},
		LoadBalancers: []LoadBalancer{{
			Name: "inside", Subnet: "A",
			StaticAddress: netip.MustParseAddr("10.0.1.9"),
		}},
	}
	if diff := cmp.Diff(want, c, ignore); diff != "" {
		t.Errorf("-want +got\n%s", diff)
	}
	if diff := cmp.Diff(rules, c.EndpointACL("Web1", "Https"), ignore); diff != "" {
		t.Error(diff)
	}
	if c.EndpointACL("Web1", "Http") != nil {
		t.Error("an ACL for another endpoint")
	}
	const so, end = ": this version of vnetlab can't build ", "; remove it, and the lab is without it"
	if diff := cmp.Diff(`s:11:88: public IP "more"`+so+"several public addresses of an instance"+end,
		c.Unsupported().Error()); diff != "" {
		t.Errorf("-want +got\n%s", diff)
	}
	var differs strings.Builder
	for _, n := range c.WithoutEffect() {
		if n.Differs {
			fmt.Fprintln(&differs, n)
		}
	}
	if diff := cmp.Diff(`s:2:21: vmName "web": the instances keep the host names Web1_IN_0 and so on
s:11:41: idleTimeoutInMinutes of public IP "pub": it is always 4 minutes
s:12:36: subnet "B": all instances of role "Web1" are in its first subnet, "A"
`, differs.String()); diff != "" {
		t.Errorf("-want +got\n%s", diff)
	}
}

func TestErrors(t *testing.T) {
	for _, c := range []struct{ in, old, new, want string }{
		{contactManager, `count="1"`, `count="0"`, `s:4:16: count is "0", expected a number from 1 to 4096`},
		{contactManager, `<Instances count="1" />`, ``, `s:3:3: <Role> lacks the element <Instances>`},
		{contactManager, `osFamily="1"`, `osFamily="x"`, `s:2:133: osFamily is "x", expected a number from 1 to 100`},
		{
			contactManager, `<Role name="ContactManager.Web">`, `<Role name="ContactManager.Web" vmName="averylongname">`,
			`s:3:35: vmName "averylongname" is longer than 10 characters`,
		},
		{
			contactManager, `  </Role>`, `  </Role><Role name="contactmanager.web"><Instances count="1"/></Role>`,
			`s:8:16: role "contactmanager.web" exists already; the first is at line 3`,
		},
		{
			contactManager, `  </NetworkConfiguration>`,
			`  </NetworkConfiguration><Role name="b"><Instances count="1"/></Role>`,
			`s:9:3: <NetworkConfiguration> must follow the last <Role>`,
		},
		{
			contactManager, `<VirtualNetworkSite name="SampleNetwork" />`, ``,
			`s:13:9: role "ContactManager.Web" has subnets, but the service is in no virtual network; add ` +
				`<VirtualNetworkSite name="..."/>`,
		},
		{
			contactManager, `<Subnets><Subnet name="FrontEnd" /></Subnets>`, ``,
			`s:12:7: the address of role "ContactManager.Web" has no <Subnet>`,
		},
		{contactManager, `"FrontEnd"`, `"GatewaySubnet"`, `s:13:26: no instance can be in the subnet GatewaySubnet; ` +
			`it belongs to the gateway of the virtual network`},
		{
			contactManager, `<Subnet name="FrontEnd" />`, `<Subnet nam="FrontEnd" />`,
			"s:13:18: <Subnet> lacks the attribute \"name\"\n" +
				`s:13:26: <Subnet> has no attribute "nam"; did you mean "name"?`,
		},
		{
			contactManager, `<VirtualNetworkSite name="SampleNetwork" />`,
			`<VirtualNetworkSite name="SampleNetwork" /><VirtualNetworkSite name="b" />`,
			`s:10:48: <VirtualNetworkSite> is more than once in <NetworkConfiguration>; the first is at ` +
				`line 10`,
		},
		// the snippet as it lost its tags in the blog
		{
			contactManager, `<Subnets><Subnet name="FrontEnd" /></Subnets>`, `<Subnet name="FrontEnd" />`,
			"s:12:7: the address of role \"ContactManager.Web\" has no <Subnet>\n" +
				`s:13:9: <Subnet> is not known in <InstanceAddress>; did you mean "Subnets"?`,
		},
		{everything, `"10.0.1.4"`, `"dns"`, `s:16:45: IPAddress is "dns", expected an IPv4 address`},
		{
			everything, `"175.0.0.0/8"`, `"any"`,
			`s:20:43: remoteSubnet is "any", expected an IPv4 prefix such as 203.0.113.0/24`,
		},
		{
			everything, `"175.0.0.0/8"`, `"175.0.0.1"`,
			`s:20:43: remoteSubnet is "175.0.0.1", expected an IPv4 prefix such as 203.0.113.0/24`,
		},
		{everything, `"permit"`, `"allow"`, `s:20:27: action is "allow", expected permit or deny`},
		{everything, `order="100"`, `order="200"`, `s:21:15: order "200" exists already; the first is at line 20`},
		{
			everything, `<EndpointAcls>`, `<EndpointAcls><EndpointAcl role="Web1" endpoint="Https" accessControl="x"/>`,
			`s:17:80: endpoint "Https" of role "Web1" has an access control already; the first is at line 17`,
		},
		{everything, `type="private"`, `type="public"`, `s:7:73: type is "public", expected private`},
		{
			everything, `</LoadBalancers>`,
			`<LoadBalancer name="b"><FrontendIPConfiguration type="private"/></LoadBalancer></LoadBalancers>`,
			`s:7:156: a deployment can have one internal load balancer only; the first is at line 7`,
		},
		{
			everything, `<AccessControl name="office">`, `<AccessControl name="office">` + many50(),
			`s:70:9: access control "office" has 52 rules, an endpoint can have 50`,
		},
	} {
		_, err := Read("s", []byte(strings.Replace(c.in, c.old, c.new, 1)))
		if err == nil || err.Error() != c.want {
			t.Errorf("%s -> %s:\n got %v\nwant %s", c.old, c.new, err, c.want)
		}
	}
}

func many50() string {
	var b strings.Builder
	for i := range 50 {
		fmt.Fprintf(&b, "\n      <Rule order=\"%d\" action=\"permit\" remoteSubnet=\"10.0.0.0/8\"/>", 1000+i)
	}
	return b.String()
}

func TestCheck(t *testing.T) {
	definition := func(name, role, endpoint string) *csdef.Definition {
		d, err := csdef.Read("d", fmt.Appendf(nil, `<ServiceDefinition name=%q xmlns=%q>
<WorkerRole name=%q><Endpoints><InputEndpoint name=%q protocol="https" certificate="c" port="1"/></Endpoints><Certificates><Certificate name="c" storeLocation="LocalMachine" storeName="My"/></Certificates></WorkerRole>
</ServiceDefinition>`, name, csdef.Namespace, role, endpoint))
		if err != nil {
			t.Fatal(err)
		}
		return d
	}
	for _, c := range []struct {
		definition     *csdef.Definition
		old, new, want string
	}{
		{definition("All", "Web1", "Https"), "", "", ""},
		{
			definition("Other", "Web1", "Https"), "", "",
			`s:1:23: serviceName is "All", the service definition has the name "Other"`,
		},
		{
			definition("All", "Web1", "Http"), "", "",
			`s:17:44: role "Web1" has no input endpoint "Https"; did you mean "Http"?`,
		},
		{definition("All", "Web2", "Https"), "", "", `s:1:1: role "Web2" of the service definition is missing; it is defined at d:2:1
s:2:9: role "Web1" is not in the service definition; did you mean "Web2"?
s:10:24: role "Web1" is not in the service definition; did you mean "Web2"?
s:17:32: role "Web1" is not in the service definition; did you mean "Web2"?`},
		{
			definition("All", "Web1", "Https"), `accessControl="office"`, `accessControl="offices"`,
			`s:17:61: access control "offices" is not defined; did you mean "office"?`,
		},
		{definition("All", "Web1", "Https"), `roleName="Web1"`, `roleName="Web3"`, `s:10:24: role "Web3" is not in the service definition; did you mean "Web1"?
s:15:5: role "Web1" has no <InstanceAddress> in virtual network "Net"; add an <InstanceAddress> with its subnet to <AddressAssignments>`},
	} {
		cfg, err := Read("s", []byte(strings.Replace(everything, c.old, c.new, 1)))
		if err != nil {
			t.Fatal(err)
		}
		got := ""
		if err := cfg.Check(c.definition); err != nil {
			got = err.Error()
		}
		if got != c.want {
			t.Errorf("%s:\n got %s\nwant %s", c.new, got, c.want)
		}
	}
}

func TestCheckLoadBalancers(t *testing.T) {
	cfg, err := Read("s", []byte(everything))
	if err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]string{
		"inside": "",
		"insides": `d:2:36: the load balancer "insides" of endpoint "Https" is not in the service configuration; ` +
			`did you mean "inside"?`,
	} {
		d, err := csdef.Read("d", fmt.Appendf(nil, `<ServiceDefinition name="All" xmlns=%q>
<WorkerRole name="Web1"><Endpoints><InputEndpoint name="Https" protocol="tcp" port="1" loadBalancer=%q/></Endpoints></WorkerRole></ServiceDefinition>`, csdef.Namespace, name))
		if err != nil {
			t.Fatal(err)
		}
		got := ""
		if err := cfg.Check(d); err != nil {
			got = err.Error()
		}
		if got != want {
			t.Errorf("%s:\n got %s\nwant %s", name, got, want)
		}
	}
}

// TestFilesAsPeopleHaveThem reads what working files and templates have.
func TestFilesAsPeopleHaveThem(t *testing.T) {
	const access, other = `endpoint="Https" accessControl`, `endPoint="Https" accessControl`
	for name, change := range map[string][2]string{
		"another spelling":  {access, other},
		"any family":        {`serviceName="All"`, `serviceName="All" osFamily="*"`},
		"no thumbprint yet": {`thumbprint="00"`, `thumbprint=""`},
		"no way to make it": {`thumbprintAlgorithm="sha1"`, `thumbprintAlgorithm=""`},
		"empty containers":  {`<Instances count="20"/>`, `<ConfigurationSettings/><Instances count="20"/>`},
		"a setting without value": {
			`<Instances count="20"/>`,
			`<ConfigurationSettings><Setting name="a" value=""/><Setting ` +
				`name="b"/></ConfigurationSettings><Instances count="20"/>`,
		},
	} {
		c, err := Read("s", []byte(strings.Replace(everything, change[0], change[1], 1)))
		if err != nil || len(c.EndpointACL("Web1", "Https")) != 2 {
			t.Errorf("%s: %v", name, err)
		}
	}
	for name, c := range map[string]struct{ in, old, new, want string }{
		"both spellings": {
			everything, access, `endPoint="Http" ` + access,
			`s:17:44: attribute "endPoint" of <EndpointAcl> is given twice, as endpoint too`,
		},
		"neither spelling": {
			everything, access, `endPoints="Https" accessControl`,
			"s:17:19: <EndpointAcl> lacks the attribute \"endpoint\"\n" +
				`s:17:44: <EndpointAcl> has no attribute "endPoints"; did you mean "endpoint"?`,
		},
		"an unknown family": {
			contactManager, `osFamily="1"`, `osFamily="**"`,
			`s:2:133: osFamily is "**", expected a number from 1 to 100`,
		},
		"an image of a role": {
			contactManager, `<Instances count="1" />`,
			`<Instances count="1" /><OsImage href="x.vhd"/>`,
			`s:4:28: <OsImage> is for a VM role, a beta of SDK 1.3 that came to nothing: make a cloud service ` +
				`with virtualMachines of it in the lab file`,
		},
	} {
		if _, err := Read("s", []byte(strings.Replace(c.in, c.old, c.new, 1))); err == nil || err.Error() != c.want {
			t.Errorf("%s:\n got %v\nwant %s", name, err, c.want)
		}
	}
	if _, err := Read(
		"s",
		[]byte(`<ServiceConfiguration serviceName="s" xmlns="`+Namespace+`"><Role name="r"><Instances count="1"/></Role>
<NetworkConfiguration><AccessControls/><EndpointAcls/><Dns><DnsServers/></Dns><AddressAssignments><InstanceAddress roleName="r"><Subnets/><PublicIPs/></InstanceAddress><ReservedIPs/></AddressAssignments><LoadBalancers/></NetworkConfiguration></ServiceConfiguration>`),
	); err != nil {
		t.Errorf("empty containers: %v", err)
	}
}

func TestSettings(t *testing.T) {
	c, err := Read("s", []byte(contactManager))
	if err != nil {
		t.Fatal(err)
	}
	s, ok := c.Roles[0].Setting("Microsoft.WindowsAzure.Plugins.Diagnostics.ConnectionString")
	if _, other := c.Roles[0].Setting("other"); !ok || other || s.Value != "UseDevelopmentStorage=true" ||
		s.Origin.String() != "s:6:7" {
		t.Errorf("%+v", s)
	}
}

// TestCheckInstanceInputEndpoint holds that an access control may be for an endpoint with a port for each instance.
func TestCheckInstanceInputEndpoint(t *testing.T) {
	cfg, err := Read("s", []byte(strings.Replace(everything, `endpoint="Https"`, `endpoint="Each"`, 1)))
	if err != nil {
		t.Fatal(err)
	}
	d, err := csdef.Read(
		"d",
		fmt.Appendf(
			nil,
			`<ServiceDefinition name="All" xmlns=%q><WorkerRole name="Web1"><Endpoints><InstanceInputEndpoint name="Each" protocol="tcp" localPort="1">
<AllocatePublicPortFrom><FixedPortRange min="1" max="20"/></AllocatePublicPortFrom></InstanceInputEndpoint></Endpoints></WorkerRole></ServiceDefinition>`,
			csdef.Namespace,
		),
	)
	if err != nil {
		t.Fatal(err)
	}
	if err := cfg.Check(d); err != nil {
		t.Error(err)
	}
}

func FuzzRead(f *testing.F) {
	f.Add([]byte(contactManager))
	f.Add([]byte(everything))
	f.Fuzz(func(t *testing.T, data []byte) {
		c, err := Read("f", data)
		if err == nil {
			err = c.Check(&csdef.Definition{})
		}
		var all strictxml.Errors
		if !errors.As(err, &all) || len(all) == 0 {
			t.Fatalf("%T %v", err, err)
		}
		for _, e := range all {
			if e.Origin.Line < 1 || e.Origin.Column < 1 || e.Message == "" {
				t.Fatalf("an error without position or text: %#v", e)
			}
		}
	})
}

// TestZeros holds that addresses whose numbers begin with zeros are read, and told where others may read other numbers.
func TestZeros(t *testing.T) {
	const in = `<ServiceConfiguration serviceName="s" xmlns="http://schemas.microsoft.com/ServiceHosting/2008/10/ServiceConfiguration">
<Role name="R"><Instances count="02"/></Role><NetworkConfiguration><AccessControls><AccessControl name="a">
<Rule action="permit" order="007" remoteSubnet="203.000.113.00/024"/>
<Rule action="deny" order="8" remoteSubnet="010.0.0.0/8"/></AccessControl></AccessControls>
<Dns><DnsServers><DnsServer name="d" IPAddress="10.0.011.1"/></DnsServers></Dns></NetworkConfiguration></ServiceConfiguration>`
	c, err := Read("s", []byte(in))
	if err != nil {
		t.Fatal(err)
	}
	rules := c.AccessControls[0].Rules
	got := fmt.Sprint(c.Roles[0].InstanceCount, rules[0].Order, rules[0].RemoteSubnet, rules[1].RemoteSubnet,
		c.DNSServers[0].Address)
	if want := "2 7 203.0.113.0/24 10.0.0.0/8 10.0.11.1"; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
	if diff := cmp.Diff(`[s:4:31: remoteSubnet "010.0.0.0/8" is read as 10.0.0.0/8 s:5:38: IPAddress "10.0.011.1" `+
		`is read as 10.0.11.1]`,
		fmt.Sprint(c.WithoutEffect())); diff != "" {
		t.Errorf("-want +got\n%s", diff)
	}
}
