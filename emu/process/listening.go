package process

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"

	"vnetlab/emu"
)

// lastWords is how many lines of a program's output an error cites.
const lastWords = 8

// WaitListening returns when something in the instance listens on the port of the service, on an address that others
// can reach. When the time of ctx is up first, the error has the state of the service's program and the last lines of
// its output; when ctx is canceled it is the cause of that.
func (in *Instance) WaitListening(ctx context.Context, service emu.Service) error {
	for wait := 2 * time.Millisecond; ; wait = min(wait*3/2, 100*time.Millisecond) {
		found, err := in.listening(service.Protocol, service.Port)
		if found == reachable {
			return nil
		}
		if err != nil {
			return &Error{Instance: in.name, Err: fmt.Errorf("look for listeners: %w", err)}
		}
		select {
		case <-time.After(wait):
		case <-in.ctx.Done():
			return &Error{Instance: in.name, Err: ErrClosed}
		case <-ctx.Done():
			if errors.Is(ctx.Err(), context.Canceled) {
				return context.Cause(ctx)
			}
			return in.notListening(service, found == loopbackOnly)
		}
	}
}

func (in *Instance) notListening(service emu.Service, loopback bool) error {
	var b strings.Builder
	fmt.Fprintf(&b, "nothing listens on port %d/%s", service.Port, service.Protocol)
	if loopback {
		b.WriteString(" but on the loopback address, where nobody reaches it: let the program listen on 0.0.0.0")
	}
	if p := in.program(service.Name); p != nil {
		fmt.Fprintf(&b, "; service %s is %s", service.Name, p.get())
		lines := p.log.Last(lastWords)
		if len(lines) == 0 {
			b.WriteString(" and has printed nothing")
		} else {
			b.WriteString("; its last output:")
		}
		for _, l := range lines {
			b.WriteString("\n    " + l.Text)
		}
		if slices.ContainsFunc(lines, func(l Line) bool {
			return strings.Contains(l.Text, "Read-only file system") || strings.Contains(l.Text, "EROFS")
		}) {
			b.WriteString(
				"\n    (the folder of a lab file is read-only inside, unless the file has mounts: [{path: ., writable: true}])",
			)
		}
	}
	return &Error{Instance: in.name, Err: errors.New(b.String())}
}

// listener is the best of what was found on a port.
type listener int

const (
	noListener listener = iota
	loopbackOnly
	reachable
)

// listening reads the kernel's table of sockets. A dual-stack socket is only in the table of IPv6.
func (in *Instance) listening(protocol emu.Protocol, port uint16) (best listener, err error) {
	name, state := "tcp", "0A" // TCP_LISTEN
	if protocol == emu.UDP {
		name, state = "udp", "07" // TCP_CLOSE: not connected
	}
	err = in.ns.Do(func() error {
		for _, table := range []string{name, name + "6"} {
			text, err := os.ReadFile("/proc/thread-self/net/" + table)
			if errors.Is(err, fs.ErrNotExist) {
				continue // a kernel without IPv6
			}
			if err != nil {
				return err
			}
			best = max(best, findListener(text, state, port))
		}
		return nil
	})
	return best, err
}

// findListener looks through /proc/net/tcp and similar tables: "SL LOCAL:PORT REMOTE:PORT STATE …", addresses in
// hexadecimal words of the machine's byte order, ports in hexadecimal.
func findListener(table []byte, state string, port uint16) (best listener) {
	lines := bufio.NewScanner(bytes.NewReader(table))
	for lines.Scan() {
		f := strings.Fields(lines.Text())
		if len(f) < 4 || f[3] != state {
			continue
		}
		addr, hex, _ := strings.Cut(f[1], ":")
		if p, err := strconv.ParseUint(hex, 16, 16); err != nil || uint16(p) != port {
			continue
		}
		if isLoopback(addr) {
			best = max(best, loopbackOnly)
		} else {
			best = reachable
		}
	}
	return best
}

func isLoopback(addr string) bool {
	const v6, mapped = "00000000000000000000000001000000", "0000000000000000FFFF0000"
	addr = strings.TrimPrefix(addr, mapped)
	return addr == v6 || len(addr) == 8 && strings.HasSuffix(addr, "7F")
}
