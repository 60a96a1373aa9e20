package main

import (
	"os"
	"path/filepath"
	"runtime/debug"
	"slices"
	"strings"
)

// prepareProcess makes this process independent of how it was started.
func prepareProcess() {
	// Without threads the runtime would print all its state. run changes this once it has checked that there are
	// enough.
	debug.SetTraceback("none")
	completePath()
}

// completePath adds the folders with root's programs to the PATH. iptables and ip are there, but su, cron and env
// -i on Debian leave them out.
func completePath() {
	path := filepath.SplitList(os.Getenv("PATH"))
	for _, dir := range []string{"/usr/local/sbin", "/usr/local/bin", "/usr/sbin", "/usr/bin", "/sbin", "/bin"} {
		if !slices.Contains(path, dir) {
			path = append(path, dir)
		}
	}
	os.Setenv("PATH", strings.Join(path, string(filepath.ListSeparator))) //nolint:errcheck // the name is valid
}
