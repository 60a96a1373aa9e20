package kernel

import (
	"errors"
	"fmt"
	"os"
	"strings"
	"sync"

	"github.com/coreos/go-iptables/iptables"
	"github.com/google/nftables"
)

const inputPolicy = "-P INPUT DROP" // of every guest firewall

// firewallReader reads guest firewalls. Starting iptables takes longer than all other reading, and most instances of
// a lab have the same firewall; so it is asked once for each INPUT chain that the kernel has, and the rules
// themselves are read every time.
type firewallReader struct {
	program func() (*iptables.IPTables, error)

	known lists
}

func newFirewallReader() *firewallReader {
	return &firewallReader{
		program: sync.OnceValues(newIptables),
		known:   lists{all: map[string]*list{}},
	}
}

// newIptables keeps the older iptables from leaving its lock file on the host. The library passes on the environment
// only.
func newIptables() (*iptables.IPTables, error) {
	if _, ok := os.LookupEnv(lockVariable); !ok {
		if err := os.Setenv(lockVariable, os.DevNull); err != nil {
			return nil, err
		}
	}
	return iptables.New()
}

// read adds what the filter table of iptables has. Without one in nftables it is the older iptables that has the
// rules, or nothing.
func (r *firewallReader) read(f *facts, n *Namespace, c *nftables.Conn, filter *nftables.Table,
	chains []*nftables.Chain,
) error {
	if filter == nil {
		f.older = true
		for _, chain := range []string{input, "FORWARD", "OUTPUT"} {
			lines, err := r.list(n, chain)
			if err != nil {
				return err
			}
			addChain(f, chain, lines)
		}
		return nil
	}
	for _, ch := range chains {
		if ch.Table.Name != filter.Name || ch.Table.Family != filter.Family {
			continue
		}
		rules, err := c.GetRules(filter, ch)
		if err != nil {
			return fmt.Errorf("chain %s: %w", ch.Name, err)
		}
		var lines []string
		switch {
		case ch.Name == input:
			var b strings.Builder
			fmt.Fprintf(&b, "%v\n", chainProperties(*ch))
			for _, rule := range rules {
				fmt.Fprintf(&b, "%s\n", code(rule.Exprs, rule.UserData))
			}
			lines, err = r.known.lines(b.String(), func() ([]string, error) { return r.list(n, ch.Name) })
		case len(rules) > 0 || ch.Hooknum == nil || ch.Policy == nil || *ch.Policy != nftables.ChainPolicyAccept:
			lines, err = r.list(n, ch.Name)
		}
		if errors.As(err, new(*iptables.Error)) { // nft made what iptables has no words for
			lines, err = inNftWords(ch, rules), nil
		}
		if err != nil {
			return err
		}
		addChain(f, ch.Name, lines)
	}
	return nil
}

// inNftWords returns a chain of the filter table in the words of iptables, as far as it has any.
func inNftWords(c *nftables.Chain, rules []*nftables.Rule) []string {
	lines := []string{"-N " + c.Name}
	if c.Policy != nil {
		policy := map[nftables.ChainPolicy]string{
			nftables.ChainPolicyAccept: "ACCEPT",
			nftables.ChainPolicyDrop:   "DROP",
		}[*c.Policy]
		lines = []string{fmt.Sprintf("-P %s %s", c.Name, policy)}
	}
	for _, rule := range rules {
		lines = append(lines, fmt.Sprintf("-A %s by nft, %s", c.Name, describe(rule)))
	}
	return lines
}

func (r *firewallReader) list(n *Namespace, chain string) (lines []string, err error) {
	program, err := r.program()
	if err != nil {
		return nil, fmt.Errorf("iptables: %w", err)
	}
	err = n.Do(func() error {
		lines, err = program.List(filterTable, chain)
		return err
	})
	return lines, err
}

// lists are the answers of iptables, by the state of the kernel.
type lists struct {
	mu  sync.Mutex
	all map[string]*list
}

type list struct {
	once  sync.Once
	lines []string
	err   error
}

// mostLists is how many lists are remembered: a lab has a few kinds of firewalls, but each change makes another one.
const mostLists = 1000

// lines asks once for each state of the kernel, and again after an error.
func (l *lists) lines(state string, ask func() ([]string, error)) ([]string, error) {
	l.mu.Lock()
	known := l.all[state]
	if known == nil {
		if len(l.all) >= mostLists {
			clear(l.all)
		}
		known = &list{}
		l.all[state] = known
	}
	l.mu.Unlock()
	known.once.Do(func() {
		if known.lines, known.err = ask(); known.err == nil {
			return
		}
		l.mu.Lock()
		defer l.mu.Unlock()
		delete(l.all, state)
	})
	return known.lines, known.err
}

func chainOf(name string) string { return "iptables chain " + name }

// addInput takes the lines of iptables -S INPUT: the policy, then the rules.
func addInput(f *facts, lines []string) { addChain(f, input, lines) }

// addChain does the same for any chain. A chain other than INPUT that accepts everything counts as missing.
func addChain(f *facts, chain string, lines []string) {
	rules, policy := []rule{}, ""
	for _, l := range lines {
		if p, ok := strings.CutPrefix(l, "-P "+chain+" "); ok {
			policy = p
		} else if !strings.HasPrefix(l, "-N ") {
			rules = append(rules, rule{l, l})
		}
	}
	if chain != input && (len(lines) == 0 || policy == "ACCEPT" && len(rules) == 0) {
		return
	}
	f.objects[chainOf(chain)] = properties{}
	if policy != "" {
		f.objects[chainOf(chain)]["policy"] = policy
	}
	f.lists[chainOf(chain)] = rules
}
