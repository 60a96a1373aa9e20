package probe

import (
	"errors"
	"os"
	"sync"
	"sync/atomic"
	"time"
)

// Probes start from these ports: below the ephemeral range, so that no program in a namespace gets one by chance.
const (
	firstPort = 20000
	lastPort  = 32767
)

// flights are the probes under way, by their source port: each port is in use once in the whole lab, so the port in the report
// of a drop names the probe, whatever the translations on the way did to its addresses.
type flights struct {
	next  atomic.Uint32
	ports [lastPort - firstPort + 1]atomic.Pointer[flight]
}

// flight is one attempt to connect.
type flight struct {
	port uint16

	mu     sync.Mutex
	file   *os.File // the socket, once the connection is under way
	report *report
}

// report says that a rule dropped a probe's packet.
type report struct{ namespace, id string }

var errNoPort = errors.New("all source ports of probes are in use: fewer probes at a time will help")

// claim takes the next free port.
func (f *flights) claim() (*flight, error) {
	c := &flight{}
	for range f.ports {
		i := f.next.Add(1) % uint32(len(f.ports))
		c.port = firstPort + uint16(i)
		if f.ports[i].CompareAndSwap(nil, c) {
			return c, nil
		}
	}
	return nil, errNoPort
}

func (f *flights) release(c *flight) { f.ports[c.port-firstPort].Store(nil) }

// deliver hands a report to the flight of the port, if there is one.
func (f *flights) deliver(port uint16, r report) {
	if port < firstPort || port > lastPort {
		return
	}
	if c := f.ports[port-firstPort].Load(); c != nil {
		c.mu.Lock()
		defer c.mu.Unlock()
		if c.report == nil {
			c.report = &r
			c.wake()
		}
	}
}

// attach tells the flight the socket whose waiting a report ends.
func (c *flight) attach(file *os.File) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.file = file
	if c.report != nil {
		c.wake()
	}
}

// detach keeps a late report from disturbing a connection that was accepted.
func (c *flight) detach() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.file = nil
}

func (c *flight) wake() {
	if c.file != nil {
		c.file.SetDeadline(time.Unix(1, 0)) //nolint:errcheck // closed: nobody waits
	}
}

func (c *flight) reported() *report {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.report
}
