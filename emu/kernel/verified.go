package kernel

import (
	"errors"
	"fmt"
	"os"
	"time"

	"golang.org/x/sys/unix"

	"vnetlab/emu"
)

// verifiedRules are rules that were found to be as they should be, with the number of the last transaction of nftables
// before that. As long as the kernel has that number they needn't be read again.
type verifiedRules struct {
	ruleset    *emu.Ruleset
	switches   *emu.Ruleset
	firewall   *emu.Firewall
	generation uint32
	since      time.Time
}

// verify notes that a namespace was found to be as it should be.
func (n *Namespace) verify(spec *emu.Namespace, found *facts) {
	if found.generation == nil {
		return
	}
	v := &verifiedRules{spec.Ruleset, spec.Switch, spec.Firewall, *found.generation, found.since}
	if last := n.verified.Load(); last != nil && last.same(v) {
		return // since longer
	}
	n.verified.Store(v)
}

func (v *verifiedRules) same(o *verifiedRules) bool {
	return v.ruleset == o.ruleset && v.switches == o.switches && v.firewall == o.firewall &&
		v.generation == o.generation
}

// compareRest compares a namespace whose rules are known to be as they should be; ok reports whether they are.
func (n *Namespace) compareRest(want *emu.Network, spec *emu.Namespace) (_ Comparison, ok bool, err error) {
	v := n.verified.Load()
	if v == nil || v.ruleset != spec.Ruleset || v.switches != spec.Switch || v.firewall != spec.Firewall {
		return Comparison{}, false, nil
	}
	number, err := n.generation()
	if err != nil || number != v.generation {
		return Comparison{}, false, err
	}
	wanted, err := wantedIn(want, spec, false)
	if err != nil {
		return Comparison{}, false, err
	}
	found, err := observeOnce(n, spec, nil, false)
	if err != nil {
		return Comparison{}, false, fmt.Errorf("read namespace %s: %w", n.Name, err)
	}
	return Comparison{Differences: compare(n.Name, wanted, found), Since: v.since}, true, nil
}

// generation asks for the number of the last transaction of nftables in the namespace.
func (n *Namespace) generation() (number uint32, err error) {
	var fd int
	if err := n.Do(func() (err error) {
		fd, err = newRulesSocket()
		return err
	}); err != nil {
		return 0, err
	}
	number, err = generation(fd, make([]byte, 128))
	return number, errors.Join(err, os.NewSyscallError("close", unix.Close(fd)))
}
