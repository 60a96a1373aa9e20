package supervisor

import (
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"strings"
)

// madeHere marks, beside the labs, that the directory of named namespaces was made by us and goes when it is empty.
const madeHere = ".made-netns"

// descriptorPath is what our symlinks lead to.
var descriptorPath = regexp.MustCompile(`^/proc/[0-9]+/fd/[0-9]+$`)

// makeLinks lets `ip netns exec LAB.NAMESPACE` and everything else that knows named network namespaces find those of
// a lab: symlinks to the descriptors of the supervisor, whose process id on the host is pid.
func makeLinks(lab string, pid int, descriptors map[string]int) error {
	for name, fd := range descriptors {
		link := filepath.Join(netnsDir(), lab+"."+name)
		target := fmt.Sprintf("/proc/%d/fd/%d", pid, fd)
		if err := makeLink(link, target); err != nil {
			return fmt.Errorf("name the network namespace %s: %w", name, err)
		}
	}
	return nil
}

// links are the names that the namespaces of a running lab have in the directory of named namespaces.
type links struct {
	lab        string
	pid        int              // of the supervisor, on the host
	descriptor func(string) int // of a namespace
	called     map[string]string
}

// newLinks names all namespaces of a lab by what called returns for them.
func newLinks(
	lab string,
	pid int,
	descriptor func(string) int,
	namespaces []string,
	called func(string) string,
) (*links, error) {
	l := &links{lab, pid, descriptor, map[string]string{}}
	return l, l.update(nil, namespaces, called)
}

// update names the namespaces that came, no longer those that went, and those that are called otherwise now by their
// new names.
func (l *links) update(removed, added []string, called func(string) string) error {
	before := maps.Clone(l.called)
	for _, namespace := range removed {
		delete(l.called, namespace)
	}
	descriptors := map[string]int{}
	name := func(namespace string) {
		l.called[namespace] = called(namespace)
		descriptors[l.called[namespace]] = l.descriptor(namespace)
	}
	for namespace, was := range l.called {
		if called(namespace) != was {
			name(namespace)
		}
	}
	for _, namespace := range added {
		name(namespace)
	}
	errs := []error{makeLinks(l.lab, l.pid, descriptors)}
	for namespace, was := range before {
		if _, taken := descriptors[was]; !taken && l.called[namespace] != was {
			errs = append(errs, l.remove(was))
		}
	}
	return errors.Join(errs...)
}

// remove removes a link, if it is still one of this lab.
func (l *links) remove(name string) error {
	link := filepath.Join(netnsDir(), l.lab+"."+name)
	if to, err := os.Readlink(link); err != nil || !strings.HasPrefix(to, fmt.Sprintf("/proc/%d/fd/", l.pid)) {
		return nil
	}
	return os.Remove(link)
}

// taken says that a name for a network namespace belongs to somebody else.
type taken struct{ path string }

func (t *taken) Error() string { return t.path + " is there already, and no lab made it" }

func makeLink(link, target string) error {
	for try := 0; ; try++ {
		err := os.Symlink(target, link)
		switch {
		case errors.Is(err, fs.ErrExist) && try < 10:
			old, readErr := os.Readlink(link)
			if readErr != nil || !descriptorPath.MatchString(old) {
				return &taken{link}
			}
			os.Remove(link)
		case errors.Is(err, fs.ErrNotExist) && try < 10: // not yet there, or removed by another lab that went
			if err := os.MkdirAll(filepath.Dir(netnsDir()), 0o755); err != nil {
				return err
			}
			switch err := os.Mkdir(netnsDir(), 0o755); {
			case err != nil && !errors.Is(err, fs.ErrExist):
				return err
			case err == nil:
				f, err := os.Create(filepath.Join(RunDir(), madeHere))
				if err != nil {
					return errors.Join(err, os.Remove(netnsDir()))
				}
				f.Close()
			}
		default:
			return err
		}
	}
}

// removeLinks removes the symlinks of a lab that is over.
func removeLinks(lab string) error {
	return removeLinksIf(func(link, _ string) bool { return strings.HasPrefix(link, lab+".") })
}

// removeStaleLinks removes the symlinks of supervisors that are dead.
func removeStaleLinks() error {
	return removeLinksIf(func(_, target string) bool {
		to, err := os.Readlink(target)
		return err != nil || !strings.HasPrefix(to, "net:[")
	})
}

func removeLinksIf(gone func(link, target string) bool) error {
	mark := filepath.Join(RunDir(), madeHere)
	_, markErr := os.Stat(mark)
	entries, err := os.ReadDir(netnsDir())
	if errors.Is(err, fs.ErrNotExist) {
		if markErr == nil {
			os.Remove(mark) // of a supervisor that was killed when it had removed the directory
		}
		return nil
	}
	for _, e := range entries {
		if e.Type() != fs.ModeSymlink {
			continue
		}
		path := filepath.Join(netnsDir(), e.Name())
		target, readErr := os.Readlink(path)
		if readErr == nil && descriptorPath.MatchString(target) && gone(e.Name(), target) {
			if e := os.Remove(path); !errors.Is(e, fs.ErrNotExist) {
				err = errors.Join(err, e)
			}
		}
	}
	if _, markErr = os.Stat(mark); markErr == nil && os.Remove(netnsDir()) == nil {
		os.Remove(mark)
	}
	return err
}
