package client

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"time"

	"vnetlab/internal/descriptors"
	"vnetlab/lab/api"
)

// Exec runs a command in an instance, with these files, and returns its exit code like a shell. When ctx ends, the
// command does too.
func (c *Client) Exec(ctx context.Context, r api.ExecRequest, stdin, stdout, stderr *os.File) (int, error) {
	conn, in, err := upgrade(ctx, c, api.PostExec)
	if err != nil {
		return -1, err
	}
	defer conn.Close()
	defer context.AfterFunc(ctx, func() { conn.Close() })()
	if err := descriptors.Send(conn, r, stdin, stdout, stderr); err != nil {
		return -1, c.interrupted(ctx, err)
	}
	var a api.ExecAnswer
	if err := json.NewDecoder(in).Decode(&a); err != nil {
		return -1, c.interrupted(ctx, err)
	}
	if a.Error != nil {
		return a.Exit, a.Error
	}
	return a.Exit, nil
}

// OpenTerminal opens a pseudo-terminal in an instance.
func (c *Client) OpenTerminal(ctx context.Context, instance string) (master, slave *os.File, err error) {
	conn, _, err := upgrade(ctx, c, api.PostTerminal)
	if err != nil {
		return nil, nil, err
	}
	defer conn.Close()
	defer context.AfterFunc(ctx, func() { conn.Close() })()
	if err := descriptors.Send(conn, api.TerminalRequest{Instance: instance}); err != nil {
		return nil, nil, c.interrupted(ctx, err)
	}
	var a api.TerminalAnswer
	files, err := descriptors.Receive(conn, &a)
	switch {
	case ctx.Err() != nil:
		err = ctx.Err()
	case err != nil:
		err = c.broken(err)
	case a.Error != nil:
		err = a.Error
	case len(files) != 2:
		err = errors.New("no terminal came from the lab")
	default:
		return files[0], files[1], nil
	}
	descriptors.Close(files)
	return nil, nil, err
}

// Forward connects each connection that the listener accepts to a target in the lab, until ctx ends; then it closes the
// listener and returns nil. An error of one connection closes that connection and is passed to failed, which may be nil
// and is called from several goroutines. Names that the lab doesn't know are an error before anything is accepted.
func (c *Client) Forward(
	ctx context.Context, listener net.Listener, r api.ForwardRequest, failed func(error),
) error {
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

// forward passes a connection to the lab; nil: it finds out whether it could.
func (c *Client) forward(ctx context.Context, r api.ForwardRequest, conn net.Conn) error {
	var files []*os.File
	if conn != nil {
		filer, ok := conn.(interface{ File() (*os.File, error) })
		if !ok {
			return fmt.Errorf("a connection of type %T can't be passed on", conn)
		}
		file, err := filer.File()
		if err != nil {
			return err
		}
		defer file.Close()
		files = append(files, file)
	}
	control, in, err := upgrade(ctx, c, api.PostForward)
	if err != nil {
		return err
	}
	defer control.Close()
	defer context.AfterFunc(ctx, func() { control.Close() })()
	if err := descriptors.Send(control, r, files...); err != nil {
		return c.interrupted(ctx, err)
	}
	var a api.ForwardAnswer
	if err := json.NewDecoder(in).Decode(&a); err != nil {
		return c.interrupted(ctx, err)
	}
	if a.Error != nil {
		return a.Error
	}
	return nil
}

// interrupted returns the error of ctx when that has ended, or else explains an answer that breaks off.
func (c *Client) interrupted(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return ctx.Err()
	}
	return c.broken(err)
}

// upgrade asks for the protocol of a route on a new connection to the lab.
func upgrade[Q, A any](ctx context.Context, c *Client, route api.Route[Q, A]) (*net.UnixConn, *bufio.Reader, error) {
	conn, err := c.dial(ctx)
	if err != nil {
		return nil, nil, err
	}
	watched, stop := c.watch(ctx)
	defer stop()
	//nolint:errcheck // a socket has deadlines
	interrupt := context.AfterFunc(watched, func() { conn.SetDeadline(time.Unix(1, 0)) })
	defer interrupt()
	fail := func(err error) (*net.UnixConn, *bufio.Reader, error) {
		conn.Close()
		if watched.Err() != nil {
			err = context.Cause(watched)
		}
		return nil, nil, err
	}
	req, err := http.NewRequestWithContext(ctx, route.Method, "http://lab"+route.Path, http.NoBody)
	if err != nil {
		return fail(err)
	}
	req.Header.Set("Connection", "Upgrade")
	req.Header.Set("Upgrade", route.Protocol)
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
