package kernel

import (
	"fmt"
	"slices"
	"sync"

	"github.com/google/nftables"
	"github.com/google/nftables/userdata"
	"golang.org/x/sys/unix"

	"vnetlab/emu"
)

// transports are the protocol numbers behind the names that rules use.
var transports = map[string]byte{"icmp": unix.IPPROTO_ICMP, "tcp": unix.IPPROTO_TCP, "udp": unix.IPPROTO_UDP}

// hooks are the base chains that emu.Hook names.
var hooks = map[emu.Hook]nftables.Chain{
	emu.DNATHook: {
		Type: nftables.ChainTypeNAT, Hooknum: nftables.ChainHookPrerouting,
		Priority: nftables.ChainPriorityNATDest, Policy: policy(nftables.ChainPolicyAccept),
	},
	emu.SNATHook: {
		Type: nftables.ChainTypeNAT, Hooknum: nftables.ChainHookPostrouting,
		Priority: nftables.ChainPriorityNATSource, Policy: policy(nftables.ChainPolicyAccept),
	},
	emu.RawHook: {
		Type: nftables.ChainTypeFilter, Hooknum: nftables.ChainHookPrerouting,
		Priority: nftables.ChainPriorityRaw, Policy: policy(nftables.ChainPolicyAccept),
	},
	emu.InputHook: {
		Type: nftables.ChainTypeFilter, Hooknum: nftables.ChainHookInput,
		Priority: nftables.ChainPriorityFilter, Policy: policy(nftables.ChainPolicyDrop),
	},
	emu.SwitchHook: {
		Type: nftables.ChainTypeFilter, Hooknum: nftables.ChainHookPrerouting,
		Priority: nftables.ChainPriorityRef(bridgeFilter), Policy: policy(nftables.ChainPolicyDrop),
	},
	emu.ForwardHook: {
		Type: nftables.ChainTypeFilter, Hooknum: nftables.ChainHookForward,
		Priority: nftables.ChainPriorityFilter, Policy: policy(nftables.ChainPolicyDrop),
	},
}

// bridgeFilter is the priority that nft calls filter in the bridge family.
const bridgeFilter = -200

func policy(p nftables.ChainPolicy) *nftables.ChainPolicy { return &p }

// tableOf returns the table of a ruleset.
func tableOf(r *emu.Ruleset) *nftables.Table {
	family := nftables.TableFamilyIPv4
	if r.Family == emu.BridgeFamily {
		family = nftables.TableFamilyBridge
	}
	return &nftables.Table{Family: family, Name: r.Table}
}

// loadRulesets makes tables in one transaction.
func (n *Namespace) loadRulesets(all ...*emu.Ruleset) error {
	all = possible(all)
	err := n.load(all...)
	if err != nil && lacksSwitches(all) {
		all = possible(all)
		err = n.load(all...)
	}
	if err != nil {
		return fmt.Errorf("load the nftables table %s: %w", all[0].Table, explainTimeouts(all[0], err))
	}
	return nil
}

func (n *Namespace) load(all ...*emu.Ruleset) error {
	t, err := newTransaction()
	if err != nil {
		return err
	}
	for _, r := range all {
		if err := addRuleset(t.Conn, r); err != nil {
			return err
		}
	}
	return t.commit(n)
}

// setIDs guards the library's counter of set ids, which all its connections share: two sets of one transaction could
// get the same id.
var setIDs sync.Mutex

// elementsPerMessage keeps the elements of one request within an attribute, 64 KiB: an element with the longest name
// of a chain takes less than 512 bytes.
const elementsPerMessage = 120

// addSet queues a set with its elements.
func addSet(c *nftables.Conn, s *nftables.Set, elements []nftables.SetElement) error {
	first := elements[:min(len(elements), elementsPerMessage)]
	if s.Constant && len(first) < len(elements) {
		s.Size = uint32(len(elements)) // the library takes the size from the first request only
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

// addRuleset queues the table in the order in which nft would make it: chains and sets first, then the rules that use
// them.
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
	exprs, err := expressions(rule, func(
		values nftables.SetDatatype, elements []nftables.SetElement,
	) (*nftables.Set, error) {
		s := &nftables.Set{
			Table: chain.Table, Anonymous: true, Constant: true, IsMap: true,
			KeyType: nftables.TypeInteger, DataType: values,
		}
		return s, addSet(c, s, elements)
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
