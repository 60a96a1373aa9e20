package rules

import (
	"fmt"
	"hash/fnv"
	"strings"

	"vnetlab/lab"
)

// EdgeName is the namespace at the edge of an isolation domain (lab.Lab.Domain).
func EdgeName(domain string) string { return "edge." + domain }

// WebSitesEdgeName is the namespace at the edge of the web sites of a location.
func WebSitesEdgeName(location string) string { return "edge.azurewebsites." + Slug(location) }

// DatacenterName is the namespace of a location.
func DatacenterName(location string) string { return "datacenter." + Slug(location) }

// Internet is the namespace that joins locations and internet hosts.
const Internet = "internet"

// SiteName is the namespace of an on-premises site's VPN device.
func SiteName(n *lab.LocalNetwork) string { return "site." + strings.ToLower(n.Name) }

// Slug writes a location as it is part of names.
func Slug(location string) string {
	return strings.ReplaceAll(strings.ToLower(location), " ", "-")
}

// maxRuleID is what an NFLOG prefix of iptables holds.
const maxRuleID = 60

func shortID(id string) string {
	if len(id) <= maxRuleID {
		return id
	}
	h := fnv.New32a()
	h.Write([]byte(id))
	return fmt.Sprintf("%s-%06x", id[:maxRuleID-7], h.Sum32()&0xffffff)
}
