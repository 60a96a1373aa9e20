package cscfg

import "vnetlab/lab/strictxml"

// schema describes the document, as the pages "Service Configuration Schema", "Role Schema" and "NetworkConfiguration
// Schema" of MSDN have it.
var schema = strictxml.Schema{Namespace: Namespace, Root: "ServiceConfiguration", Spec: strictxml.Spec{
	Required: []string{"serviceName"},
	Optional: []string{"osFamily", "osVersion", "schemaVersion"},
	Children: strictxml.Children{
		"Role": strictxml.AtLeastOne(strictxml.Spec{
			Required: []string{"name"},
			Optional: []string{"vmName"},
			Children: strictxml.Children{
				"Instances": strictxml.One(strictxml.Requires("count")),
				"ConfigurationSettings": strictxml.List("Setting", strictxml.Spec{
					Required: []string{"name"},
					Optional: []string{"value"},
				}),
				"Certificates": strictxml.AtMostOne(strictxml.Spec{Children: strictxml.Children{
					// Many templates leave the thumbprint of a certificate empty.
					"Certificate": strictxml.Many(strictxml.Spec{
						Required: []string{"name"},
						Optional: []string{"thumbprint", "thumbprintAlgorithm"},
					}),
				}}),
			},
			Explained: map[string]string{
				"OsImage": "is for a VM role, a beta of SDK 1.3 that came to nothing: make a cloud service with " +
					"virtualMachines of it in the lab file",
			},
		}),
		"NetworkConfiguration": strictxml.AtMostOne(networkConfiguration),
	},
}}

// endpointACL has the attribute as the page spells it and as working files do.
var endpointACL = strictxml.Spec{
	Required:  []string{"role", "endpoint", "accessControl"},
	Spellings: map[string]string{"endPoint": "endpoint"},
}

var networkConfiguration = strictxml.Spec{Children: strictxml.Children{
	"AccessControls": strictxml.List("AccessControl", strictxml.Spec{
		Required: []string{"name"},
		Children: strictxml.Children{"Rule": strictxml.Many(
			strictxml.Spec{
				Required: []string{"order", "action", "remoteSubnet"},
				Optional: []string{"description"},
			})},
	}),
	"EndpointAcls": strictxml.List("EndpointAcl", endpointACL),
	"Dns": strictxml.AtMostOne(strictxml.Spec{
		Children: strictxml.Children{"DnsServers": strictxml.List("DnsServer",
			strictxml.Requires("name", "IPAddress"))},
	}),
	"VirtualNetworkSite": strictxml.AtMostOne(strictxml.Named),
	"AddressAssignments": strictxml.AtMostOne(strictxml.Spec{Children: strictxml.Children{
		"InstanceAddress": strictxml.Many(strictxml.Spec{
			Required: []string{"roleName"},
			Children: strictxml.Children{
				"Subnets": strictxml.List("Subnet", strictxml.Named),
				"PublicIPs": strictxml.List("PublicIP", strictxml.Spec{
					Required: []string{"name"},
					Optional: []string{"idleTimeoutInMinutes", "domainNameLabel"},
				}),
			},
		}),
		"ReservedIPs": strictxml.AtMostOne(strictxml.Spec{Children: strictxml.Children{
			"ReservedIP": strictxml.AtMostOne(strictxml.Named),
		}}),
	}}),
	"LoadBalancers": strictxml.List("LoadBalancer", strictxml.Spec{
		Required: []string{"name"},
		Children: strictxml.Children{"FrontendIPConfiguration": strictxml.One(strictxml.Spec{
			Required: []string{"type"},
			Optional: []string{"subnet", "staticVirtualNetworkIPAddress"},
		})},
	}),
}}
