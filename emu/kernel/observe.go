package kernel

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	"golang.org/x/sync/errgroup"

	"vnetlab/emu"
)

// Observation is what the kernel has in each namespace of a network.
type Observation struct {
	namespaces map[string]*facts
}

// Diff reads the network back from the kernel and returns every difference from what is wanted: what is missing, what
// is extra, and what is different. Counters and tables that decide nothing are no differences.
func Diff(ctx context.Context, want *emu.Network, s *State) ([]Difference, error) {
	wanted, err := wantedFacts(want)
	if err != nil {
		return nil, err
	}
	found, err := observe(ctx, s, want)
	if err != nil {
		return nil, err
	}
	var all []Difference
	for _, n := range want.Namespaces {
		f, ok := found.namespaces[n.Name]
		if !ok {
			all = append(all, namespaceDiffers(n.Name, nothingMore, ""))
			continue
		}
		differences := compare(n.Name, wanted[n.Name], f)
		if ns, ok := s.Namespace(n.Name); ok && len(differences) == 0 {
			ns.verify(n, f)
		}
		all = append(all, differences...)
	}
	for _, n := range s.Namespaces() {
		if _, ok := wanted[n.Name]; !ok {
			all = append(all, namespaceDiffers(n.Name, "", nothingMore))
		}
	}
	return all, nil
}

// Comparer compares single namespaces with what they should be. It remembers how iptables lists the rules it has seen,
// since starting iptables takes longer than all other reading. Its methods are safe for concurrent use.
type Comparer struct{ firewalls *firewallReader }

// NewComparer returns a Comparer that remembers nothing yet.
func NewComparer() *Comparer { return &Comparer{newFirewallReader()} }

// Comparison is the result of comparing one namespace.
type Comparison struct {
	Differences []Difference
	// Since is the time from which the rules are known to be unchanged.
	Since time.Time
	// Unwatched reports that the guest firewall is one of the older iptables, whose changes no [Watch] sees.
	Unwatched bool
}

// Compare returns every difference between a namespace of the network and the kernel, as [Diff] does for all of them.
func (c *Comparer) Compare(ctx context.Context, want *emu.Network, n *Namespace) (Comparison, error) {
	spec, ok := want.Namespace(n.Name)
	if !ok {
		return Comparison{Differences: []Difference{namespaceDiffers(n.Name, "", nothingMore)}}, nil
	}
	if err := ctx.Err(); err != nil {
		return Comparison{}, err
	}
	if c, ok, err := n.compareRest(want, spec); ok || err != nil {
		return c, err
	}
	wanted, err := wantedIn(want, spec, true)
	if err != nil {
		return Comparison{}, err
	}
	found, err := observeOnce(n, spec, c.firewalls, true)
	if err != nil {
		return Comparison{}, fmt.Errorf("read namespace %s: %w", n.Name, err)
	}
	differences := compare(n.Name, wanted, found)
	if len(differences) == 0 {
		n.verify(spec, found)
	}
	return Comparison{Differences: differences, Since: found.since, Unwatched: found.older}, nil
}

// DiffNamespace compares one namespace once. To compare often, keep a [Comparer].
func DiffNamespace(ctx context.Context, want *emu.Network, n *Namespace) ([]Difference, error) {
	c, err := NewComparer().Compare(ctx, want, n)
	return c.Differences, err
}

// Observe reads back everything that Apply makes.
func Observe(ctx context.Context, s *State) (*Observation, error) {
	return observe(ctx, s, &emu.Network{})
}

// Lines returns what a namespace has, a line for each object.
func (o *Observation) Lines(namespace string) []string {
	f, ok := o.namespaces[namespace]
	if !ok {
		return nil
	}
	var lines []string
	for _, d := range compare(namespace, newFacts(), f) {
		lines = append(lines, d.Object+": "+d.Found)
	}
	return lines
}

// observe reads the namespaces of the state. The wanted network only saves work.
func observe(ctx context.Context, s *State, want *emu.Network) (_ *Observation, err error) {
	files := &sysctlFiles{}
	defer func() { err = errors.Join(err, files.close()) }()
	o := &Observation{namespaces: map[string]*facts{}}
	specs := map[string]*emu.Namespace{}
	for _, n := range want.Namespaces {
		specs[n.Name] = n
	}
	firewalls := newFirewallReader()
	all := s.Namespaces()
	found := make([]*facts, len(all))
	g, ctx := errgroup.WithContext(ctx)
	g.SetLimit(workers)
	for i, n := range all {
		g.Go(func() error {
			if ctx.Err() != nil {
				return ctx.Err()
			}
			f, err := observeNamespace(n, specs[n.Name], firewalls, files, true)
			if err != nil {
				return fmt.Errorf("read namespace %s: %w", n.Name, err)
			}
			found[i] = f
			return nil
		})
	}
	if err := g.Wait(); err != nil {
		return nil, err
	}
	for i, n := range all {
		o.namespaces[n.Name] = found[i]
	}
	return o, nil
}

// observeOnce is observeNamespace for a single namespace.
func observeOnce(n *Namespace, spec *emu.Namespace, firewalls *firewallReader, rules bool) (*facts, error) {
	files := &sysctlFiles{}
	f, err := observeNamespace(n, spec, firewalls, files, rules)
	return f, errors.Join(err, files.close())
}

// observeNamespace reads one namespace, with its rules or without.
func observeNamespace(n *Namespace, spec *emu.Namespace, firewalls *firewallReader, files *sysctlFiles,
	rules bool,
) (_ *facts, err error) {
	f := newFacts()
	r := reader{
		facts: f, names: map[int]string{}, macs: map[string]bool{},
		router: spec != nil && spec.Kind == emu.Router,
	}
	if err := n.Do(func() (err error) {
		all := append(slices.Clip(routerSysctls), untouchedSysctls...)
		if spec != nil {
			all = comparedSysctls(spec)
		}
		if err := files.read(all, func(key, value string) {
			r.objects[sysctlObject(key)] = properties{"value": value}
		}); err != nil {
			return err
		}
		if r.xfrm, err = openXFRM(); err != nil {
			return err
		}
		r.socket, err = newRouteSocket()
		return err
	}); err != nil {
		return nil, errors.Join(err, r.close())
	}
	defer func() { err = errors.Join(err, r.close()) }()
	return f, r.read(n, spec, firewalls, rules)
}

// read reads all but the sysctls, with rules or without.
func (r *reader) read(n *Namespace, spec *emu.Namespace, firewalls *firewallReader, rules bool) error {
	if err := r.readRoute(); err != nil {
		return err
	}
	if err := r.readXFRM(); err != nil || !rules {
		return err
	}
	return r.readRules(n, spec, firewalls)
}

// rulesTries limits how often the rules are read again because they changed meanwhile.
const rulesTries = 5

// readRules reads the rules of nftables and iptables as they were between two transactions. The libraries read a table
// in many requests, and don't notice a transaction between them.
func (r *reader) readRules(n *Namespace, spec *emu.Namespace, firewalls *firewallReader) error {
	for range rulesTries {
		before, err := n.generation()
		if err != nil {
			return err
		}
		since, rules := time.Now(), newFacts()
		readErr := readTables(rules, n, spec, firewalls)
		after, err := n.generation()
		if err != nil {
			return err
		}
		if before != after {
			continue // an error may come from that, too
		}
		if readErr != nil {
			return readErr
		}
		maps.Copy(r.objects, rules.objects)
		maps.Copy(r.lists, rules.lists)
		r.since, r.older = since, rules.older
		if !r.older {
			r.generation = &after
		}
		return nil
	}
	return errInterrupted
}
