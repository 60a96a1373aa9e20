package csdef

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"vnetlab/emu"
	"vnetlab/lab/strictxml"
)

const contactManager = `<ServiceDefinition name="ContactManager" xmlns="http://schemas.microsoft.com/ServiceHosting/2008/10/ServiceDefinition" schemaVersion="2012-05.1.7">
  <WebRole name="ContactManager.Web" vmsize="Small">
    <Sites><Site name="Web"><Bindings><Binding name="HttpIn" endpointName="HttpIn"/></Bindings></Site></Sites>
    <Endpoints><InputEndpoint name="HttpIn" protocol="http" port="80"/></Endpoints>
    <Imports><Import moduleName="Diagnostics"/></Imports>
  </WebRole>
</ServiceDefinition>
`

// everything uses each element and attribute once.
const everything = `<?xml version="1.0" encoding="utf-8"?>
<ServiceDefinition name="All" xmlns="http://schemas.microsoft.com/ServiceHosting/2008/10/ServiceDefinition" schemaVersion="2014-06.2.4" topologyChangeDiscovery="Blast" upgradeDomainCount="20">
  <NetworkTrafficRules>
    <OnlyAllowTrafficTo>
      <Destinations><RoleEndpoint endpointName="Tcp" roleName="Worker1"/></Destinations>
      <AllowAllTraffic/>
      <WhenSource matches="AnyRule"><FromRole roleName="Web1"/></WhenSource>
    </OnlyAllowTrafficTo>
  </NetworkTrafficRules>
  <WorkerRole name="Worker1" enableNativeCodeExecution="true">
    <Endpoints>
      <InternalEndpoint name="Tcp" protocol="tcp" port="8000"><FixedPort port="8001"/></InternalEndpoint>
      <InternalEndpoint name="Any" protocol="any"><FixedPortRange min="9000" max="9010"/></InternalEndpoint>
      <InstanceInputEndpoint name="Each" protocol="udp" localPort="53">
        <AllocatePublicPortFrom><FixedPortRange min="10000" max="10010"/></AllocatePublicPortFrom>
      </InstanceInputEndpoint>
      <InputEndpoint name="Free" protocol="tcp" port="443" localPort="*" idleTimeoutInMinutes="30" loadBalancerDistribution="sourceIPProtocol" loadBalancer="inside"/>
    </Endpoints>
    <Runtime executionContext="elevated">
      <Environment><Variable name="a" value="b"/><Variable name="c"><RoleInstanceValue xpath="/x"/></Variable></Environment>
      <EntryPoint><ProgramEntryPoint commandLine="run.cmd" setReadyOnProcessStart="true"/></EntryPoint>
    </Runtime>
    <LocalStorage name="old" sizeInMB="10"/>
  </WorkerRole>
  <WebRole name="Web1" vmsize="A5">
    <Startup priority="1"><Task commandLine="open.cmd" executionContext="elevated" taskType="background"><Environment/></Task></Startup>
    <Contents><Content destination="d"><SourceDirectory path="s"/></Content></Contents>
    <Certificates><Certificate name="tls" storeLocation="LocalMachine" storeName="My" permissionLevel="elevated"/></Certificates>
    <ConfigurationSettings><Setting name="x"/></ConfigurationSettings>
    <Imports><Import moduleName="RemoteAccess"/><Import moduleName="RemoteForwarder"/><Import moduleName="Diagnostics"/></Imports>
    <Endpoints>
      <InputEndpoint name="Https" protocol="https" port="8443" localPort="443" certificate="tls" ignoreRoleInstanceStatus="true" loadBalancerProbe="p"/>
      <InputEndpoint name="Dns" protocol="udp" port="443"/>
    </Endpoints>
    <LocalResources><LocalStorage name="new" cleanOnRoleRecycle="false" sizeInMB="1"/></LocalResources>
    <Sites>
      <Site name="A" physicalDirectory="..">
        <VirtualApplication name="v" physicalDirectory="w"><VirtualDirectory name="v" physicalDirectory="w"/></VirtualApplication>
        <VirtualDirectory name="v" physicalDirectory="w"/>
        <Bindings><Binding name="b" endpointName="Https" hostHeader="www.example.org"/></Bindings>
      </Site>
    </Sites>
    <Runtime><EntryPoint><NetFxEntryPoint assemblyName="a.dll" targetFrameworkVersion="v4.0"/></EntryPoint></Runtime>
  </WebRole>
  <LoadBalancerProbes>
    <LoadBalancerProbe name="p" protocol="http" path="/health" port="8080" intervalInSeconds="5" timeoutInSeconds="11"/>
    <LoadBalancerProbe name="q" protocol="tcp"/>
  </LoadBalancerProbes>
</ServiceDefinition>`

var ignore = cmp.Options{cmpopts.IgnoreUnexported(Definition{}), cmpopts.IgnoreTypes(emu.Origin{})}

func TestReadContactManager(t *testing.T) {
	d, err := Read("s.csdef", []byte(contactManager))
	if err != nil {
		t.Fatal(err)
	}
	want := &Definition{
		Name: "ContactManager", UpgradeDomainCount: 5, SchemaVersion: "2012-05.1.7",
		Roles: []Role{{
			Kind: Web, Name: "ContactManager.Web", VMSize: "Small", HasSites: true,
			InputEndpoints: []InputEndpoint{{
				Name: "HttpIn", Protocol: "http", Port: 80, LocalPort: 80, LoadBalancerDistribution: "none",
			}},
			Sites:   []Site{{Name: "Web", Bindings: []Binding{{Name: "HttpIn", EndpointName: "HttpIn"}}}},
			Imports: []Named{{Name: "Diagnostics"}},
		}},
	}
	if diff := cmp.Diff(want, d, ignore); diff != "" {
		t.Errorf("-want +got\n%s", diff)
	}
	if got := d.Roles[0].InputEndpoints[0].Origin.String(); got != "s.csdef:4:16" {
		t.Error("the endpoint is at", got)
	}
	want2 := `s.csdef:2:38 vmsize of <WebRole name="ContactManager.Web"> has no effect on the network
s.csdef:3:5 <Sites> of role "ContactManager.Web" has no effect on the network
s.csdef:5:14 import "Diagnostics" of role "ContactManager.Web" has no effect on the network
`
	if got := noteText(d.WithoutEffect()); got != want2 {
		t.Errorf("without effect:\n%s", got)
	}
}

func noteText(notes []strictxml.Note) string {
	var b strings.Builder
	for _, n := range notes {
		fmt.Fprintln(&b, n.Origin, n.Text)
	}
	return b.String()
}

func TestReadEverything(t *testing.T) {
	d, err := Read("s", []byte(everything))
	if err != nil {
		t.Fatal(err)
	}
	want := &Definition{
		Name: "All", UpgradeDomainCount: 20, SchemaVersion: "2014-06.2.4", TopologyChangeDiscovery: "Blast",
		Roles: []Role{
			{
				Kind: Worker, Name: "Worker1", VMSize: "Small",
				InputEndpoints: []InputEndpoint{{
					Name: "Free", Protocol: "tcp", Port: 443, AutomaticLocalPort: true, IdleTimeoutInMinutes: 30,
					LoadBalancerDistribution: "sourceIPProtocol", LoadBalancer: "inside",
				}},
				InternalEndpoints: []InternalEndpoint{
					{Name: "Tcp", Protocol: "tcp", Port: 8000, FixedPorts: emu.PortRange{First: 8001, Last: 8001}},
					{Name: "Any", Protocol: "any", FixedPorts: emu.PortRange{First: 9000, Last: 9010}},
				},
				InstanceInputEndpoints: []InstanceInputEndpoint{
					{
						Name: "Each", Protocol: emu.UDP, LocalPort: 53,
						PublicPorts: emu.PortRange{First: 10000, Last: 10010},
					},
				},
				LocalStorage: []Named{{Name: "old"}},
			},
			{
				Kind: Web, Name: "Web1", VMSize: "A5", HasSites: true,
				InputEndpoints: []InputEndpoint{
					{
						Name: "Https", Protocol: "https", Port: 8443, LocalPort: 443, Certificate: "tls",
						IgnoreRoleInstanceStatus: true, LoadBalancerProbe: "p",
						LoadBalancerDistribution: "none",
					},
					{Name: "Dns", Protocol: "udp", Port: 443, LocalPort: 443, LoadBalancerDistribution: "none"},
					{
						Name: RemoteForwarderEndpoint, Protocol: "tcp", Port: 3389, AutomaticLocalPort: true,
						LoadBalancerDistribution: "none",
						Plugin:                   true,
					},
				},
				InternalEndpoints: []InternalEndpoint{{
					Name: RemoteAccessEndpoint, Protocol: "tcp", Port: 3389,
					Plugin: true,
				}},
				Sites: []Site{{Name: "A", Bindings: []Binding{
					{Name: "b", EndpointName: "Https", HostHeader: "www.example.org"},
				}}},
				StartupTasks: []Task{{
					CommandLine: "open.cmd", ExecutionContext: "elevated",
					TaskType: "background",
				}},
				Imports: []Named{
					{Name: "RemoteAccess"},
					{Name: "RemoteForwarder"},
					{Name: "Diagnostics"},
				},
				ConfigurationSettings: []Named{{Name: "x"}},
				LocalStorage:          []Named{{Name: "new"}},
				Certificates:          []Named{{Name: "tls"}},
			},
		},
		LoadBalancerProbes: []LoadBalancerProbe{
			{Name: "p", Protocol: "http", Path: "/health", Port: 8080, IntervalInSeconds: 5, TimeoutInSeconds: 11},
			{Name: "q", Protocol: "tcp", IntervalInSeconds: 15, TimeoutInSeconds: 31},
		},
		NetworkTrafficRules: []NetworkTrafficRule{{
			Destinations: []RoleEndpoint{{Role: "Worker1", Endpoint: "Tcp"}}, AllowAllTraffic: true,
			FromRoles: []Named{{Name: "Web1"}},
		}},
	}
	if diff := cmp.Diff(want, d, ignore); diff != "" {
		t.Errorf("-want +got\n%s", diff)
	}
	if got := d.Roles[1].InputEndpoints[1].Transport(); got != emu.UDP {
		t.Error(got)
	}
	if got := noteText(d.WithoutEffect()); strings.Count(got, "\n") != 19 ||
		!strings.Contains(got, `s:13:51 <FixedPortRange> of endpoint "Any" opens nothing`) ||
		!strings.Contains(got, "s:6:7 <AllowAllTraffic> has no effect") ||
		!strings.Contains(got, `s:12:51 port of <InternalEndpoint name="Tcp">`) ||
		!strings.Contains(got, "s:28:5 <Certificates> of role \"Web1\"") {
		t.Errorf("without effect:\n%s", got)
	}
}

func TestTrafficFrom(t *testing.T) {
	read := func(rules string) *Definition {
		t.Helper()
		d, err := Read("s", []byte(`<ServiceDefinition name="X" xmlns="`+Namespace+`">
<WorkerRole name="A"><Endpoints><InternalEndpoint name="E" protocol="tcp"/><InternalEndpoint name="F" protocol="tcp"/></Endpoints></WorkerRole>
<WorkerRole name="B"/><WorkerRole name="C"/>`+rules+`</ServiceDefinition>`))
		if err != nil {
			t.Fatal(err)
		}
		return d
	}
	const e = `<Destinations><RoleEndpoint roleName="A" endpointName="E"/></Destinations>`
	from := func(roles ...string) string {
		var source strings.Builder
		source.WriteString(`<OnlyAllowTrafficTo>` + e + `<WhenSource matches="AnyRule">`)
		for _, r := range roles {
			source.WriteString(`<FromRole roleName="` + r + `"/>`)
		}
		return source.String() + `</WhenSource></OnlyAllowTrafficTo>`
	}
	wrap := func(rules string) string { return `<NetworkTrafficRules>` + rules + `</NetworkTrafficRules>` }
	const everybody = `<OnlyAllowTrafficTo>` + e + `<AllowAllTraffic/></OnlyAllowTrafficTo>`
	both := strings.Replace(from("B"), e, e+`<AllowAllTraffic/>`, 1)
	for name, c := range map[string]struct {
		rules      string
		roles      []string
		restricted bool
	}{
		"no rules":                    {"", nil, false},
		"empty rules":                 {wrap(""), nil, false},
		"one role":                    {wrap(from("B")), []string{"B"}, true},
		"two roles":                   {wrap(from("C", "B", "C")), []string{"C", "B"}, true},
		"two rules":                   {wrap(from("B") + from("C")), []string{"B", "C"}, true},
		"two elements":                {wrap(from("B")) + wrap(from("C", "B")), []string{"B", "C"}, true},
		"everybody":                   {wrap(everybody), nil, false},
		"a rule for everybody beside": {wrap(from("B") + everybody), nil, false},
		"both in one rule":            {wrap(both), []string{"B"}, true},
	} {
		d := read(c.rules)
		roles, restricted := d.TrafficFrom("A", "E")
		if !slices.Equal(roles, c.roles) || restricted != c.restricted {
			t.Errorf("%s: %v, %v", name, roles, restricted)
		}
		if roles, restricted := d.TrafficFrom("A", "F"); roles != nil || restricted {
			t.Errorf("%s: the endpoint that no rule names: %v, %v", name, roles, restricted)
		}
	}
}

func TestInternalEndpoint(t *testing.T) {
	for _, c := range []struct {
		e         InternalEndpoint
		ports     emu.PortRange
		transport string
	}{
		{InternalEndpoint{Protocol: "http"}, emu.PortRange{}, "tcp"},
		{InternalEndpoint{Protocol: "udp", Port: 53}, emu.PortRange{First: 53, Last: 53}, "udp"},
		{InternalEndpoint{Protocol: "any"}, emu.PortRange{}, ""},
		{
			InternalEndpoint{Protocol: "tcp", Port: 1, FixedPorts: emu.PortRange{First: 7, Last: 9}},
			emu.PortRange{First: 7, Last: 9},
			"tcp",
		},
	} {
		if c.e.Ports() != c.ports || c.e.Transport() != c.transport {
			t.Errorf("%+v: %v, %q", c.e, c.e.Ports(), c.e.Transport())
		}
	}
}

// TestPortsOfTwoLoadBalancers holds that an internal load balancer has ports of its own.
func TestPortsOfTwoLoadBalancers(t *testing.T) {
	const format = `<ServiceDefinition name="X" xmlns="` + Namespace + `"><WorkerRole name="A"><Endpoints>
<InputEndpoint name="a" protocol="tcp" port="80"/><InputEndpoint name="b" protocol="tcp" port="80" loadBalancer="%s"/><InputEndpoint name="c" protocol="tcp" port="81" loadBalancer="%s"/>
<InstanceInputEndpoint name="d" protocol="tcp" localPort="1"><AllocatePublicPortFrom><FixedPortRange min="81" max="82"/></AllocatePublicPortFrom></InstanceInputEndpoint>
</Endpoints></WorkerRole></ServiceDefinition>`
	if _, err := Read("s", fmt.Appendf(nil, format, "inside", "inside")); err != nil {
		t.Error(err)
	}
	for _, bad := range [][2]string{{"", "inside"}, {"inside", ""}} {
		if _, err := Read("s", fmt.Appendf(nil, format, bad[0], bad[1])); err == nil ||
			!strings.Contains(err.Error(), "taken by") {
			t.Errorf("%q: %v", bad, err)
		}
	}
}

func FuzzRead(f *testing.F) {
	f.Add([]byte(contactManager))
	f.Add([]byte(everything))
	f.Fuzz(func(t *testing.T, data []byte) {
		d, err := Read("f", data)
		if err == nil {
			d.WithoutEffect()
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
