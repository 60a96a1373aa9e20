package emu

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
)

// Boundary is what the programs of a namespace may use of the machine beyond their network. The zero Boundary is the
// default: the capabilities of a network's administrator, the default limits, no file of the machine that can be
// written.
type Boundary struct {
	// Privileged programs have all capabilities, the machine's devices and its sysctls. Their root is their own all the
	// same.
	Privileged bool    `json:"privileged,omitempty"`
	Limits     Limits  `json:"limits,omitzero"`
	Mounts     []Mount `json:"mounts,omitempty"` // by their paths, no path twice
}

// Limits bound what the programs of a namespace use together; 0 is the default, which depends on the machine.
type Limits struct {
	PIDs   int   `json:"pids,omitempty"`   // processes and threads
	Memory Bytes `json:"memory,omitempty"` // with the files they write
	Disk   Bytes `json:"disk,omitempty"`   // files they write anywhere but in Temporary's folders
	// Temporary is for each of /tmp, /run and /dev/shm.
	Temporary Bytes `json:"tmp,omitempty"`
}

// Mount is a file or folder of the machine that programs see at its own path, where the root of the namespace hides it
// or has a copy.
type Mount struct {
	Path     string `json:"path"` // absolute
	Writable bool   `json:"writable,omitempty"`
}

// System reports whether the mount is the root or in a folder that the kernel fills, of which each instance has its
// own. Its path must be without symbolic links.
func (m Mount) System() bool {
	return m.Path == "/" || slices.ContainsFunc([]string{"/dev", "/proc", "/sys"}, func(system string) bool {
		return m.Path == system || strings.HasPrefix(m.Path, system+"/")
	})
}

// Over returns b with what it leaves open filled in from the defaults.
func (b Boundary) Over(defaults Boundary) Boundary {
	b.Privileged = b.Privileged || defaults.Privileged
	b.Limits = b.Limits.Over(defaults.Limits)
	mounts := slices.Clone(b.Mounts)
	for _, m := range defaults.Mounts {
		if !slices.ContainsFunc(mounts, func(o Mount) bool { return o.Path == m.Path }) {
			mounts = append(mounts, m)
		}
	}
	slices.SortFunc(mounts, func(a, b Mount) int { return strings.Compare(a.Path, b.Path) })
	b.Mounts = mounts
	return b
}

// Over returns l with the defaults in the place of zeros.
func (l Limits) Over(defaults Limits) Limits {
	return Limits{
		PIDs: cmp.Or(l.PIDs, defaults.PIDs), Memory: cmp.Or(l.Memory, defaults.Memory),
		Disk: cmp.Or(l.Disk, defaults.Disk), Temporary: cmp.Or(l.Temporary, defaults.Temporary),
	}
}

// Equal reports whether both bound programs in the same way.
func (b Boundary) Equal(o Boundary) bool {
	return b.Privileged == o.Privileged && b.Limits == o.Limits && slices.Equal(b.Mounts, o.Mounts)
}

// String describes the boundary for people; it is empty for the zero Boundary.
func (b Boundary) String() string {
	var parts []string
	if b.Privileged {
		parts = append(parts, "privileged")
	}
	if l := b.Limits.String(); l != "" {
		parts = append(parts, l)
	}
	for _, m := range b.Mounts {
		parts = append(parts, m.String())
	}
	return strings.Join(parts, ", ")
}

// String names the limits that are set, for people.
func (l Limits) String() string {
	var parts []string
	if l.PIDs != 0 {
		parts = append(parts, fmt.Sprintf("%d processes", l.PIDs))
	}
	for _, s := range []struct {
		size Bytes
		of   string
	}{{l.Memory, "memory"}, {l.Disk, "disk"}, {l.Temporary, "tmp"}} {
		if s.size != 0 {
			parts = append(parts, fmt.Sprintf("%s of %s", s.size, s.of))
		}
	}
	return strings.Join(parts, ", ")
}

// String is for people.
func (m Mount) String() string {
	if m.Writable {
		return m.Path + " writable"
	}
	return m.Path + " read-only"
}

// Bytes is a size in bytes.
type Bytes int64

// Units of Bytes.
const (
	KiB Bytes = 1 << 10
	MiB Bytes = 1 << 20
	GiB Bytes = 1 << 30
)

// String returns the size in the largest unit that divides it.
func (b Bytes) String() string {
	for _, u := range []struct {
		size Bytes
		name string
	}{{GiB, "GiB"}, {MiB, "MiB"}, {KiB, "KiB"}} {
		if b >= u.size && b%u.size == 0 {
			return fmt.Sprintf("%d %s", b/u.size, u.name)
		}
	}
	return fmt.Sprintf("%d bytes", int64(b))
}
