package csdef

import (
	"cmp"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"

	"vnetlab/emu"
	"vnetlab/lab/strictxml"
)

// roleName matches the names that a role can have: the names of its instances contain it.
var roleName = regexp.MustCompile(`^[A-Za-z0-9_]([A-Za-z0-9_.-]{0,61}[A-Za-z0-9_])?$`)

// check checks the rules about several parts of the definition.
func (d *Definition) check(root *strictxml.Element) {
	var roles []*strictxml.Element
	for _, e := range root.Children {
		if e.Name == string(Web) || e.Name == string(Worker) {
			roles = append(roles, e)
		}
	}
	switch {
	case len(roles) == 0 && root.Child(vmRole) != nil: // that is an error already
	case len(roles) == 0:
		root.Fail("the definition has no role").WithHint("add a <WebRole> or a <WorkerRole>")
	case len(roles) > MaxRoles:
		roles[MaxRoles].Fail("the definition has %d roles, a deployment can have %d", len(roles), MaxRoles)
	}
	strictxml.Unique(roles, "name", "role")
	probes := root.Child("LoadBalancerProbes").All("LoadBalancerProbe")
	strictxml.Unique(probes, "name", "probe")
	for i, e := range roles {
		d.checkRole(&d.Roles[i], e)
	}
	d.checkForwarder(roles)
	d.checkPorts(roles)
	for _, kind := range []string{"InputEndpoint", "InternalEndpoint", "InstanceInputEndpoint"} {
		var all []*strictxml.Element
		for _, e := range roles {
			all = append(all, endpointsOf(e, kind)...)
		}
		if len(all) > MaxEndpoints {
			all[MaxEndpoints].Fail("the definition has %d elements <%s>, a deployment can have %d", len(all), kind,
				MaxEndpoints)
		}
	}
	for _, rules := range root.All("NetworkTrafficRules") {
		for _, rule := range rules.All("OnlyAllowTrafficTo") {
			d.checkTrafficRule(rule)
		}
	}
}

func (d *Definition) checkRole(r *Role, e *strictxml.Element) {
	if r.Name != "" && !roleName.MatchString(r.Name) {
		e.FailAt("name", "role name %.60q is not valid", r.Name).
			WithHint("up to 63 letters, digits, underscores, dots and hyphens are allowed, the last two not at its " +
				"ends")
	}
	strictxml.Unique(endpointElements(e), "name", "endpoint")
	for _, part := range [][2]string{
		{"ConfigurationSettings", "Setting"},
		{"Certificates", "Certificate"},
		{"LocalResources", "LocalStorage"},
		{"Sites", "Site"},
	} {
		strictxml.Unique(e.Child(part[0]).All(part[1]), "name", "<"+part[1]+">")
	}
	checkImports(e)
	probes := make([]string, len(d.LoadBalancerProbes))
	for i, p := range d.LoadBalancerProbes {
		probes[i] = p.Name
	}
	certificates := make([]string, len(r.Certificates))
	for i, c := range r.Certificates {
		certificates[i] = c.Name
	}
	web := false
	for _, i := range endpointsOf(e, "InputEndpoint") {
		mustExist(i, "loadBalancerProbe", "probe", probes)
		mustExist(i, "certificate", "certificate", certificates)
	}
	for _, i := range r.InputEndpoints {
		web = web || bindable[i.Protocol]
	}
	if r.Kind == Web && !web {
		e.Fail("web role %.60q has no input endpoint with the protocol http or https", r.Name)
	}
	checkSites(r, e)
}

// bindable are the protocols of the endpoints that sites can be bound to. An unknown protocol is an error already,
// and must not cause others.
var bindable = map[string]bool{"http": true, "https": true, "": true}

// checkSites checks the bindings of the web sites, and what a role without web sites can't have.
func checkSites(r *Role, e *strictxml.Element) {
	protocols := map[string]string{}
	for _, i := range r.InternalEndpoints {
		protocols[i.Name] = i.Protocol
	}
	for _, i := range r.InputEndpoints {
		protocols[i.Name] = i.Protocol
	}
	endpoints := slices.Sorted(maps.Keys(protocols))
	for _, s := range e.Child("Sites").All("Site") {
		for _, b := range s.Child("Bindings").All("Binding") { // several may have one name
			name := b.Get("endpointName")
			if protocol, ok := protocols[name]; ok && !bindable[protocol] {
				b.FailAt("endpointName", "endpoint %.60q has the protocol %s, a site needs http or https", name,
					protocol)
				continue
			}
			mustExist(b, "endpointName", "endpoint", endpoints)
		}
	}
	if own := endpointsOf(e, "InternalEndpoint"); r.Kind == Web && !r.HasSites && len(own) > 1 {
		own[1].Fail("web role %.60q has no <Sites> and can have one internal endpoint only", r.Name)
	}
}

// mustExist adds an error if an attribute has an unknown name.
func mustExist(e *strictxml.Element, attribute, what string, known []string) {
	name := e.Get(attribute)
	if name == "" || slices.Contains(known, name) {
		return
	}
	e.FailAt(attribute, "%s %.60q is not defined", what, name).DidYouMean(name, known)
}

// holder is an endpoint that has a public port.
type holder struct {
	endpoint InputEndpoint
	role     string
}

func (h holder) String() string {
	return fmt.Sprintf("endpoint %.60q of role %.60q at line %d", h.endpoint.Name, h.role, h.endpoint.Origin.Line)
}

// checkPorts refuses a public port that is taken already. The load balancer keeps TCP and UDP apart, and its
// public address from an internal one.
func (d *Definition) checkPorts(roles []*strictxml.Element) {
	type taken struct {
		internal  string // load balancer
		transport emu.Protocol
		port      uint16
	}
	first := map[taken]holder{}
	for i := range d.Roles {
		elements := endpointsOf(roles[i], "InputEndpoint") // those of plug-ins follow
		for j, e := range d.Roles[i].InputEndpoints {
			key := taken{e.LoadBalancer, e.Transport(), e.Port}
			if e.Port == 0 || e.Protocol == "" {
				continue
			}
			if before, ok := first[key]; ok {
				var at *strictxml.Element
				if e.Plugin {
					at = importAt(roles[i], e.Origin)
				} else {
					at = elements[j]
				}
				// two forwarders have an error already
				if !e.Plugin || e.Name != RemoteForwarderEndpoint || before.endpoint.Name != e.Name {
					at.FailAt("port", "%s port %d is taken by %s", strings.ToUpper(string(key.transport)), e.Port,
						before).
						WithHint("give it another port")
				}
				continue
			}
			first[key] = holder{e, d.Roles[i].Name}
		}
	}
	ports := slices.SortedFunc(maps.Keys(first), func(a, b taken) int { return cmp.Compare(a.port, b.port) })
	for i := range d.Roles {
		elements := endpointsOf(roles[i], "InstanceInputEndpoint")
		for j, e := range d.Roles[i].InstanceInputEndpoints {
			at := slices.IndexFunc(ports, func(t taken) bool {
				return t.internal == "" && t.transport == e.Protocol && e.PublicPorts.First <= t.port &&
					t.port <= e.PublicPorts.Last
			})
			if at >= 0 {
				elements[j].Fail("the public ports %d to %d hold port %d, which is taken by %s", e.PublicPorts.First,
					e.PublicPorts.Last, ports[at].port, first[ports[at]])
			}
		}
	}
}

func (d *Definition) checkTrafficRule(e *strictxml.Element) {
	var roles []string
	for _, r := range d.Roles {
		roles = append(roles, r.Name)
	}
	for _, from := range e.Child("WhenSource").All("FromRole") {
		mustExist(from, "roleName", "role", roles)
	}
	for _, to := range e.Child("Destinations").All("RoleEndpoint") {
		mustExist(to, "roleName", "role", roles)
		if r, ok := d.Role(to.Get("roleName")); ok {
			var internal []string
			for _, i := range r.InternalEndpoints {
				internal = append(internal, i.Name)
			}
			mustExist(to, "endpointName", "internal endpoint", internal)
		}
	}
}
