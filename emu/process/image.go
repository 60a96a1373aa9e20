package process

import (
	"errors"
	"fmt"
	"io"
	"os"
	"sync"

	"golang.org/x/sys/unix"
)

// image returns a path to a copy of this program that nothing can change. The inits of instances run it rather than the
// file of the machine, which root in an instance could write to through /proc/PID/exe (CVE-2019-5736). It is made once,
// when the first instance runs something, and shared by all.
var image = sync.OnceValues(func() (string, error) {
	program, err := os.Open("/proc/self/exe")
	if err != nil {
		return "", err
	}
	defer program.Close()
	const flags = unix.MFD_CLOEXEC | unix.MFD_ALLOW_SEALING
	fd, err := unix.MemfdCreate("lab", flags|unix.MFD_EXEC)
	if errors.Is(err, unix.EINVAL) { // before Linux 6.3 each could be executed
		fd, err = unix.MemfdCreate("lab", flags)
	}
	if err != nil {
		return "", os.NewSyscallError("memfd_create", err)
	}
	made := os.NewFile(uintptr(fd), "lab")
	defer made.Close()
	if _, err := io.Copy(made, program); err != nil {
		return "", fmt.Errorf("copy this program: %w", err)
	}
	const seals = unix.F_SEAL_SEAL | unix.F_SEAL_SHRINK | unix.F_SEAL_GROW | unix.F_SEAL_WRITE
	if _, err := unix.FcntlInt(made.Fd(), unix.F_ADD_SEALS, seals); err != nil {
		return "", fmt.Errorf("seal the copy of this program: %w", err)
	}
	// A process that is about to execute it moves low descriptors around.
	const low = 64
	kept, err := unix.FcntlInt(made.Fd(), unix.F_DUPFD_CLOEXEC, low)
	if err != nil {
		return "", os.NewSyscallError("fcntl", err)
	}
	return fmt.Sprintf("/proc/self/fd/%d", kept), nil
})
