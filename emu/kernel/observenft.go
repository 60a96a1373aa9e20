package kernel

import (
	"bytes"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"net/netip"
	"reflect"
	"slices"
	"strings"

	"github.com/google/nftables"
	"github.com/google/nftables/expr"
	"github.com/google/nftables/userdata"
	"golang.org/x/sys/unix"

	"vnetlab/emu"
)

// readTables reads all nftables tables of the namespace, and by them or by iptables the guest firewall.
func readTables(f *facts, n *Namespace, spec *emu.Namespace, firewalls *firewallReader) error {
	var c *nftables.Conn
	if err := n.Do(func() (err error) {
		c, err = nftables.New(nftables.AsLasting())
		return err
	}); err != nil {
		return err
	}
	defer c.CloseLasting() //nolint:errcheck // only read from
	tables, err := c.ListTables()
	if err != nil {
		return fmt.Errorf("list nftables tables: %w", err)
	}
	var chains []*nftables.Chain
	if len(tables) > 0 {
		if chains, err = c.ListChains(); err != nil {
			return fmt.Errorf("list nftables chains: %w", err)
		}
	}
	var filter *nftables.Table // of iptables-nft
	for _, t := range tables {
		if t.Family == nftables.TableFamilyIPv4 && t.Name == "filter" && (spec == nil || spec.Firewall != nil) {
			filter = t
			if isDormant(t) {
				f.objects[tableObject(families[t.Family], t.Name)] = tableProperties(t)
			}
			continue
		}
		same := func(r *emu.Ruleset) bool { return tableOf(r).Family == t.Family && r.Table == t.Name }
		own := slices.DeleteFunc(slices.Clone(chains), func(c *nftables.Chain) bool {
			return c.Table.Name != t.Name || c.Table.Family != t.Family
		})
		isForeign := spec != nil && !slices.ContainsFunc(spec.Rulesets(), same)
		if isForeign {
			idle, err := isIdle(c, t, own)
			if err != nil {
				return fmt.Errorf("read the nftables table %s: %w", t.Name, err)
			}
			if idle {
				continue
			}
		}
		f.objects[tableObject(families[t.Family], t.Name)] = tableProperties(t)
		if isForeign {
			continue // its contents don't matter: none of it is wanted
		}
		err := readTable(f, c, t, own)
		if err == nil {
			err = readTimeouts(f, n, t)
		}
		if err != nil {
			return fmt.Errorf("read the nftables table %s: %w", t.Name, err)
		}
	}
	if err := readOlderTables(f, n, spec != nil && spec.Firewall != nil && filter == nil); err != nil {
		return err
	}
	if spec != nil && spec.Firewall != nil || filter != nil {
		return firewalls.read(f, n, c, filter, chains)
	}
	return nil
}

// isIdle reports whether a table decides nothing: it has no rule, and each chain that sees packets accepts them. Many
// iptables commands, such as iptables -t raw -F, make such a table and leave it.
func isIdle(c *nftables.Conn, t *nftables.Table, chains []*nftables.Chain) (bool, error) {
	for _, ch := range chains {
		if ch.Policy != nil && *ch.Policy != nftables.ChainPolicyAccept {
			return false, nil
		}
		rules, err := c.GetRules(t, ch)
		if err != nil {
			return false, fmt.Errorf("chain %s: %w", ch.Name, err)
		}
		if len(rules) > 0 {
			return false, nil
		}
	}
	return true, nil
}

// tableProperties are none, or that the chains of a table see no packet.
func tableProperties(t *nftables.Table) properties {
	if isDormant(t) {
		return properties{"dormant": "yes"}
	}
	return properties{}
}

// isDormant looks at a flag of a table. The library takes the number for one in the order of the host.
func isDormant(t *nftables.Table) bool {
	const dormant = 1 // NFT_TABLE_F_DORMANT
	return binary.BigEndian.Uint32(binary.NativeEndian.AppendUint32(nil, t.Flags))&dormant != 0
}

var families = map[nftables.TableFamily]string{
	nftables.TableFamilyINet: "inet", nftables.TableFamilyIPv4: "ip", nftables.TableFamilyIPv6: "ip6",
	nftables.TableFamilyARP: "arp", nftables.TableFamilyNetdev: "netdev", nftables.TableFamilyBridge: "bridge",
}

func readTable(f *facts, c *nftables.Conn, t *nftables.Table, chains []*nftables.Chain) error {
	family := families[t.Family]
	sets, err := c.GetSets(t)
	if err != nil {
		return err
	}
	anonymous := map[string]string{}
	for _, s := range sets {
		found, err := c.GetSetElements(s)
		if err != nil {
			return fmt.Errorf("set %s: %w", s.Name, err)
		}
		if s.Anonymous {
			anonymous[s.Name] = contents(found)
			continue
		}
		f.objects[setObject(family, s.Name)] = setProperties(s)
		for key, value := range elements(s, found) {
			f.objects[setObject(family, s.Name)+" element "+key] = value
		}
	}
	for _, ch := range chains {
		f.objects[chainObject(family, ch.Name)] = chainProperties(*ch)
		found, err := c.GetRules(t, ch)
		if err != nil {
			return fmt.Errorf("chain %s: %w", ch.Name, err)
		}
		rules := []rule{}
		for _, r := range found {
			for _, e := range r.Exprs {
				if l, ok := e.(*expr.Lookup); ok {
					if text, ok := anonymous[l.SetName]; ok {
						l.SetName = text
					}
				}
			}
			code := code(r.Exprs, r.UserData)
			rules = append(rules, rule{describe(r), code})
		}
		f.lists[chainObject(family, ch.Name)] = rules
	}
	return nil
}

// code is equal for equal rules: their expressions without counts, and without numbers that the kernel chose.
func code(exprs []expr.Any, data []byte) string {
	var b bytes.Buffer
	for _, e := range exprs {
		switch t := e.(type) {
		case *expr.Counter:
			e = &expr.Counter{}
		case *expr.Lookup:
			l := *t
			l.SetID = 0
			e = &l
		}
		encoded, err := expr.Marshal(unix.NFPROTO_IPV4, e)
		if err != nil {
			fmt.Fprintf(&b, "%T %v", e, err)
		}
		b.Write(encoded)
	}
	b.Write(data)
	return b.String()
}

// describe returns a rule that isn't the lab's in the terms of the library.
func describe(r *nftables.Rule) string {
	var parts []string
	for _, e := range r.Exprs {
		name := strings.ToLower(reflect.TypeOf(e).Elem().Name())
		if v, ok := e.(*expr.Verdict); ok {
			name = verdict(int32(v.Kind), v.Chain)
		}
		parts = append(parts, name)
	}
	text := "a rule of " + strings.Join(parts, ", ")
	if comment, ok := userdata.GetString(r.UserData, userdata.TypeComment); ok {
		text += fmt.Sprintf(" with comment %q", comment)
	}
	return text
}

func setProperties(s *nftables.Set) properties {
	return properties{"interval": onOff(s.Interval), "map": onOff(s.IsMap)}
}

func chainProperties(c nftables.Chain) properties {
	if c.Hooknum == nil {
		return properties{}
	}
	for hook, h := range hooks {
		if h.Type == c.Type && *h.Hooknum == *c.Hooknum && *h.Priority == *c.Priority && c.Policy != nil &&
			*h.Policy == *c.Policy {
			return properties{"hook": string(hook)}
		}
	}
	text := fmt.Sprintf("type %s hook number %d priority %d", c.Type, *c.Hooknum, *c.Priority)
	if c.Policy != nil {
		text += fmt.Sprintf(" policy number %d", *c.Policy)
	}
	return properties{"hook": text}
}

// contents returns the elements of an anonymous map in one text.
func contents(found []nftables.SetElement) string {
	var all []string
	for _, e := range found {
		all = append(all, hex.EncodeToString(e.Key)+":"+value(e))
	}
	slices.Sort(all)
	return strings.Join(all, ",")
}

// elements returns the elements of a set by what their keys mean.
func elements(s *nftables.Set, found []nftables.SetElement) map[string]properties {
	all := map[string]properties{}
	if s.Interval {
		for _, r := range ranges(found) {
			all[r] = properties{}
		}
		return all
	}
	for _, e := range found {
		p := properties{}
		if s.DataType == nftables.TypeMark && len(e.Val) == 4 {
			p["value"] = emu.MarkText(binary.NativeEndian.Uint32(e.Val))
		} else if s.IsMap {
			p["value"] = value(e)
		}
		all[key(e.Key)] = p
	}
	return all
}

// ranges returns the intervals between starts and ends.
func ranges(found []nftables.SetElement) []string {
	sorted := slices.Clone(found)
	slices.SortStableFunc(sorted, func(a, b nftables.SetElement) int {
		if c := bytes.Compare(a.Key, b.Key); c != 0 || a.IntervalEnd == b.IntervalEnd {
			return c
		}
		if a.IntervalEnd {
			return -1
		}
		return 1
	})
	var all []string
	var start netip.Addr
	for _, e := range sorted {
		at, _ := netip.AddrFromSlice(e.Key)
		if start.IsValid() {
			all = append(all, fmt.Sprintf("%s-%s", start, at.Prev()))
			start = netip.Addr{}
		}
		if !e.IntervalEnd {
			start = at
		}
	}
	if start.IsValid() {
		all = append(all, fmt.Sprintf("%s-255.255.255.255", start))
	}
	return all
}

// key returns the text of a key: an address, two addresses, address, protocol and port, or device and address, each in
// registers of 4 bytes.
func key(k []byte) string {
	if len(k) == unix.IFNAMSIZ+4 {
		device, address := k[:unix.IFNAMSIZ], [4]byte(k[unix.IFNAMSIZ:])
		return fmt.Sprintf("%q . %s", unix.ByteSliceToString(device), netip.AddrFrom4(address))
	}
	if len(k)%4 != 0 || len(k) == 0 || len(k) > 12 {
		return hex.EncodeToString(k)
	}
	text := netip.AddrFrom4([4]byte(k)).String()
	switch len(k) {
	case 8:
		text += " . " + netip.AddrFrom4([4]byte(k[4:])).String()
	case 12:
		protocol := fmt.Sprint(k[4])
		for name, number := range transports {
			if number == k[4] {
				protocol = name
			}
		}
		text += fmt.Sprintf(" . %s . %d", protocol, binary.BigEndian.Uint16(k[8:]))
	}
	return text
}

// value returns the address or the verdict of an element. A verdict to be written is in VerdictData; one that was read
// is in Val, as the attributes of its code and its chain.
func value(e nftables.SetElement) string {
	if e.VerdictData != nil {
		return verdict(int32(e.VerdictData.Kind), e.VerdictData.Chain)
	}
	if len(e.Val) == 4 {
		return netip.AddrFrom4([4]byte(e.Val)).String()
	}
	attrs, err := parseAttributes(e.Val)
	if err != nil || len(attrs[unix.NFTA_VERDICT_CODE]) != 4 {
		return hex.EncodeToString(e.Val)
	}
	return verdict(int32(binary.BigEndian.Uint32(attrs[unix.NFTA_VERDICT_CODE])), attrs.text(unix.NFTA_VERDICT_CHAIN))
}

func verdict(kind int32, chain string) string {
	switch expr.VerdictKind(kind) {
	case expr.VerdictGoto:
		return "goto " + chain
	case expr.VerdictJump:
		return "jump " + chain
	case expr.VerdictDrop:
		return "drop"
	case expr.VerdictAccept:
		return "accept"
	}
	return fmt.Sprintf("verdict %d %s", kind, chain)
}
