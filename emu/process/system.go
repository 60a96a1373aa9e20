package process

import (
	"errors"
	"fmt"
	"io/fs"
	"os"

	"golang.org/x/sys/unix"

	"vnetlab/emu"
)

// mountSystem mounts the instance's own /proc, /sys and /dev.
func mountSystem(b emu.Boundary) error {
	if err := mount("proc", newRoot+"/proc", "proc", unix.MS_NOSUID|unix.MS_NODEV|unix.MS_NOEXEC, ""); err != nil {
		return err
	}
	// A sysfs of its own shows the links of the instance in /sys/class/net. A program that needs it is rare, so a
	// kernel that refuses the mount costs nothing else.
	flags := uintptr(unix.MS_NOSUID | unix.MS_NODEV | unix.MS_NOEXEC)
	if !b.Privileged {
		flags |= unix.MS_RDONLY
	}
	_ = mount("sysfs", newRoot+"/sys", "sysfs", flags, "")
	if err := mountDevices(b); err != nil {
		return fmt.Errorf("make /dev: %w", err)
	}
	if b.Privileged {
		return nil
	}
	return restrictSystem()
}

// mountDevices makes /dev: the devices that every program may have, and terminals and shared memory of the instance's
// own. A privileged instance has the host's devices instead.
func mountDevices(b emu.Boundary) error {
	const dev = newRoot + "/dev"
	if b.Privileged {
		if err := bind("/dev", dev, 0); err != nil {
			return err
		}
	} else if err := makeDevices(dev, b.Limits.Temporary); err != nil {
		return err
	}
	const plain = unix.MS_NOSUID | unix.MS_NOEXEC
	if err := mount("devpts", dev+"/pts", "devpts", plain, "newinstance,ptmxmode=0666,mode=0620,gid=5"); err != nil {
		return err
	}
	if b.Privileged { // its ptmx opens terminals of the host
		if err := bind(dev+"/pts/ptmx", dev+"/ptmx", 0); err != nil {
			return err
		}
	}
	if err := mountTemporary(dev+"/shm", b.Limits.Temporary, 0o1777, unix.MS_NOEXEC); err != nil {
		return err
	}
	if err := mount("mqueue", dev+"/mqueue", "mqueue", plain|unix.MS_NODEV, ""); err != nil && !b.Privileged {
		return os.Remove(dev + "/mqueue") // a kernel without message queues
	}
	return nil
}

func makeDevices(dev string, size emu.Bytes) error {
	options := fmt.Sprintf("size=%d,nr_inodes=1024,mode=755", coverSize)
	if err := mount("tmpfs", dev, "tmpfs", unix.MS_NOSUID|unix.MS_NOEXEC, options); err != nil {
		return err
	}
	before := unix.Umask(0)
	defer unix.Umask(before)
	for _, d := range []struct {
		name         string
		major, minor uint32
	}{{"null", 1, 3}, {"zero", 1, 5}, {"full", 1, 7}, {"random", 1, 8}, {"urandom", 1, 9}, {"tty", 5, 0}} {
		path := dev + "/" + d.name
		err := unix.Mknod(path, unix.S_IFCHR|0o666, int(unix.Mkdev(d.major, d.minor)))
		if errors.Is(err, unix.EPERM) { // in a container that may not make devices
			if err = makeTarget(path, false); err == nil {
				err = bind("/dev/"+d.name, path, unix.MOUNT_ATTR_RDONLY) // but for the device, owner and mode stay
			}
		}
		if err != nil {
			return fmt.Errorf("%s: %w", d.name, err)
		}
	}
	for _, l := range []struct{ name, to string }{
		{"fd", "/proc/self/fd"},
		{"ptmx", "pts/ptmx"},
		{"stdin", "/proc/self/fd/0"},
		{"stdout", "/proc/self/fd/1"},
		{"stderr", "/proc/self/fd/2"},
	} {
		if err := os.Symlink(l.to, dev+"/"+l.name); err != nil {
			return err
		}
	}
	for _, name := range []string{"pts", "shm", "mqueue"} {
		if err := os.Mkdir(dev+"/"+name, 0o755); err != nil {
			return err
		}
	}
	return nil
}

// Parts of /proc and /sys that are the host's. Those of the first list are empty in an instance, those of the second
// can't be written.
var (
	maskedParts = []string{
		"/proc/acpi",
		"/proc/asound",
		"/proc/interrupts",
		"/proc/kallsyms",
		"/proc/kcore",
		"/proc/keys",
		"/proc/key-users",
		"/proc/kmsg",
		"/proc/kpagecgroup",
		"/proc/kpagecount",
		"/proc/kpageflags",
		"/proc/latency_stats",
		"/proc/sched_debug",
		"/proc/scsi",
		"/proc/sysrq-trigger",
		"/proc/timer_list",
		"/proc/timer_stats",
		"/proc/vmallocinfo",
		"/sys/devices/virtual/powercap",
		"/sys/firmware",
		"/sys/fs/selinux",
		"/sys/kernel/debug",
		"/sys/kernel/security",
		"/sys/kernel/tracing",
	}
	readOnlyParts = []string{"/proc/bus", "/proc/fs", "/proc/irq", "/proc/mtrr", "/proc/sys"}
)

// networkSysctls are those of the instance's own network, which its administrator may set. What is the host's is not
// among them in another network namespace, or can't be written there, but for hostSysctls.
const networkSysctls = "/proc/sys/net"

// hostSysctls are among networkSysctls and yet the host's.
var hostSysctls = []string{"/proc/sys/net/netfilter/nf_hooks_lwtunnel"}

// restrictSystem leaves of /proc and /sys what is the instance's.
func restrictSystem() error {
	for _, path := range maskedParts {
		info, err := os.Stat(newRoot + path)
		switch {
		case errors.Is(err, fs.ErrNotExist):
			continue
		case err != nil:
			return err
		}
		if err := cover(newRoot+path, info); err != nil {
			return err
		}
	}
	own, err := openTree(newRoot+networkSysctls, false)
	if err != nil {
		return err
	}
	defer own.close()
	if err := makeReadOnly(readOnlyParts); err != nil {
		return err
	}
	if err := own.attach(newRoot + networkSysctls); err != nil {
		return err
	}
	return makeReadOnly(hostSysctls)
}

// makeReadOnly keeps from being written what is there of the paths.
func makeReadOnly(paths []string) error {
	for _, path := range paths {
		if _, err := os.Stat(newRoot + path); err != nil {
			continue
		}
		if err := bind(newRoot+path, newRoot+path, unix.MOUNT_ATTR_RDONLY); err != nil {
			return err
		}
	}
	return nil
}
