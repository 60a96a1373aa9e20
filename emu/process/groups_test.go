package process

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/moby/sys/mountinfo"

	"vnetlab/emu"
)

// unified makes a folder that looks like a hierarchy of version 2. The kernel of a machine has one version at a time.
func unified(t *testing.T, controllers, enabled string, groups ...string) string {
	t.Helper()
	top := t.TempDir()
	files := map[string]string{"cgroup.controllers": controllers, subtreeControl: enabled}
	for _, g := range groups {
		if err := os.MkdirAll(filepath.Join(top, g), 0o755); err != nil {
			t.Fatal(err)
		}
		for _, f := range []string{subtreeControl, "cgroup.procs", "pids.max", "memory.max", "memory.events"} {
			files[filepath.Join(g, f)] = ""
		}
	}
	for name, text := range files {
		if err := os.WriteFile(filepath.Join(top, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return top
}

func TestUnifiedGroup(t *testing.T) {
	const instance = groupsFolder + "/shop-1/web1"
	top := unified(t, "cpu memory pids", "memory pids", groupsFolder, groupsFolder+"/shop-1", instance)
	f := groupFolder{hierarchy{top, true, []string{pidsController, memoryController}}, filepath.Join(top, instance)}
	if err := f.take(
		42,
		emu.Limits{PIDs: 100, Memory: emu.GiB},
	); err != nil { // without swap there is nothing to write for it
		t.Fatal(err)
	}
	for file, want := range map[string]string{
		groupsFolder + "/" + subtreeControl:        "+pids +memory",
		groupsFolder + "/shop-1/" + subtreeControl: "+pids +memory",
		instance + "/pids.max":                     "100",
		instance + "/memory.max":                   "1073741824",
		instance + "/cgroup.procs":                 "42",
	} {
		if text, err := os.ReadFile(filepath.Join(top, file)); err != nil || string(text) != want {
			t.Errorf("%s: %q, %v; want %q", file, text, err, want)
		}
	}
	events := "low 0\nhigh 0\nmax 3\noom 2\noom_kill 2\noom_group_kill 0\n"
	if err := os.WriteFile(f.folder+"/memory.events", []byte(events), 0o600); err != nil {
		t.Fatal(err)
	}
	if n := (&group{folders: []groupFolder{f}}).killed(); n != 2 {
		t.Errorf("%d were killed", n)
	}
}

func TestFindHierarchy(t *testing.T) {
	both := unified(t, "memory pids", "memory pids")
	off := unified(t, "memory pids", "pids")
	none := unified(t, "cpu", "cpu")
	mounts := func(all ...*mountinfo.Info) []*mountinfo.Info { return all }
	v2 := func(path, options string) *mountinfo.Info {
		return &mountinfo.Info{Mountpoint: path, FSType: "cgroup2", Options: options}
	}
	v1 := func(path, controllers string) *mountinfo.Info {
		return &mountinfo.Info{Mountpoint: path, FSType: "cgroup", Options: "rw", VFSOptions: "rw," + controllers}
	}
	for _, test := range []struct {
		name   string
		mounts []*mountinfo.Info
		path   string
		wrong  string
	}{
		{"version 2", mounts(v2(both, "rw")), both, ""},
		{"version 1", mounts(v1("/cpu", "cpu,cpuacct"), v1("/memory", "memory")), "/memory", ""},
		{"both versions", mounts(v1("/memory", "memory"), v2(none, "rw")), "/memory", ""},
		{"not enabled", mounts(v2(off, "rw")), "", "not enabled in " + off},
		{"read-only", mounts(v2(both, "ro,nosuid")), "", "read-only"},
		{"without the controller", mounts(v2(none, "rw")), "", "no control groups"},
		{"none", nil, "", "no control groups"},
	} {
		h, err := findHierarchy(test.mounts, memoryController)
		if h.path != test.path || (err == nil) != (test.wrong == "") ||
			err != nil && !strings.Contains(err.Error(), test.wrong) {
			t.Errorf("%s: %+v, %v", test.name, h, err)
		}
	}
}
