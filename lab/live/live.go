// Package live runs labs: it joins the resources of package lab with the emulator and serves both behind a unix socket.
//
// A running lab is one process, the supervisor: [Up] starts it, detached, in new PID, mount, network, UTS and IPC namespaces, and
// everything the lab consists of belongs to that process. When it ends, however it ends, the kernel removes the lab. What is left then are
// files under [RunDir] and symlinks in /run/netns that lead nowhere; the next command removes them ([Clean]).
//
// This package owns starting and stopping, the lock that makes a lab unique, the control socket with its client, and the checks of what a lab
// expects. It leaves what a lab is to package lab, and how packets travel to package emu.
package live

import (
	"os"
	"path/filepath"
)

// RunDir is where running labs keep their lock, log and control socket, a directory each: /run/lab, or $VNETLAB_RUN.
func RunDir() string {
	if dir := os.Getenv("VNETLAB_RUN"); dir != "" {
		return dir
	}
	return "/run/lab"
}

// netnsDir is where iproute2 looks for named network namespaces: /run/netns, or with $VNETLAB_RUN a directory below that.
func netnsDir() string {
	if dir := os.Getenv("VNETLAB_RUN"); dir != "" {
		return filepath.Join(dir, ".netns")
	}
	return "/run/netns"
}

// EnterCommand is what a person types before a command that is to run in a namespace of a lab.
func EnterCommand(lab, namespace string) string {
	name := lab + "." + namespace
	if dir := netnsDir(); dir != "/run/netns" { // the only one that ip knows
		return "nsenter --net=" + filepath.Join(dir, name)
	}
	return "ip netns exec " + name
}

// The files of a running lab, in its directory under RunDir.
const (
	lockFile   = "lock"           // locked by the supervisor as long as it lives; holds its process id
	socketFile = "control.sock"   // HTTP
	logFile    = "supervisor.log" // what the supervisor itself has to say
)

func labDir(name string) string { return filepath.Join(RunDir(), name) }

// PrivilegesNeeded is the code of an error about what only root may do. How to become root is known where commands are typed.
const PrivilegesNeeded = "PrivilegesNeeded"

// Error is what went wrong, in the form in which the control socket tells it: one line for a person, and the next step.
type Error struct {
	// Code is the platform's error code; empty when it wasn't the platform that refused.
	Code       string `json:"code,omitempty"`
	HTTPStatus int    `json:"httpStatus,omitempty"`
	Message    string `json:"message"`
	Hint       string `json:"hint,omitempty"`
	// Lacking says that a limit of the machine is used up, or the kernel or the privileges do not suffice.
	Lacking bool `json:"lacking,omitempty"`
	// File, Line and Column are the place in the lab file, if there is one.
	File   string `json:"file,omitempty"`
	Line   int    `json:"line,omitempty"`
	Column int    `json:"column,omitempty"`
}

// Error gives the message, behind its code if it has one, without hint and place.
func (e *Error) Error() string {
	if e.Code == "" {
		return e.Message
	}
	return e.Code + ": " + e.Message
}
