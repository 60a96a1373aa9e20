package kernel

import (
	"errors"
	"net/netip"
	"slices"
	"sync/atomic"

	"golang.org/x/sys/unix"

	"vnetlab/emu"
)

// noSwitches reports that the kernel was found to have no rules for bridges. A lab works without them: what its bridges
// should drop passes. It is only found out when such rules fail to load, since nearly every kernel has them.
var noSwitches atomic.Bool

// possible leaves out the tables that the kernel is known not to have.
func possible(all []*emu.Ruleset) []*emu.Ruleset {
	if !noSwitches.Load() {
		return all
	}
	return slices.DeleteFunc(slices.Clone(all), isSwitch)
}

func isSwitch(r *emu.Ruleset) bool { return r != nil && r.Family == emu.BridgeFamily }

// lacksSwitches reports whether tables could not be made because one is for bridges.
func lacksSwitches(all []*emu.Ruleset) bool {
	if !slices.ContainsFunc(all, isSwitch) {
		return false
	}
	err := trySwitch()
	if !errors.Is(err, unix.EOPNOTSUPP) && !errors.Is(err, unix.EAFNOSUPPORT) && !errors.Is(err, unix.ENOENT) {
		return false
	}
	noSwitches.Store(true)
	return true
}

// trySwitch makes rules for bridges in a new namespace.
func trySwitch() (err error) {
	n, err := newNamespace("probe", func() error { return nil })
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, n.Close()) }()
	return n.load(switchProbe())
}

// switchProbe has each statement that only bridges have.
func switchProbe() *emu.Ruleset {
	port := emu.PortAddress{Device: "probe", Address: netip.AddrFrom4([4]byte{192, 0, 2, 1})}
	with := func(statements ...emu.Statement) emu.Rule { return emu.Rule{Statements: statements} }
	return &emu.Ruleset{
		Family: emu.BridgeFamily, Table: "probe",
		Ports: []emu.PortSet{{Name: "ports", Elements: []emu.PortAddress{port}}},
		Chains: []*emu.Chain{{Name: "probe", Hook: emu.SwitchHook, Rules: []emu.Rule{
			with(emu.MatchPortAddress{Set: "ports"}, emu.Accept{}),
			with(emu.MatchPortARP{Set: "ports"}, emu.Accept{}), with(emu.MatchARP{}, emu.Drop{}),
			with(emu.MatchIPv4{}, emu.MatchProbe{}, emu.Log{Prefix: "probe"}),
		}}},
	}
}
