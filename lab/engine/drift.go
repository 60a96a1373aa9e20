package engine

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"

	"vnetlab/emu"
	"vnetlab/lab"
	"vnetlab/lab/api"
	"vnetlab/lab/expect"
)

// Diff lists where the kernel differs from what the lab made.
func (e *Engine) Diff(ctx context.Context) (api.DiffResult, error) {
	e.packets.RLock() // so that the names are those of the lab that was compared
	defer e.packets.RUnlock()
	differences, err := e.emu.Diff(ctx)
	if err != nil {
		return api.DiffResult{}, err
	}
	return api.DiffResult{Differences: differencesInNames(e.now().lab, differences)}, nil
}

// DiffInstance is Diff for one instance, with its guest firewall.
func (e *Engine) DiffInstance(ctx context.Context, instance string) (api.DiffResult, error) {
	e.packets.RLock()
	defer e.packets.RUnlock()
	l := e.now().lab
	namespace, err := l.Namespace(instance)
	if err != nil {
		return api.DiffResult{}, err
	}
	differences, err := e.emu.DiffNamespace(ctx, namespace)
	if err != nil {
		return api.DiffResult{}, err
	}
	m, _ := l.Find(instance)
	return api.DiffResult{
		Differences: differencesInNames(l, differences), Firewall: e.firewallDrift(l, m.Instance, differences),
	}, nil
}

// Repair makes the kernel again what the lab wants.
func (e *Engine) Repair() (api.RepairResult, error) {
	if err := e.begin(); err != nil {
		return api.RepairResult{}, err
	}
	defer e.changing.Unlock()
	// The caller may hang up; a repair that has begun is finished.
	result, err := movePackets(e, func() (*emu.Repair, error) { return e.emu.Repair(context.Background()) })
	if err != nil {
		return api.RepairResult{}, err
	}
	l := e.now().lab
	result.Repaired, result.Left = differencesInNames(l, result.Repaired), differencesInNames(l, result.Left)
	return *result, nil
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
func (e *Engine) firewallDrift(l *lab.Lab, i *lab.Instance, differences []emu.Difference) *api.FirewallDrift {
	if i == nil || i.FirewallOff {
		return nil
	}
	var wanted, found []string
	for _, d := range differences {
		if strings.HasPrefix(d.Object, emu.FirewallChain+" rule ") {
			wanted, found = appendNonEmpty(wanted, d.Wanted), appendNonEmpty(found, d.Found)
		}
	}
	drift := &api.FirewallDrift{Missing: []string{}, Extra: without(found, wanted)}
	missing := without(wanted, found)
	spec, ok := e.now().network().Namespace(i.ID)
	if !ok || spec.Firewall == nil {
		return drift
	}
	for _, r := range l.FirewallRules(i) {
		if slices.ContainsFunc(spec.Firewall.Rules, func(f emu.FirewallRule) bool {
			isMissing := func(line string) bool { return slices.Contains(missing, line) }
			return f.Origin == r.Origin && strings.HasPrefix(r.Text, f.Comment) &&
				slices.ContainsFunc(f.Lines(), isMissing)
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
func (e *Engine) checkKernel(ctx context.Context) (api.Case, bool) {
	differences, err := e.Diff(ctx)
	if err == nil && len(differences.Differences) == 0 || ctx.Err() != nil {
		return api.Case{}, false
	}
	c := api.Case{Name: "the kernel is as the lab wants it", Expected: expect.AsWanted, Verdict: expect.Different}
	if err != nil {
		c.Verdict, c.Message = emu.Error, fmt.Sprintf("the kernel can't be compared with what the lab wants: %v", err)
		return c, true
	}
	for _, d := range differences.Differences {
		c.Differences = append(c.Differences, d.Words())
	}
	c.Message = expect.Drift(c.Differences)
	return c, true
}
