package expect

import (
	"fmt"
	"reflect"
	"strings"

	"vnetlab/emu"
	"vnetlab/lab"
)

// What is expected of the lab as a whole, and what came of it where it is not that.
const (
	AsDescribed             = "as described" // by a file
	AsWanted                = "as wanted"    // by the lab
	Different   emu.Verdict = "different"
)

// listedAtMost is how many differences a message lists.
const listedAtMost = 20

// SameLab returns the failed case of a file that describes another lab than the one that runs; false where it describes
// the same one, whatever it expects of it. Name is how the file is called.
func SameLab(running, described *lab.Lab, name string) (Case, bool) {
	operations, err := lab.Reconcile(running, described)
	c := Case{Name: fmt.Sprintf("the running lab is %s's", name), Expected: AsDescribed, Verdict: Different}
	switch {
	case err != nil:
		c.Differences = []string{err.Error()}
		c.Message = fmt.Sprintf(
			"the running lab is not the one that %s describes, and lab apply %s can't make it that: %v",
			name,
			name,
			err,
		)
	case len(operations) > 0:
		for _, o := range operations {
			c.Differences = append(c.Differences, o.String())
		}
		c.Message = fmt.Sprintf("the running lab is not the one that %s describes: lab apply %s would:%s",
			name, name, list(c.Differences))
	default:
		return Case{}, false
	}
	c.Message += "\nnothing else was checked; lab test without a file checks what the running lab itself expects"
	return c, true
}

// Drift says where the kernel differs from what the lab wants.
func Drift(differences []string) string {
	return "somebody else has changed what the lab made, so that these answers are not the lab's:" + list(differences) +
		"\nlab diff shows it, lab diff --repair restores it"
}

// SameText reports whether two states of a file describe the same lab and expect the same of it.
func SameText(a, b *lab.Lab) bool {
	operations, err := lab.Reconcile(a, b)
	return err == nil && len(operations) == 0 && reflect.DeepEqual(expected(a), expected(b))
}

// expected returns what a lab expects of itself, without the places in its file.
func expected(l *lab.Lab) (all struct {
	connections []lab.Expectation
	listed      bool // the list of exposed ports is there, though it may be empty
	exposed     []lab.ExposedPort
},
) {
	for _, e := range l.Expectations {
		e.Origin = lab.Origin{}
		all.connections = append(all.connections, e)
	}
	all.listed = l.Exposure != nil
	for _, x := range l.Exposure {
		x.Origin = lab.Origin{}
		all.exposed = append(all.exposed, x)
	}
	return all
}

// list puts each on a line of its own.
func list(all []string) string {
	var b strings.Builder
	for n, text := range all {
		if n == listedAtMost {
			fmt.Fprintf(&b, "\n  and %d more", len(all)-n)
			break
		}
		b.WriteString("\n  " + text)
	}
	return b.String()
}
