package live

import (
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
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
		filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error { //nolint:errcheck // what can't be read can't be compared
			if err == nil && d.Type().IsRegular() && !changesByItself(path) {
				text, _ := os.ReadFile(path)
				state[path] = string(text)
			}
			return nil
		})
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
	} {
		if strings.Contains(path, name) {
			return true
		}
	}
	return false
}

func TestHostIsUnchanged(t *testing.T) {
	setUp(t)
	path := write(t, "shop", withProgram(shop, ""))
	up(t, path) // what the first lab has the kernel load stays: modules with their sysctls
	if err := Down(t.Context(), "shop"); err != nil {
		t.Fatal(err)
	}
	before := host(t)
	c := up(t, path)
	if _, err := c.Test(t.Context(), TestRequest{}, nil); err != nil {
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
