package kernel

import (
	"encoding/binary"
	"errors"
	"testing"

	"golang.org/x/sys/unix"
)

// netlinkMessage encodes a message as the kernel would.
func netlinkMessage(kind, flags uint16, seq uint32, body []byte) []byte {
	b := binary.NativeEndian.AppendUint32(nil, uint32(unix.NLMSG_HDRLEN+len(body)))
	b = binary.NativeEndian.AppendUint16(b, kind)
	b = binary.NativeEndian.AppendUint16(b, flags)
	b = binary.NativeEndian.AppendUint32(b, seq)
	return append(append(b, 0, 0, 0, 0), body...)
}

func errnoBody(errno unix.Errno) []byte {
	return binary.NativeEndian.AppendUint32(nil, uint32(-int32(errno)))
}

// TestDumpEnds checks that a dump which the kernel breaks off is an error, and that one during which something changed
// is marked.
func TestDumpEnds(t *testing.T) {
	object := netlinkMessage(unix.RTM_NEWLINK, unix.NLM_F_MULTI, 7, make([]byte, 16))
	stale := netlinkMessage(unix.RTM_NEWLINK, unix.NLM_F_MULTI, 6, make([]byte, 16))
	changed := netlinkMessage(unix.RTM_NEWLINK, unix.NLM_F_MULTI|unix.NLM_F_DUMP_INTR, 7, make([]byte, 16))
	done := netlinkMessage(unix.NLMSG_DONE, unix.NLM_F_MULTI, 7, errnoBody(0))
	brokenOff := netlinkMessage(unix.NLMSG_DONE, 0, 7, errnoBody(unix.EMSGSIZE))
	refused := netlinkMessage(unix.NLMSG_ERROR, 0, 7, errnoBody(unix.EBUSY))
	for _, tt := range []struct {
		name        string
		datagrams   [][]byte
		objects     int
		interrupted bool
		err         error
	}{
		{"whole", [][]byte{append(object, object...), done}, 2, false, nil},
		{"broken off", [][]byte{object, brokenOff}, 1, false, unix.EMSGSIZE},
		{"refused", [][]byte{refused}, 0, false, unix.EBUSY},
		{"changed meanwhile", [][]byte{object, changed, done}, 2, true, nil},
		{"after one that failed", [][]byte{append(stale, object...), done}, 1, false, nil},
	} {
		t.Run(tt.name, func(t *testing.T) {
			pair, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_DGRAM, 0)
			if err != nil {
				t.Fatal(err)
			}
			defer unix.Close(pair[0]) //nolint:errcheck // nothing to lose
			defer unix.Close(pair[1]) //nolint:errcheck // nothing to lose
			s := &routeSocket{fd: pair[0]}
			var d dumpedMessages
			for _, m := range tt.datagrams {
				if _, err := unix.Write(pair[1], m); err != nil {
					t.Fatal(err)
				}
				if err = s.receive(make([]byte, 1<<12), 7, d.add); err != nil {
					break
				}
			}
			if !errors.Is(err, tt.err) || len(d.all) != tt.objects || d.interrupted != tt.interrupted {
				t.Errorf("%d objects, interrupted %t, %v", len(d.all), d.interrupted, err)
			}
			if err == nil && !d.done {
				t.Error("the dump doesn't end")
			}
		})
	}
}
