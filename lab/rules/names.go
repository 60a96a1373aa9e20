package rules

import (
	"crypto/sha256"
	"encoding/base32"
	"fmt"
	"strings"

	"vnetlab/lab"
)

// Slug is a name in lowercase letters, digits, underscores and single hyphens.
func Slug(name string) string {
	var b strings.Builder
	for _, r := range strings.ToLower(name) {
		switch {
		case r >= 'a' && r <= 'z', r >= '0' && r <= '9', r == '_':
			b.WriteRune(r)
		case r == '-', !strings.HasSuffix(b.String(), "-"):
			b.WriteByte('-')
		}
	}
	return b.String()
}

// namespacePart is a resource's name in the name of a namespace: itself where it is made of letters, digits, hyphens
// and underscores; of any other byte it has the number, as in Prod.20net. No two names give the same.
func namespacePart(name string) string {
	var b strings.Builder
	for _, c := range []byte(name) {
		switch {
		case c >= 'a' && c <= 'z', c >= 'A' && c <= 'Z', c >= '0' && c <= '9', c == '-', c == '_':
			b.WriteByte(c)
		default:
			fmt.Fprintf(&b, ".%02x", c)
		}
	}
	return fit(b.String(), maxNamespaceName)
}

// EdgeName is the namespace at the edge of an isolation domain: of a virtual network, or of a service outside any.
func EdgeName(d lab.Domain) string {
	if d.VirtualNetwork != "" {
		return "edge." + namespacePart(d.VirtualNetwork)
	}
	return "edge." + d.String()
}

// NetworkEdgeName is the namespace at the edge of a virtual network.
func NetworkEdgeName(name string) string { return EdgeName(lab.Domain{VirtualNetwork: name}) }

// SiteName is the namespace of an on-premises site's VPN device.
func SiteName(n *lab.LocalNetwork) string { return "site." + namespacePart(strings.ToLower(n.Name)) }

// WebSitesEdgeName is the namespace at the edge of the web sites of a location.
func WebSitesEdgeName(location string) string { return "edge.azurewebsites." + Slug(location) }

// DatacenterName is the namespace of a location.
func DatacenterName(location string) string { return "datacenter." + Slug(location) }

// Internet is the namespace that joins locations and internet hosts.
const Internet = "internet"

// What an NFLOG prefix holds, in bytes without the final zero: that of an nftables rule, less what makes it easy to
// read, and that of an iptables rule.
const (
	maxRuleID     = 120
	maxFirewallID = 60
)

// maxNamespaceName is in bytes; a file is called after the lab and the namespace.
const maxNamespaceName = 128

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
