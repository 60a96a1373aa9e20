package compile

import (
	"crypto/sha256"
	"encoding/base32"
	"slices"
	"strings"

	"vnetlab/lab/rules"
)

const (
	maxInterfaceName = 15 // IFNAMSIZ, less the final zero
	hashLength       = 7  // characters of five bits: enough that no two of a lab's names meet
	maxShownName     = 60 // bytes, in a comment of nftables, which holds 127
)

// interfaceName is a name of ours, made of what is fit for an interface. It is the name where it fits, otherwise its
// start and a hash of the whole.
func interfaceName(name string) string { return fit(name, name, maxInterfaceName) }

// interfaceOf is the name of an interface that has to do with a resource: a prefix, the resource's name, and a
// suffix. A resource may be called anything, and a name that isn't fit for an interface is told from the fit ones by
// its hash.
func interfaceOf(prefix, resource, suffix string) string {
	name, plain := prefix+resource+suffix, prefix+rules.Slug(resource)+suffix
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
