// Command lab builds and tests emulated classic cloud networks.
//
// It is thin: a verb reads its arguments, asks package live (a running lab) or labfile (a file), and prints the answer for a person or
// as JSON. Results go to stdout, progress and remarks to stderr; the exit status is one of those in errors.go.
package main

import (
	"os"
	"path/filepath"
	"runtime/debug"
	"slices"
	"strings"

	"vnetlab/lab/live"
)

func main() {
	debug.SetTraceback("none") // until it is known that there are threads enough: without, the runtime would print all its state
	completePath()
	live.MaybeInit()
	os.Exit(run(os.Args[1:], os.Stdout, os.Stderr))
}

// completePath adds the folders of programs for root to the PATH, where they are missing: iptables and ip are there, and plain su, cron and
// env -i leave them out on Debian.
func completePath() {
	path := filepath.SplitList(os.Getenv("PATH"))
	for _, dir := range []string{"/usr/local/sbin", "/usr/local/bin", "/usr/sbin", "/usr/bin", "/sbin", "/bin"} {
		if !slices.Contains(path, dir) {
			path = append(path, dir)
		}
	}
	os.Setenv("PATH", strings.Join(path, string(filepath.ListSeparator))) //nolint:errcheck // the name is valid
}
