package process

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"golang.org/x/sys/unix"

	"vnetlab/emu"
)

// The root of an instance is put together below staging, in a tmpfs that holds what the instance writes, and then takes
// the place of the host's.
const (
	staging = "/run"
	newRoot = staging + "/root"
	storage = staging + "/storage"
)

// coverSize is the size of file systems that nothing should write to.
const coverSize = 64 * emu.KiB

// makeRoot makes a root for this process, which is in its own mount namespace. The host's is detached, not covered:
// no umount brings it back. Nothing outside of the mount namespace changes.
func makeRoot(s setupRequest) error {
	if err := mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, ""); err != nil {
		return err
	}
	named, err := openNamed(s.Boundary.Mounts) // while they can still be seen
	if err != nil {
		return err
	}
	defer func() {
		for _, n := range named {
			n.tree.close()
		}
	}()
	layers, err := hostLayers(hiddenFolders(s.Restricted.Folders), []string{hostsPath, resolvConfPath, hostnamePath})
	if err != nil {
		return err
	}
	attributes := uint64(unix.MOUNT_ATTR_NOSUID | unix.MOUNT_ATTR_NODEV)
	if s.Boundary.Privileged {
		attributes = 0
	}
	if err := mountTemporary(staging, s.Boundary.Limits.Disk, 0o755, 0); err != nil {
		return err
	}
	if err := errors.Join(os.Mkdir(newRoot, 0o755), os.Mkdir(storage, 0o700)); err != nil {
		return err
	}
	overlays := storage
	if s.ReadOnlyRoot {
		overlays = ""
	}
	if err := mountLayers(layers, newRoot, overlays, attributes, s.Boundary.Limits.Temporary); err != nil {
		return err
	}
	for _, step := range []func() error{
		func() error { return mountPrivate(s.Boundary.Limits.Temporary) },
		func() error { return placeFiles(layers, s) },
		func() error { return mountSystem(s.Boundary) },
		func() error { return hideFiles(layers, s.Restricted.Files) },
		func() error { return attachNamed(named, s.Boundary.Privileged) },
		func() error { return coverPersonal(named) },
		enterRoot,
	} {
		if err := step(); err != nil {
			return err
		}
	}
	return nil
}

// enterRoot makes the new root that of this process and detaches the old one.
func enterRoot() error {
	if err := unix.Chdir(newRoot); err != nil {
		return err
	}
	// The old root comes to lie on top of the new one, where it is detached.
	if err := unix.PivotRoot(".", "."); err != nil {
		return fmt.Errorf("change the root: %w", err)
	}
	if err := unix.Unmount(".", unix.MNT_DETACH); err != nil {
		return fmt.Errorf("detach the host's root: %w", err)
	}
	return unix.Chdir("/")
}

// mountPrivate mounts the folders for what doesn't last.
func mountPrivate(size emu.Bytes) error {
	for _, p := range []struct {
		path string
		mode uint32
	}{{"/tmp", 0o1777}, {"/run", 0o755}} {
		if err := mountTemporary(newRoot+p.path, size, p.mode, 0); err != nil {
			return err
		}
	}
	if err := os.Mkdir(newRoot+"/run/lock", 0o1777); err != nil {
		return err
	}
	return unix.Chmod(newRoot+"/run/lock", 0o1777)
}

// named is a file or folder that the lab file names.
type named struct {
	emu.Mount
	tree   tree
	folder bool
}

// openNamed opens what a lab file names, by paths without symbolic links, folders before what is in them.
func openNamed(mounts []emu.Mount) (all []named, err error) {
	for _, m := range mounts {
		given := m.Path
		if m.Path, err = filepath.EvalSymlinks(m.Path); err != nil {
			return all, fmt.Errorf("%s, which programs are to see: %w", given, err)
		}
		if m.System() && !(emu.Mount{Path: given}).System() { // a link that was made after the file was read
			return all, fmt.Errorf("%s leads to %s, of which instances have their own", given, m.Path)
		}
		if m.Path == "/" || slices.ContainsFunc(all, func(n named) bool { return n.Path == m.Path }) {
			continue
		}
		info, err := os.Stat(m.Path)
		if err != nil {
			return all, err
		}
		t, err := openTree(m.Path, true)
		if err != nil {
			return all, err
		}
		all = append(all, named{m, t, info.IsDir()})
	}
	slices.SortFunc(all, func(a, b named) int { return strings.Compare(a.Path, b.Path) })
	return all, nil
}

func attachNamed(all []named, privileged bool) error {
	for _, n := range all {
		var attributes uint64
		if !privileged {
			attributes |= unix.MOUNT_ATTR_NOSUID | unix.MOUNT_ATTR_NODEV
		}
		if !n.Writable {
			attributes |= unix.MOUNT_ATTR_RDONLY
		}
		if err := n.tree.restrict(attributes); err != nil {
			return fmt.Errorf("%s: %w", n.Path, err)
		}
		if err := makeTarget(newRoot+n.Path, n.folder); err != nil {
			return fmt.Errorf("a place for %s: %w", n.Path, err)
		}
		if err := n.tree.attach(newRoot + n.Path); err != nil {
			return err
		}
	}
	return nil
}

// Files that an instance has for itself.
const (
	hostsPath      = "/etc/hosts"
	resolvConfPath = "/etc/resolv.conf"
	hostnamePath   = "/etc/hostname"
)

// placeFiles writes the files that an instance has for itself. In a root that can't be written each lies over the
// host's, and one that the host lacks isn't there.
func placeFiles(layers []*layer, s setupRequest) error {
	files := []struct{ path, text string }{
		{hostsPath, s.Hosts}, {resolvConfPath, s.ResolvConf}, {hostnamePath, s.Hostname + "\n"},
	}
	for _, f := range files {
		if err := placeFile(layerOf(layers, f.path), f.path, f.text, unix.Stat_t{Mode: 0o644}); err != nil {
			return fmt.Errorf("write %s: %w", f.path, err)
		}
	}
	for _, path := range []string{"/etc/shadow", "/etc/gshadow"} {
		var s unix.Stat_t
		text, err := os.ReadFile(newRoot + path)
		if err != nil || unix.Stat(newRoot+path, &s) != nil {
			continue // the host has none
		}
		if err := placeFile(layerOf(layers, path), path, withoutPasswords(string(text)), s); err != nil {
			return fmt.Errorf("write %s: %w", path, err)
		}
	}
	return nil
}

// placeFile writes a file with the owner and the mode of another one.
func placeFile(in *layer, path, text string, like unix.Stat_t) error {
	target := newRoot + path
	if in.storage == "" {
		target = filepath.Join(staging, filepath.Base(path))
	} else if err := os.Remove(target); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err // a symbolic link, as with systemd-resolved, would dangle
	}
	if err := os.WriteFile(target, []byte(text), 0o600); err != nil {
		return err
	}
	err := errors.Join(os.Chown(target, int(like.Uid), int(like.Gid)), unix.Chmod(target, like.Mode&0o7777))
	if err != nil {
		return err
	}
	if in.storage != "" {
		return nil
	}
	over := resolveBelow(newRoot, path)
	err = makeTarget(over, false)
	if errors.Is(err, unix.EROFS) {
		return nil
	}
	return errors.Join(err, bind(target, over, 0))
}

// resolveBelow follows a symbolic link as a process would whose root is the folder. One step is enough for the links of
// /etc.
func resolveBelow(root, path string) string {
	to, err := os.Readlink(root + path)
	if err != nil {
		return root + path
	}
	if !filepath.IsAbs(to) {
		to = filepath.Join(filepath.Dir(path), to)
	}
	return root + filepath.Clean(to)
}

// withoutPasswords returns the lines of /etc/shadow or /etc/gshadow with no password that fits: "NAME:*:…".
func withoutPasswords(text string) string {
	var b strings.Builder
	for line := range strings.Lines(text) {
		f := strings.SplitN(line, ":", 3)
		if len(f) == 3 {
			line = f[0] + ":*:" + f[2]
		}
		b.WriteString(line)
	}
	return b.String()
}
