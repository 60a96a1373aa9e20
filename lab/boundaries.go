package lab

import (
	"fmt"
	"path/filepath"

	"vnetlab/emu"
)

// The least that an instance can live with. Its init alone has about ten threads.
const (
	leastPIDs   = 16
	leastMemory = 32 * emu.MiB
	leastFiles  = emu.MiB
)

// checkBoundary refuses limits that nothing could run within, and mounts that would be another root.
func checkBoundary(b emu.Boundary) *Error {
	l := b.Limits
	if l.PIDs != 0 && l.PIDs < leastPIDs {
		return badRequest("A limit of %d processes is too low.", l.PIDs).WithHint("Allow at least %d.", leastPIDs)
	}
	if l.Memory != 0 && l.Memory < leastMemory {
		return badRequest("A limit of %s of memory is too low.", l.Memory).WithHint("Allow at least %s.", leastMemory)
	}
	for _, size := range []emu.Bytes{l.Disk, l.Temporary} {
		if size != 0 && size < leastFiles {
			return badRequest("A limit of %s for files is too low.", size).WithHint("Allow at least %s.", leastFiles)
		}
	}
	for n, m := range b.Mounts {
		if !filepath.IsAbs(m.Path) || filepath.Clean(m.Path) != m.Path || m.Path == "/" {
			return badRequest("The path %s can't be mounted.", shorten(m.Path)).
				WithHint("Name a file or a folder below the root.")
		}
		for _, o := range b.Mounts[:n] {
			if o.Path == m.Path {
				return badRequest("The path %s is mounted twice.", m.Path)
			}
		}
	}
	return nil
}

// SetDefaultBoundaryOp is [Lab.SetDefaultBoundary] as an operation.
type SetDefaultBoundaryOp struct{ Boundary emu.Boundary } // of members that come

func (o SetDefaultBoundaryOp) Do(l *Lab) error { return l.SetDefaultBoundary(o.Boundary) }

func (o SetDefaultBoundaryOp) String() string {
	return "set what members may use of the machine: " + orDefault(o.Boundary.String(), "the defaults")
}

// SetDefaultBoundary sets what each member of the lab may use of the machine where it doesn't say otherwise. It is for
// members that come; those that are there keep theirs, until [Lab.SetBoundary].
func (l *Lab) SetDefaultBoundary(b emu.Boundary) error {
	if err := checkBoundary(b); err != nil {
		return err
	}
	l.Boundary = b
	return nil
}

// SetBoundaryOp is not the platform's: it sets what a member may use of the machine that carries the lab.
type SetBoundaryOp struct {
	Member   string
	Boundary emu.Boundary
}

func (o SetBoundaryOp) Do(l *Lab) error { return l.SetBoundary(o.Member, o.Boundary) }

func (o SetBoundaryOp) String() string {
	return fmt.Sprintf(
		"set what %s may use of the machine: %s",
		o.Member,
		orDefault(o.Boundary.String(), "the defaults"),
	)
}

// SetBoundary sets what a member of the lab may use of the machine.
func (l *Lab) SetBoundary(member string, b emu.Boundary) error {
	if err := checkBoundary(b); err != nil {
		return err
	}
	m, refusal := l.member(member)
	if refusal != nil {
		return refusal
	}
	b = b.Over(l.Boundary)
	l.changeMember(m, func(_ *[]Service, boundary *emu.Boundary) { *boundary = b })
	return nil
}

// changeMember puts a copy of a member, of whatever kind, in its place, with what change makes of its services and its
// boundary.
func (l *Lab) changeMember(m Member, change func(services *[]Service, boundary *emu.Boundary)) {
	switch {
	case m.Instance != nil:
		now := m.Instance.copy()
		change(&now.Services, &now.Boundary)
		l.replaceInstance(l.Deployment(m.Instance), m.Instance, now)
	case m.LocalHost != nil:
		now := *m.LocalHost
		change(&now.Services, &now.Boundary)
		l.replaceLocalHost(m.LocalHost, &now)
	case m.InternetHost != nil:
		now := *m.InternetHost
		change(&now.Services, &now.Boundary)
		replace(l.InternetHosts, m.InternetHost, &now)
	default:
		now := *m.WebSite
		change(&now.Services, &now.Boundary)
		replace(l.WebSites, m.WebSite, &now)
	}
}

// replaceLocalHost puts a host of an on-premises site in the place of another one.
func (l *Lab) replaceLocalHost(old, now *LocalHost) {
	site := l.SiteOf(old)
	changed := *site
	changed.Hosts = append([]*LocalHost(nil), site.Hosts...)
	replace(changed.Hosts, old, now)
	replace(l.LocalNetworks, site, &changed)
}

// Boundary is what the member may use of the machine.
func (m Member) Boundary() emu.Boundary {
	switch {
	case m.Instance != nil:
		return m.Instance.Boundary
	case m.InternetHost != nil:
		return m.InternetHost.Boundary
	case m.LocalHost != nil:
		return m.LocalHost.Boundary
	}
	return m.WebSite.Boundary
}

func init() {
	register(
		SetBoundaryOp{},
		SetDefaultBoundaryOp{},
	)
}
