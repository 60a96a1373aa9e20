package diff

import (
	"strings"
	"testing"

	"pgregory.net/rapid"
)

// An edit script has every line of both lists once, in their order, and shares only equal ones; it is short where it
// can be.
func TestEditScript(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		letters := rapid.SliceOfN(rapid.SampledFrom([]string{"a", "b", "c", "d"}), 0, 12)
		from, to := letters.Draw(t, "from"), letters.Draw(t, "to")
		var old, now []string
		shared := 0
		for _, e := range Lines(from, to) {
			if e.Old >= 0 {
				old = append(old, from[e.Old])
			}
			if e.New >= 0 {
				now = append(now, to[e.New])
			}
			if e.Old >= 0 && e.New >= 0 {
				shared++
				if from[e.Old] != to[e.New] {
					t.Fatalf("%q and %q are shared", from[e.Old], to[e.New])
				}
			}
		}
		if strings.Join(old, "") != strings.Join(from, "") || strings.Join(now, "") != strings.Join(to, "") {
			t.Fatalf("%v, %v", old, now)
		}
		if best := int(longestShared(from, to)[0][0]); shared != best {
			t.Fatalf("%d of %d lines shared", shared, best)
		}
	})
}
