package kernel

import (
	"encoding/binary"
	"fmt"
	"net/netip"
	"slices"
	"sync"

	"github.com/google/nftables"
	"github.com/google/nftables/userdata"
	"golang.org/x/sys/unix"

	"vnetlab/emu"
)

var (
	pairType   = nftables.MustConcatSetType(nftables.TypeIPAddr, nftables.TypeIPAddr)
	socketType = nftables.MustConcatSetType(nftables.TypeIPAddr, nftables.TypeInetProto, nftables.TypeInetService)
)

// transports are the protocol numbers behind the names that rules use.
var transports = map[string]byte{"icmp": unix.IPPROTO_ICMP, "tcp": unix.IPPROTO_TCP, "udp": unix.IPPROTO_UDP}

// hooks are the base chains that emu.Hook names.
var hooks = map[emu.Hook]nftables.Chain{
	emu.DNATHook:    {Type: nftables.ChainTypeNAT, Hooknum: nftables.ChainHookPrerouting, Priority: nftables.ChainPriorityNATDest, Policy: policy(nftables.ChainPolicyAccept)},
	emu.SNATHook:    {Type: nftables.ChainTypeNAT, Hooknum: nftables.ChainHookPostrouting, Priority: nftables.ChainPriorityNATSource, Policy: policy(nftables.ChainPolicyAccept)},
	emu.RawHook:     {Type: nftables.ChainTypeFilter, Hooknum: nftables.ChainHookPrerouting, Priority: nftables.ChainPriorityRaw, Policy: policy(nftables.ChainPolicyAccept)},
	emu.InputHook:   {Type: nftables.ChainTypeFilter, Hooknum: nftables.ChainHookInput, Priority: nftables.ChainPriorityFilter, Policy: policy(nftables.ChainPolicyDrop)},
	emu.ForwardHook: {Type: nftables.ChainTypeFilter, Hooknum: nftables.ChainHookForward, Priority: nftables.ChainPriorityFilter, Policy: policy(nftables.ChainPolicyDrop)},
}

func policy(p nftables.ChainPolicy) *nftables.ChainPolicy { return &p }

// tableOf gives the table of a ruleset.
func tableOf(r *emu.Ruleset) *nftables.Table {
	return &nftables.Table{Family: nftables.TableFamilyIPv4, Name: r.Table}
}

// loadRuleset makes the table in one transaction.
func (n *Namespace) loadRuleset(r *emu.Ruleset) error {
	if err := n.load(r); err != nil {
		return fmt.Errorf("load the nftables table %s: %w", r.Table, explainTimeouts(r, err))
	}
	return nil
}

func (n *Namespace) load(r *emu.Ruleset) error {
	t, err := newTransaction()
	if err != nil {
		return err
	}
	if err := addRuleset(t.Conn, r); err != nil {
		return err
	}
	return t.commit(n)
}

// setIDs guards the library's counter of set ids, which all its connections share: two sets of one transaction could get the same id.
var setIDs sync.Mutex

// elementsPerMessage keeps the elements of one request within an attribute, 64 KiB: an element with the longest name of a chain takes
// less than 512 bytes.
const elementsPerMessage = 120

// addSet queues a set with its elements.
func addSet(c *nftables.Conn, s *nftables.Set, elements []nftables.SetElement) error {
	first := elements[:min(len(elements), elementsPerMessage)]
	if s.Constant && len(first) < len(elements) {
		s.Size = uint32(len(elements)) // the library tells the size by the first request alone
	}
	if err := newSet(c, s, first); err != nil {
		return err
	}
	// The library refuses later elements for any anonymous set; the kernel takes them until a rule uses it.
	open := *s
	open.Anonymous = false
	for part := range slices.Chunk(elements[len(first):], elementsPerMessage) {
		if err := c.SetAddElements(&open, part); err != nil {
			return err
		}
	}
	return nil
}

func newSet(c *nftables.Conn, s *nftables.Set, elements []nftables.SetElement) error {
	setIDs.Lock()
	defer setIDs.Unlock()
	return c.AddSet(s, elements)
}

// addRuleset queues the table in the order in which nft would make it: chains and sets first, then the rules that use them.
func addRuleset(c *nftables.Conn, r *emu.Ruleset) error {
	table := c.AddTable(tableOf(r))
	chains := slices.Clone(r.Chains)
	slices.SortStableFunc(chains, func(a, b *emu.Chain) int { return hooked(a) - hooked(b) })
	if err := addChains(c, table, chains); err != nil {
		return err
	}
	for _, p := range r.Timeouts {
		if err := addTimeout(c, table, p); err != nil {
			return err
		}
	}
	for _, s := range setsOf(r) {
		s.Table = table
		if err := addSet(c, &s.Set, s.elements); err != nil {
			return fmt.Errorf("set %s: %w", s.Name, err)
		}
	}
	for _, ch := range chains {
		if err := addRules(c, table, ch); err != nil {
			return err
		}
	}
	return nil
}

func addChains(c *nftables.Conn, table *nftables.Table, chains []*emu.Chain) error {
	for _, ch := range chains {
		chain, ok := hooks[ch.Hook]
		if !ok && ch.Hook != emu.NoHook {
			return fmt.Errorf("chain %s: unknown hook %q", ch.Name, ch.Hook)
		}
		chain.Name, chain.Table = ch.Name, table
		c.AddChain(&chain)
	}
	return nil
}

// addRules queues the rules of a chain, after those that it has.
func addRules(c *nftables.Conn, table *nftables.Table, ch *emu.Chain) error {
	chain := &nftables.Chain{Name: ch.Name, Table: table}
	for i, rule := range ch.Rules {
		if err := addRule(c, chain, rule, 0); err != nil {
			return fmt.Errorf("rule %d: %w", i+1, err)
		}
	}
	return nil
}

// addRule queues a rule before the one with the handle, or without one as the last of its chain.
func addRule(c *nftables.Conn, chain *nftables.Chain, rule emu.Rule, before uint64) error {
	exprs, err := expressions(rule, func(vmap []nftables.SetElement) (*nftables.Set, error) {
		s := &nftables.Set{Table: chain.Table, Anonymous: true, Constant: true, IsMap: true, KeyType: nftables.TypeInteger, DataType: nftables.TypeVerdict}
		return s, addSet(c, s, vmap)
	})
	if err != nil {
		return fmt.Errorf("chain %s: %w", chain.Name, err)
	}
	r := &nftables.Rule{Table: chain.Table, Chain: chain, Position: before, Exprs: exprs, UserData: comment(rule)}
	if before == 0 {
		c.AddRule(r)
	} else {
		c.InsertRule(r)
	}
	return nil
}

func hooked(c *emu.Chain) int {
	if c.Hook == emu.NoHook {
		return 0
	}
	return 1
}

// comment is the comment of a rule where nft looks for it.
func comment(r emu.Rule) []byte {
	if r.Comment == "" {
		return nil
	}
	return userdata.AppendString(nil, userdata.TypeComment, emu.Quotable(r.Comment))
}

// filledSet is a named set or map with its elements.
type filledSet struct {
	nftables.Set
	elements []nftables.SetElement
}

// setsOf gives the named sets and maps of a ruleset in the order of its text.
func setsOf(r *emu.Ruleset) []filledSet {
	var all []filledSet
	for _, s := range r.Prefixes {
		all = append(all, filledSet{nftables.Set{Name: s.Name, KeyType: nftables.TypeIPAddr, Interval: true}, intervals(s.Elements)})
	}
	for _, s := range r.Pairs {
		f := filledSet{Set: nftables.Set{Name: s.Name, KeyType: pairType}}
		for _, e := range s.Elements {
			f.elements = append(f.elements, nftables.SetElement{Key: append(e[0].AsSlice(), e[1].AsSlice()...)})
		}
		all = append(all, f)
	}
	for _, m := range r.Addresses {
		f := filledSet{Set: nftables.Set{Name: m.Name, IsMap: true, KeyType: nftables.TypeIPAddr, DataType: nftables.TypeIPAddr}}
		for _, e := range m.Elements {
			f.elements = append(f.elements, nftables.SetElement{Key: e.Key.AsSlice(), Val: e.Value.AsSlice()})
		}
		all = append(all, f)
	}
	for _, m := range r.Sockets {
		f := filledSet{Set: nftables.Set{Name: m.Name, IsMap: true, KeyType: socketType, DataType: nftables.TypeVerdict}}
		for _, e := range m.Elements {
			// Each part of a concatenation fills whole 32-bit registers.
			key := append(e.Address.AsSlice(), transports[string(e.Protocol)], 0, 0, 0)
			key = append(binary.BigEndian.AppendUint16(key, e.Port), 0, 0)
			f.elements = append(f.elements, nftables.SetElement{Key: key, VerdictData: gotoChain(e.Chain)})
		}
		all = append(all, f)
	}
	return all
}

// intervals gives prefixes as the starts and ends that the kernel keeps: the end is the first address after the prefix. Like
// nft it begins with an end at 0, before which nothing matches.
func intervals(prefixes []netip.Prefix) []nftables.SetElement {
	if len(prefixes) == 0 {
		return nil
	}
	var out []nftables.SetElement
	sorted := slices.Clone(prefixes)
	slices.SortFunc(sorted, func(a, b netip.Prefix) int { return a.Addr().Compare(b.Addr()) })
	for i, p := range sorted {
		first := binary.BigEndian.Uint32(p.Masked().Addr().AsSlice())
		if i == 0 && first != 0 {
			out = append(out, nftables.SetElement{Key: make([]byte, 4), IntervalEnd: true})
		}
		out = append(out, nftables.SetElement{Key: p.Masked().Addr().AsSlice()})
		if end := uint64(first) + 1<<(32-p.Bits()); end < 1<<32 {
			out = append(out, nftables.SetElement{Key: binary.BigEndian.AppendUint32(nil, uint32(end)), IntervalEnd: true})
		}
	}
	return out
}
