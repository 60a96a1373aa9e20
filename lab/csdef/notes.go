package csdef

import (
	"fmt"

	"vnetlab/lab/strictxml"
)

// note collects what has no effect and what can't be built.
func (d *Definition) note(root *element) {
	for _, a := range []string{"topologyChangeDiscovery", "upgradeDomainCount"} {
		d.attributeWithoutEffect(root, a)
	}
	for _, rules := range root.All("NetworkTrafficRules") {
		for _, e := range rules.All("OnlyAllowTrafficTo") {
			if all := e.Child("AllowAllTraffic"); all != nil && e.Child("WhenSource") != nil {
				d.withoutEffect = append(d.withoutEffect, strictxml.Note{
					Origin: all.Origin, Text: "<AllowAllTraffic> has no effect on the network beside <WhenSource>, which decides",
				})
			}
		}
	}
	for _, e := range root.Children {
		if e.Name == string(Web) || e.Name == string(Worker) {
			d.noteRole(e)
		}
	}
	strictxml.SortNotes(d.withoutEffect)
	d.unsupported.Sort()
}

func (d *Definition) noteRole(e *element) {
	for _, a := range []string{"vmsize", "enableNativeCodeExecution"} {
		d.attributeWithoutEffect(e, a)
	}
	for _, c := range e.Children {
		switch c.Name {
		case "ConfigurationSettings", "Certificates", "LocalResources", "LocalStorage", "Startup", "Runtime", "Contents", "Sites":
			d.withoutEffect = append(d.withoutEffect, strictxml.Note{Origin: c.Origin, Text: fmt.Sprintf("<%s> of role %.60q has no effect on the network", c.Name, e.Get("name"))})
		}
	}
	for _, i := range e.Child("Imports").All("Import") {
		module := i.Get("moduleName")
		if module == "Diagnostics" {
			d.withoutEffect = append(d.withoutEffect, strictxml.Note{Origin: i.Origin, Text: fmt.Sprintf("import %.60q of role %.60q has no effect on the network", module, e.Get("name"))})
			continue
		}
		d.cannotBuild(i, "moduleName", fmt.Sprintf("import %.60q", module), "the remote desktop endpoint that it brings")
	}
	endpoints := e.Child("Endpoints")
	for _, i := range endpoints.All("InputEndpoint") {
		d.attributeWithoutEffect(i, "certificate")
		d.attributeWithoutEffect(i, "ignoreRoleInstanceStatus")
	}
	for _, i := range endpoints.All("InternalEndpoint") {
		if i.Child("FixedPort") != nil || i.Child("FixedPortRange") != nil {
			d.attributeWithoutEffect(i, "port")
		}
		if i.Get("protocol") != "any" {
			continue
		}
		for _, ports := range i.Children {
			d.withoutEffect = append(d.withoutEffect, strictxml.Note{Origin: ports.Origin, Text: fmt.Sprintf(
				"<%s> of endpoint %.60q opens nothing beyond the protocol any, which is any port", ports.Name, i.Get("name"))})
		}
	}
}

func (d *Definition) attributeWithoutEffect(e *element, attribute string) {
	if _, ok := e.Attribute(attribute); ok {
		d.withoutEffect = append(d.withoutEffect, strictxml.Note{
			Origin: e.At(attribute), Text: fmt.Sprintf("%s of <%s name=%.60q> has no effect on the network", attribute, e.Name, e.Get("name")),
		})
	}
}

func (d *Definition) cannotBuild(e *element, attribute, what, kind string) {
	d.unsupported.Add(e.At(attribute), "%s: this version of vnetlab can't build %s", what, kind).WithHint("remove it, and the lab is without it")
}
