package csdef

import (
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"vnetlab/emu"
)

// definition is a service definition of some roles; each is a line of its own.
func definition(roles ...string) []byte {
	return []byte(`<ServiceDefinition name="X" xmlns="` + Namespace + `">` + "\n" + strings.Join(roles, "\n") +
		"\n</ServiceDefinition>")
}

func TestPlugins(t *testing.T) {
	d, err := Read("s", definition(
		`<WorkerRole name="A"><Imports><Import moduleName="RemoteAccess"/><Import `+
			`moduleName="RemoteForwarder"/></Imports></WorkerRole>`,
		`<WorkerRole name="B"><Imports><Import moduleName="RemoteAccess"/><Import `+
			`moduleName="WebDeploy"/></Imports></WorkerRole>`,
		`<WorkerRole name="C"><Imports><Import moduleName="Caching"/></Imports></WorkerRole>`,
	))
	if err != nil {
		t.Fatal(err)
	}
	rdp := InternalEndpoint{
		Name: "Microsoft.WindowsAzure.Plugins.RemoteAccess.Rdp", Protocol: "tcp", Port: 3389,
		Plugin: true,
	}
	for n, want := range []Role{
		{
			InternalEndpoints: []InternalEndpoint{rdp},
			InputEndpoints: []InputEndpoint{{
				Name: "Microsoft.WindowsAzure.Plugins.RemoteForwarder.RdpInput", Protocol: "tcp", Port: 3389,
				AutomaticLocalPort:       true,
				LoadBalancerDistribution: "none", Plugin: true,
			}},
		},
		{
			InternalEndpoints: []InternalEndpoint{rdp},
			InputEndpoints: []InputEndpoint{{
				Name: "Microsoft.WindowsAzure.Plugins.WebDeploy.InputEndpoint", Protocol: "tcp", Port: 8172,
				LocalPort:                8172,
				LoadBalancerDistribution: "none", Plugin: true,
			}},
		},
		{},
	} {
		got := d.Roles[n]
		if diff := cmp.Diff(want, Role{InternalEndpoints: got.InternalEndpoints, InputEndpoints: got.InputEndpoints},
			ignore); diff != "" {
			t.Errorf("role %s: -want +got\n%s", got.Name, diff)
		}
	}
	if got := d.Roles[0].InputEndpoints[0].Origin.String(); got != "s:2:66" {
		t.Errorf("the forwarder's endpoint is at %s, which isn't its import", got)
	}
}

// TestPluginEndpointOfTheDefinition holds that a role's own endpoint of a plug-in's name takes the place of that.
func TestPluginEndpointOfTheDefinition(t *testing.T) {
	d, err := Read("s", definition(
		`<WorkerRole name="A"><Endpoints><InputEndpoint name="`+WebDeployEndpoint+
			`" protocol="tcp" port="9172" localPort="8172"/></Endpoints>`+
			`<Imports><Import moduleName="WebDeploy"/></Imports></WorkerRole>`,
	))
	if err != nil {
		t.Fatal(err)
	}
	if all := d.Roles[0].InputEndpoints; len(all) != 1 || all[0].Port != 9172 || all[0].Plugin {
		t.Errorf("%+v", all)
	}
}

func TestPluginConflicts(t *testing.T) {
	const forwarder = `<Imports><Import moduleName="RemoteForwarder"/></Imports>`
	for name, c := range map[string]struct {
		roles []string
		want  string
	}{
		"two forwarders": {
			[]string{
				`<WorkerRole name="A">` + forwarder + `</WorkerRole>`,
				`<WorkerRole name="B">` + forwarder + `</WorkerRole>`,
			},
			`s:3:39: one role of a deployment can import RemoteForwarder, and role "A" has it at line 2; it ` +
				`forwards to the instances of all roles with RemoteAccess`,
		},
		"the port is taken": {
			[]string{`<WorkerRole name="A"><Endpoints><InputEndpoint name="e" protocol="tcp" ` +
				`port="3389"/></Endpoints>` + forwarder + `</WorkerRole>`},
			`s:2:106: TCP port 3389 is taken by endpoint "e" of role "A" at line 2; give it another port`,
		},
		"it takes the port": {
			[]string{
				`<WorkerRole name="A">` + forwarder + `</WorkerRole>`,
				`<WorkerRole name="B"><Endpoints><InputEndpoint name="e" protocol="tcp" ` +
					`port="3389"/></Endpoints></WorkerRole>`,
			},
			`s:3:72: TCP port 3389 is taken by endpoint "Microsoft.WindowsAzure.Plugins.RemoteForwarder.RdpInp`,
		},
		"a range holds the port": {
			[]string{`<WorkerRole name="A"><Endpoints><InstanceInputEndpoint name="e" protocol="tcp" ` +
				`localPort="1"><AllocatePublicPortFrom>` +
				`<FixedPortRange min="3000" max="4000"/></AllocatePublicPortFrom></InstanceInputEndpoint></Endpoints>` +
				forwarder + `</WorkerRole>`},
			`s:2:33: the public ports 3000 to 4000 hold port 3389, which is taken by endpoint ` +
				`"Microsoft.WindowsAzure.Plugins.RemoteForwarder.RdpInp`,
		},
	} {
		_, err := Read("s", definition(c.roles...))
		if err == nil || !strings.HasPrefix(err.Error(), c.want) || strings.Contains(err.Error(), "\n") {
			t.Errorf("%s:\n got %v\nwant %s", name, err, c.want)
		}
	}
}

// TestWebRoleWithRemoteAccess holds that the endpoint of a plug-in isn't one of those that a web role without sites
// can have.
func TestWebRoleWithRemoteAccess(t *testing.T) {
	if _, err := Read("s", definition(`<WebRole name="W"><Endpoints><InputEndpoint name="h" protocol="http" `+
		`port="80"/><InternalEndpoint name="e" protocol="tcp"/></Endpoints>`+
		`<Imports><Import moduleName="RemoteAccess"/></Imports></WebRole>`)); err != nil {
		t.Error(err)
	}
}

func TestTrafficRuleOfAPlugin(t *testing.T) {
	d, err := Read("s", definition(
		`<WorkerRole name="A"><Imports><Import moduleName="RemoteAccess"/></Imports></WorkerRole><WorkerRole `+
			`name="B"/>`,
		`<NetworkTrafficRules><OnlyAllowTrafficTo><Destinations><RoleEndpoint roleName="A" endpointName="`+
			RemoteAccessEndpoint+`"/></Destinations>`+
			`<WhenSource matches="AnyRule"><FromRole `+
			`roleName="B"/></WhenSource></OnlyAllowTrafficTo></NetworkTrafficRules>`,
	))
	if err != nil {
		t.Fatal(err)
	}
	if roles, restricted := d.TrafficFrom("A", RemoteAccessEndpoint); !restricted || len(roles) != 1 ||
		roles[0] != "B" {
		t.Errorf("%v, %v", roles, restricted)
	}
}

// TestNotesOnImports holds what is said of modules: nothing of those that are built.
func TestNotesOnImports(t *testing.T) {
	for module, want := range map[string]string{
		"RemoteAccess":    "",
		"RemoteForwarder": "",
		"Diagnostics":     `import "Diagnostics" of role "A" has no effect on the network`,
		"WebDeploy": `import "WebDeploy" of role "A": a built-in listener replaces Web Deploy behind the ` +
			`public port 8172`,
		"Caching": `import "Caching" of role "A": the cache isn't there, nor its internal endpoints ` +
			`cacheArbitrationPort, cacheClusterPort, ` +
			`cacheReplicationPort, cacheServicePortInternal and cacheSocketPort`,
		"Connect": `import "Connect" of role "A": there is no Windows Azure Connect, which joined ` +
			`instances to machines elsewhere by IPsec`,
		"RemoteDebuggerConnector": `import "RemoteDebuggerConnector" of role "A": the lab is without the programs ` +
			`and endpoints of that plug-in`,
		"RemoteAcces": `import "RemoteAcces" of role "A": the lab is without the programs and endpoints ` +
			`of that plug-in; did you mean "RemoteAccess"?`,
	} {
		d, err := Read("s", definition(`<WorkerRole name="A"><Imports><Import moduleName="`+module+
			`"/></Imports></WorkerRole>`))
		if err != nil {
			t.Errorf("%s: %v", module, err)
			continue
		}
		got := ""
		for _, n := range d.WithoutEffect() {
			got += n.Text
			if n.Differs == (module == "Diagnostics") || n.Origin.String() != "s:2:31" {
				t.Errorf("%s: %+v", module, n)
			}
		}
		if got != want {
			t.Errorf("%s:\n got %s\nwant %s", module, got, want)
		}
	}
}

// TestImportsInAnotherCase refuses a module whose name is that of a known one but for its letter case.
func TestImportsInAnotherCase(t *testing.T) {
	for _, module := range modules {
		_, err := Read("s", definition(`<WorkerRole name="A"><Imports><Import moduleName="`+strings.ToLower(module)+
			`"/></Imports></WorkerRole>`))
		want := fmt.Sprintf(`s:2:39: there is no module %q; write %s`, strings.ToLower(module), module)
		if err == nil || err.Error() != want {
			t.Errorf("%s: %v, want %s", module, err, want)
		}
	}
}

// TestFilesAsPeopleHaveThem reads what working files have, and explains what the platform took once.
func TestFilesAsPeopleHaveThem(t *testing.T) {
	read := func(inside string) (*Role, string) {
		d, err := Read("s", definition(`<WebRole name="W">`+inside+`</WebRole>`))
		if err != nil {
			return nil, err.Error()
		}
		return &d.Roles[0], ""
	}
	const http = `<InputEndpoint name="h" protocol="http" port="80"/>`
	endpoints := func(more string) string { return `<Endpoints>` + http + more + `</Endpoints>` }
	for name, c := range map[string]struct {
		inside string
		holds  func(r *Role) bool
	}{
		"an internal port for the platform to choose": {endpoints(
			`<InternalEndpoint name="i" protocol="tcp" port="*"/>`), func(r *Role) bool {
			return r.InternalEndpoints[0].Ports() == emu.PortRange{}
		}},
		"a local port for the platform to choose": {
			endpoints(`<InstanceInputEndpoint name="i" protocol="tcp" ` +
				`localPort="*"><AllocatePublicPortFrom><FixedPortRange min="1" ` +
				`max="2"/></AllocatePublicPortFrom></InstanceInputEndpoint>`),
			func(r *Role) bool { return r.InstanceInputEndpoints[0].LocalPort == 0 },
		},
		"two bindings of one name": {
			endpoints(`<InputEndpoint name="g" protocol="http" port="81"/>`) +
				`<Sites><Site name="s"><Bindings><Binding name="b" endpointName="h"/><Binding name="b" ` +
				`endpointName="g"/></Bindings></Site></Sites>`,
			func(r *Role) bool { return len(r.Sites[0].Bindings) == 2 },
		},
		"empty containers": {
			endpoints("") + `<Imports/><Sites/><Startup/><Certificates/><ConfigurationSettings/><LocalResources/><Contents/><Runtime><Environment/><EntryPoint/></Runtime>`,
			func(r *Role) bool { return !r.HasSites },
		},
		"directories in directories": {
			endpoints("") + `<Sites><Site name="s"><VirtualDirectory name="a" ` +
				`physicalDirectory="b"><VirtualApplication name="c" ` +
				`physicalDirectory="d"><VirtualApplication name="e" ` +
				`physicalDirectory="f"/></VirtualApplication></VirtualDirectory>` +
				`<Bindings><Binding name="h" endpointName="h"/></Bindings></Site></Sites>`,
			func(r *Role) bool { return len(r.Sites[0].Bindings) == 1 },
		},
		"a site without bindings": {
			endpoints("") + `<Sites><Site name="s"><Bindings/></Site></Sites>`,
			func(r *Role) bool { return r.HasSites },
		},
	} {
		if r, problem := read(c.inside); problem != "" || !c.holds(r) {
			t.Errorf("%s: %+v, %s", name, r, problem)
		}
	}
	// SDK 1.0 wrote <InputEndpoints>, which has only those: they are checked like others.
	for inside, want := range map[string]string{
		`<InputEndpoints>` + http + `</InputEndpoints>`: `[h]`,
		`<InputEndpoints>` + http + `</InputEndpoints><Endpoints>` + http +
			`</Endpoints>`: "s:2:50: endpoint \"h\" exists already; " +
			"the first is at line 2\ns:2:75: TCP port 80 is taken by endpoint \"h\" of role \"W\" at line 2; " +
			"give it another port",
		`<InputEndpoints><InputEndpoint name="t" protocol="tcp" port="81"/></InputEndpoints>`: "s:2:1: web role \"W\" has " +
			"no input endpoint with the protocol http or https",
		`<InputEndpoints/>` + endpoints(""): `[h]`,
		`<InputEndpoints><InternalEndpoint name="i" protocol="tcp"/></InputEndpoints>` + endpoints(""): `s:2:35: ` +
			`<InternalEndpoint> is not known in <InputEndpoints>; it may contain InputEndpoint`,
	} {
		r, got := read(inside)
		if got == "" {
			var names []string
			for _, e := range r.InputEndpoints {
				names = append(names, e.Name)
			}
			got = fmt.Sprint(names)
		}
		if got != want {
			t.Errorf("%s:\n got %s\nwant %s", inside, got, want)
		}
	}
	const vm = `s:2:1: <VirtualMachineRole> is a VM role, a beta of SDK 1.3 that came to nothing: make a cloud ` +
		`service with virtualMachines of it in the lab file`
	if _, err := Read("s", definition(`<VirtualMachineRole name="V"/>`)); err == nil || err.Error() != vm {
		t.Errorf("got %v, want %s", err, vm)
	}
	if _, problem := read(endpoints(
		`<InternalEndpoint name="i" protocol="tcp" port="x"/>`)); problem != `s:2:123: port is "x", expected a `+
		`number from 1 to 65535 or *` {
		t.Error(problem)
	}
}
