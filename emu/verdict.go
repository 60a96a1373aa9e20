package emu

import (
	"net/netip"
	"time"
)

// Verdict is the answer to "can A reach B". The set is closed.
type Verdict string

const (
	Open       Verdict = "open"       // the connection was accepted
	Refused    Verdict = "refused"    // the host answered that nothing listens
	Blocked    Verdict = "blocked"    // a rule dropped it, and the drop is proved
	NoBackend  Verdict = "no-backend" // an endpoint exists, nothing healthy stands behind it
	Mixed      Verdict = "mixed"      // the members that this source may be given disagree
	WrongHost  Verdict = "wrong-host" // another machine than the one meant accepted the connection
	Unresolved Verdict = "unresolved" // the name has no address
	Timeout    Verdict = "timeout"    // no answer, and no proof why
	Error      Verdict = "error"      // the probe could not be made
)

// Verdicts lists them all.
var Verdicts = []Verdict{Open, Refused, Blocked, NoBackend, Mixed, WrongHost, Unresolved, Timeout, Error}

// NoBackendPrefix starts the id of each rule that drops for want of a healthy backend.
const NoBackendPrefix = "no-backend:"

// Target is what a probe tries to reach.
type Target struct {
	Name     string     `json:"name"`             // as the user wrote it; also the HTTP host asked for
	Address  netip.Addr `json:"address,omitzero"` // zero: Name is looked up where the probe starts
	Port     uint16     `json:"port"`
	Protocol Protocol   `json:"protocol"`
	// Meant are the namespaces of which one must answer; where another accepts the connection, that is [WrongHost].
	// None: any.
	Meant []string `json:"meant,omitempty"`
	// Source is the address of the namespace that the probe starts from; zero: the one that its routes choose.
	Source netip.Addr `json:"source,omitzero"`
}

// Observation is what the kernel did with one probe.
type Observation struct {
	Verdict Verdict    `json:"verdict"`
	Address netip.Addr `json:"address,omitzero"` // that was tried
	// By names the rule that dropped the packets, for Blocked and NoBackend.
	By *RuleReference `json:"by,omitempty"`
	// SeenAs is the source address that the listener saw, AnsweredBy the namespace it is in; known when the listener
	// is built in.
	SeenAs     netip.Addr    `json:"seenAs,omitzero"`
	AnsweredBy string        `json:"answeredBy,omitempty"`
	RTT        time.Duration `json:"-"`                // of the handshake
	Detail     string        `json:"detail,omitempty"` // for Error and Timeout: what happened
	// Drift is set for a Timeout if a namespace on the way differs from the lab. Detail has the differences.
	Drift bool `json:"drift,omitempty"`
	// Members are the members of a load-balanced set that this source may be given, each with the result of its
	// connection. There are none where only one can be given.
	Members []MemberObservation `json:"members,omitempty"`
}

// MemberObservation is the result of a connection that was given to one member of a load-balanced set.
type MemberObservation struct {
	// Namespace is that of the member; where the connection was dropped before one was chosen, the one that dropped it.
	Namespace string         `json:"namespace"`
	Verdict   Verdict        `json:"verdict"`
	By        *RuleReference `json:"by,omitempty"`
	SeenAs    netip.Addr     `json:"seenAs,omitzero"`
	Detail    string         `json:"detail,omitempty"`
	Drift     bool           `json:"drift,omitempty"` // as of an observation
}

// Same reports whether two members are one, with one verdict by one rule.
func (m MemberObservation) Same(o MemberObservation) bool {
	return m.Namespace == o.Namespace && m.Verdict == o.Verdict && m.By.Same(o.By)
}

// Same reports whether two references are to one rule, or both to none.
func (r *RuleReference) Same(o *RuleReference) bool {
	if r == nil || o == nil {
		return r == o
	}
	return r.Namespace == o.Namespace && r.ID == o.ID
}

// RuleReference names a rule of a namespace.
type RuleReference struct {
	Namespace string `json:"namespace"`
	ID        string `json:"rule"`
	Text      string `json:"text,omitempty"` // the rule's comment
	Origin    Origin `json:"origin,omitzero"`
}

// Named returns the observation with other names of its namespaces.
func (o Observation) Named(name func(namespace string) string) Observation {
	o.By = o.By.Named(name)
	if o.AnsweredBy != "" {
		o.AnsweredBy = name(o.AnsweredBy)
	}
	members := o.Members
	o.Members = nil
	for _, m := range members {
		m.Namespace, m.By = name(m.Namespace), m.By.Named(name)
		o.Members = append(o.Members, m)
	}
	return o
}

// Named returns the reference with another name of its namespace; nil stays nil.
func (r *RuleReference) Named(name func(namespace string) string) *RuleReference {
	if r == nil {
		return nil
	}
	called := *r
	called.Namespace = name(r.Namespace)
	return &called
}

// Rule returns what the network has on a rule, by its namespace and id.
func (n *Network) Rule(namespace, id string) (RuleReference, bool) {
	if s, ok := n.Namespace(namespace); ok {
		return s.Rule(id)
	}
	return RuleReference{Namespace: namespace, ID: id}, false
}

// Rule returns what is known of a rule of the namespace, by its id, which is the rule's own ([Namespace.CheckRules]).
func (s *Namespace) Rule(id string) (RuleReference, bool) {
	ref := RuleReference{Namespace: s.Name, ID: id}
	for _, t := range s.Rulesets() {
		for _, c := range t.Chains {
			for _, r := range c.Rules {
				if r.ID == id {
					ref.Text, ref.Origin = r.Comment, r.Origin
					return ref, true
				}
			}
		}
	}
	if s.Firewall != nil {
		if id == FirewallDefault {
			ref.Text, ref.Origin = "guest firewall: inbound is blocked unless a rule allows it", s.Firewall.Default
			return ref, true
		}
		for _, r := range s.Firewall.Rules {
			if r.ID == id {
				ref.Text, ref.Origin = r.Comment, r.Origin
				return ref, true
			}
		}
	}
	return ref, false
}
