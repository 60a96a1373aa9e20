package labfile

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"vnetlab/emu"
)

func TestBoundaries(t *testing.T) {
	file := write(t, `lab: boundaries
limits: {pids: 200, memory: 1GiB}
mounts: [{path: shared}]
cloudServices:
  - name: store
    location: West US
    virtualMachines:
      - {name: plain}
      - {name: own, privileged: true, limits: {memory: 64MiB, tmp: 8MiB}, mounts: [{path: shared, writable: true}, {path: /usr}]}
webSites: [{name: shop, location: West US, limits: {pids: 300}}]
internetHosts: [{name: laptop, mounts: [{path: .}]}]
localNetworks: [{name: hq, addressSpace: [192.168.10.0/24], hosts: [{name: desk, limits: {disk: 2GiB}}]}]
prepare: mkdir -p shared
`)
	loaded := load(t, file, Options{})
	dir := loaded.Dir
	shared := filepath.Join(dir, "shared")
	lab := emu.Limits{PIDs: 200, Memory: emu.GiB}
	for member, want := range map[string]emu.Boundary{
		"plain": {Limits: lab, Mounts: []emu.Mount{{Path: shared}}},
		"own": {
			Privileged: true, Limits: emu.Limits{PIDs: 200, Memory: 64 * emu.MiB, Temporary: 8 * emu.MiB},
			Mounts: []emu.Mount{{Path: shared, Writable: true}, {Path: "/usr"}},
		},
		"shop":   {Limits: emu.Limits{PIDs: 300, Memory: emu.GiB}, Mounts: []emu.Mount{{Path: shared}}},
		"laptop": {Limits: lab, Mounts: []emu.Mount{{Path: dir}, {Path: shared}}},
		"desk": {
			Limits: emu.Limits{PIDs: 200, Memory: emu.GiB, Disk: 2 * emu.GiB},
			Mounts: []emu.Mount{{Path: shared}},
		},
	} {
		m, ok := loaded.Lab.Find(member)
		if !ok {
			t.Fatal(member)
		}
		got := m.Boundary()
		// the order of paths depends on the folder
		if len(want.Mounts) == 2 && want.Mounts[0].Path > want.Mounts[1].Path {
			want.Mounts[0], want.Mounts[1] = want.Mounts[1], want.Mounts[0]
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s, -want +got:\n%s", member, diff)
		}
	}
}

// Without a command that could make it, what is mounted must be there.
func TestMountIsThere(t *testing.T) {
	file := write(t, "lab: a\nmounts: [{path: data}]\n")
	if _, err := Load(file, Options{}); err == nil {
		t.Error("a folder that isn't there is mounted")
	}
	if err := os.Mkdir(filepath.Join(filepath.Dir(file), "data"), 0o755); err != nil {
		t.Fatal(err)
	}
	load(t, file, Options{})
}

// A symbolic link is what it leads to: a lab file mounts neither the root nor the kernel's folders by one.
func TestMountByLink(t *testing.T) {
	for _, to := range []string{"/", "/proc", "/proc/self/root", "/sys/kernel", "/dev"} {
		file := write(t, "lab: a\nmounts: [{path: link}]\n")
		if err := os.Symlink(to, filepath.Join(filepath.Dir(file), "link")); err != nil {
			t.Fatal(err)
		}
		if _, err := Load(file, Options{}); err == nil || !strings.Contains(err.Error(), "can't be mounted") {
			t.Errorf("a link to %s: %v", to, err)
		}
	}
}
