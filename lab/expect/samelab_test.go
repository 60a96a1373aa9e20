package expect_test

import (
	"fmt"
	"path/filepath"
	"testing"

	"vnetlab/lab"
	"vnetlab/lab/expect"
	"vnetlab/lab/labfile"
)

// A file that is read twice says the same twice, whatever it expects.
func TestSameTextOfTheScenarios(t *testing.T) {
	files, err := filepath.Glob("../../scenarios/*/lab.yaml")
	if err != nil || len(files) == 0 {
		t.Fatalf("no scenarios: %v", err)
	}
	for _, file := range files {
		read := func() *lab.Lab {
			loaded, err := labfile.Load(file, labfile.Options{})
			if err != nil {
				t.Fatal(err)
			}
			return loaded.Lab
		}
		if !expect.SameText(read(), read()) {
			t.Errorf("%s is not the same when it is read again", file)
		}
	}
}

func TestSameText(t *testing.T) {
	const file = `lab: same
internetHosts: [{name: laptop}]
cloudServices: [{name: web, location: West US, virtualMachines: [{name: vm1, os: linux, publicIP: pip}]}]
%s`
	texts := []string{
		"",
		"exposure: []",
		"exposure: [\"vm1:1-65535/tcp\"]",
		"exposure: [\"vm1:1-100/tcp\"]",
		"exposure: [\"vm1:1/tcp\"]",
		"expect: [{from: laptop, to: \"vm1:80\", verdict: open}]",
		"expect: [{from: laptop, to: \"vm1:80\", verdict: open, real: true}]",
		"expect: [{from: laptop, to: \"vm1:80\", verdict: open, real: false}]",
		"expect: [{from: laptop, to: \"vm1:80\", verdict: open, http: {path: /, status: 200}}]",
		"expect: [{from: laptop, to: \"vm1:80\", verdict: open, http: {path: /, status: 404}}]",
		"expect: [{from: laptop, to: \"vm1:80\", verdict: open, answeredBy: [vm1]}]",
	}
	read := func(text string) *lab.Lab {
		loaded, err := labfile.Input{
			Path: "same.yaml",
			Text: fmt.Appendf(nil, file, text),
			Dir:  t.TempDir(),
		}.Load(
			labfile.Options{},
		)
		if err != nil {
			t.Fatalf("%s: %v", text, err)
		}
		return loaded.Lab
	}
	for n, a := range texts {
		for m, b := range texts {
			// Another place in the file is no difference.
			if got := expect.SameText(read(a), read("\n\n"+b)); got != (n == m) {
				t.Errorf("%q and %q: same %v", a, b, got)
			}
		}
	}
}
