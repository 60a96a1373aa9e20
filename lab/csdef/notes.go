package csdef

import (
	"fmt"

	"vnetlab/lab/strictxml"
)

// note adds notes on what has no effect, or a different one than on the platform.
func (d *Definition) note(root *strictxml.Element) {
	for _, a := range []string{"topologyChangeDiscovery", "upgradeDomainCount"} {
		d.attributeWithoutEffect(root, a)
	}
	for _, rules := range root.All("NetworkTrafficRules") {
		for _, e := range rules.All("OnlyAllowTrafficTo") {
			if all := e.Child("AllowAllTraffic"); all != nil && e.Child("WhenSource") != nil {
				d.withoutEffect = append(d.withoutEffect, strictxml.Note{
					Origin: all.Origin, Text: "<AllowAllTraffic> has no effect on the network beside <WhenSource>, " +
						"which decides",
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
}

func (d *Definition) noteRole(e *strictxml.Element) {
	for _, a := range []string{"vmsize", "enableNativeCodeExecution"} {
		d.attributeWithoutEffect(e, a)
	}
	for _, c := range e.Children {
		switch c.Name {
		case "ConfigurationSettings", "Certificates", "LocalResources", "LocalStorage", "Startup", "Runtime",
			"Contents", "Sites":
			d.withoutEffect = append(d.withoutEffect, strictxml.Note{
				Origin: c.Origin,
				Text:   fmt.Sprintf("<%s> of role %.60q has no effect on the network", c.Name, e.Get("name")),
			})
		}
	}
	for _, i := range e.Child("Imports").All("Import") {
		d.noteImport(i, e.Get("name"))
	}
	for _, i := range endpointsOf(e, "InputEndpoint") {
		d.attributeWithoutEffect(i, "certificate")
		d.attributeWithoutEffect(i, "ignoreRoleInstanceStatus")
	}
	for _, i := range endpointsOf(e, "InternalEndpoint") {
		if i.Child("FixedPort") != nil || i.Child("FixedPortRange") != nil {
			d.attributeWithoutEffect(i, "port")
		}
		if i.Get("protocol") != "any" {
			continue
		}
		for _, ports := range i.Children {
			d.withoutEffect = append(d.withoutEffect, strictxml.Note{Origin: ports.Origin, Text: fmt.Sprintf(
				"<%s> of endpoint %.60q opens nothing beyond the protocol any, which is any port", ports.Name,
				i.Get("name"))})
		}
	}
}

func (d *Definition) attributeWithoutEffect(e *strictxml.Element, attribute string) {
	if _, ok := e.Attribute(attribute); ok {
		d.withoutEffect = append(d.withoutEffect, strictxml.Note{
			Origin: e.At(attribute), Text: fmt.Sprintf("%s of <%s name=%.60q> has no effect on the network", attribute,
				e.Name, e.Get("name")),
		})
	}
}
