package kernel

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strings"

	"github.com/coreos/go-iptables/iptables"
)

// The older iptables keeps its tables where nftables does not see them. A lab has none of them, except the guest
// firewall. A table that was listed once stays, empty, and does nothing; only its rules and policies count.
const (
	olderProgram = "iptables-legacy"
	olderNames   = "/ip_tables_names" // lists the tables of a namespace
)

func olderChain(table, chain string) string {
	return fmt.Sprintf("older iptables table %s chain %s", table, chain)
}

// readOlderTables reads the rules and policies of the older iptables, except the filter table if that is the guest
// firewall.
func readOlderTables(f *facts, n *Namespace, guestFirewall bool) error {
	return eachOlderTable(n, guestFirewall, func(program *iptables.IPTables, table, chain string) error {
		lines, err := program.List(table, chain)
		if err != nil {
			return err
		}
		rules := []rule{}
		for _, l := range lines {
			switch {
			case strings.HasPrefix(l, "-P "):
				if policy := strings.TrimPrefix(l, "-P "+chain+" "); policy != "ACCEPT" {
					f.objects[olderChain(table, chain)] = properties{"policy": policy}
				}
			case !strings.HasPrefix(l, "-N "):
				rules = append(rules, rule{l, l})
			}
		}
		if len(rules) > 0 {
			f.lists[olderChain(table, chain)] = rules
		}
		return nil
	})
}

// clearOlderTables empties those tables.
func clearOlderTables(n *Namespace, guestFirewall bool) error {
	return eachOlderTable(n, guestFirewall, func(program *iptables.IPTables, table, chain string) error {
		err := program.ClearChain(table, chain)
		if err == nil && strings.ToUpper(chain) == chain {
			err = program.ChangePolicy(table, chain, "ACCEPT")
		}
		return err
	})
}

func eachOlderTable(n *Namespace, guestFirewall bool,
	each func(program *iptables.IPTables, table, chain string) error,
) error {
	if _, err := os.Stat("/proc/net" + olderNames); err != nil {
		return nil // the kernel hasn't loaded that kind
	}
	return n.Do(func() error {
		names, err := os.ReadFile("/proc/thread-self/net" + olderNames)
		if errors.Is(err, fs.ErrNotExist) || err == nil && len(names) == 0 {
			return nil
		}
		if err != nil {
			return err
		}
		program, err := iptables.New(iptables.Path(olderProgram))
		if err != nil {
			return fmt.Errorf("the older iptables has tables: %w", err)
		}
		for table := range strings.FieldsSeq(string(names)) {
			if table == filterTable && guestFirewall {
				continue
			}
			chains, err := program.ListChains(table)
			if err != nil {
				return fmt.Errorf("the older iptables: %w", err)
			}
			for _, chain := range chains {
				if err := each(program, table, chain); err != nil {
					return fmt.Errorf("the older iptables: %w", err)
				}
			}
		}
		return nil
	})
}
