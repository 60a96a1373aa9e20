package kernel

import (
	"context"
	"errors"
	"testing"
	"time"

	"vnetlab/emu/kerneltest"
)

// The edge, held on, sees the links of all the others end.
func TestWaitUntilGone(t *testing.T) {
	want := kerneltest.Subnets(4, 50)
	for i := range want.Namespaces {
		want.Namespaces[i].Firewall = nil
	}
	for range 3 {
		s := apply(t, want)
		edge, _ := s.Namespace(kerneltest.Edge)
		for _, n := range s.Namespaces() {
			if n != edge {
				if err := n.Close(); err != nil {
					t.Fatal(err)
				}
			}
		}
		s.byName = map[string]*Namespace{edge.Name: edge}
		start := time.Now()
		if err := WaitUntilGone(t.Context()); err != nil {
			t.Fatal(err)
		}
		t.Log(time.Since(start))
		o, err := Observe(t.Context(), s)
		if err != nil {
			t.Fatal(err)
		}
		for object := range o.namespaces[kerneltest.Edge].objects {
			if object[:min(6, len(object))] == "link h" {
				t.Errorf("%s is still there", object)
			}
		}
	}
}

func TestWaitUntilGoneStops(t *testing.T) {
	kerneltest.RequireRoot(t)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := WaitUntilGone(ctx); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
}
