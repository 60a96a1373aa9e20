package emu

import (
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestBoundaryOver(t *testing.T) {
	own := Boundary{Limits: Limits{Memory: GiB}, Mounts: []Mount{{Path: "/srv/data", Writable: true}}}
	defaults := Boundary{
		Limits: Limits{PIDs: 200, Memory: 2 * GiB},
		Mounts: []Mount{{Path: "/srv/data"}, {Path: "/opt/node"}},
	}
	got := own.Over(defaults)
	mounts := []Mount{{Path: "/opt/node"}, {Path: "/srv/data", Writable: true}}
	want := Boundary{Limits: Limits{PIDs: 200, Memory: GiB}, Mounts: mounts}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
	if again := got.Over(defaults); !again.Equal(got) {
		t.Errorf("over the same defaults again it is %v", again)
	}
	const text = "200 processes, 1 GiB of memory, /opt/node read-only, /srv/data writable"
	if got.String() != text {
		t.Errorf("%q, want %q", got, text)
	}
	if s := (Boundary{}).String(); s != "" {
		t.Errorf("the zero boundary is %q", s)
	}
}

func TestBytes(t *testing.T) {
	for size, want := range map[Bytes]string{
		0: "0 bytes", 1000: "1000 bytes", 64 * KiB: "64 KiB", 1536 * MiB: "1536 MiB", 3 * GiB: "3 GiB",
	} {
		if got := size.String(); got != want {
			t.Errorf("%q, want %q", got, want)
		}
	}
}
