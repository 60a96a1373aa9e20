package process

import (
	"fmt"
	"math"
	"os"
	"runtime"

	"github.com/moby/sys/capability"
	"golang.org/x/sys/unix"
)

// capabilities are what an administrator of a machine's network needs: those that docker leaves a container, without
// the one to make devices, and with the one to configure the network.
var capabilities = []capability.Cap{
	capability.CAP_AUDIT_WRITE,
	capability.CAP_CHOWN,
	capability.CAP_DAC_OVERRIDE,
	capability.CAP_FOWNER,
	capability.CAP_FSETID,
	capability.CAP_KILL,
	capability.CAP_NET_ADMIN,
	capability.CAP_NET_BIND_SERVICE,
	capability.CAP_NET_RAW,
	capability.CAP_SETFCAP,
	capability.CAP_SETGID,
	capability.CAP_SETPCAP,
	capability.CAP_SETUID,
	capability.CAP_SYS_CHROOT,
}

// confine takes from the calling thread, for good, what an instance may not do, and executes this program again: all
// that runs in the instance, its init too, comes from this thread. It returns only with an error.
func confine(privileged bool) error {
	runtime.LockOSThread()
	if err := unix.Unshare(unix.CLONE_NEWCGROUP); err != nil && err != unix.EINVAL {
		return fmt.Errorf("new cgroup namespace: %w", err)
	}
	// The keys of the person who started the lab are not for its programs. The new keyring has no name, by which
	// another instance could join it. A kernel without keys has none to protect.
	if _, err := unix.KeyctlInt(unix.KEYCTL_JOIN_SESSION_KEYRING, 0, 0, 0, 0); err != nil && err != unix.ENOSYS {
		return fmt.Errorf("new session keyring: %w", err)
	}
	if !privileged {
		// The host's handler of core dumps, which a limit of 0 wouldn't keep from running (core(5)), is not for what
		// crashes here.
		if err := unix.Setrlimit(unix.RLIMIT_CORE, &unix.Rlimit{Cur: 1, Max: 1}); err != nil {
			return fmt.Errorf("limit of core dumps: %w", err)
		}
		if err := dropCapabilities(); err != nil {
			return fmt.Errorf("drop capabilities: %w", err)
		}
		if err := unix.Prctl(unix.PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0); err != nil {
			return fmt.Errorf("no new privileges: %w", err)
		}
		if err := filterSystemCalls(); err != nil {
			return fmt.Errorf("filter system calls: %w", err)
		}
	}
	// Only the socket to the supervisor goes on.
	if err := unix.CloseRange(initSocket+1, math.MaxInt32, unix.CLOSE_RANGE_CLOEXEC); err != nil {
		return os.NewSyscallError("close_range", err)
	}
	if _, err := unix.FcntlInt(initSocket, unix.F_SETFD, 0); err != nil {
		return os.NewSyscallError("fcntl", err)
	}
	return fmt.Errorf("run the init: %w", unix.Exec("/proc/self/exe", []string{initName, serveStage}, os.Environ()))
}

// dropCapabilities leaves the calling thread, and what it executes, no capabilities but those of the list.
func dropCapabilities() error {
	has, err := capability.NewPid2(0)
	if err == nil {
		err = has.Load()
	}
	if err != nil {
		return err
	}
	left, err := capability.NewPid2(0)
	if err != nil {
		return err
	}
	for _, c := range capabilities {
		if has.Get(capability.PERMITTED, c) {
			left.Set(capability.EFFECTIVE|capability.PERMITTED|capability.BOUNDING, c)
		}
	}
	return left.Apply(capability.CAPS | capability.BOUNDS | capability.AMBS)
}
