// Command lab builds and tests emulated classic cloud networks. It is thin: a verb reads its arguments, calls
// package live for a running lab or labfile for a file, and prints the answer as text or JSON. Results go to
// stdout, progress and remarks to stderr; the exit status is one of those in errors.go.
package main

import (
	"os"

	"vnetlab/lab/supervisor"
)

func main() {
	prepareProcess()
	supervisor.MaybeInit()
	os.Exit(run(os.Args[1:], os.Stdout, os.Stderr))
}
