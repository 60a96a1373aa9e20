package main

import (
	"slices"
	"strings"

	"vnetlab/emu"
	"vnetlab/lab/api"
)

// printBoundaries prints what makes instances of a lab less of a boundary than usual: privileges, files that can be
// written, limits that this machine can't hold.
func (a *app) printBoundaries(info api.Lab) {
	o := a.stdout
	var privileged, writing []string
	for _, h := range hosts(info) {
		if h.Boundary.Privileged {
			privileged = append(privileged, h.Name)
		}
		if slices.ContainsFunc(h.Boundary.Mounts, func(m emu.Mount) bool { return m.Writable }) {
			writing = append(writing, h.Name)
		}
	}
	if len(privileged) > 0 {
		o.printf(
			"%s, programs inside can harm this machine: %s\n",
			o.bold("privileged"),
			strings.Join(privileged, ", "),
		)
	}
	if len(writing) > 0 {
		o.printf("write files of this machine: %s\n", strings.Join(writing, ", "))
	}
	if len(info.Unbounded) > 0 {
		o.printf("without a limit on this machine, %s: %s\n", a.advice("lab doctor reports why"),
			strings.Join(info.Unbounded, ", "))
	}
}

// addBoundary adds what programs in an instance may use of this machine.
func (a *app) addBoundary(t *table, info api.Lab, h api.Host) {
	if h.Boundary.Privileged {
		t.add("privileged", a.stdout.bold("yes, programs can harm this machine"))
	}
	t.add("limits", h.Boundary.Limits.String())
	if len(info.Unbounded) > 0 {
		t.add("not limited", strings.Join(info.Unbounded, ", ")+": "+a.advice("lab doctor reports why"))
	}
	for _, m := range h.Boundary.Mounts {
		t.add("mount", m.String())
	}
}
