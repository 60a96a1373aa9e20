package process

import (
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

// attack is a step of an attacker that is root in an instance. It returns nil if it came through, and what stopped it
// otherwise.
type attack struct {
	name string
	// try gets what the test has prepared on the host: see target.
	try func(target) error
	// harmful attacks are not tried outside: they would do harm there, or show nothing.
	harmful bool
	// needs is a file that some kernels lack; then the attack is not tried outside.
	needs string
}

// target is what attackers are after.
type target struct {
	Marker   string // file of the host outside what instances see
	Folder   string // folder of the host that instances see read-only
	Socket   string // path of a socket of the host below what instances see
	Abstract string // abstract socket of the host
	Loopback string // address of a listener on the host's loopback
}

// opens returns an attack that opens a file for reading or writing.
func opens(path string, flags int) func(target) error {
	return func(target) error {
		f, err := os.OpenFile(path, flags, 0)
		if err != nil {
			return err
		}
		defer f.Close()
		var s, null unix.Stat_t
		if err := errors.Join(unix.Fstat(int(f.Fd()), &s), unix.Stat("/dev/null", &null)); err != nil {
			return err
		}
		if s.Rdev != 0 && s.Rdev == null.Rdev {
			return errors.New("it is /dev/null")
		}
		return nil
	}
}

// calls returns an attack that makes a system call.
func calls(number uintptr, args ...uintptr) func(target) error {
	return func(target) error {
		var a [6]uintptr
		copy(a[:], args)
		if _, _, errno := unix.Syscall6(number, a[0], a[1], a[2], a[3], a[4], a[5]); errno != 0 {
			return errno
		}
		return nil
	}
}

func starts(flags uintptr, argv ...string) func(target) error {
	return func(target) error {
		cmd := exec.Command(argv[0], argv[1:]...)
		cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: flags}
		return cmd.Run()
	}
}

var attacks = []attack{
	{name: "umount /proc", try: func(target) error { return unix.Unmount("/proc", unix.MNT_DETACH) }},
	{name: "umount /run", try: func(target) error {
		return errors.Join(unix.Unmount("/run", unix.MNT_DETACH), unix.Unmount("/tmp", unix.MNT_DETACH))
	}, harmful: true}, // outside nothing need be mounted there
	{name: "mount proc", try: func(target) error { return unix.Mount("proc", "/mnt", "proc", 0, "") }},
	{name: "mount a tmpfs", try: func(target) error { return unix.Mount("tmpfs", "/mnt", "tmpfs", 0, "") }},
	{name: "bind mount", try: func(target) error { return unix.Mount("/proc", "/mnt", "", unix.MS_BIND, "") }},
	{name: "new mount API", try: func(target) error {
		_, err := unix.Fsopen("tmpfs", 0)
		return err
	}},
	{name: "write a read-only folder", try: func(t target) error {
		f, err := os.Create(t.Folder + "/written")
		if err == nil {
			f.Close()
		}
		return err
	}},
	{name: "remount a read-only folder", try: func(t target) error {
		if err := unix.Mount(t.Folder, t.Folder, "", unix.MS_BIND, ""); err != nil {
			return err
		}
		return unix.Mount("", t.Folder, "", unix.MS_BIND|unix.MS_REMOUNT, "")
	}},
	{name: "leave by chroot", try: leaveByChroot},
	{name: "the root of PID 1", try: func(t target) error {
		_, err := os.ReadFile("/proc/1/root" + t.Marker)
		return err
	}},
	{
		name: "enter the mount namespace of PID 1",
		try:  func(target) error { return enter("/proc/1/ns/mnt", unix.CLONE_NEWNS) },
	},
	{
		name: "enter the network namespace of PID 1",
		try:  func(target) error { return enter("/proc/1/ns/net", unix.CLONE_NEWNET) },
	},
	{name: "nsenter by a pidfd", try: func(target) error {
		fd, err := unix.PidfdOpen(1, 0)
		if err != nil {
			return err
		}
		return unix.Setns(fd, unix.CLONE_NEWNET)
	}},
	{name: "unshare mounts", try: starts(unix.CLONE_NEWNS, "true")},
	{name: "unshare the user namespace", try: func(target) error { return unshare(unix.CLONE_NEWUSER) }},
	{name: "a process in a new user namespace", try: starts(unix.CLONE_NEWUSER, "true")},
	{name: "a process in a new network namespace", try: starts(unix.CLONE_NEWNET, "true")},
	{name: "make the device of the root", try: makeRootDevice, harmful: true}, // a container may not either
	{name: "make /dev/mem", try: func(target) error { return makeDevice(unix.S_IFCHR, int(unix.Mkdev(1, 1))) }},
	{name: "trace PID 1", try: func(target) error { return unix.PtraceSeize(1) }},
	{name: "memory of PID 1", try: opens("/proc/1/mem", os.O_RDWR)},
	{name: "environment of PID 1", try: func(target) error {
		_, err := os.ReadFile("/proc/1/environ")
		return err
	}},
	{name: "descriptors of PID 1", try: func(target) error {
		_, err := os.Readlink("/proc/1/fd/0")
		return err
	}},
	{name: "program of PID 1", try: opens("/proc/1/exe", os.O_RDONLY)},
	{name: "write this program", try: func(target) error {
		// It is PID 1's too. It can't be written while it runs, but by who waits until it doesn't.
		f, err := os.Open("/proc/self/exe")
		if err != nil {
			return err
		}
		if seals, err := unix.FcntlInt(f.Fd(), unix.F_GET_SEALS, 0); err == nil && seals&unix.F_SEAL_WRITE != 0 {
			return errors.New("it is sealed")
		}
		return nil
	}},
	{name: "open by handle", try: openByHandle},
	{name: "set a sysctl", try: func(target) error {
		return os.WriteFile("/proc/sys/kernel/domainname", []byte("attacked"), 0)
	}},
	{name: "set the core pattern", try: opens("/proc/sys/kernel/core_pattern", os.O_WRONLY)},
	{name: "any sysctl beside the network's", try: anySysctl},
	{name: "sysrq", try: opens("/proc/sysrq-trigger", os.O_WRONLY), needs: "/proc/sysrq-trigger"},
	{name: "memory of the kernel", try: opens("/proc/kcore", os.O_RDONLY), needs: "/proc/kcore"},
	{
		name: "write sysfs", try: opens("/sys/kernel/mm/transparent_hugepage/enabled", os.O_WRONLY),
		needs: "/sys/kernel/mm/transparent_hugepage",
	},
	{name: "mount control groups", try: func(target) error {
		return errors.Join(
			unix.Mount("cgroup", "/mnt", "cgroup", 0, "pids"),
			unix.Mount("cgroup2", "/mnt", "cgroup2", 0, ""),
		)
	}, harmful: true},
	{name: "leave the control group", try: func(target) error {
		found, err := filepath.Glob("/sys/fs/cgroup/*")
		if err == nil && len(found) == 0 {
			err = fs.ErrNotExist
		}
		return err
	}},
	{name: "see the control group's path", try: func(target) error {
		text, err := os.ReadFile("/proc/self/cgroup")
		if err == nil && !strings.Contains(string(text), groupsFolder) {
			err = errors.New("it is the root of a namespace")
		}
		return err
	}, harmful: true}, // outside it is in no such group
	{name: "abstract socket of the host", try: func(t target) error { return dial("unix", t.Abstract) }},
	{name: "socket of the host", try: func(t target) error { return dial("unix", t.Socket) }},
	{name: "loopback of the host", try: func(t target) error { return dial("tcp", t.Loopback) }},
	{name: "control sockets of labs", try: func(target) error {
		_, err := os.ReadDir("/run/lab")
		return err
	}, harmful: true}, // outside there may be none
	{name: "a file outside", try: func(t target) error {
		_, err := os.ReadFile(t.Marker)
		return err
	}},
	{name: "kernel log", try: func(target) error {
		const readAll = 3
		_, err := unix.Klogctl(readAll, make([]byte, 1024))
		return err
	}},
	{name: "set the clock", try: func(target) error {
		now := unix.NsecToTimespec(time.Now().UnixNano())
		return unix.ClockSettime(unix.CLOCK_REALTIME, &now)
	}, harmful: true},
	{name: "steer the clock", try: func(target) error {
		const offset = 1
		_, err := unix.Adjtimex(&unix.Timex{Modes: offset})
		return err
	}, harmful: true},
	{name: "load a module", try: func(target) error { return unix.InitModule([]byte("x"), "") }, harmful: true},
	{name: "reboot", try: func(target) error { return unix.Reboot(unix.LINUX_REBOOT_CMD_CAD_OFF) }, harmful: true},
	{name: "set the host name", try: func(target) error { return unix.Sethostname([]byte("attacked")) }},
	{name: "swap", try: calls(unix.SYS_SWAPON), harmful: true},
	{name: "keys", try: func(target) error {
		_, err := unix.KeyctlGetKeyringID(unix.KEY_SPEC_SESSION_KEYRING, false)
		return err
	}},
	{name: "raise a limit", try: func(target) error {
		return unix.Setrlimit(unix.RLIMIT_CORE, &unix.Rlimit{Cur: unix.RLIM_INFINITY, Max: unix.RLIM_INFINITY})
	}, harmful: true}, // outside it needn't be limited
	{name: "BPF", try: func(target) error {
		const mapCreate, array = 0, 2
		attr := [4]uint32{array, 4, 4, 1}
		return calls(unix.SYS_BPF, mapCreate, uintptr(unsafe.Pointer(&attr)), unsafe.Sizeof(attr))(target{})
	}},
	{name: "io_uring", try: func(target) error {
		var params [120]byte
		return calls(unix.SYS_IO_URING_SETUP, 1, uintptr(unsafe.Pointer(&params)))(target{})
	}, harmful: true}, // a kernel may be without
	{name: "the machine below", try: func(target) error {
		_, err := unix.Socket(unix.AF_VSOCK, unix.SOCK_STREAM, 0)
		return err
	}, harmful: true}, // likewise
	{name: "a namespace by clone3", try: func(target) error {
		type arguments struct{ flags, pidfd, childTID, parentTID, signal, stack, size, tls uint64 }
		args := arguments{flags: unix.CLONE_NEWUSER, signal: uint64(unix.SIGCHLD)}
		pid, _, errno := unix.RawSyscall(unix.SYS_CLONE3, uintptr(unsafe.Pointer(&args)), unsafe.Sizeof(args), 0)
		if errno != 0 {
			return errno
		}
		if pid == 0 {
			unix.Exit(0)
		}
		return nil
	}, harmful: true}, // outside a thread of Go's would go on in two processes
	{name: "password of root", try: func(target) error {
		text, err := os.ReadFile("/etc/shadow")
		if err != nil {
			return err
		}
		for line := range strings.Lines(string(text)) {
			if f := strings.Split(line, ":"); len(f) > 1 && f[1] != "*" {
				return nil
			}
		}
		return errors.New("nobody has one")
	}, harmful: true}, // outside nobody may have one
	{name: "new privileges", try: func(target) error {
		if set, err := unix.PrctlRetInt(unix.PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0); err != nil || set == 1 {
			return errors.Join(err, errors.New("there are none"))
		}
		return nil
	}},
}

func dial(network, address string) error {
	c, err := net.Dial(network, address)
	if err == nil {
		c.Close()
	}
	return err
}

func enter(namespace string, kind int) error {
	fd, err := unix.Open(namespace, unix.O_RDONLY, 0)
	if err != nil {
		return err
	}
	if kind == unix.CLONE_NEWNS { // of a process whose threads share a root
		if err := unix.Unshare(unix.CLONE_FS); err != nil {
			return err
		}
	}
	return unix.Setns(fd, kind)
}

// unshare is done by a child: a process with threads may not.
func unshare(flags uintptr) error {
	cmd := exec.Command("true")
	cmd.SysProcAttr = &syscall.SysProcAttr{Unshareflags: flags}
	return cmd.Run()
}

// leaveByChroot is the old way out of a chroot: one more chroot, with a descriptor of what is above it.
func leaveByChroot(t target) error {
	dir, err := os.MkdirTemp("", "")
	if err != nil {
		return err
	}
	defer os.Remove(dir) // by its path in the root where this ends
	above, err := os.Open("/")
	if err != nil {
		return err
	}
	if err := errors.Join(unix.Chroot(dir), above.Chdir()); err != nil {
		return err
	}
	for range 64 {
		if err := os.Chdir(".."); err != nil {
			return err
		}
	}
	if err := unix.Chroot("."); err != nil {
		return err
	}
	_, err = os.ReadFile(t.Marker)
	return err
}

func makeRootDevice(target) error {
	var s unix.Stat_t
	for _, folder := range []string{"/", "/usr", "/etc"} {
		if err := unix.Stat(folder, &s); err != nil {
			return err
		}
	}
	return makeDevice(unix.S_IFBLK, int(s.Dev))
}

// makeDevice makes a device where devices can be, and opens it.
func makeDevice(kind uint32, device int) error {
	var errs []error
	for _, folder := range []string{"/dev", "/tmp", "/"} {
		path := filepath.Join(folder, fmt.Sprint("device", os.Getpid()))
		err := unix.Mknod(path, kind|0o600, device)
		if err == nil {
			defer os.Remove(path)
			var f *os.File
			if f, err = os.Open(path); err == nil {
				f.Close()
				return nil
			}
			if !errors.Is(err, unix.EACCES) && !errors.Is(err, unix.EPERM) {
				return nil // there is no such device; it would have been opened
			}
		}
		errs = append(errs, err)
	}
	return errors.Join(errs...)
}

// openByHandle opens the root of a file system without a path.
func openByHandle(target) error {
	handle, _, err := unix.NameToHandleAt(unix.AT_FDCWD, "/proc/sys", 0)
	if err != nil {
		handle, _, err = unix.NameToHandleAt(unix.AT_FDCWD, "/etc", 0)
	}
	if err != nil {
		handle = unix.NewFileHandle(1, []byte{2, 0, 0, 0, 0, 0, 0, 0}) // inode 2
	}
	at, err := unix.Open("/etc", unix.O_RDONLY|unix.O_DIRECTORY, 0)
	if err != nil {
		return err
	}
	_, err = unix.OpenByHandleAt(at, handle, unix.O_RDONLY)
	if errors.Is(err, unix.ESTALE) {
		return nil // it may open; this one isn't there
	}
	return err
}

// anySysctl opens every sysctl for writing, but for those of the network.
func anySysctl(target) error {
	var open []string
	err := filepath.WalkDir("/proc/sys", func(path string, d fs.DirEntry, err error) error {
		if path == networkSysctls {
			return fs.SkipDir
		}
		if err != nil || d.IsDir() {
			return nil
		}
		if f, err := os.OpenFile(path, os.O_WRONLY, 0); err == nil {
			f.Close()
			open = append(open, path)
		}
		return nil
	})
	if err != nil {
		return err
	}
	if len(open) == 0 {
		return errors.New("none can be opened")
	}
	fmt.Println(open)
	return nil
}
