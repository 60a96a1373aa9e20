// Package text writes networks, and the changes between them, for programs and people: rules as nft -f and
// iptables-restore read them, and listings. The notation of a single rule is the rule's own: [emu.Rule.String] and
// [emu.FirewallRule.Lines].
package text

import (
	"fmt"
	"strings"

	"vnetlab/emu"
)

// originComment returns the place that a rule or a service comes from, as a comment at the end of its line; empty where
// there is none.
func originComment(o emu.Origin) string {
	if o.IsZero() {
		return ""
	}
	return "  # " + o.String()
}

func join[T fmt.Stringer](all []T) string { return strings.Join(each(all, T.String), " ") }

func each[T any](all []T, text func(T) string) []string {
	texts := make([]string, len(all))
	for i, v := range all {
		texts[i] = text(v)
	}
	return texts
}
