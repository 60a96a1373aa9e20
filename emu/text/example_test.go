package text_test

import (
	"fmt"

	"vnetlab/emu"
	"vnetlab/emu/diff"
	"vnetlab/emu/text"
)

// A change holds only what two networks don't have in common.
func ExampleChange() {
	host := func(name string) *emu.Namespace { return &emu.Namespace{Name: name, Kind: emu.Host} }
	same := host("web")
	from := &emu.Network{Namespaces: []*emu.Namespace{same, host("sql1")}}
	to := &emu.Network{Namespaces: []*emu.Namespace{same, host("sql2")}}
	fmt.Print(text.Change(diff.Networks(from, to)))
	// Output:
	// - namespace sql1
	// + namespace sql2
}
