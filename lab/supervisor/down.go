package supervisor

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"golang.org/x/sys/unix"

	"vnetlab/emu/kernel"
	"vnetlab/emu/process"
	"vnetlab/lab/api"
)

// How long a supervisor that was asked to stop may take, programs' own grace included, before it is killed; longer in
// tests.
var stopPatience = 5 * time.Second

// Down ends a lab and returns when nothing of it is left. A lab that doesn't run is an error; its stale files are
// removed all the same.
func Down(ctx context.Context, name string) error {
	pid, handle, err := supervisor(ctx, name)
	if err != nil {
		return err
	}
	if handle == nil {
		return errors.Join(
			&api.Error{Message: fmt.Sprintf("lab %s is not running", name), Hint: "lab ls"},
			cleanLab(name),
		)
	}
	defer handle.Close()
	stop, cancel := context.WithTimeout(ctx, stopPatience)
	defer cancel()
	polite := false
	if c, err := Dial(name); err == nil {
		polite = c.Stop(stop) == nil
	}
	if !polite || waitForDeath(stop, handle) != nil {
		if err := unix.PidfdSendSignal(
			int(handle.Fd()),
			unix.SIGKILL,
			nil,
			0,
		); err != nil &&
			!errors.Is(err, unix.ESRCH) {
			return fmt.Errorf("kill the supervisor of lab %s (process %d): %w", name, pid, err)
		}
		if err := waitForDeath(ctx, handle); err != nil {
			return fmt.Errorf("the supervisor of lab %s (process %d) is still ending: %w", name, pid, err)
		}
	}
	gone := kernel.WaitUntilGone(ctx)
	process.Sweep()
	return errors.Join(gone, cleanLab(name))
}

// WaitForEnd returns when the lab has ended, with an error that says so, or with that of the context.
func WaitForEnd(ctx context.Context, name string) error {
	_, handle, err := supervisor(ctx, name)
	if err != nil {
		return err
	}
	if handle != nil {
		defer handle.Close()
		if err := waitForDeath(ctx, handle); err != nil {
			return err
		}
	}
	return notRunning(name)
}

// supervisor gives a handle of the process that runs a lab; nil when none does.
func supervisor(ctx context.Context, name string) (pid int, handle *os.File, err error) {
	for held(name) {
		pid := holder(name)
		if pid > 0 {
			fd, err := unix.PidfdOpen(pid, 0)
			// As long as the lock is held and names the same process, the handle is that of the holder and of no
			// later process.
			if err == nil && held(name) && holder(name) == pid {
				return pid, os.NewFile(uintptr(fd), "pidfd"), nil
			}
			if err == nil {
				unix.Close(fd)
			} else if !errors.Is(err, unix.ESRCH) {
				return 0, nil, fmt.Errorf("supervisor of lab %s (process %d): %w", name, pid, err)
			}
		}
		select { // it is just being started, or about to be gone
		case <-ctx.Done():
			return 0, nil, ctx.Err()
		case <-time.After(10 * time.Millisecond):
		}
	}
	return 0, nil, nil
}

// waitForDeath waits until a process is dead. For a supervisor, the init of its PID namespace, that is after all the
// processes of its lab.
func waitForDeath(ctx context.Context, pidfd *os.File) error {
	for {
		wait := 100 * time.Millisecond // between looks at ctx
		n, err := unix.Poll([]unix.PollFd{{Fd: int32(pidfd.Fd()), Events: unix.POLLIN}}, int(wait.Milliseconds()))
		switch {
		case n > 0:
			return nil
		case err != nil && !errors.Is(err, unix.EINTR):
			return os.NewSyscallError("poll", err)
		case ctx.Err() != nil:
			return ctx.Err()
		}
	}
}

// Clean removes the files that killed labs left. It leaves running labs alone, and those that are just being started.
func Clean() error {
	names, err := labNames()
	for _, name := range names {
		err = errors.Join(err, cleanLab(name))
	}
	err = errors.Join(err, removeStaleLinks())
	process.Sweep()
	removeDir(RunDir()) // not empty as long as there is a lab
	return err
}

// removeDir removes a folder if it is one, and empty. A file that somebody else put there stays.
func removeDir(path string) { unix.Rmdir(path) } //nolint:errcheck // it stays where it can't go

// cleanLab removes the files of one lab unless it runs.
func cleanLab(name string) error {
	l, err := tryAcquire(name, false)
	if errors.Is(err, unix.EWOULDBLOCK) {
		return nil
	}
	if errors.Is(err, fs.ErrNotExist) {
		removeDir(labDir(name)) // when nothing is in it; the lock may be about to be made
		removeDir(RunDir())     // likewise: a supervisor may have been killed right before it did so
		return nil
	}
	if err != nil {
		return err
	}
	return l.remove()
}

// labNames lists what has a directory: running labs, and what killed ones left.
func labNames() ([]string, error) {
	entries, err := os.ReadDir(RunDir())
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if errors.Is(err, unix.ENOTDIR) {
		return nil, &api.Error{
			Message: RunDir() + " is a file that lab didn't make; running labs need a folder there",
			Hint:    "move it away, or name another folder in VNETLAB_RUN",
		}
	}
	if err != nil {
		return nil, fmt.Errorf("running labs: %w", err)
	}
	var names []string
	for _, e := range entries {
		if e.IsDir() && e.Name()[0] != '.' {
			names = append(names, filepath.Base(e.Name()))
		}
	}
	return names, nil
}
