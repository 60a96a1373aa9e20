package csdef

import (
	"slices"

	"vnetlab/lab/strictxml"
)

// The description of the document, as the schema pages of MSDN have it: "Service Definition Schema", "WebRole Schema",
// "WorkerRole Schema", "LoadBalancerProbe Schema", "NetworkTrafficRules Schema".

type (
	spec     = strictxml.Spec
	children = map[string]strictxml.Child
)

var (
	many  = strictxml.Many
	some  = strictxml.AtLeastOne
	maybe = strictxml.AtMostOne
	one   = strictxml.One
	named = strictxml.Named
)

var schema = strictxml.Schema{Namespace: Namespace, Root: "ServiceDefinition", Spec: spec{
	Required: []string{"name"},
	Optional: []string{"topologyChangeDiscovery", "upgradeDomainCount", "schemaVersion"},
	Children: children{
		"LoadBalancerProbes":  maybe(spec{Children: children{"LoadBalancerProbe": many(probe)}}),
		"WebRole":             many(role(true)),
		"WorkerRole":          many(role(false)),
		"NetworkTrafficRules": many(spec{Children: children{"OnlyAllowTrafficTo": many(trafficRule)}}),
	},
	Explained: map[string]string{
		vmRole: "is a VM role, a beta of SDK 1.3 that came to nothing: make a cloud service with virtualMachines of " +
			"it in the lab file",
	},
}}

// inputEndpoints is what SDK 1.0 wrote around input endpoints; the platform took it beside <Endpoints> later too.
const inputEndpoints = "InputEndpoints"

// vmRole is explained instead of read.
const vmRole = "VirtualMachineRole"

var probe = spec{
	Required: []string{"name", "protocol"},
	Optional: []string{"path", "port", "intervalInSeconds", "timeoutInSeconds"},
}

var trafficRule = spec{Children: children{
	"Destinations": one(spec{Children: children{"RoleEndpoint": some(
		spec{Required: []string{"endpointName", "roleName"}})}}),
	"AllowAllTraffic": maybe(spec{}),
	"WhenSource": maybe(spec{
		Required: []string{"matches"},
		Children: children{"FromRole": some(spec{Required: []string{"roleName"}})},
	}),
}}

func role(web bool) spec {
	s := spec{
		Required: []string{"name"},
		Optional: []string{"vmsize", "enableNativeCodeExecution"},
		Children: children{
			"Certificates":          maybe(spec{Children: children{"Certificate": many(certificate)}}),
			"ConfigurationSettings": maybe(spec{Children: children{"Setting": many(named)}}),
			"Imports": maybe(spec{Children: children{
				"Import": many(spec{Required: []string{"moduleName"}})}}),
			"Endpoints":      maybe(endpoints),
			inputEndpoints:   maybe(spec{Children: children{"InputEndpoint": many(inputEndpoint)}}),
			"LocalResources": maybe(spec{Children: children{"LocalStorage": many(localStorage)}}),
			"LocalStorage":   many(localStorage), // where early SDKs had it
			"Runtime":        maybe(runtime(web)),
			"Startup": maybe(spec{Optional: []string{"priority"},
				Children: children{"Task": many(task)}}),
			"Contents": maybe(spec{Children: children{"Content": many(content)}}),
		},
	}
	if web {
		s.Children["Sites"] = maybe(spec{Children: children{"Site": many(site)}})
	}
	return s
}

var inputEndpoint = spec{
	Required: []string{"name", "protocol", "port"},
	Optional: []string{
		"localPort", "certificate", "ignoreRoleInstanceStatus", "loadBalancerProbe", "idleTimeoutInMinutes",
		"loadBalancerDistribution", "loadBalancer",
	},
}

// endpointElements returns the endpoints of a role, wherever its SDK wrote them.
func endpointElements(role *element) (all []*element) {
	for _, parent := range []string{"Endpoints", inputEndpoints} {
		if e := role.Child(parent); e != nil {
			all = append(all, e.Children...)
		}
	}
	return all
}

// endpointsOf returns the endpoints of a kind that a role has.
func endpointsOf(role *element, kind string) []*element {
	return slices.DeleteFunc(endpointElements(role), func(e *element) bool { return e.Name != kind })
}

var endpoints = spec{Children: children{
	"InputEndpoint": many(inputEndpoint),
	"InternalEndpoint": many(spec{
		Required: []string{"name", "protocol"},
		Optional: []string{"port"},
		Children: children{
			"FixedPort":      maybe(spec{Required: []string{"port"}}),
			"FixedPortRange": maybe(portRange),
		},
	}),
	"InstanceInputEndpoint": many(spec{
		Required: []string{"name", "protocol", "localPort"},
		Children: children{"AllocatePublicPortFrom": one(spec{Children: children{"FixedPortRange": one(portRange)}})},
	}),
}}

var (
	portRange    = spec{Required: []string{"min", "max"}}
	certificate  = spec{Required: []string{"name", "storeLocation", "storeName"}, Optional: []string{"permissionLevel"}}
	localStorage = spec{Required: []string{"name"}, Optional: []string{"cleanOnRoleRecycle", "sizeInMB"}}
	content      = spec{Required: []string{"destination"}, Children: children{
		"SourceDirectory": one(spec{Required: []string{"path"}})}}
	environment = spec{Children: children{"Variable": many(spec{
		Required: []string{"name"},
		Optional: []string{"value"},
		Children: children{"RoleInstanceValue": maybe(spec{Optional: []string{"xpath"}})},
	})}}
	task = spec{
		Required: []string{"commandLine"},
		Optional: []string{"executionContext", "taskType"},
		Children: children{"Environment": maybe(environment)},
	}
)

func runtime(web bool) spec {
	entry := children{"NetFxEntryPoint": maybe(spec{Required: []string{"assemblyName", "targetFrameworkVersion"}})}
	if !web {
		entry["ProgramEntryPoint"] = maybe(spec{Required: []string{"commandLine"},
			Optional: []string{"setReadyOnProcessStart"}})
	}
	return spec{Optional: []string{"executionContext"}, Children: children{
		"Environment": maybe(environment),
		"EntryPoint":  maybe(spec{Children: entry}),
	}}
}

// directories may hold one another, as those of IIS do.
func directories() children {
	all := children{}
	inside := many(spec{Required: []string{"name", "physicalDirectory"}, Children: all})
	all["VirtualApplication"], all["VirtualDirectory"] = inside, inside
	return all
}

var (
	virtual = directories()
	site    = spec{
		Required: []string{"name"},
		Optional: []string{"physicalDirectory"},
		Children: children{
			"VirtualApplication": virtual["VirtualApplication"],
			"VirtualDirectory":   virtual["VirtualDirectory"],
			"Bindings": one(spec{Children: children{"Binding": many(spec{
				Required: []string{"name", "endpointName"},
				Optional: []string{"hostHeader"},
			})}}),
		},
	}
)
