package live

import (
	"cmp"
	"context"
	"fmt"
	"net/http"
	"slices"
	"strings"

	"vnetlab/emu"
	"vnetlab/lab"
	"vnetlab/lab/expect"
)

// Difference is one thing that the kernel has otherwise than the lab wants.
type Difference = emu.Difference

// DiffResult lists where the kernel differs from what the lab wants; nothing when somebody else has changed nothing.
type DiffResult struct {
	Differences []emu.Difference `json:"differences"`
	// Firewall is, of an instance that was asked for, what differs in its guest firewall.
	Firewall *FirewallDrift `json:"firewall,omitempty"`
}

// FirewallDrift is what differs in the rules of a guest firewall.
type FirewallDrift struct {
	// Missing are the rules, in the short form, that the kernel doesn't have, or not all of.
	Missing []string `json:"missing"`
	// Extra are rules of the kernel that nobody wants, as iptables lists them.
	Extra []string `json:"extra"`
}

// RepairResult is what a repair has done.
type RepairResult = emu.Repair

// diff says where the kernel no longer is as the lab made it, everywhere or in one instance.
func (s *server) diff(w http.ResponseWriter, r *http.Request) {
	instance := r.FormValue("instance")
	if instance == "" {
		differences, err := s.emu.Diff(r.Context())
		if err != nil {
			refuse(w, err)
			return
		}
		answer(w, DiffResult{Differences: differencesInNames(s.now().lab, differences)})
		return
	}
	l := s.now().lab
	namespace, err := l.Namespace(instance)
	if err != nil {
		refuse(w, err)
		return
	}
	differences, err := s.emu.DiffNamespace(r.Context(), namespace)
	if err != nil {
		refuse(w, err)
		return
	}
	m, _ := l.Find(instance)
	answer(w, DiffResult{
		Differences: differencesInNames(l, differences), Firewall: s.firewallDrift(l, m.Instance, differences),
	})
}

// repair makes the kernel again what the lab wants.
func (s *server) repair(w http.ResponseWriter, _ *http.Request) {
	s.changing.Lock()
	defer s.changing.Unlock()
	s.packets.Lock()
	defer s.packets.Unlock()
	s.generation.Add(1)
	defer s.generation.Add(1)
	// Whoever asked may hang up; a repair that has begun is made.
	result, err := s.emu.Repair(context.Background())
	if err != nil {
		refuse(w, err)
		return
	}
	l := s.now().lab
	result.Repaired, result.Left = differencesInNames(l, result.Repaired), differencesInNames(l, result.Left)
	answer(w, result)
}

// differencesInNames returns differences with the names of the lab in place of those of namespaces, never nil.
func differencesInNames(l *lab.Lab, all []emu.Difference) []emu.Difference {
	named := make([]emu.Difference, len(all))
	for n, d := range all {
		d.Namespace = l.NamespaceName(d.Namespace)
		named[n] = d
	}
	slices.SortStableFunc(named, func(a, b emu.Difference) int { return cmp.Compare(a.Namespace, b.Namespace) })
	return named
}

// firewallDrift finds the rules of an instance that the kernel doesn't have; nil where it has no guest firewall.
func (s *server) firewallDrift(l *lab.Lab, i *lab.Instance, differences []emu.Difference) *FirewallDrift {
	if i == nil || i.FirewallOff {
		return nil
	}
	var wanted, found []string
	for _, d := range differences {
		if strings.HasPrefix(d.Object, emu.FirewallChain+" rule ") {
			wanted, found = appendNonEmpty(wanted, d.Wanted), appendNonEmpty(found, d.Found)
		}
	}
	drift := &FirewallDrift{[]string{}, without(found, wanted)}
	missing := without(wanted, found)
	spec, ok := s.now().network().Namespace(i.ID)
	if !ok || spec.Firewall == nil {
		return drift
	}
	for _, r := range l.FirewallRules(i) {
		if slices.ContainsFunc(spec.Firewall.Rules, func(f emu.FirewallRule) bool {
			isMissing := func(line string) bool { return slices.Contains(missing, line) }
			return f.Origin == r.Origin && strings.HasPrefix(r.Text, f.Comment) && slices.ContainsFunc(f.Lines(), isMissing)
		}) {
			drift.Missing = append(drift.Missing, r.String())
		}
	}
	return drift
}

func appendNonEmpty(all []string, s string) []string {
	if s != "" {
		all = append(all, s)
	}
	return all
}

// without returns what is in a and not in b, as often as it is more often there.
func without(a, b []string) []string {
	rest, left := slices.Clone(b), []string{}
	for _, s := range a {
		if i := slices.Index(rest, s); i >= 0 {
			rest = slices.Delete(rest, i, i+1)
			continue
		}
		left = append(left, s)
	}
	return left
}

// checkKernel returns a failed case where the kernel is not what the lab wants: what is tested then is not the lab.
// False: it is.
func (s *server) checkKernel(ctx context.Context) (expect.Case, bool) {
	differences, err := s.emu.Diff(ctx)
	if err == nil && len(differences) == 0 || ctx.Err() != nil {
		return expect.Case{}, false
	}
	c := expect.Case{Name: "the kernel is as the lab wants it", Expected: expect.AsWanted, Verdict: expect.Different}
	if err != nil {
		c.Verdict, c.Message = emu.Error, fmt.Sprintf("the kernel can't be compared with what the lab wants: %v", err)
		return c, true
	}
	for _, d := range differencesInNames(s.now().lab, differences) {
		c.Differences = append(c.Differences, d.Words())
	}
	c.Message = expect.Drift(c.Differences)
	return c, true
}
