package probe

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/netip"
	"os"
	"strconv"
	"time"

	"vnetlab/emu"
	"vnetlab/emu/kernel"
	"vnetlab/emu/listener"
)

// identify adds to an open connection who accepted it, and which source address that saw. It asks a built-in
// listener. A program gets no byte, since it might not understand it: there the kernel knows the accepted socket.
func (p *Prober) identify(c *connection, t *task, o *emu.Observation) {
	if read(p, func(n *topology) bool { return n.builtIn(t.scope.ends, emu.TCP, t.target.Name) }) {
		a, err := c.ask(t.target.Name, p.AnswerLimit)
		if err != nil {
			o.Detail = fmt.Sprintf("accepted, but the built-in listener did not say who it is: %v", err)
			return
		}
		o.AnsweredBy, o.SeenAs = a.Instance, a.SeenAs.Addr()
		return
	}
	for _, e := range read(p, func(n *topology) []end { return n.places(t) }) {
		if ns, ok := p.namespaces(e.namespace); ok {
			if from, ok := accepted(ns, e.at.Port(), c.port); ok {
				o.AnsweredBy, o.SeenAs = ns.Name, from
				return
			}
		}
	}
}

// ask requests / of the host and reads the answer of a built-in listener.
func (c *connection) ask(host string, limit time.Duration) (a listener.Answer, err error) {
	if err := c.SetDeadline(time.Now().Add(limit)); err != nil {
		return a, err
	}
	r, err := http.NewRequest(http.MethodGet, "http://lab/", http.NoBody)
	if err != nil {
		return a, err
	}
	r.Host, r.Close = host, true
	r.Header.Set("Accept", "application/json")
	r.Header.Set("User-Agent", "lab-probe")
	var request bytes.Buffer
	if err := r.Write(&request); err != nil {
		return a, err
	}
	if _, err := c.Write(request.Bytes()); err != nil {
		return a, err
	}
	response, err := http.ReadResponse(bufio.NewReaderSize(c, 512), r)
	if err != nil {
		return a, err
	}
	defer response.Body.Close()
	if response.StatusCode != http.StatusOK {
		return a, errors.New(response.Status)
	}
	return a, json.NewDecoder(response.Body).Decode(&a)
}

// accepted finds in the namespace the socket of a connection to a local port from a remote port, and returns the
// remote address. The remote port is only in use by this probe, so it identifies the connection.
func accepted(ns *kernel.Namespace, local, remote uint16) (from netip.Addr, ok bool) {
	var tables [][]byte
	ns.Do(func() error { //nolint:errcheck // not knowing is no failure
		for _, name := range []string{"tcp", "tcp6"} { // a program may listen on ::, for IPv4 too
			if b, err := os.ReadFile("/proc/thread-self/net/" + name); err == nil {
				tables = append(tables, b)
			}
		}
		return nil
	})
	for _, t := range tables {
		if from, ok = acceptedIn(t, local, remote); ok {
			return from, true
		}
	}
	return netip.Addr{}, false
}

// acceptedIn searches a table in the format of /proc/net/tcp or tcp6, see proc_net_tcp.rst of the kernel's
// documentation.
func acceptedIn(table []byte, local, remote uint16) (netip.Addr, bool) {
	for line := range bytes.Lines(table) {
		fields := bytes.Fields(line)
		if len(fields) < 4 || portOf(fields[1]) != int(local) || portOf(fields[2]) != int(remote) {
			continue
		}
		address, _, _ := bytes.Cut(fields[2], []byte(":"))
		var word [4]byte // the last of a mapped IPv6 address
		if len(address) < 8 {
			continue
		}
		if _, err := hex.Decode(word[:], address[len(address)-8:]); err != nil {
			continue
		}
		var a [4]byte
		binary.NativeEndian.PutUint32(a[:], binary.BigEndian.Uint32(word[:]))
		return netip.AddrFrom4(a), true
	}
	return netip.Addr{}, false
}

func portOf(hexAddress []byte) int {
	_, port, _ := bytes.Cut(hexAddress, []byte(":"))
	n, err := strconv.ParseUint(string(port), 16, 16)
	if err != nil {
		return -1
	}
	return int(n)
}
