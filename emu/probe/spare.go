package probe

import (
	"sync"
	"time"

	"golang.org/x/sys/unix"

	"vnetlab/emu/kernel"
)

// spareSockets hands out TCP sockets of one namespace. To enter a namespace and leave it costs more than the socket
// made there, so one that makes many probes gets several sockets at a time. What isn't used soon is closed: an idle
// lab has no descriptors open for probes to come.
type spareSockets struct {
	ns *kernel.Namespace

	mu     sync.Mutex
	spare  []int
	last   time.Time // when sockets were made
	idle   *time.Timer
	closed bool
}

const (
	spareNumber = 8                      // how many are made at a time
	spareTime   = 100 * time.Millisecond // probes that follow each other faster than this get spare sockets
)

func newSpareSockets(ns *kernel.Namespace) (*spareSockets, error) { return &spareSockets{ns: ns}, nil }

// take returns a socket that is the caller's to close.
func (s *spareSockets) take() (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if n := len(s.spare); n > 0 {
		fd := s.spare[n-1]
		s.spare = s.spare[:n-1]
		return fd, nil
	}
	number := 1
	if now := time.Now(); now.Sub(s.last) < spareTime && !s.closed {
		number = spareNumber
	}
	fds, err := s.ns.Sockets(number, unix.AF_INET, unix.SOCK_STREAM, 0)
	if err != nil {
		return -1, err
	}
	s.last = time.Now()
	s.spare = append(s.spare, fds[1:]...)
	switch {
	case len(s.spare) == 0:
	case s.idle == nil:
		s.idle = time.AfterFunc(spareTime, s.closeSpare)
	default:
		s.idle.Reset(spareTime)
	}
	return fds[0], nil
}

// closeSpare closes the sockets that nobody took.
func (s *spareSockets) closeSpare() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, fd := range s.spare {
		unix.Close(fd) //nolint:errcheck // nothing was sent
	}
	s.spare = nil
}

// Close closes the spare sockets. From then on take makes no more than it returns.
func (s *spareSockets) Close() error {
	s.mu.Lock()
	s.closed = true
	s.mu.Unlock()
	s.closeSpare()
	return nil
}
