package live

import (
	"bufio"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"sync"
	"time"

	"vnetlab/emu"
	"vnetlab/internal/descriptors"
	"vnetlab/lab"
)

// The protocol of POST /v1/forward. After a 101 both sides leave HTTP: the client sends a ForwardRequest, with a connection of its own
// as descriptor (descriptors.Send), and the server answers with one line of JSON when it has connected in the lab, or can't. From then on
// the server alone has the connection. Without a descriptor the request is just checked.

// ForwardRequest says where a connection of the host goes in the lab.
type ForwardRequest struct {
	From string `json:"from"` // an instance, internet host or web site; empty: an internet host
	To   string `json:"to"`   // NAME:PORT, TCP
}

type forwardAnswer struct {
	Error *Error `json:"error,omitempty"`
}

// forwardPatience is how long a connection in the lab may take to be made; longer in tests.
var forwardPatience = 4 * time.Second

// forwardProtocol is what the connection is upgraded to.
const forwardProtocol = "vnetlab-forward"

func (s *server) forward(w http.ResponseWriter, r *http.Request) {
	var req ForwardRequest
	withFiles(w, r, forwardProtocol, &req, func(conn *net.UnixConn, files []*os.File) {
		inside, err := s.dial(r.Context(), req, len(files) > 0)
		var outside net.Conn
		if err == nil && len(files) > 0 {
			defer inside.Close()
			outside, err = net.FileConn(files[0])
		}
		a := forwardAnswer{}
		if err != nil {
			a.Error = errorOf(err)
		}
		json.NewEncoder(conn).Encode(a) //nolint:errcheck // the client is gone
		if outside != nil {
			conn.Close()
			join(outside, inside)
		}
	})
}

// dial connects to the target of a request from where it starts, or only finds out whether both are there.
func (s *server) dial(ctx context.Context, req ForwardRequest, connect bool) (net.Conn, error) {
	now := s.now()
	to, err := lab.ParseTarget(req.To)
	if err != nil {
		return nil, err
	}
	if to.Protocol != emu.TCP {
		return nil, &Error{HTTPStatus: http.StatusBadRequest, Message: "only TCP connections are forwarded"}
	}
	from, err := now.lab.Namespace(cmp.Or(req.From, now.lab.Internet()[0].Name))
	if err != nil {
		return nil, err
	}
	target, err := now.lab.EmuTarget(to)
	if err != nil || !connect {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, forwardPatience)
	defer cancel()
	c, err := s.emu.Dial(ctx, from, target)
	if err != nil {
		return nil, fmt.Errorf("connect from %s to %s: %w", from, req.To, err)
	}
	return c, nil
}

// join copies between two connections until both directions have ended, and closes them.
func join(a, b net.Conn) {
	var group sync.WaitGroup
	one := func(to, from net.Conn) {
		_, err := io.Copy(to, from)
		if half, ok := to.(interface{ CloseWrite() error }); err == nil && ok {
			half.CloseWrite() //nolint:errcheck // the other end is gone
			return
		}
		a.Close()
		b.Close()
	}
	group.Go(func() { one(a, b) })
	group.Go(func() { one(b, a) })
	group.Wait()
	a.Close()
	b.Close()
}

// upgrade takes over the connection of a request for another protocol.
func upgrade(w http.ResponseWriter, r *http.Request, protocol string) (*net.UnixConn, error) {
	if r.Header.Get("Upgrade") != protocol {
		return nil, &Error{HTTPStatus: http.StatusUpgradeRequired, Message: "descriptors are passed here: it needs the upgrade to " + protocol}
	}
	c, _, err := http.NewResponseController(w).Hijack()
	if err != nil {
		return nil, err
	}
	conn, ok := c.(*net.UnixConn)
	if !ok {
		c.Close()
		return nil, errors.New("descriptors are passed over a unix socket alone")
	}
	if _, err := fmt.Fprintf(conn, "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: %s\r\n\r\n", protocol); err != nil {
		c.Close()
		return nil, err
	}
	return conn, nil
}

// upgrade asks for another protocol on a new connection to the lab.
func (c *Client) upgrade(ctx context.Context, path, protocol string) (*net.UnixConn, *bufio.Reader, error) {
	conn, err := c.dial(ctx)
	if err != nil {
		return nil, nil, err
	}
	watched, stop := c.watch(ctx)
	defer stop()
	defer context.AfterFunc(watched, func() { conn.SetDeadline(time.Unix(1, 0)) })() //nolint:errcheck // a socket has deadlines
	fail := func(err error) (*net.UnixConn, *bufio.Reader, error) {
		conn.Close()
		if watched.Err() != nil {
			err = context.Cause(watched)
		}
		return nil, nil, err
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, "http://lab"+path, http.NoBody)
	if err != nil {
		return fail(err)
	}
	req.Header.Set("Connection", "Upgrade")
	req.Header.Set("Upgrade", protocol)
	in := bufio.NewReader(conn)
	if err := req.Write(conn); err != nil {
		return fail(c.broken(err))
	}
	response, err := http.ReadResponse(in, req)
	if err != nil {
		return fail(c.broken(err))
	}
	if response.StatusCode != http.StatusSwitchingProtocols {
		return fail(readError(response))
	}
	return conn, in, nil
}

// Forward leads each connection that the listener accepts to a target in the lab, until ctx ends; then it closes the listener and returns
// nil. What goes wrong with one connection closes that one and is told to failed, which may be nil and is called from several goroutines.
// Names that the lab doesn't know are an error before anything is accepted.
func (c *Client) Forward(ctx context.Context, listener net.Listener, r ForwardRequest, failed func(error)) error {
	defer listener.Close()
	if err := c.forward(ctx, r, nil); err != nil {
		return err
	}
	defer context.AfterFunc(ctx, func() { listener.Close() })()
	for {
		conn, err := listener.Accept()
		if ctx.Err() != nil {
			if err == nil {
				conn.Close()
			}
			return nil
		}
		if err != nil {
			return err
		}
		go func() {
			defer conn.Close()
			if err := c.forward(ctx, r, conn); err != nil && failed != nil && ctx.Err() == nil {
				failed(err)
			}
		}()
	}
}

// forward hands a connection over to the lab; nil: it asks whether it could.
func (c *Client) forward(ctx context.Context, r ForwardRequest, conn net.Conn) error {
	var files []*os.File
	if conn != nil {
		lender, ok := conn.(interface{ File() (*os.File, error) })
		if !ok {
			return fmt.Errorf("a connection of type %T can't be handed over", conn)
		}
		file, err := lender.File()
		if err != nil {
			return err
		}
		defer file.Close()
		files = append(files, file)
	}
	control, in, err := c.upgrade(ctx, "/v1/forward", forwardProtocol)
	if err != nil {
		return err
	}
	defer control.Close()
	defer context.AfterFunc(ctx, func() { control.Close() })()
	if err := descriptors.Send(control, r, files...); err != nil {
		return c.broken(err)
	}
	var a forwardAnswer
	if err := json.NewDecoder(in).Decode(&a); err != nil {
		return c.broken(err)
	}
	if a.Error != nil {
		return a.Error
	}
	return nil
}
