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

// Repair is the result of a repair.
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

// Repair restores what a network wants. It touches only what differs: programs and connections of other namespaces are
// not disturbed, and a table of rules is replaced in one transaction. It deletes what others have added. The network
// must be the one that the state has.
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
		run := &repairRun{state: s, want: want, round: round, nodes: map[string]*repairNode{}}
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
	nodes map[string]*repairNode
	errs  []error
}

// repairNode is a namespace with differences, or with the other end of a link of such.
type repairNode struct {
	*Namespace
	spec        *emu.Namespace
	differences []Difference
	reader      reader
	index       map[string]int // of the devices that there are, or should be
	links       bool           // some link was touched
}

func (r *repairRun) repair(ctx context.Context, differences []Difference) []error {
	for _, d := range differences {
		if node := r.node(d.Namespace); node != nil {
			node.differences = append(node.differences, d)
		}
	}
	defer func() {
		for _, node := range r.nodes {
			_ = node.reader.socket.close() // everything was answered
		}
	}()
	for _, name := range slices.Sorted(maps.Keys(r.nodes)) {
		r.takeAway(r.nodes[name])
	}
	r.links()
	for _, name := range slices.Sorted(maps.Keys(r.nodes)) {
		node := r.nodes[name]
		r.objects(node)
		r.note(node, r.sysctls(node))
		r.note(node, r.rules(node))
		r.note(node, r.firewall(ctx, node))
		if node.differs(func(d Difference) bool { return strings.HasPrefix(d.of, ofXFRM) }) {
			r.note(node, node.clearXFRM())
		}
	}
	r.wait(ctx)
	r.renumber()
	return r.errs
}

// node opens a namespace; nil: it is missing, or not wanted.
func (r *repairRun) node(name string) *repairNode {
	if node, ok := r.nodes[name]; ok {
		return node
	}
	n, there := r.state.Namespace(name)
	spec, wanted := r.want.Namespace(name)
	if !there || !wanted {
		r.errs = append(r.errs, fmt.Errorf("the namespace %s can't be made or taken away while the network runs", name))
		return nil
	}
	node := &repairNode{Namespace: n, spec: spec, index: maps.Clone(r.state.devices[name])}
	node.reader = reader{
		facts: newFacts(), names: map[int]string{}, macs: map[string]bool{}, router: spec.Kind == emu.Router,
		away: map[string]request{},
	}
	err := n.Do(func() (err error) {
		node.reader.socket, err = newRouteSocket()
		return err
	})
	if err == nil {
		if err = node.reader.readRoute(); err != nil {
			err = errors.Join(err, node.reader.socket.close())
		}
	}
	if err != nil {
		r.errs = append(r.errs, fmt.Errorf("read namespace %s: %w", name, err))
		return nil
	}
	for index, device := range node.reader.names {
		if node.index == nil {
			node.index = map[string]int{}
		}
		node.index[device] = index
	}
	r.nodes[name] = node
	return node
}

func (r *repairRun) note(node *repairNode, err error) {
	if err != nil {
		r.errs = append(r.errs, fmt.Errorf("namespace %s: %w", node.Name, err))
	}
}

// do carries out requests one by one. That something is there already, or gone, is what was wanted.
func (r *repairRun) do(node *repairNode, requests ...request) {
	for _, q := range requests {
		err := node.reader.socket.do(q)
		for _, fine := range []unix.Errno{unix.EEXIST, unix.ENOENT, unix.ESRCH, unix.ENODEV, unix.EADDRNOTAVAIL} {
			if errors.Is(err, fine) {
				err = nil
			}
		}
		r.note(node, err)
	}
}

// has reports whether an object is there.
func (s *repairNode) has(object string) bool {
	_, ok := s.reader.objects[object]
	return ok
}

// wait waits until the links that were touched carry packets, for a limited time.
func (r *repairRun) wait(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, activeWithin/3)
	defer cancel()
	for _, node := range r.nodes {
		devices := map[int]string{}
		for _, e := range endsIn(r.want, node.Name) {
			if node.links && node.index[e.Name] != 0 {
				devices[node.index[e.Name]] = e.Name
			}
		}
		if len(devices) > 0 {
			_ = waitActive(ctx, node.reader.socket,
				devices) // what is not active is a difference, or will be in a moment
		}
	}
}

// renumber updates the device numbers of the state: a device that was made again may have another one.
func (r *repairRun) renumber() {
	r.state.mu.Lock()
	defer r.state.mu.Unlock()
	for name, node := range r.nodes {
		known := maps.Clone(r.state.devices[name])
		for device := range known {
			if index := node.index[device]; index != 0 {
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
func (r *repairRun) sysctls(node *repairNode) error {
	var all []sysctl
	for _, s := range comparedSysctls(node.spec) {
		if node.differs(func(d Difference) bool { return d.of == sysctlObject(s.key) }) {
			all = append(all, s)
		}
	}
	for _, d := range node.differences {
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
	return errors.Join(node.Do(func() error { return files.write(all) }), files.close())
}

func (s *repairNode) differs(which func(Difference) bool) bool {
	return slices.ContainsFunc(s.differences, which)
}
