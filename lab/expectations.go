package lab

import (
	"errors"
	"slices"
	"strings"

	"vnetlab/emu"
)

// Expect adds an expectation. Every name in it must be known: a misspelt name never passes for an unreachable one.
func (l *Lab) Expect(e Expectation) error {
	var errs []error
	check := func(err error) {
		var refusal *Error
		if errors.As(err, &refusal) {
			errs = append(errs, refusal.At(e.Origin))
		}
	}
	_, err := l.Namespace(e.From)
	check(err)
	_, err = l.EmuTarget(e.To)
	check(err)
	if e.SeenAs != "" {
		_, err := l.addressNamed(e.SeenAs)
		check(err)
	}
	for _, name := range e.AnsweredBy {
		_, err := l.Namespace(name)
		check(err)
	}
	if e.To.Protocol == emu.UDP && e.HTTP != nil {
		check(badRequest("HTTP is asked for over tcp, not udp."))
	}
	if !slices.Contains(emu.Verdicts, e.Verdict) {
		check(badRequest("%s is not a verdict.", shorten(string(e.Verdict))))
	}
	if e.Verdict != emu.Open && (e.SeenAs != "" || len(e.AnsweredBy) > 0 || e.HTTP != nil) {
		check(badRequest("seenAs, answeredBy and http can be expected of the verdict open alone."))
	}
	if len(errs) > 0 {
		return errors.Join(errs...)
	}
	l.Expectations = append(l.Expectations, e)
	return nil
}

// addressNamed refuses a name that no source address goes by.
func (l *Lab) addressNamed(name string) (string, error) {
	if _, ok := l.Find(name); ok {
		return name, nil
	}
	for _, r := range l.PublicNames() {
		if strings.EqualFold(r.Name, name) {
			return name, nil
		}
	}
	candidates := l.memberNames()
	for _, r := range l.PublicNames() {
		candidates = append(candidates, r.Name)
	}
	return "", didYouMean(notFound("The lab %s has nothing named %s.", l.Name, shorten(name)), name, candidates)
}

// StagingName is what stands for the VIP of a service's staging deployment in a list of exposed ports. Its DNS name is hard to guess, and
// another one after each deployment.
func (s *CloudService) StagingName() string { return s.Name + ".staging" }

// ExpectExposure says that the internet reaches these VIP ports and no others. A port is on a service's DNS name or StagingName.
func (l *Lab) ExpectExposure(ports []ExposedPort) error {
	var errs []error
	known := names(l.CloudServices, (*CloudService).DNSName)
	for _, s := range l.CloudServices {
		if s.Staging != nil {
			known = append(known, s.StagingName())
		}
	}
	for _, p := range ports {
		if !slices.Contains(known, p.Name) {
			errs = append(errs, didYouMean(notFound("%s is not the DNS name of a cloud service of this lab.", shorten(p.Name)), p.Name, known).At(p.Origin))
		}
	}
	if len(errs) > 0 {
		return errors.Join(errs...)
	}
	if l.Exposure == nil {
		l.Exposure = []ExposedPort{}
	}
	l.Exposure = append(l.Exposure, ports...)
	return nil
}
