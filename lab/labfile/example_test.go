package labfile_test

import (
	"fmt"

	"vnetlab/lab/labfile"
)

// Errors name the place in the file, and suggest what may have been meant.
func ExampleInput_Load() {
	_, err := labfile.Input{
		Path: "lab.yaml",
		Dir:  "/",
		Text: []byte("lab: demo\ninternetHost: [{name: laptop}]\n"),
	}.Load(
		labfile.Options{},
	)
	fmt.Println(err)
	// Output:
	// lab.yaml:2:1: unknown key "internetHost" in a lab file
	//   1 | lab: demo
	// > 2 | internetHost: [{name: laptop}]
	//     | ^
	//   Did you mean internetHosts?
}
