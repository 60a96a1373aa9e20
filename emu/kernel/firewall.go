package kernel

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strings"

	"golang.org/x/sys/unix"
)

// iptables-restore finds its input and its lock at its standard input. A lock of its own for each lets several run at
// once, each in its namespace, and leaves no file on the host; only the older kind of iptables takes one at all.
const (
	restoreSuffix  = "-restore"
	restoreProgram = "iptables" + restoreSuffix
	lockVariable   = "XTABLES_LOCKFILE"
	restoreLock    = lockVariable + "=/proc/self/fd/0"
)

// restorer starts iptables-restore.
type restorer struct {
	program string
	env     []string
}

func newRestorer() (*restorer, error) {
	program, err := exec.LookPath(restoreProgram)
	if err != nil {
		return nil, fmt.Errorf("guest firewalls need iptables: %w", err)
	}
	return &restorer{program, append(os.Environ(), restoreLock)}, nil
}

// load replaces the tables that the text has in the namespace.
func (r *restorer) load(ctx context.Context, n *Namespace, text string) error {
	input, err := fileOf(text)
	if err != nil {
		return err
	}
	defer input.Close() //nolint:errcheck // nothing was written through it
	var said bytes.Buffer
	cmd := exec.CommandContext(ctx, r.program, "--wait")
	cmd.Stdin, cmd.Stderr, cmd.Env = input, &said, r.env
	if err := n.Start(cmd); err != nil {
		return err
	}
	// The wait is the longest part and needs no thread in the namespace.
	if err := cmd.Wait(); err != nil {
		if ctx.Err() != nil {
			return ctx.Err()
		}
		return fmt.Errorf("%s: %w: %s", restoreProgram, err, oneLine(said.String()))
	}
	return nil
}

// save returns the filter table of the namespace as iptables-save prints it, without its comments.
func (r *restorer) save(ctx context.Context, n *Namespace) (string, error) {
	var out bytes.Buffer
	cmd := exec.CommandContext(ctx, strings.TrimSuffix(r.program, restoreSuffix)+"-save", "-t", filterTable)
	cmd.Stdout, cmd.Env = &out, r.env
	if err := n.Start(cmd); err != nil {
		return "", err
	}
	if err := cmd.Wait(); err != nil {
		return "", err
	}
	var table strings.Builder
	for line := range strings.Lines(out.String()) {
		if !strings.HasPrefix(line, "#") {
			table.WriteString(line)
		}
	}
	return table.String(), nil
}

// fileOf returns a file in memory with the text, to be read from its start.
func fileOf(text string) (*os.File, error) {
	fd, err := unix.MemfdCreate("vnetlab", unix.MFD_CLOEXEC)
	if err != nil {
		return nil, os.NewSyscallError("memfd_create", err)
	}
	f := os.NewFile(uintptr(fd), "memfd")
	if _, err = f.WriteString(text); err == nil {
		_, err = f.Seek(0, 0)
	}
	if err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return f, nil
}

func oneLine(s string) string { return strings.Join(strings.Fields(s), " ") }
