package netcfg

import "vnetlab/lab/strictxml"

var (
	text         = strictxml.Spec{Text: true}
	blank        = strictxml.Spec{Text: true, Blank: true}
	addressSpace = strictxml.Spec{Children: strictxml.Children{"AddressPrefix": strictxml.AtLeastOne(text)}}
)

// The types of connections.
const (
	IPsec     = "IPsec"
	Dedicated = "Dedicated" // ExpressRoute
)

// schema describes the document, following MSDN. Its pages differ in the order of a network's parts, so the order
// is free. Containers may be empty, and a reference without a connection means one by IPsec.
var schema = strictxml.Schema{Namespace: Namespace, Root: "NetworkConfiguration", Spec: strictxml.Spec{
	Children: strictxml.Children{"VirtualNetworkConfiguration": strictxml.AtMostOne(
		strictxml.Spec{Children: strictxml.Children{
			"Dns": strictxml.AtMostOne(strictxml.Spec{Children: strictxml.Children{
				"DnsServers": strictxml.List("DnsServer", strictxml.Requires("name", "IPAddress")),
			}}),
			"LocalNetworkSites": strictxml.List("LocalNetworkSite", strictxml.Spec{
				Required: []string{"name"},
				Children: strictxml.Children{
					"AddressSpace":      strictxml.One(addressSpace),
					"VPNGatewayAddress": strictxml.AtMostOne(blank),
				},
			}),
			"VirtualNetworkSites": strictxml.List("VirtualNetworkSite", virtualNetworkSite),
		}})},
}}

var virtualNetworkSite = strictxml.Spec{
	Required: []string{"name"},
	Optional: []string{"AffinityGroup", "Location"},
	Children: strictxml.Children{
		"Label":        strictxml.AtMostOne(blank),
		"AddressSpace": strictxml.One(addressSpace),
		"Subnets": strictxml.List("Subnet", strictxml.Spec{Required: []string{"name"}, Children: strictxml.Children{
			"AddressPrefix": strictxml.One(text),
		}}),
		"DnsServersRef": strictxml.List("DnsServerRef", strictxml.Named),
		"Gateway": strictxml.AtMostOne(strictxml.Spec{
			Optional: []string{"profile"},
			Children: strictxml.Children{
				"VPNClientAddressPool": strictxml.List("AddressPrefix", text),
				"ConnectionsToLocalNetwork": strictxml.List("LocalNetworkSiteRef", strictxml.Spec{
					Required: []string{"name"},
					Children: strictxml.Children{"Connection": strictxml.Many(
						strictxml.Spec{Optional: []string{"type"}})},
				}),
			},
		}),
	},
}
