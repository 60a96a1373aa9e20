package health

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/netip"
	"os"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"vnetlab/emu/internal/nonblocking"
	"vnetlab/emu/kernel"
)

// ask sends the target one health probe; nil means healthy.
func (r *runner) ask(ctx context.Context, limit time.Duration) error {
	ns, ok := r.checker.namespaces(r.namespace)
	if !ok {
		return fmt.Errorf("there is no namespace %s", r.namespace)
	}
	var request *http.Request
	switch r.probe.Protocol {
	case "tcp":
	case "http":
		var err error
		url := "http://" + r.probe.Target.String() + "/" + strings.TrimPrefix(r.probe.Path, "/")
		if request, err = http.NewRequest(http.MethodGet, url, http.NoBody); err != nil {
			return err
		}
		request.Close = true
		request.Header.Set("User-Agent", "Load Balancer Agent")
	default:
		return fmt.Errorf("a health probe is tcp or http, not %q", r.probe.Protocol)
	}
	c, err := dial(ctx, ns, r.probe.Source, r.probe.Target, limit)
	if err == nil {
		defer c.Close() //nolint:errcheck // a reset
		if request == nil {
			return nil
		}
		//nolint:errcheck // closed: nothing waits
		stop := context.AfterFunc(ctx, func() { c.SetDeadline(time.Unix(1, 0)) })
		defer stop()
		err = get(c, request)
	}
	if errors.Is(err, os.ErrDeadlineExceeded) {
		return fmt.Errorf("%s: no answer within %s", r.probe.Target, limit)
	}
	return err
}

// dial connects from an address inside the namespace. The connection has the limit as its deadline; Close resets it,
// so that neither end and no router on the way keeps state.
func dial(
	ctx context.Context,
	ns *kernel.Namespace,
	from netip.Addr,
	to netip.AddrPort,
	limit time.Duration,
) (*os.File, error) {
	deadline := time.Now().Add(limit)
	fd, err := ns.Socket(unix.AF_INET, unix.SOCK_STREAM, 0)
	if err != nil {
		return nil, err
	}
	if err := start(fd, from, to); err != nil {
		unix.Close(fd) //nolint:errcheck // not connected
		return nil, fmt.Errorf("%s: %w", to, err)
	}
	file := os.NewFile(uintptr(fd), to.String())
	err = file.SetDeadline(deadline)
	if err == nil {
		//nolint:errcheck // closed: nothing waits
		stop := context.AfterFunc(ctx, func() { file.SetDeadline(time.Unix(1, 0)) })
		defer stop()
		err = nonblocking.WaitConnected(file)
	}
	if err != nil {
		file.Close() //nolint:errcheck // not connected
		return nil, fmt.Errorf("%s: %w", to, err)
	}
	return file, nil
}

// start begins to connect a non-blocking socket.
func start(fd int, from netip.Addr, to netip.AddrPort) error {
	if err := unix.SetsockoptLinger(fd, unix.SOL_SOCKET, unix.SO_LINGER, &unix.Linger{Onoff: 1}); err != nil {
		return os.NewSyscallError("setsockopt SO_LINGER", err)
	}
	if from.IsValid() {
		// The port is chosen by connect, which lets connections to different targets share one.
		if err := unix.SetsockoptInt(fd, unix.IPPROTO_IP, unix.IP_BIND_ADDRESS_NO_PORT, 1); err != nil {
			return os.NewSyscallError("setsockopt IP_BIND_ADDRESS_NO_PORT", err)
		}
		if err := unix.Bind(fd, &unix.SockaddrInet4{Addr: from.As4()}); err != nil {
			return fmt.Errorf("from %s: %w", from, os.NewSyscallError("bind", err))
		}
	}
	err := unix.Connect(fd, &unix.SockaddrInet4{Addr: to.Addr().As4(), Port: int(to.Port())})
	if err != nil && err != unix.EINPROGRESS { //nolint:errorlint // an errno as it is
		return os.NewSyscallError("connect", err)
	}
	return nil
}

// maxHeader is how many bytes of an answer are read: more than any sensible header has.
const maxHeader = 16 << 10

// get sends the request and reads the status. The rest of the answer is of no interest: to close it would be to read
// it.
func get(c *os.File, request *http.Request) error {
	if err := request.Write(c); err != nil {
		return fmt.Errorf("%s: %w", request.URL, err)
	}
	response, err := http.ReadResponse(bufio.NewReaderSize(io.LimitReader(c, maxHeader), 512), request)
	if err != nil {
		return fmt.Errorf("%s: %w", request.URL, err)
	}
	if response.StatusCode != http.StatusOK {
		return fmt.Errorf("%s: status %s, only 200 is healthy", request.URL, response.Status)
	}
	return nil
}
