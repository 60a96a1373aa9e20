package supervisor

import (
	"bytes"
	"errors"
	"fmt"
	"os"

	"golang.org/x/sys/unix"
)

// kernelLog is where the kernel tells what it kills.
const kernelLog = "/dev/kmsg"

// killedForMemory reports whether the kernel's log says that it killed a process for want of memory. Where the log
// can't be read, it is not known.
func killedForMemory(pid int) bool {
	if pid <= 0 {
		return false
	}
	fd, err := unix.Open(kernelLog, unix.O_RDONLY|unix.O_NONBLOCK|unix.O_CLOEXEC, 0)
	if err != nil {
		return false
	}
	log := os.NewFile(uintptr(fd), kernelLog)
	defer log.Close()
	return saysKilled(func(record []byte) (int, error) { return unix.Read(fd, record) }, pid)
}

// saysKilled reads the records of a kernel log until it has no more, and looks for the end of a process.
func saysKilled(read func([]byte) (int, error), pid int) bool {
	words := fmt.Appendf(nil, "Killed process %d ", pid)
	record := make([]byte, 8192)
	for {
		n, err := read(record)
		switch {
		case errors.Is(err, unix.EPIPE), errors.Is(err, unix.EINTR): // a record was overwritten meanwhile
			continue
		case err != nil || n <= 0:
			return false
		case bytes.Contains(record[:n], words):
			return true
		}
	}
}

// howItEnded describes how a lab ended that left its files behind; empty: there are none.
func howItEnded(name string) string {
	pid := holder(name)
	switch {
	case pid == 0 || held(name):
		return ""
	case killedForMemory(pid):
		return fmt.Sprintf("the kernel killed its supervisor (process %d) for want of memory", pid)
	}
	return fmt.Sprintf("its supervisor (process %d) was killed", pid)
}
