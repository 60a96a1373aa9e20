package kernel

import (
	"errors"
	"io/fs"
	"os"

	"vnetlab/emu"
)

// ensureConntrack has the kernel load connection tracking where it is a module. A namespace has its sysctls only from
// then on, and must not be written before.
func ensureConntrack() error {
	_, err := os.Stat("/proc/sys/net/netfilter/nf_conntrack_max")
	if !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	n, err := newNamespace("conntrack", func() error { return nil })
	if err != nil {
		return err
	}
	tracks := &emu.Ruleset{Table: "conntrack", Chains: []*emu.Chain{{
		Name: "forward", Hook: emu.ForwardHook,
		Rules: []emu.Rule{{Statements: []emu.Statement{emu.MatchEstablished{}, emu.Accept{}}}},
	}}}
	return errors.Join(n.loadRulesets(tracks), n.Close())
}
