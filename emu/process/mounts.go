package process

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"

	"vnetlab/emu"
)

func mount(source, target, kind string, flags uintptr, options string) error {
	if err := unix.Mount(source, target, kind, flags, options); err != nil {
		return fmt.Errorf("mount %s: %w", target, err)
	}
	return nil
}

// mountTemporary mounts a tmpfs that holds at most size bytes. Its files are bounded too: each is at least a page, and
// the kernel's own memory for an empty one is about a quarter of that.
func mountTemporary(target string, size emu.Bytes, mode uint32, flags uintptr) error {
	const page = 4 * emu.KiB
	options := fmt.Sprintf("size=%d,nr_inodes=%d,mode=%o", size, max(size/page, 1024), mode)
	return mount("tmpfs", target, "tmpfs", unix.MS_NOSUID|unix.MS_NODEV|flags, options)
}

// tree is a copy of a mount that is attached nowhere yet.
type tree struct{ fd int }

// openTree copies the mount at a path, a part of a file system or a single file; with below, with all that is mounted
// below it.
func openTree(path string, below bool) (tree, error) {
	flags := uint(unix.OPEN_TREE_CLONE | unix.OPEN_TREE_CLOEXEC)
	if below {
		flags |= unix.AT_RECURSIVE
	}
	fd, err := unix.OpenTree(unix.AT_FDCWD, path, flags)
	if err != nil {
		return tree{}, fmt.Errorf("open %s: %w", path, err)
	}
	return tree{fd}, nil
}

// restrict adds attributes, such as [unix.MOUNT_ATTR_RDONLY], to all mounts of the tree.
func (t tree) restrict(attributes uint64) error {
	attr := &unix.MountAttr{Attr_set: attributes}
	err := unix.MountSetattr(t.fd, "", unix.AT_EMPTY_PATH|unix.AT_RECURSIVE, attr)
	return os.NewSyscallError("mount_setattr", err)
}

// attach mounts the tree on a path.
func (t tree) attach(path string) error {
	if err := unix.MoveMount(t.fd, "", unix.AT_FDCWD, path, unix.MOVE_MOUNT_F_EMPTY_PATH); err != nil {
		return fmt.Errorf("mount %s: %w", path, err)
	}
	return nil
}

func (t tree) close() { unix.Close(t.fd) }

// bind mounts what is at one path on another, with more attributes.
func bind(from, to string, attributes uint64) error {
	t, err := openTree(from, false)
	if err != nil {
		return err
	}
	defer t.close()
	if attributes != 0 {
		if err := t.restrict(attributes); err != nil {
			return fmt.Errorf("mount %s: %w", to, err)
		}
	}
	return t.attach(to)
}

// makeTarget makes something that a file or a folder can be mounted on, where there is nothing yet.
func makeTarget(path string, folder bool) error {
	if _, err := os.Lstat(path); err == nil {
		return nil
	}
	if folder {
		return os.MkdirAll(path, 0o755)
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return err
	}
	f, err := os.OpenFile(path, os.O_CREATE|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	return f.Close()
}

// within reports whether a clean path is one of the folders or below one.
func within(path string, folders ...string) bool {
	for _, f := range folders {
		if path == f || f == "/" || strings.HasPrefix(path, f+"/") {
			return true
		}
	}
	return false
}
