package lab

import (
	"regexp"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/kballard/go-shellquote"

	"vnetlab/lab/spelling"
)

// naming is what names of a kind of resource may be.
type naming struct {
	valid   func(name string) bool
	longest int    // characters; 0: the pattern says
	allowed string // for people
	// ends marks names of what connections start or end at: they are names of namespaces and hosts, which some words
	// are kept for.
	ends bool
}

// DeploymentNamePattern is what deployments can be called.
const DeploymentNamePattern = `^[A-Za-z0-9][A-Za-z0-9_-]{0,62}$`

func pattern(p string) func(string) bool { return regexp.MustCompile(p).MatchString }

var (
	labNames = naming{
		valid: pattern(`^[a-z][a-z0-9-]*$`), longest: 31,
		allowed: "a lowercase letter, then up to 30 lowercase letters, digits and hyphens",
	}
	// resourceNames are names of networks, subnets, sites, affinity groups and reserved IPs. The portal made such as
	// "Group ContosoRG my-net" ("Azure Cloud Services NetworkConfiguration Schema"). No document of the time says
	// which characters and lengths the platform took: what it can't have taken in an address of its management API is
	// refused.
	resourceNames = naming{
		valid: validResourceName, longest: 256,
		allowed: `letters, digits, spaces and punctuation without < > / \, no space at either end`,
	}
	serviceNames = naming{
		valid: pattern(`^[a-z0-9][a-z0-9-]{1,61}[a-z0-9]$`), longest: 63,
		allowed: "3 to 63 lowercase letters, digits and hyphens",
	}
	siteNames    = naming{valid: serviceNames.valid, longest: 63, allowed: serviceNames.allowed, ends: true}
	windowsNames = naming{
		valid: pattern(`^[A-Za-z0-9]([A-Za-z0-9-]*[A-Za-z0-9])?$`), longest: 15,
		allowed: "1 to 15 letters, digits and hyphens", ends: true,
	}
	linuxNames = naming{
		valid: windowsNames.valid, longest: 63, allowed: "1 to 63 letters, digits and hyphens",
		ends: true,
	}
	roleNames = naming{
		valid: pattern(`^[A-Za-z0-9_]([A-Za-z0-9_.-]*[A-Za-z0-9_])?$`), longest: 63,
		allowed: "1 to 63 letters, digits, dots, hyphens and underscores", ends: true,
	}
	labelNames = naming{
		valid: windowsNames.valid, longest: 63, allowed: "1 to 63 letters, digits and hyphens, no hyphen at its ends",
	}
	endpointNames = naming{
		valid: pattern(`^[A-Za-z][A-Za-z0-9 _-]*$`), longest: 30,
		allowed: "a letter, then up to 29 letters, digits, spaces, hyphens and underscores",
	}

	// deploymentNames are in the ids of rules.
	deploymentNames = naming{
		valid: pattern(DeploymentNamePattern), longest: 63,
		allowed: "a letter or a digit, then up to 62 letters, digits, hyphens and underscores",
	}

	onlyDigits    = regexp.MustCompile(`^[0-9]+$`)
	reservedNames = []string{"internet", "datacenter", "edge", "localhost", AnybodyName}
	// fabricPrefixes begin the names of the namespaces between those of instances and hosts. Names of namespaces
	// differ by case, so a role may be called Edge.Web.
	fabricPrefixes = []string{"datacenter.", "edge.", "site."}
)

func validResourceName(name string) bool {
	return utf8.ValidString(name) && strings.TrimSpace(name) == name && !strings.ContainsFunc(name, func(r rune) bool {
		return !unicode.IsPrint(r) || strings.ContainsRune(`<>/\`, r)
	})
}

// checkName refuses a name that a kind of resource can't have, saying what is allowed.
func checkName(kind, name string, n naming) *Error {
	lower := strings.ToLower(name)
	switch length := utf8.RuneCountInString(name); {
	case name == "":
		return badRequest("The name of the %s is empty.", kind)
	case n.longest > 0 && length > n.longest:
		return badRequest("The name %s of the %s is %d characters long; the maximum is %d.",
			shorten(name), kind, length, n.longest).WithHint("Allowed: %s.", n.allowed)
	case n.ends && (slices.Contains(reservedNames, lower) ||
		slices.ContainsFunc(fabricPrefixes, func(p string) bool { return strings.HasPrefix(name, p) })):
		return badRequest("The name %s is reserved.", name).WithHint("Choose another name for the %s.", kind)
	case !n.valid(name):
		return badRequest("The name %s is not valid for %s %s.", shorten(name), article(kind), kind).
			WithHint("Allowed: %s.", n.allowed)
	}
	return nil
}

func article(noun string) string {
	if strings.ContainsRune("aeiou", rune(noun[0])) {
		return "an"
	}
	return "a"
}

// same reports whether two names are of one resource: the platform's names don't differ by case alone.
func same(a, b string) bool { return strings.EqualFold(a, b) }

// argument is a name as it is typed in a command line of a shell.
func argument(name string) string { return shellquote.Join(name) }

func shorten(s string) string {
	if runes := []rune(s); len(runes) > 64 {
		s = string(runes[:61]) + "..."
	}
	return "'" + s + "'"
}

// didYouMean adds a hint with the nearest candidate, or with all of them when there are few.
func didYouMean(err *Error, word string, candidates []string) *Error {
	if c, ok := spelling.Nearest(word, candidates); ok {
		return err.WithHint("Did you mean %s?", c)
	}
	if len(candidates) > 0 && len(candidates) <= 20 {
		return err.WithHint("%s.", spelling.ThereIs(candidates))
	}
	return err
}
