package labfile

import (
	"errors"
	"maps"
	"slices"
	"strings"
	"unicode/utf8"

	"vnetlab/emu"
	"vnetlab/lab"
	"vnetlab/lab/guestfirewall"
	"vnetlab/lab/spelling"
)

// firewall reads the rules of a guest firewall. Without any, its position is that of the instance.
func (l *loader) firewall(f *Firewall, instance emu.Origin) (rules []lab.GuestFirewallRule, off bool,
	origin emu.Origin,
) {
	if f == nil {
		return nil, false, instance
	}
	var policy []lab.GuestFirewallRule
	for _, item := range f.Rules {
		if item.Text == "" {
			continue // it isn't a text, which is an error already
		}
		command, err := guestfirewall.ParseCommand(item.Text)
		var wrong *guestfirewall.Error
		switch {
		case errors.As(err, &wrong):
			l.problems = append(l.problems, invalid(l.inside(item, wrong.Offset), "%s", wrong.Message).
				hint("%s", wrong.Hint))
			continue
		case err != nil:
			l.problems = append(l.problems, invalid(item.Origin, "%v", err))
			continue
		}
		for _, text := range command.Notes {
			l.note(item.Origin, "%s", text)
		}
		target := &rules
		if command.Policy { // as on Windows, the last one counts
			target, policy = &policy, nil
		}
		for _, rule := range command.Rules {
			if rule.Inactive != "" {
				l.notes = append(l.notes, Note{Origin: item.Origin, Text: "the rule has no effect: " + rule.Inactive})
			}
			if rule.Note != "" {
				l.note(item.Origin, "%s", rule.Note)
			}
			*target = append(*target, lab.GuestFirewallRule{Rule: rule, Origin: item.Origin})
		}
		if command.Switch != guestfirewall.Unchanged { // so does the last of these
			off = command.Switch == guestfirewall.TurnOff
		}
	}
	return append(rules, policy...), off || f.Off, f.Origin
}

// inside returns the position of an offset in a text, if the file has the text literally; otherwise that of the
// text.
func (l *loader) inside(r Reference, offset int) emu.Origin {
	lines := l.sources[r.Origin.File]
	if r.Origin.Line > len(lines) || offset > len(r.Text) {
		return r.Origin
	}
	line := []rune(lines[r.Origin.Line-1])
	if r.Origin.Column > len(line) {
		return r.Origin
	}
	rest := string(line[r.Origin.Column-1:])
	at := r.Origin
	at.Column += utf8.RuneCountInString(r.Text[:offset])
	switch {
	case strings.HasPrefix(rest, r.Text):
		return at
	case strings.HasPrefix(rest, `"`+r.Text), strings.HasPrefix(rest, `'`+r.Text):
		at.Column++
		return at
	}
	return r.Origin
}

// listener is a protocol and port to listen on.
type listener struct {
	protocol emu.Protocol
	port     uint16
}

// services turns the listeners of an instance into requests. They may name the endpoints.
func (l *loader) services(all []Service, endpoints map[string]listener, owner string) (requests []lab.Service) {
	for _, s := range all {
		at := listener{protocol(s.Protocol), uint16(s.Port)}
		if name := s.Endpoint.Text; name != "" {
			endpoint, ok := endpoints[name]
			if !ok {
				l.unknownEndpoint(s.Endpoint, endpoints, owner)
				continue
			}
			at.port = endpoint.port
			if s.Protocol == "" {
				at.protocol = endpoint.protocol
			}
		}
		requests = append(requests, l.service(at, s.Real, s.Run, s.Origin))
	}
	return requests
}

func (l *loader) unknownEndpoint(r Reference, endpoints map[string]listener, owner string) {
	known := slices.Sorted(maps.Keys(endpoints))
	p := invalid(r.Origin, "the %s has no endpoint %s", owner, quoted(r.Text))
	if near, ok := spelling.Nearest(r.Text, known); ok {
		p = p.hint("Did you mean %s?", near)
	} else if len(known) > 0 {
		p = p.hint("It has: %s.", strings.Join(known, ", "))
	}
	l.problems = append(l.problems, p)
}

func (l *loader) hostServices(all []HostService) (requests []lab.Service) {
	for _, s := range all {
		requests = append(requests, l.service(listener{protocol(s.Protocol), uint16(s.Port)}, s.Real, s.Run, s.Origin))
	}
	return requests
}

// service chooses the program: the real one with Options.Real, otherwise a built-in listener.
func (l *loader) service(at listener, real, run Text, origin emu.Origin) lab.Service {
	s := lab.Service{Port: at.port, Protocol: at.protocol, Command: string(run), Origin: origin}
	if l.opts.Real && real != "" {
		s.Command = string(real)
	}
	if s.Command != "" {
		s.Dir = l.dir
	}
	return s
}
