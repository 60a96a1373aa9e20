package supervisor

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"vnetlab/lab/api"
)

// lock is the right to be the one lab of its name. The kernel releases it with the last descriptor, so exactly with
// the death of the supervisor that inherited it.
type lock struct {
	name string
	file *os.File
}

// acquirePatience is how long acquire waits for a holder that has not said who it is: a lab being started, or one
// being cleaned away; longer in tests.
var acquirePatience = 5 * time.Second

// acquire takes the lock of a lab and makes its directory. A running lab is an *api.Error that says which process
// holds it.
func acquire(name string) (*lock, error) {
	deadline := time.Now().Add(acquirePatience)
	for {
		l, err := tryAcquire(name, true)
		if err == nil || !errors.Is(err, unix.EWOULDBLOCK) {
			return l, err
		}
		pid := holder(name)
		if alive(pid) {
			return nil, &api.Error{
				Message: fmt.Sprintf("lab %s is already running (supervisor process %d)", name, pid),
				Hint:    "lab down " + name,
			}
		}
		if time.Now().After(deadline) {
			return nil, &api.Error{
				Message: fmt.Sprintf("lab %s is being started or stopped by another command", name),
				Hint:    "lab down " + name,
			}
		}
		time.Sleep(10 * time.Millisecond)
	}
}

// tryAcquire takes the lock or fails at once, with unix.EWOULDBLOCK where another process has it. With create it
// makes what isn't there.
func tryAcquire(name string, create bool) (*lock, error) {
	path := filepath.Join(labDir(name), lockFile)
	flags := os.O_RDWR
	if create {
		flags |= os.O_CREATE
	}
	for try := 0; ; try++ {
		if create {
			err := os.MkdirAll(labDir(name), 0o700)
			// Another process may remove the directory, or the one above, while this one makes it.
			if removed := errors.Is(err, fs.ErrNotExist) || errors.Is(err, fs.ErrExist); removed && try < 1000 {
				continue
			}
			if err != nil {
				return nil, fmt.Errorf("directory of lab %s: %w", name, err)
			}
		}
		f, err := os.OpenFile(path, flags, 0o600)
		if create && errors.Is(err, fs.ErrNotExist) {
			continue // another process removed the directory in between
		}
		if err != nil {
			return nil, fmt.Errorf("lock of lab %s: %w", name, err)
		}
		if err := unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB); err != nil {
			f.Close()
			return nil, fmt.Errorf("lock of lab %s: %w", name, err)
		}
		if !sameFile(f, path) { // it was removed before we had it: the lock that counts is another file
			f.Close()
			continue
		}
		if err := f.Truncate(0); err != nil {
			f.Close()
			return nil, fmt.Errorf("lock of lab %s: %w", name, err)
		}
		return &lock{name: name, file: f}, nil
	}
}

func sameFile(f *os.File, path string) bool {
	mine, err := f.Stat()
	if err != nil {
		return false
	}
	current, err := os.Stat(path)
	return err == nil && os.SameFile(mine, current)
}

// write names the process that holds the lock, for people and for down.
func (l *lock) write(pid int) error {
	if _, err := l.file.WriteAt([]byte(strconv.Itoa(pid)+"\n"), 0); err != nil {
		return fmt.Errorf("lock of lab %s: %w", l.name, err)
	}
	return nil
}

// release lets go of this descriptor; a supervisor that inherited the lock keeps it.
func (l *lock) release() { l.file.Close() }

// remove deletes all files of the lab and releases the lock. Nobody else can have the lab meanwhile.
func (l *lock) remove() error {
	err := l.removeFiles()
	l.release()
	return err
}

// removeFiles deletes all files of the lab, the lock last: from then on the next lab of the name may start.
func (l *lock) removeFiles() error {
	dir := labDir(l.name)
	err := removeLinks(l.name)
	entries, readErr := os.ReadDir(dir)
	err = errors.Join(err, readErr)
	for _, e := range entries {
		if e.Name() != lockFile {
			err = errors.Join(err, os.RemoveAll(filepath.Join(dir, e.Name())))
		}
	}
	err = errors.Join(err, os.Remove(filepath.Join(dir, lockFile)))
	removeDir(dir)      // not empty when the next lab of the name is quick: then it is that lab's
	removeDir(RunDir()) // likewise
	return err
}

// holder reads the process id in the lock of a lab; 0 when there is none.
func holder(name string) int {
	text, err := os.ReadFile(filepath.Join(labDir(name), lockFile))
	if err != nil {
		return 0
	}
	pid, err := strconv.Atoi(strings.TrimSpace(string(text)))
	if err != nil {
		return 0
	}
	return pid
}

func alive(pid int) bool {
	return pid > 0 && !errors.Is(unix.Kill(pid, 0), unix.ESRCH)
}

// held says whether some process has the lock of a lab.
func held(name string) bool {
	f, err := os.Open(filepath.Join(labDir(name), lockFile))
	if err != nil {
		return false
	}
	defer f.Close()
	// A shared lock is refused only while somebody holds the exclusive one, and two askers don't see each other.
	return errors.Is(unix.Flock(int(f.Fd()), unix.LOCK_SH|unix.LOCK_NB), unix.EWOULDBLOCK)
}
