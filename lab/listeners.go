package lab

import (
	"errors"

	"vnetlab/emu"
)

// Service is something that listens in an instance, a web site or an internet host.
type Service struct {
	Port     uint16
	Protocol emu.Protocol
	Command  string // empty: the built-in listener
	Dir      string // where the command runs
	// RemoteDesktop makes the built-in listener stand for the remote desktop of a role instance, or for the forwarder
	// to those of its deployment.
	RemoteDesktop emu.RemoteDesktop
	Origin        Origin
}

func checkServices(services []Service) (errs []error) {
	type at struct {
		protocol emu.Protocol
		port     uint16
	}
	seen := map[at]bool{}
	for _, s := range services {
		if seen[at{s.Protocol, s.Port}] {
			errs = append(errs, badRequest("Two services listen on port %d/%s.", s.Port, s.Protocol).At(s.Origin))
		}
		if s.RemoteDesktop != "" && (s.Command != "" || s.Protocol != emu.TCP) {
			errs = append(
				errs,
				badRequest(
					"Remote desktop is a built-in listener on a TCP port, not on %d/%s.",
					s.Port,
					s.Protocol,
				).At(s.Origin),
			)
		}
		seen[at{s.Protocol, s.Port}] = true
	}
	return errs
}

// SetServicesOp is [Lab.SetServices] as an operation.
type SetServicesOp struct {
	Member   string
	Services []Service
}

func (o SetServicesOp) Do(l *Lab) error { return l.SetServices(o.Member, o.Services) }

func (o SetServicesOp) String() string { return "change what listens in " + o.Member }

// SetServices replaces what listens in a member of the lab.
func (l *Lab) SetServices(member string, services []Service) error {
	m, err := l.member(member)
	if err != nil {
		return err
	}
	if errs := checkServices(services); len(errs) > 0 {
		return errors.Join(errs...)
	}
	l.changeMember(m, func(now *[]Service, _ *emu.Boundary) { *now = services })
	return nil
}

func init() {
	register(
		SetServicesOp{},
	)
}
