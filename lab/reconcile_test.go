package lab_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"vnetlab/lab"
)

// TestReconcileNotices holds of random operations that a lab in which they changed anything that can be described is not taken for the lab
// that it was.
func TestReconcileNotices(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		l := everythingToChange(t)
		for range rapid.IntRange(1, 12).Draw(rt, "operations") {
			o := anyOperation(rt)
			next, err := l.Apply(o)
			if err != nil {
				continue
			}
			operations, err := lab.Reconcile(next, l)
			if changed := describedAs(next) != describedAs(l); changed != (len(operations) > 0 || err != nil) {
				rt.Fatalf(
					"after %s, which changes the description: %t, there is to do: %v %v\n%s\n%s",
					o,
					changed,
					operations,
					err,
					describedAs(l),
					describedAs(next),
				)
			}
			l = next
		}
	})
}

// describedAs is what a lab file would say of a lab.
func describedAs(l *lab.Lab) string {
	var b strings.Builder
	fmt.Fprintln(&b, l.Boundary)
	for _, n := range l.VirtualNetworks {
		fmt.Fprintln(&b, n.Name, n.Location, n.AffinityGroup, n.AddressSpace, n.Subnets, n.DNSServers, n.Gateway != nil)
	}
	for _, n := range l.LocalNetworks {
		fmt.Fprintln(&b, n.Name, n.AddressSpace, n.VPNGatewayAddress)
	}
	for _, r := range l.ReservedIPs {
		fmt.Fprintln(&b, r.Name, r.Location)
	}
	for _, g := range l.AffinityGroups {
		fmt.Fprintln(&b, g.Name, g.Location)
	}
	var parts []string
	for _, s := range l.CloudServices {
		parts = append(
			parts,
			fmt.Sprintln(s.Name, s.Location, s.AffinityGroup, len(s.Deployments()) > 0 || s.VirtualNetwork != ""),
		)
		for _, d := range s.Deployments() {
			parts = append(parts, fmt.Sprintln(s.Name, s.SlotOf(d), d.Kind, d.VirtualNetwork, d.ReservedIP))
			for _, r := range d.Roles {
				parts = append(
					parts,
					fmt.Sprintln(s.Name, s.SlotOf(d), r.Name, r.InstanceCount, r.InputEndpoints, r.Services),
				)
			}
			for _, i := range d.Instances {
				var endpoints []string
				for _, e := range i.Endpoints {
					endpoints = append(
						endpoints,
						fmt.Sprint(
							e.Name,
							e.Protocol,
							e.PublicPort,
							e.LocalPort,
							e.LoadBalancedSet,
							e.ACL,
							e.Probe != nil,
						),
					)
				}
				slices.Sort(endpoints)
				var rules []string
				for _, r := range i.Firewall {
					rules = append(rules, r.Text)
				}
				parts = append(
					parts,
					fmt.Sprintln(
						s.Name,
						s.SlotOf(d),
						i.Name,
						i.OS,
						i.Subnet,
						i.State,
						i.PublicIPName,
						endpoints,
						i.FirewallOff,
						rules,
						i.Services,
						i.Boundary,
					),
				)
			}
		}
	}
	for _, m := range l.Members() {
		if m.Instance == nil {
			parts = append(parts, fmt.Sprintln(m.Describe(), m.ID(), m.Address(), m.Services(), m.Boundary()))
		}
	}
	slices.Sort(parts)
	return b.String() + strings.Join(parts, "")
}
