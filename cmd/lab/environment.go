package main

import (
	"os"
	"path/filepath"
	"runtime/debug"
	"slices"
	"strings"
)

// prepareProcess sets what depends on how this process was started.
func prepareProcess() {
	// Until it is known that there are threads enough (run): where the runtime gets none, it would print all its state.
	debug.SetTraceback("none")
	completePath()
}

// completePath adds the folders of programs for root to the PATH, where they are missing: iptables and ip are
// there, and plain su, cron and env -i leave them out on Debian.
func completePath() {
	path := filepath.SplitList(os.Getenv("PATH"))
	for _, dir := range []string{"/usr/local/sbin", "/usr/local/bin", "/usr/sbin", "/usr/bin", "/sbin", "/bin"} {
		if !slices.Contains(path, dir) {
			path = append(path, dir)
		}
	}
	os.Setenv("PATH", strings.Join(path, string(filepath.ListSeparator))) //nolint:errcheck // the name is valid
}
