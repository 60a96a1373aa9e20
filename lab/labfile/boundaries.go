package labfile

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"vnetlab/emu"
)

// defaults sets what the programs of all members may use of this machine.
func (l *loader) defaults() {
	position := l.file.Origin
	if l.file.Limits != nil {
		position = l.file.Limits.Origin
	}
	l.accept(position, l.lab.SetDefaultBoundary(l.boundary(Machine{Limits: l.file.Limits, Mounts: l.file.Mounts})))
}

// boundary reads what the programs of a member may use of this machine.
func (l *loader) boundary(m Machine) emu.Boundary {
	b := emu.Boundary{Privileged: m.Privileged}
	if m.Limits != nil {
		b.Limits = emu.Limits{
			PIDs: int(m.Limits.PIDs), Memory: size(m.Limits.Memory),
			Disk: size(m.Limits.Disk), Temporary: size(m.Limits.Tmp),
		}
	}
	for _, mounted := range m.Mounts {
		if path, ok := l.mountPath(mounted.Path); ok {
			b.Mounts = append(b.Mounts, emu.Mount{Path: path, Writable: mounted.Writable})
		}
	}
	return b
}

// mountPath returns the absolute path of a mount. It need not exist yet if the lab has a prepare command, which may
// create it.
func (l *loader) mountPath(r Reference) (string, bool) {
	if r.Text == "" {
		return "", false // it isn't a text, which is an error already
	}
	path := filepath.Clean(r.Text)
	if !filepath.IsAbs(path) {
		path = filepath.Join(l.dir, path)
	}
	real, err := filepath.EvalSymlinks(path)
	if err != nil {
		real = path
	}
	if real == "/" {
		l.problems = append(l.problems, invalid(r.Origin, "the root of this machine can't be mounted").
			hint("Name a file or a folder below it."))
		return "", false
	}
	if (emu.Mount{Path: real}).System() {
		system := "/" + strings.Split(real, "/")[1]
		p := invalid(r.Origin, "%s can't be mounted: an instance has its own %s", quoted(r.Text), system)
		l.problems = append(l.problems,
			p.hint("Write privileged: true to give an instance the devices of this machine."))
		return "", false
	}
	if _, err := os.Stat(path); err != nil && l.file.Prepare == "" {
		var at *fs.PathError
		if errors.As(err, &at) {
			err = at.Err
		}
		l.problems = append(l.problems, invalid(r.Origin, "the path %s can't be mounted: %v", quoted(r.Text), err).
			hint("Paths are relative to the folder of the lab file."))
		return "", false
	}
	return path, true
}

// size returns a size, which the decoder has checked.
func size(s Size) emu.Bytes {
	var n emu.Bytes
	var unit string
	_, _ = fmt.Sscanf(string(s), "%d%s", &n, &unit)
	switch unit {
	case "GiB":
		return n * emu.GiB
	case "MiB":
		return n * emu.MiB
	}
	return 0
}
