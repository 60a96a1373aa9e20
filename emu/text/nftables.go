package text

import (
	"fmt"
	"net/netip"
	"strings"

	"vnetlab/emu"
)

// NFTables returns a table as a file that nft -f reads.
func NFTables(t *emu.Ruleset) string { return table(t, emu.Rule.String) }

// annotatedNFTables is [NFTables] with the place each rule comes from.
func annotatedNFTables(t *emu.Ruleset) string {
	return table(t, func(r emu.Rule) string { return r.String() + originComment(r.Origin) })
}

func table(t *emu.Ruleset, rule func(emu.Rule) string) string {
	w := &tableWriter{}
	fmt.Fprintf(w, "table %s %s {\n", t.Family, t.Table)
	for _, s := range t.Ports {
		w.set("set "+s.Name, "type ifname . ipv4_addr;", each(s.Elements, emu.PortAddress.String))
	}
	for _, s := range t.Prefixes {
		w.set("set "+s.Name, "type ipv4_addr; flags interval;", each(s.Elements, netip.Prefix.String))
	}
	for _, s := range t.Pairs {
		w.set("set "+s.Name, "type ipv4_addr . ipv4_addr;", each(s.Elements, func(e [2]netip.Addr) string {
			return e[0].String() + " . " + e[1].String()
		}))
	}
	for _, m := range t.Addresses {
		w.set("map "+m.Name, "type ipv4_addr : ipv4_addr;", each(m.Elements, func(e emu.AddressMapElement) string {
			return e.Key.String() + " : " + e.Value.String()
		}))
	}
	for _, m := range t.Marks {
		w.set("map "+m.Name, "type ipv4_addr : mark;", each(m.Elements, func(e emu.MarkMapElement) string {
			return e.Key.String() + " : " + emu.MarkText(e.Mark)
		}))
	}
	for _, p := range t.Timeouts {
		state := "established"
		if p.Protocol == emu.UDP {
			state = "replied"
		}
		w.block("ct timeout "+p.Name, "protocol "+string(p.Protocol)+"; l3proto ip;",
			fmt.Sprintf("policy = { %s : %d }", state, p.Seconds))
	}
	for _, c := range t.Chains { // nft wants a chain before the map whose elements go to it
		if c.Hook == emu.NoHook {
			w.block("chain "+c.Name, each(c.Rules, rule)...)
		}
	}
	for _, m := range t.Sockets {
		w.set("map "+m.Name, "type ipv4_addr . inet_proto . inet_service : verdict;",
			each(m.Elements, func(e emu.SocketMapElement) string {
				return fmt.Sprintf("%s . %s . %d : goto %s", e.Address, e.Protocol, e.Port, e.Chain)
			}))
	}
	for _, c := range t.Chains {
		if c.Hook != emu.NoHook {
			w.block("chain "+c.Name, append([]string{string(c.Hook)}, each(c.Rules, rule)...)...)
		}
	}
	w.WriteString("}\n")
	return w.String()
}

type tableWriter struct{ strings.Builder }

func (w *tableWriter) block(head string, lines ...string) {
	fmt.Fprintf(w, "\t%s {\n", head)
	for _, l := range lines {
		fmt.Fprintf(w, "\t\t%s\n", l)
	}
	w.WriteString("\t}\n")
}

func (w *tableWriter) set(head, kind string, elements []string) {
	lines := []string{kind}
	if len(elements) > 0 {
		lines = append(lines, "elements = { "+strings.Join(elements, ", ")+" }")
	}
	w.block(head, lines...)
}
