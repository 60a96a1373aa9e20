package emulator

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"os"
	"strings"

	"vnetlab/emu"
	"vnetlab/emu/process"
)

// ServiceStatus is the state of one listener.
type ServiceStatus = emu.ServiceStatus

// Services lists the status of every service, in the order of the network.
func (e *Emulator) Services() []ServiceStatus {
	var all []ServiceStatus
	for _, spec := range e.Network().Namespaces {
		programs := map[string]process.ProgramStatus{}
		if in := e.instanceOf(spec.Name); in != nil {
			for _, p := range in.Programs() {
				programs[p.Service] = p
			}
		}
		for _, s := range spec.Services {
			status := ServiceStatus{
				Namespace: spec.Name,
				Service:   s.Name,
				Port:      s.Port,
				Protocol:  s.Protocol,
				Command:   s.Command,
			}
			if p, ok := programs[s.Name]; ok {
				status.Program = &p
			}
			all = append(all, status)
		}
	}
	return all
}

// Exec runs a command in a namespace until it ends and returns its exit code; see [process.Instance.Exec].
func (e *Emulator) Exec(ctx context.Context, namespace string, c process.Command) (int, error) {
	in, err := e.instance(namespace)
	if err != nil {
		return -1, err
	}
	return in.Exec(ctx, c)
}

// OpenTerminal makes a pseudo-terminal in a namespace; see [process.Instance.OpenTerminal].
func (e *Emulator) OpenTerminal(namespace string) (master, slave *os.File, err error) {
	in, err := e.instance(namespace)
	if err != nil {
		return nil, nil, err
	}
	return in.OpenTerminal()
}

// Logs returns the last lines that a service's program printed, or all that are kept if last is negative; with follow
// also the lines to come, until ctx ends. An empty service means the only program of the namespace. The text of an
// error is a predicate without a subject: the caller puts the name of the namespace before it.
func (e *Emulator) Logs(
	ctx context.Context,
	namespace, service string,
	last int,
	follow bool,
) (iter.Seq[process.Line], error) {
	name, err := e.programNamed(namespace, service)
	if err != nil {
		return nil, err
	}
	in, err := e.instance(namespace)
	if err != nil {
		return nil, err
	}
	log, ok := in.Logs(name)
	if !ok {
		return nil, fmt.Errorf("has never started the program of service %s", name)
	}
	return log.Lines(ctx, last, follow), nil
}

// programNamed finds a service that is a program, by its name or its port.
func (e *Emulator) programNamed(namespace, service string) (string, error) {
	spec, ok := e.Network().Namespace(namespace)
	if !ok {
		return "", errors.New("is no namespace that is there")
	}
	var programs []string
	for _, s := range spec.Services {
		named := s.Name == service || fmt.Sprint(s.Port) == service
		switch {
		case named && s.BuiltIn():
			return "", fmt.Errorf("has a built-in listener for service %s, which prints nothing", s.Name)
		case named:
			return s.Name, nil
		case !s.BuiltIn():
			programs = append(programs, s.Name)
		}
	}
	switch {
	case service != "":
		return "", fmt.Errorf("has no service %s%s", service, listOf(programs))
	case len(programs) == 0:
		return "", errors.New("runs no program, so there is no output")
	case len(programs) > 1:
		return "", fmt.Errorf("runs several programs, name one%s", listOf(programs))
	}
	return programs[0], nil
}

func listOf(programs []string) string {
	if len(programs) == 0 {
		return ""
	}
	return ": " + strings.Join(programs, ", ")
}

// Limits returns limits with the machine's defaults in place of zeros; see [process.EffectiveLimits].
func (e *Emulator) Limits(l emu.Limits) emu.Limits { return process.EffectiveLimits(l) }

// Unbounded returns the names of the limits that this machine can't enforce.
func (e *Emulator) Unbounded() []string { return process.Unbounded() }
