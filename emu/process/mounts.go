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
)

// privateFolders get an empty tmpfs in each instance: what the host has there, its sockets above all, is not for programs.
var privateFolders = []struct{ path, options string }{
	{"/tmp", "mode=1777"},
	{"/run", "mode=755"},
	{"/dev/shm", "mode=1777"},
}

// furnish makes the mount and UTS namespaces of this process those of an instance. Nothing outside of them changes.
func furnish(s setupRequest) error {
	if err := mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, ""); err != nil {
		return err
	}
	unix.Umask(0o022)
	_ = os.WriteFile("/proc/self/comm", []byte(initName), 0) // for ps and top, which would call it exe
	if err := unix.Sethostname([]byte(s.Hostname[:min(len(s.Hostname), 64)])); err != nil {
		return fmt.Errorf("set the host name %s: %w", s.Hostname, err)
	}
	kept, err := openKept(s.Keep) // while they can still be seen
	if err != nil {
		return err
	}
	etc := etcFiles(s)
	if err := placeEtc(etc); err != nil {
		return err
	}
	for _, p := range privateFolders {
		if _, err := os.Stat(p.path); errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err := mount("tmpfs", p.path, "tmpfs", unix.MS_NOSUID|unix.MS_NODEV, p.options); err != nil {
			return err
		}
	}
	if err := os.Mkdir("/run/lock", 0o755); err == nil {
		_ = os.Chmod("/run/lock", 0o777|fs.ModeSticky)
	}
	for _, k := range kept {
		if err := k.bind(); err != nil {
			return err
		}
	}
	for _, f := range etc {
		if !f.private() {
			continue
		}
		if err := os.MkdirAll(filepath.Dir(f.target), 0o755); err != nil {
			return err
		}
		if err := os.WriteFile(f.target, []byte(f.text), 0o644); err != nil {
			return err
		}
	}
	if err := mount("proc", "/proc", "proc", unix.MS_NOSUID|unix.MS_NODEV|unix.MS_NOEXEC, ""); err != nil {
		return err
	}
	// A sysfs of its own shows the links of the instance in /sys/class/net. A program that needs it is rare, so a kernel
	// that refuses the mount costs nothing else.
	_ = mount("sysfs", "/sys", "sysfs", unix.MS_NOSUID|unix.MS_NODEV|unix.MS_NOEXEC|unix.MS_RDONLY, "")
	return os.Chdir("/")
}

// etcFile is a file of /etc that an instance has for itself.
type etcFile struct {
	path   string
	target string // what path, often a symbolic link, leads to on the host; empty when that doesn't exist
	text   string
}

// private says whether the file is in a folder that the instance has for itself anyway, where systemd-resolved keeps its own.
func (f etcFile) private() bool { return inPrivateFolder(f.target) }

func etcFiles(s setupRequest) []etcFile {
	files := []etcFile{
		{path: "/etc/hosts", text: s.Hosts},
		{path: "/etc/resolv.conf", text: s.ResolvConf},
		{path: "/etc/hostname", text: s.Hostname + "\n"},
	}
	for i := range files {
		if target, err := filepath.EvalSymlinks(files[i].path); err == nil {
			files[i].target = target
		}
	}
	return files
}

// placeEtc binds the files over those of the host. Where the host lacks one there is nothing to bind over, and creating it would
// change the host: then all of /etc becomes an overlay.
func placeEtc(files []etcFile) error {
	const staging = "/run"
	if err := mount("tmpfs", staging, "tmpfs", unix.MS_NOSUID|unix.MS_NODEV, "mode=755"); err != nil {
		return err
	}
	defer unix.Unmount(staging, unix.MNT_DETACH) //nolint:errcheck // it goes with the mount namespace at the latest
	if slices.ContainsFunc(files, func(f etcFile) bool { return f.target == "" }) {
		return overlayEtc(files, staging)
	}
	for _, f := range files {
		if f.private() {
			continue
		}
		staged := filepath.Join(staging, filepath.Base(f.path))
		if err := os.WriteFile(staged, []byte(f.text), 0o644); err != nil {
			return err
		}
		if err := mount(staged, f.target, "", unix.MS_BIND, ""); err != nil {
			return err
		}
	}
	return nil
}

func overlayEtc(files []etcFile, staging string) error {
	upper, work := filepath.Join(staging, "upper"), filepath.Join(staging, "work")
	if err := errors.Join(os.Mkdir(upper, 0o755), os.Mkdir(work, 0o755)); err != nil {
		return err
	}
	if err := mount("overlay", "/etc", "overlay", 0, "lowerdir=/etc,upperdir="+upper+",workdir="+work); err != nil {
		var missing []string
		for _, f := range files {
			if f.target == "" {
				missing = append(missing, f.path)
			}
		}
		return fmt.Errorf("this machine has no %s: create it, empty, or load the overlay module: %w", strings.Join(missing, ", "), err)
	}
	for i := range files {
		f := &files[i]
		if err := os.Remove(f.path); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
		if err := os.WriteFile(f.path, []byte(f.text), 0o644); err != nil {
			return err
		}
		f.target = f.path
	}
	return nil
}

// keptFolder is a folder of the host that is to be seen through a private folder.
type keptFolder struct {
	path string
	fd   int
}

func openKept(paths []string) ([]keptFolder, error) {
	var kept []keptFolder
	for _, p := range paths {
		given := p
		p, err := filepath.EvalSymlinks(p)
		if err != nil {
			return nil, fmt.Errorf("folder %s, where a program is to work: %w", given, err)
		}
		if !inPrivateFolder(p) || slices.ContainsFunc(kept, func(k keptFolder) bool { return k.path == p }) {
			continue
		}
		fd, err := unix.Open(p, unix.O_PATH|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
		if err != nil {
			return nil, fmt.Errorf("open %s: %w", p, err)
		}
		kept = append(kept, keptFolder{p, fd})
	}
	slices.SortFunc(kept, func(a, b keptFolder) int { return strings.Compare(a.path, b.path) }) // parents first
	return kept, nil
}

func (k keptFolder) bind() error {
	defer unix.Close(k.fd)
	if err := os.MkdirAll(k.path, 0o755); err != nil {
		return err
	}
	return mount(fmt.Sprintf("/proc/self/fd/%d", k.fd), k.path, "", unix.MS_BIND|unix.MS_REC, "")
}

func inPrivateFolder(path string) bool {
	for _, p := range privateFolders {
		if path == p.path || strings.HasPrefix(path, p.path+"/") {
			return true
		}
	}
	return false
}

func mount(source, target, kind string, flags uintptr, options string) error {
	if err := unix.Mount(source, target, kind, flags, options); err != nil {
		return fmt.Errorf("mount %s: %w", target, err)
	}
	return nil
}
