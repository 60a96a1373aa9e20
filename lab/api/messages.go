package api

import (
	"net/netip"

	"vnetlab/emu"
	"vnetlab/lab"
)

// LabRequest selects what to describe of a lab.
type LabRequest struct {
	// About is a name; only the cloud services that it may belong to are described: that of an instance, or the cloud
	// service itself. Empty: everything is.
	About string `json:"about,omitempty"`
}

// DiffRequest selects what to compare with the kernel.
type DiffRequest struct {
	Instance string `json:"instance,omitempty"` // empty: the whole lab
}

// DiffResult lists where the kernel differs from what the lab wants.
type DiffResult struct {
	Differences []emu.Difference `json:"differences"`
	// Firewall is, for one instance, what differs in its guest firewall.
	Firewall *FirewallDrift `json:"firewall,omitempty"`
}

// FirewallDrift is what differs in the rules of a guest firewall.
type FirewallDrift struct {
	// Missing are the rules, in the short form, of which the kernel lacks something.
	Missing []string `json:"missing"`
	// Extra are unwanted rules of the kernel, as iptables lists them.
	Extra []string `json:"extra"`
}

// RepairResult is the outcome of a repair.
type RepairResult = emu.Repair

// ProbeRequest asks whether From reaches To.
type ProbeRequest struct {
	From string `json:"from"`
	To   string `json:"to"` // NAME:PORT, with /udp for UDP
}

// ProbeResult is the answer.
type ProbeResult struct {
	From     string             `json:"from"`
	To       string             `json:"to"`
	Address  netip.Addr         `json:"address,omitzero"` // that was tried
	Port     uint16             `json:"port"`
	Protocol emu.Protocol       `json:"protocol"`
	Verdict  emu.Verdict        `json:"verdict"`
	By       *emu.RuleReference `json:"by"` // the rule that decided, for blocked and no-backend
	// SeenAs and AnsweredBy are names of the lab; empty where no built-in listener answered.
	SeenAs        string     `json:"seenAs"`
	SeenAsAddress netip.Addr `json:"seenAsAddress,omitzero"`
	AnsweredBy    string     `json:"answeredBy"`
	RTTMicros     int64      `json:"rttMicros"`        // of the handshake; 0 when there was none
	Detail        string     `json:"detail,omitempty"` // what happened, for timeout and error
	// Members are the members of a load-balanced set that this source may be given, each with the outcome of a
	// connection to it; none where there is only one.
	Members []ProbeMember `json:"members,omitempty"`
	// Predicted is the model's verdict; null where the model has none. Where the packets disagree, Agrees is false and
	// Difference explains how.
	Predicted  *Prediction `json:"predicted"`
	Agrees     bool        `json:"agrees"`
	Difference string      `json:"difference,omitempty"`
}

// ProbeMember is the outcome of a connection to one member of a load-balanced set.
type ProbeMember struct {
	// Member is the instance; where the connection was dropped before one was chosen, the namespace that dropped it.
	Member        string             `json:"member"`
	Verdict       emu.Verdict        `json:"verdict"`
	By            *emu.RuleReference `json:"by"`
	SeenAs        string             `json:"seenAs"`
	SeenAsAddress netip.Addr         `json:"seenAsAddress,omitzero"`
	Detail        string             `json:"detail,omitempty"`
}

// Prediction is the model's verdict on a probe.
type Prediction struct {
	Verdict emu.Verdict        `json:"verdict"`
	By      *emu.RuleReference `json:"by"`
}

// TestRequest selects the expectations to check.
type TestRequest struct {
	// File is a lab file, by its absolute path and with the name of the running lab, whose expectations are checked;
	// nil: the lab's own.
	File *File `json:"file,omitempty"`
	// Given is checked instead of what a file expects.
	Given *Given `json:"given,omitempty"`
}

// Given is what is expected of the lab at one moment, in the middle of changes.
type Given struct {
	Expectations []lab.Expectation `json:"expectations"`
	// Exposure lists every port that the internet is meant to reach; nil: it isn't checked.
	Exposure *[]lab.ExposedPort `json:"exposure"`
}

// TestMessage is a line of the answer to a test: a finished case, in the order of the file, or at the end the result.
type TestMessage struct {
	Case   *Case       `json:"case,omitempty"`
	Result *TestResult `json:"result,omitempty"`
}

// Case is one expectation with its outcome.
type Case struct {
	Name   string `json:"name"`
	Passed bool   `json:"passed"`
	// Expected is a verdict, or one of the words of package expect for a whole lab or its exposure.
	Expected string             `json:"expected"`
	Verdict  emu.Verdict        `json:"verdict"`
	By       *emu.RuleReference `json:"by"` // of a verdict that a rule decided
	// Members are the observations of each member of a load-balanced set, where the source may be given several.
	Members []emu.MemberObservation `json:"members,omitempty"`
	// AnsweredBy and SeenAs are what was expected of an open connection beyond that.
	AnsweredBy []string `json:"answeredBy,omitempty"`
	SeenAs     string   `json:"seenAs,omitempty"`
	// Exposed, of a case about the exposure, lists what of it the rules let the internet through to, as a list of
	// exposed ports names it. Answers describes whether anything answers there.
	Exposed []string `json:"exposed,omitempty"`
	Answers string   `json:"answers,omitempty"`
	// Message explains why the case failed; empty for a case that passed.
	Message string `json:"message"`
	// Differences are where the running lab is not the one to be tested, or the kernel not as the lab wants it.
	Differences []string   `json:"differences,omitempty"`
	Origin      emu.Origin `json:"origin,omitzero"` // of the expectation
}

// TestResult is the outcome of all expectations of a lab.
type TestResult struct {
	Lab    string `json:"lab"`
	Passed int    `json:"passed"`
	Failed int    `json:"failed"`
	Cases  []Case `json:"cases"`
	// Notes are what a reader of the result should know and no case is about.
	Notes []string `json:"notes,omitempty"`
}

// Add counts a case.
func (r *TestResult) Add(c Case) {
	r.Cases = append(r.Cases, c)
	if c.Passed {
		r.Passed++
	} else {
		r.Failed++
	}
}

// LogsRequest selects the output of a program.
type LogsRequest struct {
	Instance string `json:"instance"`
	Service  string `json:"service,omitempty"` // name or port; empty: the only program of the instance
	Last     int    `json:"last,omitempty"`    // at most as many lines; 0: all that are kept
	Follow   bool   `json:"follow,omitempty"`  // go on until the client hangs up
}

// ExecRequest is a command to run.
type ExecRequest struct {
	Instance string   `json:"instance"` // or an internet host, a web site, a namespace of the fabric
	Argv     []string `json:"argv"`
	Env      []string `json:"env,omitempty"` // NAME=VALUE, beyond what every command gets
	Dir      string   `json:"dir,omitempty"` // as seen inside; empty: /
	Terminal bool     `json:"terminal"`      // stdin is a terminal, and becomes the command's controlling terminal
}

// ExecAnswer is how a command ended.
type ExecAnswer struct {
	Exit  int    `json:"exit"`
	Error *Error `json:"error,omitempty"`
}

// TerminalRequest names the instance that gets a pseudo-terminal.
type TerminalRequest struct {
	Instance string `json:"instance"`
}

// TerminalAnswer comes with both ends of the pseudo-terminal, master first, unless there is an error.
type TerminalAnswer struct {
	Error *Error `json:"error,omitempty"`
}

// ForwardRequest is where a connection of the host goes in the lab.
type ForwardRequest struct {
	From string `json:"from"` // an instance, internet host or web site; empty: an internet host
	To   string `json:"to"`   // NAME:PORT, TCP
}

// ForwardAnswer comes when the connection in the lab is made, or can't be.
type ForwardAnswer struct {
	Error *Error `json:"error,omitempty"`
}

// ApplyRequest is what the lab is to become.
type ApplyRequest struct {
	// File is a lab file, by its absolute path, with the name of the running lab.
	File File `json:"file"`
	// DryRun lists what would be done, or refuses it, and changes nothing.
	DryRun bool `json:"dryRun"`
}

// RestartRequest names the instance to restart.
type RestartRequest struct {
	Instance string `json:"instance"`
}

// ChangeResult is what a change did.
type ChangeResult struct {
	// Operations are the operations in order, as a person reads them. Of a dry run: those that would be done.
	Operations []string `json:"operations"`
	// Warnings are what isn't as it should be although the change was made: a program that doesn't listen.
	Warnings []string `json:"warnings"`
}
