package server

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"sync"

	"vnetlab/internal/descriptors"
	"vnetlab/lab/api"
)

// exec runs a command until it ends or the client hangs up.
func (s *Server) exec(w http.ResponseWriter, r *http.Request) {
	withFiles(s, w, r, api.PostExec, func(conn *net.UnixConn, request api.ExecRequest, files []*os.File) {
		a := api.ExecAnswer{Exit: -1}
		var err error = &api.Error{HTTPStatus: http.StatusBadRequest, Message: "exec needs three descriptors"}
		if len(files) == 3 {
			ctx, cancel := context.WithCancel(context.Background())
			defer cancel()
			go func() {
				conn.Read(make([]byte, 1)) //nolint:errcheck // nothing comes: this waits for the end of the client
				cancel()
			}()
			a.Exit, err = s.engine.Exec(ctx, request, files[0], files[1], files[2])
		}
		if err != nil {
			a.Error = s.errors.Of(err)
		}
		json.NewEncoder(conn).Encode(a) //nolint:errcheck // the client is gone
	})
}

// terminal sends both ends of a new pseudo-terminal.
func (s *Server) terminal(w http.ResponseWriter, r *http.Request) {
	withFiles(s, w, r, api.PostTerminal, func(conn *net.UnixConn, request api.TerminalRequest, _ []*os.File) {
		master, slave, err := s.engine.OpenTerminal(request.Instance)
		if err != nil {
			descriptors.Send(conn, api.TerminalAnswer{Error: s.errors.Of(err)}) //nolint:errcheck // the client is gone
			return
		}
		defer master.Close()
		defer slave.Close()
		descriptors.Send(conn, api.TerminalAnswer{}, master, slave) //nolint:errcheck // the client is gone
	})
}

// forward joins the connection that comes as a file with one in the lab.
func (s *Server) forward(w http.ResponseWriter, r *http.Request) {
	withFiles(s, w, r, api.PostForward, func(conn *net.UnixConn, request api.ForwardRequest, files []*os.File) {
		outside, inside, err := s.connect(r.Context(), request, files)
		a := api.ForwardAnswer{}
		if err != nil {
			a.Error = s.errors.Of(err)
		}
		json.NewEncoder(conn).Encode(a) //nolint:errcheck // the client is gone
		if outside != nil {
			conn.Close()
			join(outside, inside)
		}
	})
}

// connect returns the two connections to join; nil without a file, where it only checks the request. The file is
// closed.
func (s *Server) connect(
	ctx context.Context, request api.ForwardRequest, files []*os.File,
) (outside, inside net.Conn, err error) {
	if len(files) == 0 {
		return nil, nil, s.engine.CheckForward(request)
	}
	outside, err = net.FileConn(files[0])
	descriptors.Close(files)
	if err != nil {
		return nil, nil, err
	}
	if inside, err = s.engine.Dial(ctx, request); err != nil {
		outside.Close()
		return nil, nil, err
	}
	return outside, inside, nil
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

// withFiles upgrades a connection to the protocol of a route, reads the request and the files that come with it, and
// closes all of them when do returns.
func withFiles[Q, A any](
	s *Server, w http.ResponseWriter, r *http.Request, route api.Route[Q, A], do func(*net.UnixConn, Q, []*os.File),
) {
	conn, err := upgrade(w, r, route.Protocol)
	if err != nil {
		s.refuse(w, err)
		return
	}
	defer conn.Close()
	var request Q
	files, err := descriptors.Receive(conn, &request)
	if err != nil {
		return
	}
	defer descriptors.Close(files)
	do(conn, request, files)
}

// upgrade takes over the connection of a request for another protocol.
func upgrade(w http.ResponseWriter, r *http.Request, protocol string) (*net.UnixConn, error) {
	if r.Header.Get("Upgrade") != protocol {
		return nil, &api.Error{
			HTTPStatus: http.StatusUpgradeRequired,
			Message:    "this route passes descriptors and needs the upgrade to " + protocol,
		}
	}
	c, _, err := http.NewResponseController(w).Hijack()
	if err != nil {
		return nil, err
	}
	conn, ok := c.(*net.UnixConn)
	if !ok {
		c.Close()
		return nil, errors.New("only a unix socket passes descriptors")
	}
	_, err = fmt.Fprintf(conn,
		"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: %s\r\n\r\n", protocol)
	if err != nil {
		c.Close()
		return nil, err
	}
	return conn, nil
}
