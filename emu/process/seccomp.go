package process

import (
	"errors"
	"slices"
	"unsafe"

	"github.com/elastic/go-seccomp-bpf"
	"github.com/elastic/go-seccomp-bpf/arch"
	"golang.org/x/net/bpf"
	"golang.org/x/sys/unix"
)

// deniedCalls are system calls that reach the host, or parts of the kernel that know no namespaces. Most need
// capabilities that an instance doesn't have; a new user namespace would give them, and that can't be had either.
var deniedCalls = []string{
	// Mounts and namespaces.
	"fsconfig",
	"fsmount",
	"fsopen",
	"fspick",
	"mount",
	"mount_setattr",
	"move_mount",
	"open_tree",
	"open_tree_attr",
	"pivot_root",
	"setns",
	"umount",
	"umount2",
	"unshare",
	// Files by their handles, whatever the root is.
	"open_by_handle_at",
	// The machine: its clock, modules, power, swap, accounting, hardware, log.
	"acct",
	"clock_settime",
	"delete_module",
	"finit_module",
	"init_module",
	"ioperm",
	"iopl",
	"kexec_file_load",
	"kexec_load",
	"quotactl",
	"quotactl_fd",
	"reboot",
	"settimeofday",
	"stime",
	"swapoff",
	"swapon",
	"syslog",
	"vhangup",
	// Keys.
	"add_key",
	"keyctl",
	"request_key",
	// Parts of the kernel with many ways in and little use here.
	"bpf",
	"fanotify_init",
	"io_uring_enter",
	"io_uring_register",
	"io_uring_setup",
	"kcmp",
	"lookup_dcookie",
	"memfd_secret",
	"migrate_pages",
	"move_pages",
	"nfsservctl",
	"perf_event_open",
	"process_madvise",
	"uselib",
	"userfaultfd",
	"ustat",
	"vm86",
	"vm86old",
}

// namespaceFlags are the flags by which clone makes namespaces.
const namespaceFlags = unix.CLONE_NEWCGROUP | unix.CLONE_NEWIPC | unix.CLONE_NEWNET | unix.CLONE_NEWNS | unix.CLONE_NEWPID |
	unix.CLONE_NEWUSER | unix.CLONE_NEWUTS

// families are the sockets that stay in the network namespace of the calling process, in ascending order. Others,
// such as AF_VSOCK, reach the machine below.
var families = []uint64{unix.AF_UNIX, unix.AF_INET, unix.AF_INET6, unix.AF_NETLINK, unix.AF_PACKET}

// systemCallFilter returns the program that decides which system calls an instance may make: all but the denied ones,
// which fail with EPERM. What the filter can't look into, it hides: clone3, for which programs fall back to clone, and
// the calls of other architectures.
func systemCallFilter() ([]bpf.RawInstruction, error) {
	machine, err := arch.GetInfo("")
	if err != nil {
		return nil, err
	}
	const (
		notPermitted = seccomp.ActionErrno | seccomp.Action(unix.EPERM)
		notKnown     = seccomp.ActionErrno | seccomp.Action(unix.ENOSYS)
		noFamily     = seccomp.ActionErrno | seccomp.Action(unix.EAFNOSUPPORT)
	)
	known := slices.DeleteFunc(slices.Clone(deniedCalls), func(name string) bool {
		_, ok := machine.SyscallNames[name]
		return !ok // an old one that this architecture never had
	})
	call := func(name string, c ...seccomp.Condition) seccomp.NameWithConditions {
		return seccomp.NameWithConditions{Name: name, Conditions: c}
	}
	sockets := []seccomp.NameWithConditions{
		call("socket", seccomp.Condition{Operation: seccomp.LessThan, Value: families[0]}),
		call("socket", seccomp.Condition{Operation: seccomp.GreaterThan, Value: families[len(families)-1]}),
	}
	for i, family := range families[1:] { // what is between one and the next
		sockets = append(sockets, call("socket", seccomp.Condition{Operation: seccomp.GreaterThan, Value: families[i]},
			seccomp.Condition{Operation: seccomp.LessThan, Value: family}))
	}
	policy := seccomp.Policy{DefaultAction: seccomp.ActionAllow, Syscalls: []seccomp.SyscallGroup{
		{Action: notPermitted, Names: known, NamesWithCondtions: []seccomp.NameWithConditions{
			call("clone", seccomp.Condition{Operation: seccomp.BitsSet, Value: namespaceFlags}),
		}},
		{Action: notKnown, Names: []string{"clone3"}},
		{Action: noFamily, NamesWithCondtions: sockets},
	}}
	program, err := policy.Assemble()
	if err != nil {
		return nil, err
	}
	const architecture = 4 // its place in seccomp_data
	return bpf.Assemble(append([]bpf.Instruction{
		bpf.LoadAbsolute{Off: architecture, Size: 4},
		bpf.JumpIf{Cond: bpf.JumpEqual, Val: uint32(machine.ID), SkipTrue: 1},
		bpf.RetConstant{Val: uint32(notKnown)},
	}, program...))
}

// filterSystemCalls has the kernel hold the calling thread, and all that comes from it, to the filter.
func filterSystemCalls() error {
	program, err := systemCallFilter()
	if err != nil {
		return err
	}
	if len(program) > unix.BPF_MAXINSNS {
		return errors.New("the filter is too long")
	}
	filter := make([]unix.SockFilter, len(program))
	for i, in := range program {
		filter[i] = unix.SockFilter{Code: in.Op, Jt: in.Jt, Jf: in.Jf, K: in.K}
	}
	fprog := unix.SockFprog{Len: uint16(len(filter)), Filter: &filter[0]}
	return unix.Prctl(unix.PR_SET_SECCOMP, unix.SECCOMP_MODE_FILTER, uintptr(unsafe.Pointer(&fprog)), 0, 0)
}
