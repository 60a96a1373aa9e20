package process

import (
	"cmp"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/moby/sys/mountinfo"
	"golang.org/x/sys/unix"

	"vnetlab/emu"
)

// layer is a file system of the host in the root of an instance. An overlay above takes what is written; where the
// kernel has none for a file system, it is there read-only.
type layer struct {
	path    string // where it is mounted, on the host and in the instance
	storage string // folder for the overlay's upper and work folders; empty: the layer is read-only
	hidden  []hidden
}

// hidden is a folder of the host that instances don't see: they have an empty one in its place.
type hidden struct {
	path string
	mode uint32
}

// systemTypes are file systems that show the kernel rather than hold files. Instances have some of their own.
var systemTypes = []string{
	"autofs",
	"binfmt_misc",
	"bpf",
	"cgroup",
	"cgroup2",
	"configfs",
	"debugfs",
	"devpts",
	"devtmpfs",
	"efivarfs",
	"fusectl",
	"hugetlbfs",
	"mqueue",
	"nsfs",
	"proc",
	"pstore",
	"rpc_pipefs",
	"securityfs",
	"selinuxfs",
	"sysfs",
	"tracefs",
}

// hostLayers lists the file systems of the host that instances see, those that others are mounted on first. Without are
// files that may be mounted on the host, as in a container, and of which instances have their own.
func hostLayers(hide []hidden, without []string) ([]*layer, error) {
	mounts, err := mountinfo.GetMounts(func(m *mountinfo.Info) (skip, stop bool) {
		kind, _, _ := strings.Cut(m.FSType, ".")
		below := func(h hidden) bool { return within(m.Mountpoint, h.path) }
		return slices.Contains(systemTypes, kind) || m.Mountpoint == "/" || slices.Contains(without, m.Mountpoint) ||
			slices.ContainsFunc(hide, below), false
	})
	if err != nil {
		return nil, fmt.Errorf("mounts of this machine: %w", err)
	}
	layers := []*layer{{path: "/"}}
	for _, m := range mounts {
		known := func(l *layer) bool { return l.path == m.Mountpoint }
		// What root can't look into, as a user's own FUSE mount, isn't there for instances either.
		if _, err := os.Stat(m.Mountpoint); err == nil && !slices.ContainsFunc(layers, known) {
			layers = append(layers, &layer{path: m.Mountpoint})
		}
	}
	slices.SortFunc(layers, func(a, b *layer) int { return cmp.Compare(a.path, b.path) })
	for _, h := range hide {
		l := layerOf(layers, h.path)
		l.hidden = append(l.hidden, h)
	}
	return layers, nil
}

// layerOf returns the layer that a path is in.
func layerOf(layers []*layer, path string) *layer {
	in := layers[0]
	for _, l := range layers { // parents come first
		if within(path, l.path) {
			in = l
		}
	}
	return in
}

// mount mounts the layer in the new root. Storage is for an overlay; empty: none is wanted. Size is for each folder
// that can be written where there is no overlay.
func (l *layer) mount(root, storage string, attributes uint64, size emu.Bytes) error {
	info, err := os.Stat(l.path)
	if err != nil {
		return err
	}
	if storage != "" && info.IsDir() {
		err := l.overlay(root+l.path, storage, attributes)
		if err == nil {
			l.storage = storage
			return nil
		}
		if !errors.Is(err, unix.EINVAL) && !errors.Is(err, unix.ENODEV) && !errors.Is(err, unix.ELOOP) {
			return err
		}
	}
	if err := bind(l.path, root+l.path, attributes|unix.MOUNT_ATTR_RDONLY); err != nil {
		return err
	}
	for _, h := range l.hidden {
		if info, err := os.Stat(root + h.path); err != nil || !info.IsDir() {
			continue // nothing is there to hide
		}
		if err := mountTemporary(root+h.path, size, h.mode, 0); err != nil {
			return err
		}
	}
	return nil
}

func (l *layer) overlay(target, storage string, attributes uint64) error {
	upper, work := filepath.Join(storage, "upper"), filepath.Join(storage, "work")
	if err := errors.Join(os.MkdirAll(upper, 0o755), os.MkdirAll(work, 0o755), likeOnHost(l.path, upper)); err != nil {
		return err
	}
	for _, h := range l.hidden {
		if err := l.empty(upper, h); err != nil {
			return err
		}
	}
	// In the options a colon separates folders, a comma options.
	lower := strings.NewReplacer(`\`, `\\`, `:`, `\:`, `,`, `\,`).Replace(l.path)
	flags := uintptr(0)
	if attributes&unix.MOUNT_ATTR_NODEV != 0 {
		flags |= unix.MS_NODEV
	}
	if attributes&unix.MOUNT_ATTR_NOSUID != 0 {
		flags |= unix.MS_NOSUID
	}
	return mount("overlay", target, "overlay", flags, "lowerdir="+lower+",upperdir="+upper+",workdir="+work)
}

// empty puts an empty folder into the upper folder of an overlay that shows nothing of what is below.
func (l *layer) empty(upper string, h hidden) error {
	path := l.path
	for name := range strings.SplitSeq(strings.TrimPrefix(strings.TrimPrefix(h.path, l.path), "/"), "/") {
		path = filepath.Join(path, name)
		made := filepath.Join(upper, strings.TrimPrefix(path, l.path))
		err := os.Mkdir(made, 0o755)
		switch {
		case errors.Is(err, fs.ErrExist):
			continue
		case err != nil:
			return err
		}
		if err := likeOnHost(path, made); err != nil {
			return err
		}
	}
	made := filepath.Join(upper, strings.TrimPrefix(h.path, l.path))
	if h.mode != 0 {
		if err := unix.Chmod(made, h.mode); err != nil {
			return fmt.Errorf("mode of %s: %w", h.path, err)
		}
	}
	if err := unix.Lsetxattr(made, "trusted.overlay.opaque", []byte("y"), 0); err != nil {
		return fmt.Errorf("hide %s: %w", h.path, err)
	}
	return nil
}

// likeOnHost sets the owner and the mode of a folder to those of another one, if that exists: an overlay shows those
// of its upper folder.
func likeOnHost(path, made string) error {
	var s unix.Stat_t
	if err := unix.Stat(path, &s); err != nil {
		return nil //nolint:nilerr // it isn't there, so there is nothing to be like
	}
	return errors.Join(os.Chown(made, int(s.Uid), int(s.Gid)), unix.Chmod(made, s.Mode&0o7777))
}

// mountLayers mounts all layers in the new root, with a folder for their overlays: see [layer.mount].
func mountLayers(layers []*layer, root, storage string, attributes uint64, size emu.Bytes) error {
	for n, l := range layers {
		own := ""
		if storage != "" {
			own = filepath.Join(storage, strconv.Itoa(n))
		}
		if err := l.mount(root, own, attributes, size); err != nil {
			if n == 0 {
				return err
			}
			return fmt.Errorf("the file system on %s: %w", l.path, err)
		}
	}
	return nil
}
