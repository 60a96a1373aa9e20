package kernel

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"golang.org/x/sys/unix"

	"vnetlab/emu"
)

// Repair is what became of the differences between the kernel and a network.
type Repair struct {
	// Repaired are the differences that there were, Left those that there still are.
	Repaired []Difference
	Left     []Difference
	// Errors say why something is left.
	Errors []string
}

// repairRounds is how often a repair looks at what is left. A link that was down has lost its routes, which come back
// after it.
const repairRounds = 5

// Repair makes the kernel again what a network wants. It touches only what differs: programs and connections of other
// namespaces don't notice, and a table of rules is replaced in one transaction. What others have added it takes away.
// The network must be the one that the state has.
func (s *State) Repair(ctx context.Context, want *emu.Network) (*Repair, error) {
	s.updating.Lock()
	defer s.updating.Unlock()
	left, err := Diff(ctx, want, s)
	if err != nil {
		return nil, err
	}
	r := &Repair{Repaired: []Difference{}, Left: []Difference{}, Errors: []string{}}
	before := left
	for round := 0; len(left) > 0 && round < repairRounds; round++ {
		was := left
		run := &repairRun{state: s, want: want, round: round, sites: map[string]*repairSite{}}
		errs := run.repair(ctx, left)
		if left, err = Diff(ctx, want, s); err != nil {
			return nil, errors.Join(append(errs, err)...)
		}
		r.Errors = r.Errors[:0]
		for _, err := range errs {
			if len(left) > 0 {
				r.Errors = append(r.Errors, oneLine(err.Error()))
			}
		}
		if round > 0 && slices.Equal(was, left) {
			break // the rest can't be
		}
	}
	r.Left = append(r.Left, left...)
	for _, d := range before {
		if !slices.ContainsFunc(left, func(l Difference) bool {
			return l.Namespace == d.Namespace &&
				l.Object == d.Object
		}) {
			r.Repaired = append(r.Repaired, d)
		}
	}
	return r, nil
}

// repairRun is one look at what differs.
type repairRun struct {
	state *State
	want  *emu.Network
	round int
	sites map[string]*repairSite
	errs  []error
}

// repairSite is a namespace with differences, or with the other end of a link of such.
type repairSite struct {
	*Namespace
	spec        *emu.Namespace
	differences []Difference
	reader      reader
	index       map[string]int // of the devices that there are, or should be
	links       bool           // some link was touched
}

func (r *repairRun) repair(ctx context.Context, differences []Difference) []error {
	for _, d := range differences {
		if site := r.site(d.Namespace); site != nil {
			site.differences = append(site.differences, d)
		}
	}
	defer func() {
		for _, site := range r.sites {
			_ = site.reader.socket.close() // everything was answered
		}
	}()
	for _, name := range slices.Sorted(maps.Keys(r.sites)) {
		r.takeAway(r.sites[name])
	}
	r.links()
	for _, name := range slices.Sorted(maps.Keys(r.sites)) {
		site := r.sites[name]
		r.objects(site)
		r.note(site, r.sysctls(site))
		r.note(site, r.rules(site))
		r.note(site, r.firewall(ctx, site))
		if site.differs(func(d Difference) bool { return strings.HasPrefix(d.of, ofXFRM) }) {
			r.note(site, site.clearXFRM())
		}
	}
	r.wait(ctx)
	r.renumber()
	return r.errs
}

// site opens a namespace; nil: it isn't there, or isn't wanted.
func (r *repairRun) site(name string) *repairSite {
	if site, ok := r.sites[name]; ok {
		return site
	}
	n, there := r.state.Namespace(name)
	spec, wanted := r.want.Namespace(name)
	if !there || !wanted {
		r.errs = append(r.errs, fmt.Errorf("the namespace %s can't be made or taken away while the network runs", name))
		return nil
	}
	site := &repairSite{Namespace: n, spec: spec, index: maps.Clone(r.state.devices[name])}
	site.reader = reader{
		facts: newFacts(), names: map[int]string{}, macs: map[string]bool{}, router: spec.Kind == emu.Router,
		away: map[string]request{},
	}
	err := n.Do(func() (err error) {
		site.reader.socket, err = newRouteSocket()
		return err
	})
	if err == nil {
		if err = site.reader.readRoute(); err != nil {
			err = errors.Join(err, site.reader.socket.close())
		}
	}
	if err != nil {
		r.errs = append(r.errs, fmt.Errorf("read namespace %s: %w", name, err))
		return nil
	}
	for index, device := range site.reader.names {
		if site.index == nil {
			site.index = map[string]int{}
		}
		site.index[device] = index
	}
	r.sites[name] = site
	return site
}

func (r *repairRun) note(site *repairSite, err error) {
	if err != nil {
		r.errs = append(r.errs, fmt.Errorf("namespace %s: %w", site.Name, err))
	}
}

// do carries out requests one by one. That something is there already, or gone, is what was wanted.
func (r *repairRun) do(site *repairSite, requests ...request) {
	for _, q := range requests {
		err := site.reader.socket.do(q)
		for _, fine := range []unix.Errno{unix.EEXIST, unix.ENOENT, unix.ESRCH, unix.ENODEV, unix.EADDRNOTAVAIL} {
			if errors.Is(err, fine) {
				err = nil
			}
		}
		r.note(site, err)
	}
}

// has reports whether an object is there.
func (s *repairSite) has(object string) bool {
	_, ok := s.reader.objects[object]
	return ok
}

// wait gives links that were touched time to carry packets.
func (r *repairRun) wait(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, activeWithin/3)
	defer cancel()
	for _, site := range r.sites {
		devices := map[int]string{}
		for _, e := range endsIn(r.want, site.Name) {
			if site.links && site.index[e.Name] != 0 {
				devices[site.index[e.Name]] = e.Name
			}
		}
		if len(devices) > 0 {
			_ = waitActive(ctx, site.reader.socket,
				devices) // what is not active is a difference, or will be in a moment
		}
	}
}

// renumber tells the state the numbers of the devices: somebody may have made one anew with another number.
func (r *repairRun) renumber() {
	r.state.mu.Lock()
	defer r.state.mu.Unlock()
	for name, site := range r.sites {
		known := maps.Clone(r.state.devices[name])
		for device := range known {
			if index := site.index[device]; index != 0 {
				known[device] = index
			}
		}
		if known != nil {
			r.state.devices[name] = known
		}
	}
}

// endsIn lists the ends of links in a namespace.
func endsIn(want *emu.Network, namespace string) (all []emu.LinkEnd) {
	for _, l := range want.Links {
		for _, e := range []emu.LinkEnd{l.A, l.B} {
			if e.Namespace == namespace {
				all = append(all, e)
			}
		}
	}
	return all
}

// sysctls writes the values that differ, also those of devices.
func (r *repairRun) sysctls(site *repairSite) error {
	var all []sysctl
	for _, s := range comparedSysctls(site.spec) {
		if site.differs(func(d Difference) bool { return d.of == sysctlObject(s.key) }) {
			all = append(all, s)
		}
	}
	for _, d := range site.differences {
		device, isLink := strings.CutPrefix(d.of, linkObject(""))
		for _, s := range deviceSwitches {
			if isLink && d.property == s.name {
				all = append(all, sysctl{fmt.Sprintf("ipv4/conf/%s/%s", device, s.name), fmt.Sprint(s.wanted)})
			}
		}
	}
	if len(all) == 0 {
		return nil
	}
	files := &sysctlFiles{}
	return errors.Join(site.Do(func() error { return files.write(all) }), files.close())
}

func (s *repairSite) differs(which func(Difference) bool) bool {
	return slices.ContainsFunc(s.differences, which)
}
