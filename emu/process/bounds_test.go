package process

import (
	"errors"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/net/bpf"
	"golang.org/x/sys/unix"

	"vnetlab/emu"
	"vnetlab/emu/kerneltest"
)

// groupsOf lists the control groups that labs have on this machine, of this process alone.
func groupsOf(t *testing.T) (all []string) {
	t.Helper()
	found, _ := hierarchies()
	for _, h := range found {
		folders, err := filepath.Glob(filepath.Join(h.path, groupsFolder, "*"+groupsOfProcess(), "*"))
		if err != nil {
			t.Fatal(err)
		}
		for _, f := range folders {
			if info, err := os.Stat(f); err == nil && info.IsDir() {
				all = append(all, f)
			}
		}
	}
	return all
}

// needControllers skips a test where control groups can't be used: there an instance is without their bounds, as doctor
// says. In CI the test fails instead.
func needControllers(t *testing.T, names ...string) {
	t.Helper()
	found, err := hierarchies()
	for _, name := range names {
		if !slices.ContainsFunc(found, func(h hierarchy) bool { return slices.Contains(h.controllers, name) }) {
			if os.Getenv("CI") != "" {
				t.Fatal("this machine has no control groups for it:", err)
			}
			t.Skip("this machine has no control groups for it:", err)
		}
	}
}

func TestForkBomb(t *testing.T) {
	kerneltest.RequireRoot(t)
	needControllers(t, pidsController)
	const limit = 100
	sleep := sleeper()
	in := newInstanceWithin(t, emu.Boundary{Limits: emu.Limits{PIDs: limit}}, Options{})
	// Each shell leaves two of its kind behind and stays.
	bomb := `bomb() { bomb & bomb & ` + sleep + `; }; bomb`
	if _, _, err := output(t, in, Command{Argv: []string{"sh", "-c", "(" + bomb + ") >/dev/null 2>&1 &"}}); err != nil {
		t.Fatal(err)
	}
	kerneltest.Eventually(t, "the bomb meets its limit", func() bool {
		return slices.ContainsFunc(groupsOf(t), func(g string) bool {
			text, err := os.ReadFile(g + "/pids.current")
			if n, _ := strconv.Atoi(strings.TrimSpace(string(text))); err == nil && n > limit {
				t.Errorf("%d processes, limit %d", n, limit)
			}
			refused, _ := os.ReadFile(g + "/pids.events")
			return strings.HasPrefix(string(refused), "max ") && strings.TrimSpace(string(refused)) != "max 0"
		})
	})
	if err := in.Close(); err != nil {
		t.Fatal(err)
	}
	if n := onHost(t, sleep); n != 0 {
		t.Errorf("%d processes outlived Close", n)
	}
	if left := groupsOf(t); len(left) != 0 {
		t.Errorf("left: %v", left)
	}
}

func TestMemoryLimit(t *testing.T) {
	kerneltest.RequireRoot(t)
	needControllers(t, memoryController)
	// A program that takes memory until it is killed; tail keeps the last line, which never ends.
	s := emu.Service{Name: "eater", Port: 80, Protocol: emu.TCP, Command: "exec tail -n 1 /dev/zero"}
	in := newInstanceWithin(t, emu.Boundary{Limits: emu.Limits{Memory: 64 * emu.MiB}}, Options{}, s)
	if err := in.Run(s); err != nil {
		t.Fatal(err)
	}
	kerneltest.Eventually(t, "it is killed", func() bool { return in.Programs()[0].Exits > 0 })
	if last := in.Programs()[0].Last; last != "killed by SIGKILL: out of memory, of which the instance may use 64 MiB" {
		t.Errorf("it ended with %q", last)
	}
	if got := shell(t, in, "echo alive"); got != "alive\n" { // in an instance of now at the latest
		t.Errorf("%q", got)
	}
}

func TestFullDisk(t *testing.T) {
	limits := emu.Limits{Memory: 512 * emu.MiB, Disk: 16 * emu.MiB, Temporary: 4 * emu.MiB}
	in := newInstanceWithin(t, emu.Boundary{Limits: limits}, Options{})
	before := shell(t, in, "df -k / | tail -n 1")
	for _, test := range []struct {
		folder string
		size   emu.Bytes
	}{
		{"/", limits.Disk},
		{"/var/lib", limits.Disk},
		{"/etc", limits.Disk},
		{"/root", limits.Disk},
		{"/tmp", limits.Temporary},
		{"/run", limits.Temporary},
		{"/dev/shm", limits.Temporary},
		{"/dev", coverSize},
	} {
		script := "cd " + test.folder + " && dd if=/dev/zero of=full bs=4k 2>&1; s=$?; stat -c 'size %s' full; rm full; exit $s"
		text, exit, err := output(t, in, Command{Argv: []string{"sh", "-c", script}})
		if exit == 0 || err != nil || !strings.Contains(text, "No space left on device") {
			t.Errorf("%s: exit %d, %v, %s", test.folder, exit, err, text)
		}
		_, size, _ := strings.Cut(strings.TrimSpace(text), "size ")
		n, err := strconv.Atoi(size)
		if err != nil || emu.Bytes(n) > test.size || test.folder != "/dev" && emu.Bytes(n) < test.size/2 {
			t.Errorf("%s: %s bytes were written, limit %d", test.folder, size, test.size)
		}
	}
	// Empty files take memory too.
	const many = `mkdir /tmp/many; i=0; while true >/tmp/many/$i; do i=$((i+1)); done 2>/dev/null; ls /tmp/many | wc -l`
	text, _, _ := output(t, in, Command{Argv: []string{"sh", "-c", many}})
	if n, err := strconv.Atoi(strings.TrimSpace(text)); err != nil || n > 1200 {
		t.Errorf("%s files (%v)", text, err)
	}
	if after := shell(t, in, "rm -r /tmp/many; df -k / | tail -n 1"); after != before {
		t.Errorf("the disk of the instance was\n%sand is\n%s", before, after)
	}
}

// Whatever an instance writes, the host doesn't have.
func TestWritesStayInside(t *testing.T) {
	kerneltest.RequireRoot(t)
	visible := visibleFolder(t)
	file := filepath.Join(visible, "file")
	if err := os.WriteFile(file, []byte("host\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	in := newInstance(t, Options{})
	for _, script := range []string{
		"cat " + file, "echo changed >>" + file + " && rm -r " + visible, "touch /var/tmp/vnetlab-test /usr/bin/vnetlab-test",
		"echo 'x:*:0:0::/:' >>/etc/passwd", "rm -rf /bin/ls /usr/bin/ls /etc/passwd", "! command -v ls", "mkdir /vnetlab-test",
	} {
		shell(t, in, script)
	}
	if text, _ := os.ReadFile(file); string(text) != "host\n" {
		t.Errorf("%s is %q", file, text)
	}
	for _, gone := range []string{"/var/tmp/vnetlab-test", "/usr/bin/vnetlab-test", "/vnetlab-test"} {
		if _, err := os.Lstat(gone); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("the host has %s", gone)
		}
	}
	if _, err := exec.LookPath("ls"); err != nil {
		t.Error(err)
	}
	// It goes with the instance.
	in.mu.Lock()
	init := in.init
	in.mu.Unlock()
	init.conn.Close()
	<-init.ended
	shell(t, in, "test ! -e /vnetlab-test && grep -q host "+file)
}

// The administrator of an instance sets the sysctls of its network, and no setting reaches the host's.
func TestNetworkSysctls(t *testing.T) {
	in := newInstance(t, Options{})
	shell(t, in, "echo 1 >/proc/sys/net/ipv4/ip_forward; test $(cat /proc/sys/net/ipv4/ip_forward) = 1")
	shell(t, in, "iptables -A INPUT -p tcp --dport 1 -j DROP; ip link set lo up")
	host := func() map[string]string {
		all := map[string]string{}
		_ = filepath.WalkDir(networkSysctls, func(path string, d fs.DirEntry, err error) error {
			if err == nil && !d.IsDir() {
				text, _ := os.ReadFile(path)
				all[path] = string(text)
			}
			return nil
		})
		return all
	}
	before := host()
	// Every number that can be written is another one then.
	set := shell(t, in, `find /proc/sys/net -type f -perm -200 | while read -r f; do
		v=$(cat $f 2>/dev/null) || continue
		case $v in *[!0-9]* | '') continue;; esac
		{ echo $((v + 1)) >$f || echo 1 >$f || echo 0 >$f; } 2>/dev/null && echo $f
	done; true`)
	if strings.Count(set, "\n") < 20 {
		t.Errorf("few could be set:\n%s", set)
	}
	for _, path := range hostSysctls { // whatever the host's is
		if strings.Contains(set, path+"\n") {
			t.Errorf("%s can be set", path)
		}
	}
	if diff := cmp.Diff(before, host()); diff != "" {
		t.Errorf("the host's changed:\n%s", diff)
		for path, text := range before {
			_ = os.WriteFile(path, []byte(text), 0)
		}
	}
}

func TestPrivileged(t *testing.T) {
	in := newInstanceWithin(t, emu.Boundary{Privileged: true}, Options{})
	marker := filepath.Join(t.TempDir(), "marker")
	if err := os.WriteFile(marker, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for _, test := range []struct{ script, want string }{
		{"mount -t tmpfs none /mnt && stat -f -c %T /mnt && umount /mnt", "tmpfs\n"},
		{"grep NoNewPrivs /proc/self/status", "NoNewPrivs:\t0\n"},
		{"test -c /dev/kmsg -a -w /proc/sys/kernel/printk && echo yes", "yes\n"},
		// Its root is its own all the same.
		{"umount /tmp; umount /proc; test ! -e " + marker + " && echo gone; ls -A /proc", "gone\n"},
	} {
		if got := shell(t, in, test.script); got != test.want {
			t.Errorf("%s: %q, want %q", test.script, got, test.want)
		}
	}
}

// Where the kernel has no overlays the host's files are there, read-only, and the rest holds.
func TestReadOnlyRoot(t *testing.T) {
	withoutOverlays = true
	defer func() { withoutOverlays = false }()
	in := newInstance(t, Options{})
	for _, test := range []struct{ script, want string }{
		{"hostname; cat /etc/hostname", strings.Repeat(name+"\n", 2)},
		{"tail -n 1 /etc/hosts", "10.0.2.4\tsql1\n"},
		{"cat /etc/resolv.conf", "nameserver 168.63.129.16\nsearch contacts.internal\n"},
		{"ls -A /root /home; cut -d: -f2 /etc/shadow | sort -u", "/home:\n\n/root:\n*\n"},
		{"for d in /tmp /run /root /home /var/tmp /dev/shm; do touch $d/x || echo $d; done", ""},
		{"touch /etc/x /usr/x 2>/dev/null || echo read-only", "read-only\n"},
		{"cat /etc/ssh/ssh_host_*_key /etc/shadow- 2>/dev/null; echo end", "end\n"},
	} {
		if got := shell(t, in, test.script); got != test.want {
			t.Errorf("%s: %q, want %q", test.script, got, test.want)
		}
	}
}

func TestSystemCallFilter(t *testing.T) {
	raw, err := systemCallFilter()
	if err != nil {
		t.Fatal(err)
	}
	program, ok := bpf.Disassemble(raw)
	if !ok {
		t.Fatal("the filter can't be read")
	}
	machine, err := bpf.NewVM(program)
	if err != nil {
		t.Fatal(err)
	}
	native := program[1].(bpf.JumpIf).Val
	const allow, errno = unix.SECCOMP_RET_ALLOW, unix.SECCOMP_RET_ERRNO
	for _, test := range []struct {
		name     string
		arch, nr uint32
		arg      uint64
		want     uint32
	}{
		{"read", native, unix.SYS_READ, 0, allow},
		{"execve", native, unix.SYS_EXECVE, 0, allow},
		{"ptrace", native, unix.SYS_PTRACE, 0, allow},
		{"mount", native, unix.SYS_MOUNT, 0, errno | uint32(unix.EPERM)},
		{"syslog", native, unix.SYS_SYSLOG, 0, errno | uint32(unix.EPERM)},
		{"fork", native, unix.SYS_CLONE, uint64(unix.SIGCHLD), allow},
		{"thread", native, unix.SYS_CLONE, unix.CLONE_VM | unix.CLONE_THREAD | unix.CLONE_SIGHAND, allow},
		{"new user namespace", native, unix.SYS_CLONE, unix.CLONE_NEWUSER | uint64(unix.SIGCHLD), errno | uint32(unix.EPERM)},
		{"clone3", native, unix.SYS_CLONE3, 0, errno | uint32(unix.ENOSYS)},
		{"AF_UNIX", native, unix.SYS_SOCKET, unix.AF_UNIX, allow},
		{"AF_INET", native, unix.SYS_SOCKET, unix.AF_INET, allow},
		{"AF_INET6", native, unix.SYS_SOCKET, unix.AF_INET6, allow},
		{"AF_NETLINK", native, unix.SYS_SOCKET, unix.AF_NETLINK, allow},
		{"AF_PACKET", native, unix.SYS_SOCKET, unix.AF_PACKET, allow},
		{"AF_UNSPEC", native, unix.SYS_SOCKET, unix.AF_UNSPEC, errno | uint32(unix.EAFNOSUPPORT)},
		{"AF_ALG", native, unix.SYS_SOCKET, unix.AF_ALG, errno | uint32(unix.EAFNOSUPPORT)},
		{"AF_VSOCK", native, unix.SYS_SOCKET, unix.AF_VSOCK, errno | uint32(unix.EAFNOSUPPORT)},
		{"AF_VSOCK in a long register", native, unix.SYS_SOCKET, 1<<32 | unix.AF_VSOCK, errno | uint32(unix.EAFNOSUPPORT)},
		{"AF_KEY", native, unix.SYS_SOCKET, unix.AF_KEY, errno | uint32(unix.EAFNOSUPPORT)},
		{"another architecture", native + 1, unix.SYS_READ, 0, errno | uint32(unix.ENOSYS)},
	} {
		// The filter reads words of the machine's byte order, this machine of packets big-endian ones.
		var data [64]byte
		put := func(at int, v uint32) {
			data[at], data[at+1], data[at+2], data[at+3] = byte(v>>24), byte(v>>16), byte(v>>8), byte(v)
		}
		put(0, test.nr)
		put(4, test.arch)
		put(16, uint32(test.arg))
		put(20, uint32(test.arg>>32))
		if got, err := machine.Run(data[:]); err != nil || uint32(got) != test.want {
			t.Errorf("%s: %#x, %v, want %#x", test.name, uint32(got), err, test.want)
		}
	}
}

func TestEffectiveLimits(t *testing.T) {
	l := EffectiveLimits(emu.Limits{Memory: 512 * emu.MiB, PIDs: 7})
	if want := (emu.Limits{PIDs: 7, Memory: 512 * emu.MiB, Disk: 256 * emu.MiB, Temporary: 64 * emu.MiB}); l != want {
		t.Errorf("%v, want %v", l, want)
	}
	l = EffectiveLimits(emu.Limits{})
	if l.PIDs != DefaultPIDs || l.Memory < leastMemory || l.Memory > mostMemory || l.Disk+3*l.Temporary >= l.Memory {
		t.Errorf("%v", l)
	}
}
