package kernel

import (
	"fmt"
	"os"
	"strings"
	"sync"

	"github.com/coreos/go-iptables/iptables"
	"github.com/google/nftables"
)

const (
	inputChain  = "iptables chain INPUT"
	inputPolicy = "-P INPUT DROP" // of every guest firewall
)

// firewallReader reads guest firewalls. Starting iptables takes longer than all other reading, and most instances of a lab have
// the same firewall; so it is asked once for each set of rules that the kernel has, and the rules themselves are read every time.
type firewallReader struct {
	program func() (*iptables.IPTables, error)

	mu    sync.Mutex
	known map[string]func() ([]string, error) // by what the kernel has
}

func newFirewallReader() *firewallReader {
	return &firewallReader{
		program: sync.OnceValues(newIptables),
		known:   map[string]func() ([]string, error){},
	}
}

// newIptables keeps the older iptables from leaving its lock file on the host. The library has no other way to tell it.
func newIptables() (*iptables.IPTables, error) {
	if _, ok := os.LookupEnv(lockVariable); !ok {
		if err := os.Setenv(lockVariable, os.DevNull); err != nil {
			return nil, err
		}
	}
	return iptables.New()
}

// read gives the INPUT chain as iptables lists it. Without a filter table in nftables it is the older iptables that has the
// rules, or nothing.
func (r *firewallReader) read(n *Namespace, c *nftables.Conn, filter *nftables.Table, chains []*nftables.Chain) ([]string, error) {
	list := func() (lines []string, err error) {
		program, err := r.program()
		if err != nil {
			return nil, fmt.Errorf("iptables: %w", err)
		}
		err = n.Do(func() error {
			lines, err = program.List("filter", "INPUT")
			return err
		})
		return lines, err
	}
	if filter == nil {
		return list()
	}
	var b strings.Builder
	for _, ch := range chains {
		if ch.Table.Name != filter.Name || ch.Table.Family != filter.Family || ch.Name != "INPUT" {
			continue
		}
		fmt.Fprintf(&b, "%v\n", chainProperties(*ch))
		rules, err := c.GetRules(filter, ch)
		if err != nil {
			return nil, fmt.Errorf("chain INPUT: %w", err)
		}
		for _, rule := range rules {
			fmt.Fprintf(&b, "%s\n", code(rule.Exprs, rule.UserData))
		}
	}
	r.mu.Lock()
	once, ok := r.known[b.String()]
	if !ok {
		once = sync.OnceValues(list)
		r.known[b.String()] = once
	}
	r.mu.Unlock()
	return once()
}

// addInput takes the lines of iptables -S INPUT: the policy, then the rules.
func addInput(f *facts, lines []string) {
	rules := []rule{}
	for _, l := range lines {
		if policy, ok := strings.CutPrefix(l, "-P INPUT "); ok {
			f.objects[inputChain] = properties{"policy": policy}
			continue
		}
		rules = append(rules, rule{l, l})
	}
	f.lists[inputChain] = rules
}
