package listener

import (
	"bytes"
	"encoding/binary"
	"io"
	"testing"
)

// request is the first packet of a client, with what may follow the header.
func request(rest string) []byte {
	p := []byte{tpktVersion, 0, 0, 0, byte(x224Header - 1 + len(rest)), requestCode, 0, 0, 0, 0, 0}
	binary.BigEndian.PutUint16(p[2:], uint16(len(p)+len(rest)))
	return append(p, rest...)
}

// negotiation is what clients append to ask for TLS.
const negotiation = "\x01\x00\x08\x00\x03\x00\x00\x00"

func TestReadConnectionRequest(t *testing.T) {
	const name = "Web#Web_IN_0#Microsoft.WindowsAzure.Plugins.RemoteAccess.Rdp"
	for _, c := range []struct{ rest, desktop string }{
		{cookie + name + "\r\n", name},
		{cookie + name + "\r\n" + negotiation, name},
		{cookie + name + " \r\n", name},
		{cookie + "\r\n", ""},
		{"Cookie: msts=3640205228.15629.0000\r\n", ""},
		{cookie + name, ""}, // without its end
		{"", ""},
		{negotiation, ""},
	} {
		packet := request(c.rest)
		after := bytes.NewReader(append(bytes.Clone(packet), "more"...))
		got, err := readConnectionRequest(after)
		if err != nil || got.desktop != c.desktop || !bytes.Equal(got.packet, packet) {
			t.Errorf("%q: %q, %v", c.rest, got.desktop, err)
		}
		if rest, _ := io.ReadAll(after); string(rest) != "more" {
			t.Errorf("%q: it left %q", c.rest, rest)
		}
	}
	good := request(cookie + name + "\r\n")
	change := func(at int, value byte) []byte {
		p := bytes.Clone(good)
		p[at] = value
		return p
	}
	for what, p := range map[string][]byte{
		"nothing":               {},
		"another version":       change(0, 2),
		"cut short":             good[:len(good)-1],
		"a length beyond X.224": change(2, 1),
		"no room for a header":  {3, 0, 0, 10, 5, requestCode, 0, 0, 0, 0},
		"lengths that differ":   change(4, 5),
		"another packet":        change(5, 0xF0),
	} {
		if got, err := readConnectionRequest(bytes.NewReader(p)); err == nil {
			t.Errorf("%s: %q", what, got.desktop)
		}
	}
}

func FuzzReadConnectionRequest(f *testing.F) {
	f.Add(request(cookie + "A#B#C\r\n" + negotiation))
	f.Add(request(""))
	f.Add([]byte("GET / HTTP/1.1\r\n\r\n"))
	f.Fuzz(func(t *testing.T, data []byte) {
		r := bytes.NewReader(data)
		got, err := readConnectionRequest(r)
		if read := len(data) - r.Len(); read > maxRequest {
			t.Fatalf("it read %d bytes", read)
		}
		if err != nil {
			return
		}
		if !bytes.HasPrefix(data, got.packet) || got.desktop != "" && !bytes.Contains(got.packet, []byte(got.desktop)) {
			t.Fatalf("%q, %q", got.packet, got.desktop)
		}
	})
}
