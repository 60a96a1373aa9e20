package process

import (
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/moby/sys/mountinfo"
	"golang.org/x/sys/unix"

	"vnetlab/emu"
)

// groupsFolder is the control group that holds those of all labs of the machine, below it one for each supervisor and
// in it one for each instance that runs something: vnetlab/NAME-RANDOM/INSTANCE.
const groupsFolder = "vnetlab"

// Controllers of control groups that bound an instance.
const (
	pidsController   = "pids"
	memoryController = "memory"
)

// hierarchy is a mounted tree of control groups, of version 1 with one controller, or of version 2 with several.
type hierarchy struct {
	path        string
	unified     bool
	controllers []string // those of ours that it has
}

// hierarchies finds where control groups can be made for our controllers. One that isn't there has its reason in the
// error; what was found is good all the same.
func hierarchies() (found []hierarchy, err error) {
	mounts, err := mountinfo.GetMounts(mountinfo.FSTypeFilter("cgroup", "cgroup2"))
	if err != nil {
		return nil, err
	}
	// Two mounts of one hierarchy, as in a container, are the same tree.
	slices.Reverse(mounts)
	for _, name := range []string{pidsController, memoryController} {
		h, wrong := findHierarchy(mounts, name)
		if wrong != nil {
			err = errors.Join(err, fmt.Errorf("%s: %w", name, wrong))
			continue
		}
		if i := slices.IndexFunc(found, func(o hierarchy) bool { return o.path == h.path }); i >= 0 {
			found[i].controllers = append(found[i].controllers, name)
		} else {
			found = append(found, h)
		}
	}
	return found, err
}

// Unbounded names the limits that this machine can't hold instances to: pids, memory.
func Unbounded() (names []string) {
	found, _ := hierarchies()
	for _, name := range []string{pidsController, memoryController} {
		if !slices.ContainsFunc(found, func(h hierarchy) bool { return slices.Contains(h.controllers, name) }) {
			names = append(names, name)
		}
	}
	return names
}

func findHierarchy(mounts []*mountinfo.Info, controller string) (hierarchy, error) {
	wrong := errors.New("no control groups are mounted")
	for _, m := range mounts {
		options := strings.Split(m.VFSOptions, ",")
		readOnly := slices.Contains(strings.Split(m.Options, ","), "ro")
		h := hierarchy{m.Mountpoint, m.FSType == "cgroup2", []string{controller}}
		switch {
		case h.unified && !hasWord(filepath.Join(m.Mountpoint, "cgroup.controllers"), controller):
		case !h.unified && !slices.Contains(options, controller):
		case readOnly:
			wrong = fmt.Errorf("%s is mounted read-only", m.Mountpoint)
		case h.unified && !hasWord(filepath.Join(m.Mountpoint, subtreeControl), controller):
			wrong = fmt.Errorf("not enabled in %s", filepath.Join(m.Mountpoint, subtreeControl))
		default:
			return h, nil
		}
	}
	return hierarchy{}, wrong
}

const subtreeControl = "cgroup.subtree_control"

func hasWord(file, word string) bool {
	text, err := os.ReadFile(file)
	return err == nil && slices.Contains(strings.Fields(string(text)), word)
}

// groupsOfProcess is the name of the control group that holds those of this process's instances. No other process has
// the same.
var groupsOfProcess = sync.OnceValue(func() string {
	var id [6]byte
	_, _ = rand.Read(id[:]) // never fails
	return hex.EncodeToString(id[:])
})

// group is the control groups of an instance: one in each hierarchy.
type group struct {
	folders []groupFolder
	limits  emu.Limits
}

type groupFolder struct {
	hierarchy
	folder string
}

// newGroup puts a process that has just started, and so whatever it starts, into control groups with limits. A machine
// without them, or where they can't be used, bounds by the sizes of file systems only: see [Check].
func newGroup(lab, instance string, l emu.Limits, pid int) (*group, error) {
	found, _ := hierarchies()
	name := groupsOfProcess()
	if lab != "" {
		name = lab + "-" + name
	}
	g := &group{limits: l}
	for _, h := range found {
		f := groupFolder{h, filepath.Join(h.path, groupsFolder, name, instance)}
		if err := f.take(pid, l); err != nil {
			g.remove()
			return nil, err
		}
		g.folders = append(g.folders, f)
	}
	return g, nil
}

// take makes the control group and puts a process into it.
func (f groupFolder) take(pid int, l emu.Limits) error {
	for try := 0; ; try++ {
		err := f.make(l)
		if err == nil {
			err = writeGroup(f.folder, "cgroup.procs", strconv.Itoa(pid))
		}
		// A command of another lab may be sweeping empty groups.
		if try < 1000 && (errors.Is(err, fs.ErrNotExist) || errors.Is(err, unix.ENODEV)) {
			continue
		}
		return err
	}
}

func (f groupFolder) make(l emu.Limits) error {
	lab := filepath.Dir(f.folder)
	if err := os.MkdirAll(lab, 0o755); err != nil {
		return fmt.Errorf("control group: %w", err)
	}
	if f.unified {
		enable := "+" + strings.Join(f.controllers, " +")
		for _, above := range []string{filepath.Dir(lab), lab} {
			if err := writeGroup(above, subtreeControl, enable); err != nil {
				return err
			}
		}
	}
	if err := os.Mkdir(f.folder, 0o755); err != nil && !errors.Is(err, fs.ErrExist) {
		return fmt.Errorf("control group: %w", err)
	}
	for _, c := range f.controllers {
		var err error
		memory := strconv.FormatInt(int64(l.Memory), 10)
		switch {
		case c == pidsController:
			err = writeGroup(f.folder, "pids.max", strconv.Itoa(l.PIDs))
		case f.unified:
			err = errors.Join(writeGroup(f.folder, "memory.max", memory),
				writeIfThere(f.folder, "memory.swap.max", "0"))
		default: // memory and swap together must not be less than memory
			err = errors.Join(writeGroup(f.folder, "memory.limit_in_bytes", memory),
				writeIfThere(f.folder, "memory.memsw.limit_in_bytes", memory))
		}
		if err != nil {
			return err
		}
	}
	return nil
}

func writeGroup(folder, file, text string) error {
	f, err := os.OpenFile(filepath.Join(folder, file), os.O_WRONLY, 0)
	if err != nil {
		return fmt.Errorf("control group: %w", err)
	}
	_, err = f.WriteString(text)
	if err = errors.Join(err, f.Close()); err != nil {
		return fmt.Errorf("control group: %w", err)
	}
	return nil
}

// writeIfThere is for what a kernel may lack.
func writeIfThere(folder, file, text string) error {
	err := writeGroup(folder, file, text)
	if errors.Is(err, fs.ErrNotExist) || errors.Is(err, unix.EOPNOTSUPP) {
		return nil
	}
	return err
}

// remove removes the control groups, once no process is in them any more. What is left is removed by the next [Sweep].
func (g *group) remove() {
	for _, f := range g.folders {
		for wait := time.Millisecond; ; wait *= 2 { // a process that was reaped may be in its group a little longer
			err := os.Remove(f.folder)
			if !errors.Is(err, unix.EBUSY) || wait > 100*time.Millisecond {
				break
			}
			time.Sleep(wait)
		}
		lab := filepath.Dir(f.folder)
		_ = os.Remove(lab) // those that others use stay
		_ = os.Remove(filepath.Dir(lab))
	}
}

// killed returns how many processes of the group the kernel has ended for want of memory.
func (g *group) killed() (n int) {
	for _, f := range g.folders {
		if !slices.Contains(f.controllers, memoryController) {
			continue
		}
		file := "memory.oom_control"
		if f.unified {
			file = "memory.events"
		}
		text, _ := os.ReadFile(filepath.Join(f.folder, file))
		for line := range strings.Lines(string(text)) {
			if value, ok := strings.CutPrefix(line, "oom_kill "); ok {
				n, _ = strconv.Atoi(strings.TrimSpace(value))
			}
		}
	}
	return n
}

// Sweep removes the control groups that killed labs left. The kernel refuses to remove one in which something runs,
// so that running labs keep theirs, and one that loses an empty group creates it again.
func Sweep() {
	found, _ := hierarchies()
	for _, h := range found {
		top := filepath.Join(h.path, groupsFolder)
		var all []string
		_ = filepath.WalkDir(top, func(path string, d fs.DirEntry, err error) error {
			if err == nil && d.IsDir() {
				all = append(all, path)
			}
			return nil
		})
		for _, path := range slices.Backward(all) {
			_ = os.Remove(path)
		}
	}
}
