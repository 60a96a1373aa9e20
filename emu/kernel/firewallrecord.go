package kernel

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/mdlayher/netlink"
	"golang.org/x/sys/unix"

	"vnetlab/emu"
	"vnetlab/emu/text"
)

// firewallLoader loads guest firewalls into new namespaces.
//
// A process of iptables-restore takes some ten milliseconds, far more than everything else that a namespace needs. So
// the loader restores the rules of several firewalls once, in a scratch namespace, and records them as nf_tables has
// them. From the recording it composes the tables of the other namespaces, each in one batch without a process. What
// it can't record, it loads with iptables-restore in each namespace.
type firewallLoader struct {
	restore *restorer
	// recorded is nil where nothing is recorded yet.
	recorded *recording
	// unusable means that what iptables-restore makes here can't be recorded.
	unusable bool
}

// recording is a filter table as nf_tables has it. Its requests are complete and may be sent to any namespace.
type recording struct {
	table  []netlink.Message
	chains []netlink.Message
	rules  map[string]netlink.Message // by their lines
}

// mostRecorded bounds the rules that a loader remembers.
const mostRecorded = 10_000

func newFirewallLoader() (*firewallLoader, error) {
	r, err := newRestorer()
	if err != nil {
		return nil, err
	}
	return &firewallLoader{restore: r}, nil
}

// load loads a firewall into a namespace that has none yet.
func (l *firewallLoader) load(ctx context.Context, n *Namespace, f *emu.Firewall) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	// The batch is applied wholly or not at all. Why the kernel refused it is no matter: iptables-restore loads the
	// firewall, or says what is wrong with it.
	if batch, ok := l.recorded.compose(f); ok && sendBatch(n, batch) == nil {
		return nil
	}
	return l.restore.load(ctx, n, text.IPTables(f))
}

// record records the rules of firewalls that are about to be loaded, if that saves processes. It must not run at the
// same time as load. What it fails to record is loaded by iptables-restore, so that there is no error to return.
func (l *firewallLoader) record(ctx context.Context, firewalls []*emu.Firewall) {
	if l.unusable {
		return
	}
	waiting, seen, all := 0, map[string]bool{}, &emu.Firewall{}
	for _, f := range firewalls {
		if l.recorded.has(f) {
			continue
		}
		waiting++
		for _, r := range f.Rules {
			if lines := strings.Join(r.Lines(), "\n"); !seen[lines] {
				seen[lines] = true
				all.Rules = append(all.Rules, r)
			}
		}
	}
	if waiting < 2 {
		return
	}
	scratch, err := newNamespace("scratch", func() error { return nil })
	if err != nil {
		return
	}
	defer scratch.Close() //nolint:errcheck // nothing was written through it
	if l.restore.load(ctx, scratch, text.IPTables(all)) != nil {
		return
	}
	r, err := readBack(scratch, all)
	if err == nil {
		err = l.verify(ctx, r, scratch, all)
	}
	if err != nil {
		l.unusable = ctx.Err() == nil
		return
	}
	if l.recorded != nil && len(l.recorded.rules)+len(r.rules) <= mostRecorded {
		maps.Copy(r.rules, l.recorded.rules)
	}
	l.recorded = r
}

// has reports whether all rules of a firewall are recorded.
func (r *recording) has(f *emu.Firewall) bool {
	return r != nil && !slices.ContainsFunc(f.Lines(), func(line string) bool {
		_, ok := r.rules[line]
		return !ok
	})
}

// compose returns the requests that make a firewall; ok reports whether all its rules are recorded.
func (r *recording) compose(f *emu.Firewall) (batch []netlink.Message, ok bool) {
	if r == nil {
		return nil, false
	}
	batch = slices.Concat(r.table, r.chains)
	for _, line := range f.Lines() {
		rule, ok := r.rules[line]
		if !ok {
			return nil, false
		}
		batch = append(batch, rule)
	}
	return batch, true
}

// verify loads the recording in the place of what was recorded. It is an error if the kernel or iptables-save then has
// anything else than before.
func (l *firewallLoader) verify(ctx context.Context, r *recording, scratch *Namespace, f *emu.Firewall) error {
	name, err := netlink.MarshalAttributes([]netlink.Attribute{{
		Type: unix.NFTA_TABLE_NAME,
		Data: append([]byte(filterTable), 0),
	}})
	if err != nil {
		return err
	}
	recorded, _ := r.compose(f)
	remove := nftRequest(unix.NFT_MSG_DELTABLE, 0, name)
	if err := sendBatch(scratch, slices.Concat([]netlink.Message{remove}, recorded)); err != nil {
		return err
	}
	again, err := readBack(scratch, f)
	if err != nil {
		return err
	}
	found, _ := again.compose(f)
	if !slices.EqualFunc(recorded, found, func(a, b netlink.Message) bool { return bytes.Equal(a.Data, b.Data) }) {
		return errors.New("the kernel has other rules")
	}
	printed, err := l.restore.save(ctx, scratch)
	if err == nil && printed != text.IPTables(f) {
		err = errors.New("iptables-save prints other rules")
	}
	return err
}

// readBack reads a firewall as nf_tables has it. The namespace has nothing else in its tables of IPv4.
func readBack(n *Namespace, f *emu.Firewall) (_ *recording, err error) {
	var c *netlink.Conn
	if err := n.Do(func() error {
		c, err = netlink.Dial(unix.NETLINK_NETFILTER, nil)
		return err
	}); err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, c.Close()) }()
	r := &recording{rules: map[string]netlink.Message{}}
	const tableHandle = 4 // NFTA_TABLE_HANDLE
	r.table, err = readRequests(c, unix.NFT_MSG_GETTABLE, unix.NFT_MSG_NEWTABLE, 0, tableHandle, unix.NFTA_TABLE_USE)
	if err != nil {
		return nil, err
	}
	if len(r.table) != 1 { // of the older iptables there is none
		return nil, fmt.Errorf("%d tables instead of one", len(r.table))
	}
	r.chains, err = readRequests(c, unix.NFT_MSG_GETCHAIN, unix.NFT_MSG_NEWCHAIN, 0, unix.NFTA_CHAIN_HANDLE,
		unix.NFTA_CHAIN_USE)
	if err != nil {
		return nil, err
	}
	rules, err := readRequests(c, unix.NFT_MSG_GETRULE, unix.NFT_MSG_NEWRULE, netlink.Append,
		unix.NFTA_RULE_HANDLE, unix.NFTA_RULE_POSITION)
	if err != nil {
		return nil, err
	}
	lines := f.Lines()
	if len(rules) != len(lines) {
		return nil, fmt.Errorf("%d rules instead of %d", len(rules), len(lines))
	}
	protocols := map[string]string{}
	for _, rule := range f.Rules {
		for _, line := range rule.Lines() {
			protocols[line] = rule.Protocol
		}
	}
	for i, line := range lines {
		rules[i].Data = append(rules[i].Data, compat(transports[protocols[line]])...)
		r.rules[line] = rules[i]
	}
	return r, nil
}

// compat is the attribute of a rule by which matches of iptables check that they fit its protocol. The kernel needs
// it only when the rule is made, and doesn't return it.
func compat(protocol byte) []byte {
	const protocolAttribute, flagsAttribute = 1, 2 // NFTA_RULE_COMPAT_PROTO, NFTA_RULE_COMPAT_FLAGS
	b := binary.NativeEndian.AppendUint16(nil, unix.SizeofNlAttr+2*(unix.SizeofNlAttr+4))
	b = binary.NativeEndian.AppendUint16(b, unix.NFTA_RULE_COMPAT|unix.NLA_F_NESTED)
	for _, a := range []struct {
		kind  uint16
		value uint32
	}{{protocolAttribute, uint32(protocol)}, {flagsAttribute, 0}} {
		b = binary.NativeEndian.AppendUint16(b, unix.SizeofNlAttr+4)
		b = binary.NativeEndian.AppendUint16(b, a.kind)
		b = binary.BigEndian.AppendUint32(b, a.value)
	}
	return b
}

// readRequests lists objects of nf_tables as the requests that make them, without the attributes that the kernel
// chooses.
func readRequests(
	c *netlink.Conn, list, make int, flags netlink.HeaderFlags, chosen ...uint16,
) ([]netlink.Message, error) {
	messages, err := c.Execute(netlink.Message{
		Header: netlink.Header{Type: nftType(list), Flags: netlink.Request | netlink.Dump},
		Data:   nfgen(),
	})
	if err != nil {
		return nil, err
	}
	all := messages[:0]
	for _, m := range messages {
		if len(m.Data) < len(nfgen()) {
			return nil, errors.New("a message without a header")
		}
		attributes, err := netlink.UnmarshalAttributes(m.Data[len(nfgen()):])
		if err != nil {
			return nil, err
		}
		data, err := netlink.MarshalAttributes(slices.DeleteFunc(attributes, func(a netlink.Attribute) bool {
			return slices.Contains(chosen, a.Type&^(unix.NLA_F_NESTED|unix.NLA_F_NET_BYTEORDER))
		}))
		if err != nil {
			return nil, err
		}
		all = append(all, nftRequest(make, netlink.Create|flags, data))
	}
	return all, nil
}

func nftType(operation int) netlink.HeaderType {
	return netlink.HeaderType(unix.NFNL_SUBSYS_NFTABLES<<8 | operation)
}

// nfgen is the header of netfilter for objects of IPv4.
func nfgen() []byte { return []byte{unix.AF_INET, unix.NFNETLINK_V0, 0, 0} }

func nftRequest(operation int, flags netlink.HeaderFlags, attributes []byte) netlink.Message {
	return netlink.Message{
		Header: netlink.Header{Type: nftType(operation), Flags: netlink.Request | flags},
		Data:   append(nfgen(), attributes...),
	}
}

// sendBatch carries out requests of nf_tables in a namespace: wholly or not at all.
func sendBatch(n *Namespace, requests []netlink.Message) error {
	bound := func(kind netlink.HeaderType) netlink.Message {
		return netlink.Message{
			Header: netlink.Header{Type: kind, Flags: netlink.Request},
			Data:   binary.BigEndian.AppendUint16([]byte{unix.AF_UNSPEC, unix.NFNETLINK_V0}, unix.NFNL_SUBSYS_NFTABLES),
		}
	}
	t := transaction{messages: slices.Concat(
		[]netlink.Message{bound(unix.NFNL_MSG_BATCH_BEGIN)}, requests,
		[]netlink.Message{bound(unix.NFNL_MSG_BATCH_END)})}
	return t.send(n)
}
