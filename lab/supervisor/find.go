package supervisor

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"golang.org/x/sys/unix"

	"vnetlab/lab/api"
	"vnetlab/lab/client"
)

// Dial returns a client of a running lab. A lab that doesn't run is an *api.Error.
func Dial(name string) (*client.Client, error) {
	if name != filepath.Base(name) || strings.HasPrefix(name, ".") {
		return nil, notRunning(name)
	}
	c := client.New(name, filepath.Join(labDir(name), socketFile), local(name))
	if err := c.Check(context.Background()); err != nil {
		return nil, err
	}
	return c, nil
}

// Find returns a client of the lab with the name; with an empty name of the lab that $LAB names, or else of the only
// one that runs.
func Find(name string) (*client.Client, error) {
	if name == "" {
		name = os.Getenv("LAB")
	}
	if name != "" {
		return Dial(name)
	}
	names, err := running()
	if err != nil {
		return nil, err
	}
	switch len(names) {
	case 0:
		return nil, &api.Error{Message: "no lab is running", Hint: "lab up FILE"}
	case 1:
		return Dial(names[0])
	}
	return nil, &api.Error{
		Message: fmt.Sprintf("%d labs are running: %s", len(names), strings.Join(names, ", ")),
		Hint:    "choose one with --lab NAME or LAB=NAME",
	}
}

// running lists the names of the labs whose supervisors live.
func running() ([]string, error) {
	names, err := labNames()
	if errors.Is(err, os.ErrPermission) {
		return nil, &api.Error{Code: api.PrivilegesNeeded, Message: "only root may read " + RunDir(), Lacking: true}
	}
	return slices.DeleteFunc(names, func(name string) bool { return !held(name) }), err
}

func notRunning(name string) *api.Error {
	e := &api.Error{
		Message: fmt.Sprintf("lab %s is not running", name),
		Hint:    "lab ls shows what is; lab up FILE starts one",
	}
	if how := howItEnded(name); how != "" {
		e.Message += ": " + how
	}
	return e
}

// local is the supervisor of the lab of this name on this machine, as far as files and the kernel know it.
type local string

// Unreachable explains why the control socket could not be opened.
func (l local) Unreachable(err error) error {
	name := string(l)
	switch {
	case errors.Is(err, unix.ENOENT), errors.Is(err, unix.ECONNREFUSED):
		if held(name) {
			return &api.Error{Message: fmt.Sprintf("lab %s is just being started or stopped", name)}
		}
		return notRunning(name)
	case errors.Is(err, unix.EACCES):
		return &api.Error{
			Code: api.PrivilegesNeeded, Lacking: true,
			Message: fmt.Sprintf("only root may use the control socket of lab %s", name),
		}
	}
	return fmt.Errorf("control socket of lab %s: %w", name, err)
}

// Ended returns an error when the supervisor has ended, with what is known of how.
func (l local) Ended() error {
	name := string(l)
	if held(name) {
		return nil
	}
	e := &api.Error{Message: fmt.Sprintf("lab %s ended before it had answered", name)}
	if how := howItEnded(name); how != "" {
		e.Message += ": " + how
	}
	return e
}

// Stopped returns the process id of the supervisor, and whether a signal or a debugger has stopped it.
func (l local) Stopped() (pid int, stopped bool) {
	pid = holder(string(l))
	return pid, isStopped(pid)
}

func isStopped(pid int) bool {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return false
	}
	state := text[bytes.LastIndexByte(text, ')')+1:] // the name before it may hold anything
	return bytes.HasPrefix(state, []byte(" T ")) || bytes.HasPrefix(state, []byte(" t "))
}
