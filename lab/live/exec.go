package live

import (
	"context"
	"encoding/json"
	"net"
	"net/http"
	"os"
	"slices"

	"vnetlab/emu"
	"vnetlab/internal/descriptors"
)

// The protocol of POST /v1/exec. After a 101 both sides leave HTTP: the client sends an ExecRequest with its three descriptors
// (descriptors.Send), the server one line of JSON when the command has ended. A client that hangs up ends the command.

// ExecRequest says what to run where.
type ExecRequest struct {
	Instance string   `json:"instance"` // or an internet host, a web site, a namespace of the fabric
	Argv     []string `json:"argv"`
	Env      []string `json:"env,omitempty"` // NAME=VALUE, beyond what every command gets
	Dir      string   `json:"dir,omitempty"` // as seen inside; empty: /
	Terminal bool     `json:"terminal"`      // stdin is a terminal, and becomes the command's controlling terminal
}

type execAnswer struct {
	Exit  int    `json:"exit"`
	Error *Error `json:"error,omitempty"`
}

// execProtocol is what the connection is upgraded to.
const execProtocol = "vnetlab-exec"

func (s *server) exec(w http.ResponseWriter, r *http.Request) {
	var req ExecRequest
	withFiles(w, r, execProtocol, &req, func(conn *net.UnixConn, files []*os.File) {
		exit, err := s.run(conn, req, files)
		a := execAnswer{Exit: exit}
		if err != nil {
			a.Error = errorOf(err)
		}
		json.NewEncoder(conn).Encode(a) //nolint:errcheck // the client is gone
	})
}

// withFiles upgrades the connection of a request, takes from it what is asked and the descriptors that come along, and closes all when do
// returns.
func withFiles(w http.ResponseWriter, r *http.Request, protocol string, asked any, do func(*net.UnixConn, []*os.File)) {
	conn, err := upgrade(w, r, protocol)
	if err != nil {
		refuse(w, err)
		return
	}
	defer conn.Close()
	files, err := descriptors.Receive(conn, asked)
	if err != nil {
		return
	}
	defer func() {
		for _, f := range files {
			f.Close()
		}
	}()
	do(conn, files)
}

// The protocol of POST /v1/terminal: the client sends a terminalRequest, the server a terminalAnswer with both ends of a new
// pseudo-terminal of the instance.
type (
	terminalRequest struct {
		Instance string `json:"instance"`
	}
	terminalAnswer struct {
		Error *Error `json:"error,omitempty"`
	}
)

// terminalProtocol is what the connection is upgraded to.
const terminalProtocol = "vnetlab-terminal"

func (s *server) terminal(w http.ResponseWriter, r *http.Request) {
	var req terminalRequest
	withFiles(w, r, terminalProtocol, &req, func(conn *net.UnixConn, _ []*os.File) {
		namespace, err := s.namespace(req.Instance)
		var master, slave *os.File
		if err == nil {
			master, slave, err = s.emu.OpenTerminal(namespace)
		}
		if err != nil {
			descriptors.Send(conn, terminalAnswer{errorOf(err)}) //nolint:errcheck // the client is gone
			return
		}
		defer master.Close()
		defer slave.Close()
		descriptors.Send(conn, terminalAnswer{}, master, slave) //nolint:errcheck // the client is gone
	})
}

// run runs a command until it ends or the client hangs up.
func (s *server) run(conn *net.UnixConn, req ExecRequest, files []*os.File) (int, error) {
	if len(files) != 3 || len(req.Argv) == 0 {
		return -1, &Error{HTTPStatus: http.StatusBadRequest, Message: "exec needs a command and three descriptors"}
	}
	namespace, err := s.namespace(req.Instance)
	if err != nil {
		return -1, err
	}
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	go func() {
		conn.Read(make([]byte, 1)) //nolint:errcheck // nothing comes: this waits for the end of the client
		cancel()
	}()
	return s.emu.Exec(ctx, namespace, emu.Command{
		Argv: req.Argv, Env: append(s.environment(namespace), req.Env...), Dir: req.Dir,
		Stdin: files[0], Stdout: files[1], Stderr: files[2], Terminal: req.Terminal,
	})
}

// environment is what the programs of a namespace find in theirs: of a role instance, its endpoints and those of its peers.
func (s *server) environment(namespace string) []string {
	n, ok := s.now().network().Namespace(namespace)
	if !ok || len(n.Services) == 0 {
		return nil
	}
	return slices.Clone(n.Services[0].Env) // the same for all
}

// namespace finds a member of the lab, or a namespace of its fabric.
func (s *server) namespace(name string) (string, error) {
	now := s.now()
	namespace, err := now.lab.Namespace(name)
	if err == nil {
		return namespace, nil
	}
	if n, ok := now.network().Namespace(name); ok && n.Kind == emu.Router {
		return name, nil
	}
	return "", err
}
