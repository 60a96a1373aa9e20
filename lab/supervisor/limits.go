package supervisor

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"

	"vnetlab/lab/api"
)

// What a command and a lab with its supervisor need at least, in processes and threads.
const (
	CommandProcesses = 10
	LabProcesses     = 20
)

// CheckProcesses returns an error when fewer processes and threads than needed may be started in this process's
// control group. The Go runtime can't go on where it gets no thread, so this is asked before.
func CheckProcesses(needed int) error {
	left, group, ok := processesLeft("/proc/self/cgroup", "/sys/fs/cgroup")
	if !ok || left >= needed {
		return nil
	}
	return &api.Error{
		Message: fmt.Sprintf(
			"only %d more processes may be started here, and at least %d are needed",
			max(left, 0),
			needed,
		),
		Hint:    "raise pids.max in " + group,
		Lacking: true,
	}
}

// processesLeft returns how many more processes and threads the control groups of this process allow, and the group
// that allows the fewest; ok is false when none has a limit that can be read.
func processesLeft(membership, mounted string) (left int, group string, ok bool) {
	text, err := os.ReadFile(membership)
	if err != nil {
		return 0, "", false
	}
	for line := range strings.Lines(string(text)) {
		fields := strings.SplitN(strings.TrimSpace(line), ":", 3)
		if len(fields) < 3 {
			continue
		}
		root := ""
		switch fields[1] {
		case "": // version 2
			root = mounted
		case "pids":
			root = path.Join(mounted, "pids")
		default:
			continue
		}
		for at := path.Clean("/" + fields[2]); ; at = path.Dir(at) {
			dir := path.Join(root, at)
			limit, err1 := readNumber(path.Join(dir, "pids.max"))
			current, err2 := readNumber(path.Join(dir, "pids.current"))
			if err1 == nil && err2 == nil && (!ok || limit-current < left) {
				left, group, ok = limit-current, dir, true
			}
			if at == "/" {
				break
			}
		}
	}
	return left, group, ok
}

func readNumber(file string) (int, error) {
	text, err := os.ReadFile(file)
	if err != nil {
		return 0, err
	}
	return strconv.Atoi(strings.TrimSpace(string(text))) // "max" is no number
}

// LimitHint returns what to do about an error that comes of a used-up limit of the machine, or of what is in the way in
// its folders; empty: it is another error.
func LimitHint(err error) string {
	var inTheWay *taken
	var at *fs.PathError
	switch {
	case errors.As(err, &inTheWay):
		return "remove it: ip netns delete " + filepath.Base(inTheWay.path) + ", or rm " + inTheWay.path
	case errors.Is(err, unix.EROFS) && errors.As(err, &at):
		return "labs write below " + filepath.Dir(
			RunDir(),
		) + ": mount it writable, or name another folder by VNETLAB_RUN"
	case errors.Is(err, unix.EMFILE):
		return "too many open files for one process: ulimit -n 4096, or more for a large lab"
	case errors.Is(err, unix.ENFILE):
		return "too many open files on this machine: sysctl -w fs.file-max=1000000"
	case errors.Is(err, unix.EAGAIN), errors.Is(err, unix.ENOMEM):
		return "no more processes or no memory: end some, or raise the limits (pids.max of the control group, ulimit -u)"
	case errors.Is(err, unix.ENOSPC):
		return "no more network namespaces, or a full disk: lab ls shows the labs that run, lab down ends one; see sysctl user.max_net_namespaces and df /run /tmp"
	}
	return ""
}

// noThreads are what the Go runtime and the C library say when they get no thread, with all their state behind it.
var noThreads = []string{
	"failed to create new OS thread",
	"pthread_create failed",
	"pthread_create: Resource temporarily unavailable",
}

// diedOfLimits reports whether the log of a supervisor says that it could start no thread.
func diedOfLimits(log string) bool {
	for _, words := range noThreads {
		if strings.Contains(log, words) {
			return true
		}
	}
	return false
}
