package rules

import (
	"crypto/sha256"
	"encoding/base32"
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

// What an NFLOG prefix holds, in bytes without the final zero: that of an nftables rule, less what makes it easy to read, and that of an
// iptables rule.
const (
	maxRuleID     = 120
	maxFirewallID = 60
)

func shortID(id string) string { return fit(id, maxRuleID) }

// fit is the id where it fits, otherwise its start and a hash of the whole.
func fit(id string, limit int) string {
	if len(id) <= limit {
		return id
	}
	h := hash(id)
	cut := limit - len(h) - 1
	for cut > 0 && id[cut]&0xc0 == 0x80 { // not inside a character
		cut--
	}
	return id[:cut] + "-" + h
}

// hash is long enough that the ids of a large edge don't meet.
func hash(s string) string {
	sum := sha256.Sum256([]byte(s))
	return strings.ToLower(base32.HexEncoding.EncodeToString(sum[:]))[:12]
}
