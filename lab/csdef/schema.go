package csdef

import (
	"slices"

	"vnetlab/lab/strictxml"
)

// The description of the document follows the schema pages of MSDN: "Service Definition Schema", "WebRole Schema",
// "WorkerRole Schema", "LoadBalancerProbe Schema", "NetworkTrafficRules Schema".

var schema = strictxml.Schema{Namespace: Namespace, Root: "ServiceDefinition", Spec: strictxml.Spec{
	Required: []string{"name"},
	Optional: []string{"topologyChangeDiscovery", "upgradeDomainCount", "schemaVersion"},
	Children: strictxml.Children{
		"LoadBalancerProbes": strictxml.List("LoadBalancerProbe", probe),
		"WebRole":            strictxml.Many(role(true)),
		"WorkerRole":         strictxml.Many(role(false)),
		"NetworkTrafficRules": strictxml.Many(strictxml.Spec{
			Children: strictxml.Children{"OnlyAllowTrafficTo": strictxml.Many(trafficRule)},
		}),
	},
	Explained: map[string]string{
		vmRole: "is a VM role, a beta of SDK 1.3 that came to nothing: make a cloud service with virtualMachines of " +
			"it in the lab file",
	},
}}

// inputEndpoints is the element around input endpoints in SDK 1.0. The platform accepted it beside <Endpoints>
// later too.
const inputEndpoints = "InputEndpoints"

// vmRole is explained instead of read.
const vmRole = "VirtualMachineRole"

var probe = strictxml.Spec{
	Required: []string{"name", "protocol"},
	Optional: []string{"path", "port", "intervalInSeconds", "timeoutInSeconds"},
}

var trafficRule = strictxml.Spec{Children: strictxml.Children{
	"Destinations": strictxml.One(strictxml.Spec{Children: strictxml.Children{
		"RoleEndpoint": strictxml.AtLeastOne(strictxml.Requires("endpointName", "roleName")),
	}}),
	"AllowAllTraffic": strictxml.AtMostOne(strictxml.Spec{}),
	"WhenSource": strictxml.AtMostOne(strictxml.Spec{
		Required: []string{"matches"},
		Children: strictxml.Children{"FromRole": strictxml.AtLeastOne(strictxml.Requires("roleName"))},
	}),
}}

func role(web bool) strictxml.Spec {
	s := strictxml.Spec{
		Required: []string{"name"},
		Optional: []string{"vmsize", "enableNativeCodeExecution"},
		Children: strictxml.Children{
			"Certificates":          strictxml.List("Certificate", certificate),
			"ConfigurationSettings": strictxml.List("Setting", strictxml.Named),
			"Imports":               strictxml.List("Import", strictxml.Requires("moduleName")),
			"Endpoints":             strictxml.AtMostOne(endpoints),
			inputEndpoints:          strictxml.List("InputEndpoint", inputEndpoint),
			"LocalResources":        strictxml.List("LocalStorage", localStorage),
			"LocalStorage":          strictxml.Many(localStorage), // where early SDKs had it
			"Runtime":               strictxml.AtMostOne(runtime(web)),
			"Startup": strictxml.AtMostOne(strictxml.Spec{
				Optional: []string{"priority"},
				Children: strictxml.Children{"Task": strictxml.Many(task)},
			}),
			"Contents": strictxml.List("Content", content),
		},
	}
	if web {
		s.Children["Sites"] = strictxml.List("Site", site)
	}
	return s
}

var inputEndpoint = strictxml.Spec{
	Required: []string{"name", "protocol", "port"},
	Optional: []string{
		"localPort", "certificate", "ignoreRoleInstanceStatus", "loadBalancerProbe", "idleTimeoutInMinutes",
		"loadBalancerDistribution", "loadBalancer",
	},
}

// endpointElements returns the endpoints of a role, wherever its SDK wrote them.
func endpointElements(role *strictxml.Element) (all []*strictxml.Element) {
	for _, parent := range []string{"Endpoints", inputEndpoints} {
		if e := role.Child(parent); e != nil {
			all = append(all, e.Children...)
		}
	}
	return all
}

// endpointsOf returns the endpoints of a kind that a role has.
func endpointsOf(role *strictxml.Element, kind string) []*strictxml.Element {
	return slices.DeleteFunc(endpointElements(role), func(e *strictxml.Element) bool { return e.Name != kind })
}

var endpoints = strictxml.Spec{Children: strictxml.Children{
	"InputEndpoint": strictxml.Many(inputEndpoint),
	"InternalEndpoint": strictxml.Many(strictxml.Spec{
		Required: []string{"name", "protocol"},
		Optional: []string{"port"},
		Children: strictxml.Children{
			"FixedPort":      strictxml.AtMostOne(strictxml.Requires("port")),
			"FixedPortRange": strictxml.AtMostOne(portRange),
		},
	}),
	"InstanceInputEndpoint": strictxml.Many(strictxml.Spec{
		Required: []string{"name", "protocol", "localPort"},
		Children: strictxml.Children{"AllocatePublicPortFrom": strictxml.One(
			strictxml.Spec{Children: strictxml.Children{"FixedPortRange": strictxml.One(portRange)}})},
	}),
}}

var (
	portRange   = strictxml.Requires("min", "max")
	certificate = strictxml.Spec{
		Required: []string{"name", "storeLocation", "storeName"},
		Optional: []string{"permissionLevel"},
	}
	localStorage = strictxml.Spec{Required: []string{"name"}, Optional: []string{"cleanOnRoleRecycle", "sizeInMB"}}
	content      = strictxml.Spec{Required: []string{"destination"}, Children: strictxml.Children{
		"SourceDirectory": strictxml.One(strictxml.Requires("path")),
	}}
	environment = strictxml.Spec{Children: strictxml.Children{"Variable": strictxml.Many(strictxml.Spec{
		Required: []string{"name"},
		Optional: []string{"value"},
		Children: strictxml.Children{"RoleInstanceValue": strictxml.AtMostOne(
			strictxml.Spec{Optional: []string{"xpath"}})},
	})}}
	task = strictxml.Spec{
		Required: []string{"commandLine"},
		Optional: []string{"executionContext", "taskType"},
		Children: strictxml.Children{"Environment": strictxml.AtMostOne(environment)},
	}
)

func runtime(web bool) strictxml.Spec {
	entry := strictxml.Children{"NetFxEntryPoint": strictxml.AtMostOne(
		strictxml.Requires("assemblyName", "targetFrameworkVersion"))}
	if !web {
		entry["ProgramEntryPoint"] = strictxml.AtMostOne(strictxml.Spec{
			Required: []string{"commandLine"},
			Optional: []string{"setReadyOnProcessStart"},
		})
	}
	return strictxml.Spec{Optional: []string{"executionContext"}, Children: strictxml.Children{
		"Environment": strictxml.AtMostOne(environment),
		"EntryPoint":  strictxml.AtMostOne(strictxml.Spec{Children: entry}),
	}}
}

// directories can be nested, as in IIS.
func directories() strictxml.Children {
	all := strictxml.Children{}
	inside := strictxml.Many(strictxml.Spec{Required: []string{"name", "physicalDirectory"}, Children: all})
	all["VirtualApplication"], all["VirtualDirectory"] = inside, inside
	return all
}

var (
	virtual = directories()
	site    = strictxml.Spec{
		Required: []string{"name"},
		Optional: []string{"physicalDirectory"},
		Children: strictxml.Children{
			"VirtualApplication": virtual["VirtualApplication"],
			"VirtualDirectory":   virtual["VirtualDirectory"],
			"Bindings": strictxml.One(strictxml.Spec{Children: strictxml.Children{
				"Binding": strictxml.Many(strictxml.Spec{
					Required: []string{"name", "endpointName"},
					Optional: []string{"hostHeader"},
				}),
			}}),
		},
	}
)
