package lab

import (
	"regexp"
	"slices"
	"strings"

	"vnetlab/lab/spelling"
)

var (
	labName       = regexp.MustCompile(`^[a-z][a-z0-9-]{0,30}$`)
	resourceName  = regexp.MustCompile(`^[A-Za-z][A-Za-z0-9_-]{0,62}$`)
	serviceName   = regexp.MustCompile(`^[a-z0-9][a-z0-9-]{1,61}[a-z0-9]$`)
	windowsName   = regexp.MustCompile(`^[A-Za-z0-9]([A-Za-z0-9-]{0,13}[A-Za-z0-9])?$`)
	linuxName     = regexp.MustCompile(`^[A-Za-z0-9]([A-Za-z0-9-]{0,61}[A-Za-z0-9])?$`)
	roleName      = regexp.MustCompile(`^[A-Za-z0-9_]([A-Za-z0-9_.-]{0,61}[A-Za-z0-9_])?$`)
	endpointName  = regexp.MustCompile(`^[A-Za-z][A-Za-z0-9 _-]{0,29}$`)
	onlyDigits    = regexp.MustCompile(`^[0-9]+$`)
	reservedNames = []string{"internet", "datacenter", "edge", "localhost", AnybodyName}
)

// checkName refuses a name that doesn't match, saying what is allowed.
func checkName(kind, name string, pattern *regexp.Regexp, allowed string) *Error {
	switch {
	case name == "":
		return badRequest("The name of the %s is empty.", kind)
	case slices.Contains(reservedNames, strings.ToLower(name)):
		return badRequest("The name %s is reserved.", name).WithHint("Choose another name for the %s.", kind)
	case !pattern.MatchString(name):
		return badRequest("The name %s is not valid for a %s.", shorten(name), kind).WithHint("Allowed: %s.", allowed)
	}
	return nil
}

func shorten(s string) string {
	if len(s) > 64 {
		s = s[:61] + "..."
	}
	return "'" + s + "'"
}

// didYouMean adds a hint with the nearest candidate, or with all of them when there are few.
func didYouMean(err *Error, word string, candidates []string) *Error {
	if c, ok := spelling.Nearest(word, candidates); ok {
		return err.WithHint("Did you mean %s?", c)
	}
	if len(candidates) > 0 && len(candidates) <= 20 {
		return err.WithHint("There is: %s.", strings.Join(candidates, ", "))
	}
	return err
}
