package kernel

import (
	"errors"
	"maps"
	"slices"
	"sync"

	"github.com/coreos/go-iptables/iptables"
)

// State is a network that the kernel has. It holds the namespaces open.
type State struct {
	updating sync.Mutex // held by the one update that goes on
	iptables *iptables.IPTables
	// firewalls loads the guest firewalls of new namespaces; nil: there was none yet.
	firewalls *firewallLoader

	mu     sync.RWMutex // guards what is below
	byName map[string]*Namespace
	// devices has the number of each device that was made, by namespace.
	devices map[string]map[string]int
	next    int // number of devices that an update makes
}

// firstLater is the number of the first device that an update makes. What others make gets lower numbers from the
// kernel, also devices that the network doesn't have, such as tunnels.
const firstLater = 1 << 16

// Namespace finds a namespace by its name.
func (s *State) Namespace(name string) (*Namespace, bool) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	n, ok := s.byName[name]
	return n, ok
}

// Namespaces returns all namespaces in the order of their names.
func (s *State) Namespaces() []*Namespace {
	s.mu.RLock()
	defer s.mu.RUnlock()
	all := make([]*Namespace, 0, len(s.byName))
	for _, name := range slices.Sorted(maps.Keys(s.byName)) {
		all = append(all, s.byName[name])
	}
	return all
}

// Close releases all namespaces. The kernel destroys each that no process and no socket holds any more some time later;
// see WaitUntilGone. Close waits for a running update.
func (s *State) Close() error {
	s.updating.Lock()
	defer s.updating.Unlock()
	s.mu.Lock()
	defer s.mu.Unlock()
	var errs []error
	for _, n := range s.byName {
		errs = append(errs, n.Close())
	}
	s.byName, s.devices = nil, nil
	return errors.Join(errs...)
}
