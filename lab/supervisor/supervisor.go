// Package supervisor runs labs as processes and finds those that run.
//
// A running lab is one process, the supervisor: [Up] starts it, detached, in new PID, mount, network, UTS and IPC
// namespaces, and everything the lab consists of belongs to that process. When it ends, however it ends, the kernel
// removes the lab. What is left then are files under [RunDir] and dangling symlinks in /run/netns; the next command
// removes them ([Clean]).
//
// This package owns starting and stopping, the lock that makes a lab unique, the names of its namespaces, and the
// limits of the machine. What a lab does is in package engine, which the supervisor joins with the emulator and with
// a server.
package supervisor

import (
	"os"
	"path/filepath"
)

// RunDir returns where running labs keep their lock, log and control socket, a directory each: /run/lab, or
// $VNETLAB_RUN.
func RunDir() string {
	if dir := os.Getenv("VNETLAB_RUN"); dir != "" {
		return dir
	}
	return "/run/lab"
}

// netnsDir returns where iproute2 looks for named network namespaces: /run/netns, or with $VNETLAB_RUN a directory
// below that.
func netnsDir() string {
	if dir := os.Getenv("VNETLAB_RUN"); dir != "" {
		return filepath.Join(dir, ".netns")
	}
	return "/run/netns"
}

// EnterCommand returns what a person types before a command to run it in a namespace of a lab.
func EnterCommand(lab, namespace string) string {
	name := lab + "." + namespace
	if dir := netnsDir(); dir != "/run/netns" { // the only one that ip knows
		return "nsenter --net=" + filepath.Join(dir, name)
	}
	return "ip netns exec " + name
}

// The files of a running lab, in its directory under RunDir.
const (
	lockFile   = "lock"           // locked by the supervisor while it lives; holds its process id
	socketFile = "control.sock"   // HTTP
	logFile    = "supervisor.log" // the supervisor's own output
)

func labDir(name string) string { return filepath.Join(RunDir(), name) }
