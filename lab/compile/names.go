package compile

import (
	"crypto/sha256"
	"encoding/base32"
	"fmt"
	"slices"
	"strings"

	"vnetlab/lab"
)

const (
	maxInterfaceName = 15  // IFNAMSIZ, less the final zero
	hashLength       = 7   // characters of five bits: enough that no two of a lab's names meet
	maxRuleID        = 60  // what an NFLOG prefix of iptables holds
	maxNamespaceName = 128 // a file is called after the lab and the namespace
	maxShownName     = 60  // bytes, in a comment of nftables, which holds 127
)

// interfaceName is a name of ours, made of what is fit for an interface. It is the name where it fits, otherwise its
// start and a hash of the whole.
func interfaceName(name string) string { return fit(name, name, maxInterfaceName) }

// interfaceOf is the name of an interface that has to do with a resource: a prefix, the resource's name, and a
// suffix. A resource may be called anything, and a name that isn't fit for an interface is told from the fit ones by
// its hash.
func interfaceOf(prefix, resource, suffix string) string {
	name, plain := prefix+resource+suffix, prefix+slug(resource)+suffix
	switch {
	case strings.HasPrefix(plain, "-"): // a flag, for those who type it
		return hashed("n"+plain, name, maxInterfaceName)
	case plain != strings.ToLower(name), slices.Contains(ownInterfaces, name):
		return hashed(plain, name, maxInterfaceName)
	}
	return interfaceName(name)
}

// ownInterfaces are interfaces and settings that namespaces have anyway, under names that resources may have.
var ownInterfaces = []string{"lo", uplink, "all", "default"}

func shortID(id string) string { return fit(id, id, maxRuleID) }

func fit(shown, name string, limit int) string {
	if len(name) <= limit {
		return name
	}
	return hashed(shown, name, limit)
}

// hashed is the start of a text with a hash of a name.
func hashed(shown, name string, limit int) string {
	digest := sha256.Sum256([]byte(name))
	sum := strings.ToLower(base32.StdEncoding.EncodeToString(digest[:5]))[:hashLength]
	return shown[:min(len(shown), limit-len(sum)-1)] + "-" + sum
}

// slug is a name in lowercase letters, digits, underscores and single hyphens.
func slug(name string) string {
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
	return fit(b.String(), b.String(), maxNamespaceName)
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
func WebSitesEdgeName(location string) string { return "edge.azurewebsites." + slug(location) }

// DatacenterName is the namespace of a location.
func DatacenterName(location string) string { return "datacenter." + slug(location) }
