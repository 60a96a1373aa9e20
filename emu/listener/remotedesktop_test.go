package listener

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"net"
	"net/netip"
	"os"
	"strings"
	"testing"
	"time"

	"vnetlab/emu"
	"vnetlab/emu/kernel"
	"vnetlab/emu/kerneltest"
)

const rdpPort, forwarderPort = 3389, 20000

// desktops returns two hosts: a client, and one with a desktop and a forwarder that knows it.
func desktops(t *testing.T) (client *kernel.Namespace, forwarder *RemoteDesktop) {
	t.Helper()
	a, b := hosts(t)
	server, err := ServeRemoteDesktop(
		b,
		emu.Service{Name: "rdp", Port: rdpPort, Protocol: emu.TCP, RemoteDesktop: emu.RemoteDesktopServer},
	)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { server.Close() })
	forwarder, err = ServeRemoteDesktop(b, emu.Service{
		Name: "forwarder", Port: forwarderPort, Protocol: emu.TCP, RemoteDesktop: emu.RemoteDesktopForwarder,
		Desktops: []emu.Desktop{{Name: "Web#Web_IN_0#Rdp", Address: netip.AddrPortFrom(there, rdpPort)}},
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { forwarder.Close() })
	return a, forwarder
}

func dial(t *testing.T, from *kernel.Namespace, port uint16) *net.TCPConn {
	t.Helper()
	c, err := from.Dial(t.Context(), "tcp", netip.AddrPortFrom(there, port))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	if err := c.SetDeadline(time.Now().Add(kerneltest.Patience)); err != nil {
		t.Fatal(err)
	}
	return c.(*net.TCPConn)
}

// ask sends bytes and gives all that comes back. A connection that is cut off gives nothing.
func ask(t *testing.T, from *kernel.Namespace, port uint16, sent []byte) string {
	t.Helper()
	c := dial(t, from, port)
	c.Write(sent) //nolint:errcheck // it may have been closed already
	got, err := io.ReadAll(c)
	if errors.Is(err, os.ErrDeadlineExceeded) {
		t.Fatalf("%q: the connection stays open", sent)
	}
	return string(got)
}

func TestRemoteDesktopServerSaysWhoItIs(t *testing.T) {
	a, _ := desktops(t)
	got := ask(t, a, rdpPort, request(cookie+"anybody\r\n"+negotiation))
	said, ok := strings.CutPrefix(got, string(connectionConfirm()))
	if want := "host-0-1 (" + there.String() + ") answered on port 3389; it saw you as " + here.String() + ":"; !ok ||
		!strings.HasPrefix(said, want) {
		t.Errorf("%q, want %q", got, want)
	}
}

func TestRemoteDesktopAnswersProbes(t *testing.T) {
	a, _ := desktops(t)
	for _, port := range []string{"3389", "20000"} {
		status, text := get(t, clientIn(a), "http://"+there.String()+":"+port+"/", "", "application/json")
		var got Answer
		if err := json.Unmarshal(
			[]byte(text),
			&got,
		); err != nil || status != 200 || got.Instance != "host-0-1" ||
			got.SeenAs.Addr() != here {
			t.Errorf("%s: %d %q, %v", port, status, text, err)
		}
	}
}

func TestForwarderLeadsToTheDesktopNamed(t *testing.T) {
	a, forwarder := desktops(t)
	for _, name := range []string{"Web#Web_IN_0#Rdp", "web#web_in_0#rdp", "Web#Web_IN_0"} {
		got := ask(t, a, forwarderPort, request(cookie+name+"\r\n"))
		// The desktop sees the forwarder, not the client.
		if want := "host-0-1 (" + there.String() + ") answered on port 3389; it saw you as " + there.String() + ":"; !strings.Contains(
			got,
			want,
		) {
			t.Errorf("%s: %q, want %q", name, got, want)
		}
	}
	for _, other := range []string{"Web#Web_IN_1#Rdp", "Web", "", "administrator"} {
		if got := ask(t, a, forwarderPort, request(cookie+other+"\r\n")); got != "" {
			t.Errorf("%s: %q", other, got)
		}
	}
	forwarder.Set([]emu.Desktop{{Name: "Web#Web_IN_1#Rdp", Address: netip.AddrPortFrom(there, rdpPort)}})
	if got := ask(t, a, forwarderPort, request(cookie+"Web#Web_IN_1#Rdp\r\n")); !strings.Contains(got, "host-0-1") {
		t.Errorf("a desktop that came: %q", got)
	}
	if got := ask(t, a, forwarderPort, request(cookie+"Web#Web_IN_0#Rdp\r\n")); got != "" {
		t.Errorf("a desktop that went: %q", got)
	}
	forwarder.Set([]emu.Desktop{{Name: "Web#Web_IN_0#Rdp", Address: netip.AddrPortFrom(there, 9)}})
	if got := ask(t, a, forwarderPort, request(cookie+"Web#Web_IN_0#Rdp\r\n")); got != "" {
		t.Errorf("a desktop that doesn't listen: %q", got)
	}
}

// TestForwarderHandsBytesBothWays also holds that the desktop gets the client's first packet as it was, and that
// Close cuts off.
func TestForwarderHandsBytesBothWays(t *testing.T) {
	a, b := hosts(t)
	l, err := b.ListenTCP(netip.AddrPortFrom(there, rdpPort))
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	forwarder, err := ServeRemoteDesktop(b, emu.Service{
		Port: forwarderPort, Protocol: emu.TCP, RemoteDesktop: emu.RemoteDesktopForwarder,
		Desktops: []emu.Desktop{{Name: "A#B", Address: netip.AddrPortFrom(there, rdpPort)}},
	})
	if err != nil {
		t.Fatal(err)
	}
	defer forwarder.Close()
	first := request(cookie + "A#B\r\n" + negotiation)
	open := func() (client, desktop *net.TCPConn) {
		client = dial(t, a, forwarderPort)
		if _, err := client.Write(first); err != nil {
			t.Fatal(err)
		}
		if err := l.SetDeadline(time.Now().Add(kerneltest.Patience)); err != nil {
			t.Fatal(err)
		}
		desktop, err := l.AcceptTCP()
		if err != nil {
			t.Fatal(err)
		}
		desktop.SetDeadline(time.Now().Add(kerneltest.Patience))
		got := make([]byte, len(first))
		if _, err := io.ReadFull(desktop, got); err != nil || !bytes.Equal(got, first) {
			t.Fatalf("%q, %v", got, err)
		}
		return client, desktop
	}
	exchange := func(from, to *net.TCPConn, text string) {
		t.Helper()
		go io.WriteString(from, text) //nolint:errcheck // the other end misses it
		got := make([]byte, len(text))
		if _, err := io.ReadFull(to, got); err != nil || string(got) != text {
			t.Fatalf("%d bytes: %v", len(text), err)
		}
	}
	client, desktop := open()
	exchange(client, desktop, strings.Repeat("keys", 100_000))
	exchange(desktop, client, strings.Repeat("picture", 100_000))
	client.CloseWrite()
	if rest, err := io.ReadAll(desktop); err != nil || len(rest) > 0 {
		t.Errorf("after the client's last byte: %q, %v", rest, err)
	}
	exchange(desktop, client, "good-bye")
	desktop.Close()
	if rest, err := io.ReadAll(client); err != nil || len(rest) > 0 {
		t.Errorf("after the desktop's last byte: %q, %v", rest, err)
	}
	client, desktop = open()
	if err := forwarder.Close(); err != nil {
		t.Fatal(err)
	}
	for who, c := range map[string]*net.TCPConn{"client": client, "desktop": desktop} {
		if _, err := io.ReadAll(c); errors.Is(err, os.ErrDeadlineExceeded) {
			t.Errorf("the connection of the %s outlives the forwarder", who)
		}
	}
}

func TestRemoteDesktopSurvivesBadClients(t *testing.T) {
	a, _ := desktops(t)
	for _, sent := range []string{
		"\x03", "\x03\x00\xff\xff" + strings.Repeat("a", 70_000), "\x03\x00\x00\x0b\x06\xe0", "\x00\xff", "GET / HTTP/9.9\r\n\r\n",
		string(request(cookie + strings.Repeat("a", 200) + "\r\n")), strings.Repeat("\x03", 100_000),
	} {
		for _, port := range []uint16{rdpPort, forwarderPort} {
			c := dial(t, a, port)
			io.WriteString(c, sent) //nolint:errcheck // it may have been closed already
			c.SetLinger(0)          //nolint:errcheck // likewise
			c.Close()
		}
	}
	if got := ask(t, a, forwarderPort, request(cookie+"Web#Web_IN_0#Rdp\r\n")); !strings.Contains(got, "host-0-1") {
		t.Errorf("afterwards: %q", got)
	}
}
