package text

import (
	"strings"

	"vnetlab/emu"
)

// IPTables returns the whole filter table of a firewall as iptables-restore reads it and iptables-save prints it,
// without counters.
func IPTables(f *emu.Firewall) string {
	var b strings.Builder
	b.WriteString("*filter\n:INPUT DROP [0:0]\n:FORWARD ACCEPT [0:0]\n:OUTPUT ACCEPT [0:0]\n")
	for _, l := range f.Lines() {
		b.WriteString(l + "\n")
	}
	b.WriteString("COMMIT\n")
	return b.String()
}

// annotatedIPTables is [IPTables] with the place each rule comes from on a line before it.
func annotatedIPTables(f *emu.Firewall) string {
	text := IPTables(f)
	for _, r := range f.Rules {
		if place := originComment(r.Origin); place != "" {
			first := r.Lines()[0]
			text = strings.Replace(text, "\n"+first+"\n", "\n"+strings.TrimSpace(place)+"\n"+first+"\n", 1)
		}
	}
	return text
}
