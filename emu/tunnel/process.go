package tunnel

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"strings"
	"sync"

	"golang.org/x/sys/unix"
	"golang.zx2c4.com/wireguard/conn"
	"golang.zx2c4.com/wireguard/device"
	"golang.zx2c4.com/wireguard/tun"
	"golang.zx2c4.com/wireguard/wgctrl/wgtypes"

	"vnetlab/emu"
	"vnetlab/emu/kernel"
)

// inProcess makes an end that wireguard-go serves in this process.
func inProcess(s side) (end, error) {
	fd, err := kernel.AddTUN(s.namespace, s.Device)
	if err != nil {
		return nil, err
	}
	// Unmonitored: a monitor asks for the device by its name, in whatever namespace its goroutine is. Without
	// offloads one packet is read at a time, so buffers stay few.
	t, _, err := tun.CreateUnmonitoredTUNFromFD(fd)
	if err != nil {
		return nil, errors.Join(fmt.Errorf("TUN device %s of %s: %w", s.Device, s.Namespace, err), unix.Close(fd))
	}
	silent := &device.Logger{Verbosef: device.DiscardLogf, Errorf: device.DiscardLogf}
	d := device.NewDevice(tunDevice{t}, &bind{namespace: s.namespace, address: s.Address}, silent)
	err = d.IpcSet(s.settings())
	if err == nil {
		err = kernel.SetUp(s.namespace, s.Device)
	}
	if err == nil {
		err = d.Up()
	}
	if err != nil {
		d.Close()
		return nil, fmt.Errorf("WireGuard device %s of %s: %w", s.Device, s.Namespace, err)
	}
	return processEnd{d}, nil
}

type processEnd struct{ *device.Device }

func (e processEnd) Close() error {
	e.Device.Close()
	return nil
}

func (e processEnd) met() (bool, error) {
	status, err := e.IpcGet()
	for line := range strings.Lines(status) {
		if at, ok := strings.CutPrefix(line, "last_handshake_time_sec="); ok {
			return strings.TrimSpace(at) != "0", err
		}
	}
	return false, err
}

// settings are what wireguard-go reads: its configuration protocol.
func (s side) settings() string {
	var b strings.Builder
	line := func(key string, value any) { fmt.Fprintf(&b, "%s=%v\n", key, value) }
	line("private_key", hexadecimal(s.private))
	line("listen_port", s.Port)
	line("public_key", hexadecimal(s.public))
	line("preshared_key", hexadecimal(s.shared))
	line("endpoint", s.peer)
	if s.greets {
		line("persistent_keepalive_interval", int(keepalive.Seconds()))
	}
	for _, p := range s.AllowedPrefixes {
		line("allowed_ip", p)
	}
	return b.String()
}

func hexadecimal(k wgtypes.Key) string { return fmt.Sprintf("%x", k[:]) }

// tunDevice stores its MTU: only a thread inside the namespace can get it from the kernel.
type tunDevice struct{ tun.Device }

func (tunDevice) MTU() (int, error) { return emu.TunnelMTU, nil }

// bind is the UDP socket of an end. The socket of the library listens on all addresses of the namespace it happens to
// be in; this one is in the namespace of the end and on its address, which so is the source of what it sends, too.
type bind struct {
	namespace *kernel.Namespace
	address   netip.Addr

	mu     sync.RWMutex
	socket *net.UDPConn // nil while closed
}

// Open listens, from whatever goroutine it is called.
func (b *bind) Open(port uint16) ([]conn.ReceiveFunc, uint16, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.socket != nil {
		return nil, 0, conn.ErrBindAlreadyOpen
	}
	socket, err := b.namespace.ListenUDP(netip.AddrPortFrom(b.address, port))
	if err != nil {
		return nil, 0, err
	}
	b.socket = socket
	receive := func(packets [][]byte, sizes []int, from []conn.Endpoint) (int, error) {
		n, source, err := socket.ReadFromUDPAddrPort(packets[0])
		if err != nil {
			return 0, err
		}
		sizes[0], from[0] = n, &conn.StdNetEndpoint{AddrPort: source}
		return 1, nil
	}
	return []conn.ReceiveFunc{receive}, port, nil
}

// Close ends what Open gave.
func (b *bind) Close() error {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.socket == nil {
		return nil
	}
	err := b.socket.Close()
	b.socket = nil
	return err
}

// Send sends each packet to the other end.
func (b *bind) Send(packets [][]byte, to conn.Endpoint) error {
	end, ok := to.(*conn.StdNetEndpoint)
	if !ok {
		return conn.ErrWrongEndpointType
	}
	b.mu.RLock()
	socket := b.socket
	b.mu.RUnlock()
	if socket == nil {
		return net.ErrClosed
	}
	for _, p := range packets {
		if _, err := socket.WriteToUDPAddrPort(p, end.AddrPort); err != nil {
			return err
		}
	}
	return nil
}

// ParseEndpoint reads ADDRESS:PORT.
func (b *bind) ParseEndpoint(s string) (conn.Endpoint, error) {
	a, err := netip.ParseAddrPort(s)
	if err != nil {
		return nil, err
	}
	return &conn.StdNetEndpoint{AddrPort: a}, nil
}

// SetMark does nothing: the socket has its address, so no mark is needed.
func (b *bind) SetMark(uint32) error { return nil }

// BatchSize is one: the library keeps a buffer of 64 KiB for each packet of a batch.
func (b *bind) BatchSize() int { return 1 }
