package engine

import (
	"cmp"
	"context"
	"fmt"
	"iter"
	"net"
	"os"
	"slices"

	"vnetlab/emu"
	"vnetlab/lab"
	"vnetlab/lab/api"
)

// Exec runs a command in an instance, an internet host, a web site or a namespace of the fabric until it ends or ctx
// does, and returns its exit code like a shell.
func (e *Engine) Exec(ctx context.Context, req api.ExecRequest, stdin, stdout, stderr *os.File) (int, error) {
	if len(req.Argv) == 0 {
		return -1, badRequest("exec needs a command")
	}
	now := e.now()
	namespace, err := now.namespace(req.Instance)
	if err != nil {
		return -1, err
	}
	return e.emu.Exec(ctx, namespace, emu.Command{
		Argv: req.Argv, Env: append(now.environment(namespace), req.Env...), Dir: req.Dir,
		Stdin: stdin, Stdout: stdout, Stderr: stderr, Terminal: req.Terminal,
	})
}

// OpenTerminal opens a pseudo-terminal where Exec can run a command.
func (e *Engine) OpenTerminal(instance string) (master, slave *os.File, err error) {
	namespace, err := e.now().namespace(instance)
	if err != nil {
		return nil, nil, err
	}
	return e.emu.OpenTerminal(namespace)
}

// Logs returns the output of a program, and with Follow goes on until ctx ends.
func (e *Engine) Logs(ctx context.Context, req api.LogsRequest) (iter.Seq[emu.LogLine], error) {
	if req.Last < 0 {
		return nil, badRequest("last must be a number of lines, not %d", req.Last)
	}
	l := e.now().lab
	namespace, err := l.Namespace(req.Instance)
	if err != nil {
		return nil, err
	}
	last := req.Last
	if last == 0 {
		last = -1 // all that are kept
	}
	lines, err := e.emu.Logs(ctx, namespace, req.Service, last, req.Follow)
	if err != nil {
		return nil, fmt.Errorf("%s %w", l.NamespaceName(namespace), err)
	}
	return lines, nil
}

// CheckForward returns an error where Dial would have to, without connecting.
func (e *Engine) CheckForward(req api.ForwardRequest) error {
	_, _, _, err := e.way(req)
	return err
}

// Dial connects to the target of a request from where it starts.
func (e *Engine) Dial(ctx context.Context, req api.ForwardRequest) (net.Conn, error) {
	l, from, target, err := e.way(req)
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, cmp.Or(e.opts.DialTimeout, defaultDialTimeout))
	defer cancel()
	c, err := e.emu.Dial(ctx, from, target)
	if err != nil {
		return nil, fmt.Errorf("connect from %s to %s: %w", l.NamespaceName(from), req.To, err)
	}
	return c, nil
}

// way returns the namespace where a forwarded connection starts, and its target.
func (e *Engine) way(req api.ForwardRequest) (l *lab.Lab, from string, target emu.Target, err error) {
	l = e.now().lab
	to, err := lab.ParseTarget(req.To)
	if err != nil {
		return l, "", target, err
	}
	if to.Protocol != emu.TCP {
		return l, "", target, badRequest("only TCP connections are forwarded")
	}
	if from, err = l.Namespace(cmp.Or(req.From, l.Internet()[0].Name)); err != nil {
		return l, "", target, err
	}
	target, err = l.EmuTarget(to)
	return l, from, target, err
}

// environment returns what the programs of a namespace find in theirs: in a role instance, its endpoints and those of
// its peers.
func (s *state) environment(namespace string) []string {
	n, ok := s.network().Namespace(namespace)
	if !ok || len(n.Services) == 0 {
		return nil
	}
	return slices.Clone(n.Services[0].Env) // the same for all
}

// namespace finds a member of the lab, or a namespace of its fabric.
func (s *state) namespace(name string) (string, error) {
	namespace, err := s.lab.Namespace(name)
	if err == nil {
		return namespace, nil
	}
	if n, ok := s.network().Namespace(name); ok && n.Kind == emu.Router {
		return name, nil
	}
	return "", err
}
