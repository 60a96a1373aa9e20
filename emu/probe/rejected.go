package probe

import (
	"errors"
	"fmt"
	"net/netip"
	"os"
	"unsafe"

	"golang.org/x/sys/unix"

	"vnetlab/emu"
)

// rejectedError is an ICMP error where an answer was expected.
type rejectedError struct {
	cause      error
	kind, code uint8
	from       netip.Addr // the sender
}

func (e *rejectedError) Error() string { return e.cause.Error() }
func (e *rejectedError) Unwrap() error { return e.cause }

// byRule reports whether only a rule sends this error. A router without a route, and a host without a listener for
// datagrams, send errors, too.
func (e *rejectedError) byRule(protocol emu.Protocol) bool {
	const net, host, port = 0, 1, 3
	return e.kind == icmpUnreachable && e.code != net && e.code != host && (e.code != port || protocol != emu.UDP)
}

// what returns the name of the error.
func (e *rejectedError) what() string {
	if name, ok := unreachable[e.code]; ok && e.kind == icmpUnreachable {
		return "ICMP " + name
	}
	return fmt.Sprintf("ICMP type %d code %d", e.kind, e.code)
}

const icmpUnreachable = 3 // RFC 792

// unreachable names the codes that a rule may send, as iptables does.
var unreachable = map[uint8]string{
	0: "net-unreachable", 1: "host-unreachable", 2: "proto-unreachable", 3: "port-unreachable",
	9: "net-prohibited", 10: "host-prohibited", 13: "admin-prohibited",
}

// rejection turns an error of a socket into a rejectedError if an ICMP error caused it; a reset is none. It also
// looks for one if no answer came: an ICMP error that arrives while connect is under way doesn't end the
// connection.
func rejection(file *os.File, err error) error {
	var errno unix.Errno
	if !errors.As(err, &errno) && !errors.Is(err, errNoAnswer) {
		return err
	}
	raw, rawErr := file.SyscallConn()
	if rawErr != nil {
		return err
	}
	e := &rejectedError{cause: err}
	found := false
	rawErr = raw.Control(func(fd uintptr) {
		control := make([]byte, 256)
		_, n, _, _, err := unix.Recvmsg(int(fd), make([]byte, 128), control, unix.MSG_ERRQUEUE|unix.MSG_DONTWAIT)
		if err == nil {
			found = e.read(control[:n])
		}
	})
	if rawErr != nil || !found {
		return err
	}
	return e
}

// read reads the control messages of the error queue.
func (e *rejectedError) read(control []byte) bool {
	messages, err := unix.ParseSocketControlMessage(control)
	if err != nil {
		return false
	}
	const offender = int(unsafe.Sizeof(unix.SockExtendedErr{}))
	for _, m := range messages {
		if m.Header.Level != unix.IPPROTO_IP || m.Header.Type != unix.IP_RECVERR ||
			len(m.Data) < offender+unix.SizeofSockaddrInet4 {
			continue
		}
		extended := (*unix.SockExtendedErr)(unsafe.Pointer(&m.Data[0]))
		if extended.Origin != unix.SO_EE_ORIGIN_ICMP {
			continue
		}
		e.kind, e.code = extended.Type, extended.Code
		const address = 4 // after the family and the port
		e.from = netip.AddrFrom4([4]byte(m.Data[offender+address:]))
		return true
	}
	return false
}
