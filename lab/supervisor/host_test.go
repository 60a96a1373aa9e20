package supervisor

import (
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"testing"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"

	"vnetlab/emu/kerneltest"
	"vnetlab/lab/api"
)

// host is what a lab must not change: the network of the host, its rules, its mounts and its sysctls.
func host(t *testing.T) map[string]string {
	t.Helper()
	state := map[string]string{}
	for _, command := range []string{
		"ip -o link", "ip -o addr", "ip route show table all", "ip rule", "ip -d neigh",
		"nft list ruleset", "iptables-save", "hostname",
	} {
		args := strings.Fields(command)
		out, err := exec.Command(args[0], args[1:]...).CombinedOutput()
		if err != nil {
			t.Fatalf("%s: %v: %s", command, err, out)
		}
		state[command] = withoutComments(string(out))
	}
	mounts, err := os.ReadFile("/proc/self/mountinfo")
	if err != nil {
		t.Fatal(err)
	}
	state["mounts"] = string(mounts)
	for _, dir := range []string{"/proc/sys/net", "/proc/sys/kernel", "/proc/sys/fs"} {
		filepath.WalkDir(
			dir,
			func(path string, d fs.DirEntry, err error) error { //nolint:errcheck // what can't be read can't be compared
				if err == nil && d.IsDir() && d.Name() == "binfmt_misc" { // whoever looks into it mounts it
					return fs.SkipDir
				}
				if err == nil && d.Type().IsRegular() && !changesByItself(path) {
					text, _ := os.ReadFile(path)
					state[path] = string(text)
				}
				return nil
			},
		)
	}
	return state
}

// withoutComments drops the lines in which iptables-save tells the time.
func withoutComments(text string) string {
	var lines []string
	for l := range strings.SplitSeq(text, "\n") {
		if !strings.HasPrefix(l, "#") {
			lines = append(lines, l)
		}
	}
	return strings.Join(lines, "\n")
}

// changesByItself tells counters and clocks from settings.
func changesByItself(path string) bool {
	for _, name := range []string{
		"random/", "ns_last_pid", "file-nr", "inode-nr", "inode-state", "dentry-state", "aio-nr", "pty/nr", "nf_conntrack_count", "fs/epoll",
		"fs/quota/", "kernel/hung_task_", "kernel/perf_event_max_sample_rate",
	} {
		if strings.Contains(path, name) {
			return true
		}
	}
	return false
}

// A lab leaves the host as it is. The test has a host of its own, with network, mounts and names: on this one others
// may change something meanwhile, or it changes by itself, as neighbors and packet counters do.
func TestHostIsUnchanged(t *testing.T) {
	kerneltest.RequireRoot(t)
	if os.Getenv("TEST_HOST") == "" {
		runtime.LockOSThread() // for good: with the end of the thread comes that of the process
		cmd := exec.Command(os.Args[0], "-test.run=^TestHostIsUnchanged$")
		cmd.Env = append(os.Environ(), "TEST_HOST=1")
		cmd.SysProcAttr = &syscall.SysProcAttr{
			Cloneflags: unix.CLONE_NEWNET | unix.CLONE_NEWNS | unix.CLONE_NEWUTS | unix.CLONE_NEWIPC,
			Pdeathsig:  unix.SIGKILL,
		}
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Errorf("%v:\n%s", err, out)
		}
		return
	}
	furnishHost(t)
	setUp(t)
	path := write(t, "shop", withProgram(shop, ""))
	up(t, path) // what the first lab has the kernel load stays: modules with their sysctls
	if err := Down(t.Context(), "shop"); err != nil {
		t.Fatal(err)
	}
	before := host(t)
	c := up(t, path)
	if _, err := c.Test(t.Context(), api.TestRequest{}, nil); err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff(before, host(t)); d != "" {
		t.Errorf("while the lab runs (- before, + during): %s", d)
	}
	if err := Down(t.Context(), "shop"); err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff(before, host(t)); d != "" {
		t.Errorf("after the lab (- before, + after): %s", d)
	}
}

// furnishHost gives the namespaces of this process, which are new, something that a lab could change.
func furnishHost(t *testing.T) {
	t.Helper()
	// Apart from the machine's mounts, but so that a mount made in a copy of this namespace is seen here, unless
	// whoever makes it sees to that.
	for _, propagation := range []uintptr{unix.MS_PRIVATE, unix.MS_SHARED} {
		if err := unix.Mount("", "/", "", unix.MS_REC|propagation, ""); err != nil {
			t.Fatal(err)
		}
	}
	if err := unix.Sethostname([]byte("host")); err != nil {
		t.Fatal(err)
	}
	for _, command := range []string{
		"ip link set lo up",
		"ip link add host0 type veth peer name host1", // down, so that nothing of them changes by itself
		"ip addr add 192.0.2.1/24 dev host0",
		"ip neigh add 192.0.2.9 lladdr 02:00:00:00:00:09 dev host0 nud permanent",
		"ip addr add 198.51.100.1/24 dev lo",
		"ip route add 203.0.113.0/24 via 198.51.100.1 dev lo",
		"ip rule add from 198.51.100.0/24 lookup 100",
		"nft add table inet own",
		"nft add chain inet own input { type filter hook input priority 0 ; policy accept ; }",
		"nft add rule inet own input tcp dport 80 accept",
		"iptables -A INPUT -p tcp --dport 81 -j ACCEPT",
	} {
		args := strings.Fields(command)
		if out, err := exec.Command(args[0], args[1:]...).CombinedOutput(); err != nil {
			t.Fatalf("%s: %v: %s", command, err, out)
		}
	}
}
