package kernel

import (
	"encoding/binary"
	"errors"
	"fmt"
	"maps"
	"sync"

	"github.com/google/nftables"
	"github.com/google/nftables/expr"
	"github.com/mdlayher/netlink"
	"golang.org/x/sys/unix"

	"vnetlab/emu"
)

// timeoutState is the state of a connection whose timeout an emu.TimeoutPolicy sets, by protocol.
var timeoutState = map[emu.Protocol]uint16{emu.TCP: expr.CtStateTCPESTABLISHED, emu.UDP: expr.CtStateUDPREPLIED}

// timeoutDefaults are those of the kernel for the other states, copied before the library changes them.
var timeoutDefaults = map[emu.Protocol]expr.CtStatePolicyTimeout{
	emu.TCP: maps.Clone(expr.CtStateTCPTimeoutDefaults), emu.UDP: maps.Clone(expr.CtStateUDPTimeoutDefaults),
}

// timeoutEncoding guards the library's defaults: it writes the values of each policy that it encodes into them. A
// policy with a value for every state isn't changed by those of others.
var timeoutEncoding sync.Mutex

func addTimeout(c *nftables.Conn, t *nftables.Table, p emu.TimeoutPolicy) error {
	state, ok := timeoutState[p.Protocol]
	if !ok {
		return fmt.Errorf("ct timeout %s: unknown protocol %q", p.Name, p.Protocol)
	}
	policy := maps.Clone(timeoutDefaults[p.Protocol])
	policy[state] = uint32(p.Seconds)
	timeoutEncoding.Lock()
	defer timeoutEncoding.Unlock()
	c.AddObj(&nftables.NamedObj{
		Table: t, Name: p.Name, Type: nftables.ObjTypeCtTimeout,
		Obj: &expr.CtTimeout{L3Proto: unix.NFPROTO_IPV4, L4Proto: transports[string(p.Protocol)], Policy: policy},
	})
	return nil
}

func deleteTimeout(c *nftables.Conn, t *nftables.Table, name string) {
	c.DeleteObject(&nftables.NamedObj{Table: t, Name: name, Type: nftables.ObjTypeCtTimeout})
}

func setTimeout(s emu.SetTimeout) expr.Any {
	return &expr.Objref{Type: int(nftables.ObjTypeCtTimeout), Name: s.Policy}
}

func timeoutObject(name string) string { return "nftables ct timeout " + name }

func timeoutProperties(p emu.TimeoutPolicy) properties {
	return properties{"protocol": string(p.Protocol), "seconds": fmt.Sprint(p.Seconds)}
}

// readTimeouts reads the timeout policies of a table. The library keeps what it reads in one variable for all policies.
func readTimeouts(f *facts, n *Namespace, t *nftables.Table) (err error) {
	var c *netlink.Conn
	if err := n.Do(func() error {
		c, err = netlink.Dial(unix.NETLINK_NETFILTER, nil)
		return err
	}); err != nil {
		return err
	}
	defer c.Close() //nolint:errcheck // only read from
	ask, err := netlink.MarshalAttributes([]netlink.Attribute{
		{Type: unix.NFTA_OBJ_TABLE, Data: append([]byte(t.Name), 0)},
		{Type: unix.NFTA_OBJ_TYPE, Data: binary.BigEndian.AppendUint32(nil, uint32(nftables.ObjTypeCtTimeout))},
	})
	if err != nil {
		return err
	}
	found, err := c.Execute(netlink.Message{
		Header: netlink.Header{
			Type:  unix.NFNL_SUBSYS_NFTABLES<<8 | unix.NFT_MSG_GETOBJ,
			Flags: netlink.Request | netlink.Dump,
		},
		Data: append([]byte{byte(t.Family), unix.NFNETLINK_V0, 0, 0}, ask...),
	})
	if err != nil {
		return fmt.Errorf("ct timeouts: %w", err)
	}
	for _, m := range found {
		const generic = 4 // bytes of the netfilter header before the attributes
		attrs, err := parseAttributes(m.Data[generic:])
		if err != nil {
			return err
		}
		data, err := parseAttributes(attrs[unix.NFTA_OBJ_DATA])
		if err != nil {
			return err
		}
		policy, err := parseAttributes(data[expr.NFTA_CT_TIMEOUT_DATA])
		if err != nil {
			return err
		}
		p := emu.TimeoutPolicy{Name: attrs.text(unix.NFTA_OBJ_NAME)}
		for protocol := range timeoutState {
			if number := data[expr.NFTA_CT_TIMEOUT_L4PROTO]; len(number) > 0 &&
				number[0] == transports[string(protocol)] {
				p.Protocol = protocol
			}
		}
		if seconds := policy[timeoutState[p.Protocol]+1]; len(seconds) == 4 { // the kernel counts the states from 1
			p.Seconds = int(binary.BigEndian.Uint32(seconds))
		}
		f.objects[timeoutObject(p.Name)] = timeoutProperties(p)
	}
	return nil
}

// onlyTimeouts is a ruleset of nothing but timeout policies.
func onlyTimeouts(policies []emu.TimeoutPolicy) *emu.Ruleset {
	return &emu.Ruleset{Table: "probe", Timeouts: policies}
}

// explainTimeouts explains the error of a ruleset if the kernel has no timeout policies.
func explainTimeouts(r *emu.Ruleset, loadErr error) error {
	if errno := unix.Errno(0); len(r.Timeouts) == 0 || !errors.As(loadErr, &errno) {
		return loadErr
	}
	n, err := newNamespace("probe", func() error { return nil })
	if err != nil {
		return loadErr
	}
	defer n.Close() //nolint:errcheck // nothing is in it
	if err := n.load(onlyTimeouts(r.Timeouts)); err == nil {
		return loadErr
	}
	return fmt.Errorf("this kernel has no timeout policies for connections (CONFIG_NF_CONNTRACK_TIMEOUT): %w", loadErr)
}
