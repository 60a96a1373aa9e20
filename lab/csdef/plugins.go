package csdef

import (
	"fmt"
	"slices"
	"strings"

	"vnetlab/emu"
	"vnetlab/lab"
	"vnetlab/lab/spelling"
	"vnetlab/lab/strictxml"
)

// The modules whose plug-ins bring endpoints into a role that imports them.
const (
	RemoteAccess    = "RemoteAccess"
	RemoteForwarder = "RemoteForwarder"
	WebDeploy       = "WebDeploy"
)

// Plugin is the prefix of the names of a plug-in's endpoints and settings.
const Plugin = "Microsoft.WindowsAzure.Plugins."

// The endpoints that plug-ins bring. A definition that has an endpoint of such a name itself means that one.
const (
	RemoteAccessEndpoint    = lab.RemoteAccessEndpoint
	RemoteForwarderEndpoint = Plugin + RemoteForwarder + ".RdpInput"
	WebDeployEndpoint       = Plugin + WebDeploy + ".InputEndpoint"
)

const rdpPort, webDeployPort = 3389, 8172

// Imported returns the import of a module.
func (r *Role) Imported(module string) (Named, bool) {
	i := slices.IndexFunc(r.Imports, func(n Named) bool { return n.Name == module })
	if i < 0 {
		return Named{}, false
	}
	return r.Imports[i], true
}

// addPlugins adds the endpoints that the role's imports bring. RemoteAccess has the port 3389 of each instance, so
// RemoteForwarder listens on another one.
func (r *Role) addPlugins() {
	if i, ok := r.Imported(RemoteAccess); ok && !r.has(RemoteAccessEndpoint) {
		r.InternalEndpoints = append(r.InternalEndpoints, InternalEndpoint{
			Name: RemoteAccessEndpoint, Protocol: "tcp", Port: rdpPort, Plugin: true, Origin: i.Origin,
		})
	}
	if i, ok := r.Imported(RemoteForwarder); ok && !r.has(RemoteForwarderEndpoint) {
		r.InputEndpoints = append(r.InputEndpoints, InputEndpoint{
			Name: RemoteForwarderEndpoint, Protocol: "tcp", Port: rdpPort, AutomaticLocalPort: true,
			LoadBalancerDistribution: "none", Plugin: true, Origin: i.Origin,
		})
	}
	if i, ok := r.Imported(WebDeploy); ok && !r.has(WebDeployEndpoint) {
		r.InputEndpoints = append(r.InputEndpoints, InputEndpoint{
			Name: WebDeployEndpoint, Protocol: "tcp", Port: webDeployPort, LocalPort: webDeployPort,
			LoadBalancerDistribution: "none", Plugin: true, Origin: i.Origin,
		})
	}
}

// has reports whether the definition itself has an endpoint of a name in the role.
func (r *Role) has(endpoint string) bool {
	return slices.ContainsFunc(r.InputEndpoints, func(e InputEndpoint) bool { return e.Name == endpoint }) ||
		slices.ContainsFunc(r.InternalEndpoints, func(e InternalEndpoint) bool { return e.Name == endpoint }) ||
		slices.ContainsFunc(r.InstanceInputEndpoints, func(e InstanceInputEndpoint) bool { return e.Name == endpoint })
}

// checkImports refuses a module in another letter case than its own. Whether the SDK's tools took it isn't
// documented: a lab with its endpoints might show a port that no deployment had, one without them hide it.
func checkImports(role *strictxml.Element) {
	imports := role.Child("Imports").All("Import")
	strictxml.Unique(imports, "moduleName", "import")
	for _, i := range imports {
		written := i.Get("moduleName")
		for _, module := range modules {
			if strings.EqualFold(written, module) && written != module {
				i.FailAt("moduleName", "there is no module %.60q", written).WithHint("write %s", module)
			}
		}
	}
}

// checkForwarder refuses a second role with RemoteForwarder: one role takes the port for the deployment.
func (d *Definition) checkForwarder(roles []*strictxml.Element) {
	first := ""
	for i := range d.Roles {
		at, ok := d.Roles[i].Imported(RemoteForwarder)
		switch {
		case !ok:
		case first == "":
			first = fmt.Sprintf("role %.60q has it at line %d", d.Roles[i].Name, at.Origin.Line)
		default:
			importAt(roles[i], at.Origin).
				FailAt("moduleName", "one role of a deployment can import %s, and %s", RemoteForwarder, first).
				WithHint("it forwards to the instances of all roles with %s", RemoteAccess)
		}
	}
}

// importAt returns the import at a position.
func importAt(role *strictxml.Element, at emu.Origin) *strictxml.Element {
	all := role.Child("Imports").All("Import")
	return all[slices.IndexFunc(all, func(e *strictxml.Element) bool { return e.Origin == at })]
}

// missing is what a lab lacks of a module.
var missing = map[string]string{
	WebDeploy: "a built-in listener replaces Web Deploy behind the public port 8172",
	"Caching": "the cache isn't there, nor its internal endpoints cacheArbitrationPort, cacheClusterPort, " +
		"cacheReplicationPort, cacheServicePortInternal and cacheSocketPort",
	"Connect": "there is no Windows Azure Connect, which joined instances to machines elsewhere by IPsec",
}

// noteImport adds a note on what a lab lacks of an imported module.
func (d *Definition) noteImport(i *strictxml.Element, role string) {
	module := i.Get("moduleName")
	named := fmt.Sprintf("import %.60q of role %.60q", module, role)
	note := strictxml.Note{Origin: i.Origin, Text: named, Differs: true}
	text, known := missing[module]
	switch {
	case module == RemoteAccess || module == RemoteForwarder:
		return
	case module == "Diagnostics":
		note.Text, note.Differs = note.Text+" has no effect on the network", false
	case known:
		note.Text += ": " + text
	default:
		note.Text += ": the lab is without the programs and endpoints of that plug-in"
		if near := spelling.DidYouMean(module, modules); near != "" {
			note.Text += "; " + near
		}
	}
	d.withoutEffect = append(d.withoutEffect, note)
}

var modules = []string{"Diagnostics", RemoteAccess, RemoteForwarder, WebDeploy, "Caching", "Connect"}
