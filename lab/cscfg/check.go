package cscfg

import (
	"slices"

	"vnetlab/emu"
	"vnetlab/lab/csdef"
	"vnetlab/lab/strictxml"
)

// positions are the positions of attributes, for checks that come later.
type positions map[attributePosition]emu.Origin

type attributePosition struct {
	element   emu.Origin
	attribute string
}

func (p positions) keep(e *strictxml.Element, attributes ...string) {
	for _, a := range attributes {
		p[attributePosition{e.Origin, a}] = e.At(a)
	}
}

func (p positions) at(element emu.Origin, attribute string) emu.Origin {
	if o, ok := p[attributePosition{element, attribute}]; ok {
		return o
	}
	return element
}

// Check compares a configuration with its service definition: both have the same name and the same roles, access
// control is for input endpoints that exist, in a virtual network each role has an address, and endpoints name load
// balancers that exist. The error is of type strictxml.Errors.
func (c *Configuration) Check(definition *csdef.Definition) error {
	var errs strictxml.Errors
	if c.ServiceName != definition.Name {
		errs.Add(c.positions.at(c.Origin, "serviceName"),
			"serviceName is %.60q, the service definition has the name %.60q", c.ServiceName, definition.Name)
	}
	var defined []string
	for _, r := range definition.Roles {
		defined = append(defined, r.Name)
		if _, ok := c.Role(r.Name); !ok {
			errs.Add(c.Origin, "role %.60q of the service definition is missing", r.Name).
				WithHint("it is defined at %s", r.Origin)
		}
	}
	unknown := func(at emu.Origin, name string) {
		errs.Add(at, "role %.60q is not in the service definition", name).DidYouMean(name, defined)
	}
	for _, r := range c.Roles {
		if _, ok := definition.Role(r.Name); !ok {
			unknown(c.positions.at(r.Origin, "name"), r.Name)
			continue
		}
		if _, ok := c.InstanceAddress(r.Name); !ok && c.VirtualNetworkSite != nil {
			errs.Add(c.VirtualNetworkSite.Origin, "role %.60q has no <InstanceAddress> in virtual network %.60q",
				r.Name, c.VirtualNetworkSite.Name).
				WithHint("add an <InstanceAddress> with its subnet to <AddressAssignments>")
		}
	}
	for _, a := range c.InstanceAddresses {
		if _, ok := definition.Role(a.Role); !ok {
			unknown(c.positions.at(a.Origin, "roleName"), a.Role)
		}
	}
	for _, b := range c.EndpointACLs {
		if role, ok := definition.Role(b.Role); !ok {
			unknown(c.positions.at(b.Origin, "role"), b.Role)
		} else {
			c.checkEndpoint(&errs, b, role)
		}
		c.checkAccessControl(&errs, b)
	}
	c.checkLoadBalancers(&errs, definition)
	return errs.Err()
}

func (c *Configuration) checkLoadBalancers(errs *strictxml.Errors, definition *csdef.Definition) {
	var known []string
	for _, b := range c.LoadBalancers {
		known = append(known, b.Name)
	}
	for _, r := range definition.Roles {
		for _, e := range r.InputEndpoints {
			if e.LoadBalancer != "" && !slices.Contains(known, e.LoadBalancer) {
				errs.Add(e.Origin, "the load balancer %.60q of endpoint %.60q is not in the service configuration",
					e.LoadBalancer, e.Name).
					DidYouMean(e.LoadBalancer, known)
			}
		}
	}
}

func (c *Configuration) checkEndpoint(errs *strictxml.Errors, b EndpointACL, role *csdef.Role) {
	var known []string
	for _, e := range role.InputEndpoints {
		known = append(known, e.Name)
	}
	for _, e := range role.InstanceInputEndpoints {
		known = append(known, e.Name)
	}
	if slices.Contains(known, b.Endpoint) {
		return
	}
	errs.Add(c.positions.at(b.Origin, "endpoint"), "role %.60q has no input endpoint %.60q", b.Role, b.Endpoint).
		DidYouMean(b.Endpoint, known)
}

func (c *Configuration) checkAccessControl(errs *strictxml.Errors, b EndpointACL) {
	var known []string
	for _, a := range c.AccessControls {
		if a.Name == b.AccessControl {
			return
		}
		known = append(known, a.Name)
	}
	errs.Add(c.positions.at(b.Origin, "accessControl"), "access control %.60q is not defined", b.AccessControl).
		DidYouMean(b.AccessControl, known)
}
