package expect

import (
	"cmp"
	"fmt"
	"slices"

	"vnetlab/emu"
	"vnetlab/lab"
	"vnetlab/lab/oracle"
)

// ExposureProbe is one VIP port that the closed world asks about.
type ExposureProbe struct {
	// Name is the service's DNS name or, for a staging deployment, CloudService.StagingName: that stays the same from one deployment to
	// the next, while the DNS name in Target doesn't.
	Name   string
	Target lab.Target
	Listed bool // it is meant to be open
	Origin emu.Origin
}

// ExposureProbes lists every port that the internet could find open on a VIP of the lab: the public port of each endpoint and, in case a
// VIP lets through what it shouldn't, each port that an instance of the lab listens on. A staging deployment is as public as production: its
// open ports must be listed too, as SERVICE.staging:PORT. A lab that says nothing about its exposure has none.
func ExposureProbes(l *lab.Lab) []ExposureProbe {
	if l.Exposure == nil {
		return nil
	}
	type socket struct {
		protocol emu.Protocol
		port     uint16
	}
	everywhere := map[socket]bool{}
	for _, i := range l.Instances() {
		for _, s := range i.Services {
			everywhere[socket{s.Protocol, s.Port}] = true
		}
	}
	probes := map[lab.Target]*ExposureProbe{}
	add := func(name string, t lab.Target, o emu.Origin) *ExposureProbe {
		if probes[t] == nil {
			probes[t] = &ExposureProbe{Name: name, Target: t}
		}
		if probes[t].Origin.IsZero() {
			probes[t].Origin = o
		}
		return probes[t]
	}
	staging := map[string]string{} // DNS names
	for _, s := range l.CloudServices {
		for _, d := range s.Deployments() {
			name, dnsName := s.DNSName(), s.NameOf(d)
			if s.SlotOf(d) == lab.Staging {
				name = s.StagingName()
				staging[name] = dnsName
			}
			for at := range everywhere {
				add(name, lab.Target{Name: dnsName, Port: at.port, Protocol: at.protocol}, emu.Origin{})
			}
			for _, i := range d.Instances {
				for _, e := range i.Endpoints {
					add(name, lab.Target{Name: dnsName, Port: e.PublicPort, Protocol: e.Protocol}, e.Origin)
				}
			}
		}
	}
	for _, e := range l.Exposure {
		name, target := e.Name, e.Target
		if dnsName, ok := staging[name]; ok {
			target.Name = dnsName
		}
		p := add(name, target, e.Origin)
		p.Listed, p.Origin = true, e.Origin
	}
	all := make([]ExposureProbe, 0, len(probes))
	for _, p := range probes {
		all = append(all, *p)
	}
	slices.SortFunc(all, func(a, b ExposureProbe) int {
		return cmp.Or(cmp.Compare(a.Name, b.Name), cmp.Compare(a.Target.Port, b.Target.Port), cmp.Compare(a.Target.Protocol, b.Target.Protocol))
	})
	return all
}

// JudgeExposure compares what an internet host, from, saw of a VIP port with the lab's list.
func JudgeExposure(x ExposureProbe, from string, p oracle.Prediction, o emu.Observation) Case {
	c := Case{
		Name:     fmt.Sprintf("exposure %s:%d/%s", x.Name, x.Target.Port, x.Target.Protocol),
		Expected: NotOpen, Verdict: o.Verdict, By: o.By, Origin: x.Origin,
	}
	if x.Listed {
		c.Expected = string(emu.Open)
	}
	switch d := Difference(p, o); {
	case d != "":
		c.Message = d
	case x.Listed && o.Verdict != emu.Open:
		c.Message = fmt.Sprintf("listed as exposed, but from %s it is %s", from, Describe(o))
	case x.Listed:
		c.Passed = true
	case is(o, emu.Open):
		c.Message = fmt.Sprintf("%s reaches it, and it is not listed as exposed", from)
		if o.Verdict == emu.Mixed {
			c.Message += ": " + DescribeMembers(o.Members)
		}
	case is(o, emu.Timeout), is(o, emu.Error), is(o, emu.WrongHost):
		c.Message = "whether it is open is not known: " + Describe(o)
	default:
		c.Passed = true
	}
	return c
}

// is reports whether an observation has a verdict, or a member of it has.
func is(o emu.Observation, v emu.Verdict) bool {
	return o.Verdict == v || slices.ContainsFunc(o.Members, func(m emu.MemberObservation) bool { return m.Verdict == v })
}
