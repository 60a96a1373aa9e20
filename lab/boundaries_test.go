package lab_test

import (
	"slices"
	"strings"
	"testing"

	"vnetlab/emu"
	"vnetlab/lab"
	"vnetlab/lab/labtest"
)

// What a lab says of all its members reaches those that say nothing, and those that come.
func TestDefaultBoundary(t *testing.T) {
	from := labtest.Sequence(t)
	wanted := labtest.Sequence(t)
	limits := emu.Boundary{Limits: emu.Limits{PIDs: 100}}
	must(t, wanted.SetDefaultBoundary(limits))
	for _, member := range []string{"one", "laptop"} {
		must(t, wanted.SetBoundary(member, emu.Boundary{}))
	}
	must(t, wanted.SetBoundary("two", emu.Boundary{Privileged: true}))
	operations, err := lab.Reconcile(from, wanted)
	must(t, err)
	var texts []string
	for _, o := range operations {
		texts = append(texts, o.String())
	}
	want := []string{
		"set what members may use of the machine: 100 processes",
		"set what one may use of the machine: 100 processes",
		"set what two may use of the machine: privileged, 100 processes",
		"set what laptop may use of the machine: 100 processes",
	}
	if !slices.Equal(texts, want) {
		t.Errorf("%s", strings.Join(texts, "\n"))
	}
	now, err := from.Apply(operations...)
	must(t, err)
	late := lab.VirtualMachine{Name: "late", OS: lab.Linux, Boundary: emu.Boundary{Limits: emu.Limits{Disk: emu.GiB}}}
	must(t, now.AddVirtualMachine("outside", late))
	must(t, now.CreateDeployment("shop", lab.PackageDeployment{Roles: []lab.Role{{Name: "Web", InstanceCount: 1}}}))
	for member, want := range map[string]string{
		"one": "100 processes", "two": "privileged, 100 processes", "late": "100 processes, 1 GiB of disk", "Web_IN_0": "100 processes",
	} {
		m, ok := now.Find(member)
		if !ok || m.Boundary().String() != want {
			t.Errorf("%s: %v, want %s", member, m.Boundary(), want)
		}
	}
	if m, _ := from.Find("one"); !m.Boundary().Equal(emu.Boundary{}) {
		t.Error("the lab before has changed")
	}
}

func TestBoundaryRefusals(t *testing.T) {
	for _, test := range []struct {
		boundary emu.Boundary
		want     string
	}{
		{emu.Boundary{Limits: emu.Limits{PIDs: 15}}, "15 processes"},
		{emu.Boundary{Limits: emu.Limits{Memory: emu.MiB}}, "1 MiB of memory"},
		{emu.Boundary{Limits: emu.Limits{Disk: emu.KiB}}, "1 KiB for files"},
		{emu.Boundary{Mounts: []emu.Mount{{Path: "data"}}}, "'data' can't be mounted"},
		{emu.Boundary{Mounts: []emu.Mount{{Path: "/"}}}, "'/' can't be mounted"},
		{emu.Boundary{Mounts: []emu.Mount{{Path: "/a/../b"}}}, "can't be mounted"},
		{emu.Boundary{Mounts: []emu.Mount{{Path: "/a"}, {Path: "/a", Writable: true}}}, "mounted twice"},
	} {
		l := labtest.Sequence(t)
		for _, err := range []error{
			l.SetBoundary("one", test.boundary), l.SetDefaultBoundary(test.boundary),
			l.AddVirtualMachine("outside", lab.VirtualMachine{Name: "late", OS: lab.Linux, Boundary: test.boundary}),
			l.CreateInternetHost(lab.InternetHost{Name: "late", Boundary: test.boundary}),
			l.CreateWebSite(lab.WebSite{Name: "late", Location: "West US", Boundary: test.boundary}),
			l.CreateDeployment("shop", lab.PackageDeployment{Roles: []lab.Role{{Name: "Web", InstanceCount: 1, Boundary: test.boundary}}}),
		} {
			if err == nil || !strings.Contains(err.Error(), test.want) {
				t.Errorf("%+v: %v, want %q", test.boundary, err, test.want)
			}
		}
	}
	if err := labtest.Sequence(t).SetBoundary("nobody", emu.Boundary{}); err == nil {
		t.Error("nobody has a boundary")
	}
}
