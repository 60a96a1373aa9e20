package emu

import (
	"context"
	"fmt"
	"os"
	"strings"
	"time"
)

// The observed state of a running network as data, for packages that serve or show it and don't use the kernel.

// Difference is one thing of the kernel that is not as it was wanted.
type Difference struct {
	Namespace string `json:"namespace"`
	Object    string `json:"object"`
	Wanted    string `json:"wanted,omitempty"` // empty: the object is not wanted
	Found     string `json:"found,omitempty"`  // empty: the object is missing
}

// What Wanted and Found of a Difference say where there is nothing to compare.
const (
	NoValue      = "none" // a property that is not there
	NoProperties = "it"   // an object without properties
)

// FirewallChain is the object of a Difference that the rules of a guest firewall belong to.
const FirewallChain = "iptables chain INPUT"

// String returns the difference in one line of about 300 bytes at most.
func (d Difference) String() string {
	wanted, found := shorten(d.Wanted), shorten(d.Found)
	switch {
	case d.Found == "":
		return fmt.Sprintf("%s: %s is missing: wanted %s", d.Namespace, d.Object, wanted)
	case d.Wanted == "":
		return fmt.Sprintf("%s: %s is not wanted: found %s", d.Namespace, d.Object, found)
	}
	return fmt.Sprintf("%s: %s: wanted %s, found %s", d.Namespace, d.Object, wanted, found)
}

// Words returns the difference as a sentence about the object, after its namespace.
func (d Difference) Words() string {
	return d.Namespace + ": " + d.Object + " " + d.Is()
}

// Is returns the part of the sentence after the object: what it is, and what it should be.
func (d Difference) Is() string {
	wanted, found := shorten(d.Wanted), shorten(d.Found)
	switch {
	case d.Found == "" && d.Wanted == NoProperties:
		return "is missing"
	case d.Found == "":
		return "is missing, should be " + wanted
	case d.Wanted == "" && d.Found == NoProperties:
		return "should not be there"
	case d.Wanted == "":
		return "is " + found + ", should not be there"
	case d.Wanted == NoValue:
		return "is " + found + ", should not be"
	}
	return "is " + found + ", should be " + wanted
}

// shorten cuts a text that is too long to be read: a rule may name a thousand chains.
func shorten(s string) string {
	const most = 120
	if len(s) <= most {
		return s
	}
	return strings.ToValidUTF8(s[:most], "") + "…"
}

// Repair is the outcome of a repair of the kernel.
type Repair struct {
	// Repaired are the differences that are gone, Left those that remain.
	Repaired []Difference `json:"repaired"`
	Left     []Difference `json:"left"`
	// Errors explain why something is left.
	Errors []string `json:"errors"`
}

// HealthState is what is known of the target of one health probe.
type HealthState struct {
	ID string `json:"id"`
	// Healthy reports whether the last good answer is not older than the probe's timeout.
	Healthy bool `json:"healthy"`
	// Known reports whether the first question has ended. Before it has, a target counts as down.
	Known bool `json:"known"`
	// Since is when Healthy became what it is.
	Since time.Time `json:"since"`
	// Detail is what was wrong with the last answer; empty: nothing.
	Detail string `json:"detail,omitempty"`
}

// ServiceStatus is the state of one listener of a namespace.
type ServiceStatus struct {
	Namespace string   `json:"namespace"`
	Service   string   `json:"service"`
	Port      uint16   `json:"port"`
	Protocol  Protocol `json:"protocol"`
	Command   string   `json:"command,omitempty"` // of a program; empty: the built-in listener
	// Program is the state of the program; nil for the built-in listener, which always listens.
	Program *ProgramStatus `json:"program,omitempty"`
}

// String is for people.
func (s ServiceStatus) String() string {
	if s.Program == nil {
		return "listening (built in)"
	}
	return s.Program.String()
}

// ProgramState is what a program is doing.
type ProgramState string

const (
	ProgramStarting   ProgramState = "starting"   // for the first time
	ProgramRunning    ProgramState = "running"    // it is alive, which doesn't mean that it listens
	ProgramRestarting ProgramState = "restarting" // it ended and waits for its next start
	ProgramStopped    ProgramState = "stopped"    // the instance is closed
)

// ProgramStatus is what is known of a program.
type ProgramStatus struct {
	Service string       `json:"service"`
	Port    uint16       `json:"port"`
	State   ProgramState `json:"state"`
	Since   time.Time    `json:"since"`              // of the state
	PID     int          `json:"pid,omitempty"`      // inside the instance, while it runs
	Exits   int          `json:"exits"`              // how often it ended
	Last    string       `json:"lastExit,omitempty"` // "exit status 1", "killed by SIGSEGV", or why it can't start
}

// String is for people.
func (s ProgramStatus) String() string {
	switch s.Exits {
	case 0:
		return string(s.State)
	case 1:
		return fmt.Sprintf("%s (ended once: %s)", s.State, s.Last)
	}
	return fmt.Sprintf("%s (ended %d times, last: %s)", s.State, s.Exits, s.Last)
}

// LogLine is one line of a program's output, from stdout or stderr.
type LogLine struct {
	Time time.Time `json:"time"`
	Text string    `json:"text"`
	// Note reports whether the line is the emulator's, about the program: started, exited, lines lost.
	Note bool `json:"note,omitempty"`
}

// Command is what runs once in an instance.
type Command struct {
	Argv []string // Argv[0] without a slash is looked for in PATH
	Env  []string // beyond PATH, HOME, LANG and INSTANCE, which it may replace
	Dir  string   // as seen inside the instance; empty: /
	// Stdin, Stdout and Stderr are passed on as they are where they are pipes, or with Terminal; other files are
	// copied from and to. Nil is /dev/null. They remain the caller's to close.
	Stdin, Stdout, Stderr *os.File
	// Terminal makes Stdin the controlling terminal: job control and Ctrl-C work.
	Terminal bool
}

// InstanceError is an error of what runs in an instance, which is named by its namespace.
type InstanceError struct {
	Instance string
	Err      error
}

// Error returns the name of the instance and what went wrong.
func (e *InstanceError) Error() string { return e.Instance + ": " + e.Err.Error() }

// Unwrap returns what went wrong.
func (e *InstanceError) Unwrap() error { return e.Err }

// Updated is what an update of a running network did.
type Updated struct {
	Removed, Added []string // namespaces; one that was made again is in both
	// Wait returns when all programs that the update started listen, or an error that names those that don't in time;
	// nil: it started none.
	Wait func(context.Context) error
}
