package labfile

import (
	"encoding/json"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"

	"github.com/goccy/go-yaml/ast"
	"github.com/goccy/go-yaml/token"
	"github.com/invopop/jsonschema"

	"vnetlab/emu"
	"vnetlab/lab"
	"vnetlab/lab/limits"
	"vnetlab/lab/spelling"
)

// Scalars of the file. The schema of each is its rule: the decoder reads the same schema as an editor does. The
// title completes the sentence "... is not ...".
type (
	Text           string
	Location       string
	Address        string
	Prefix         string
	OS             string
	Protocol       string
	Distribution   string
	Action         string
	Verdict        string
	HTTPPath       string
	ProbeProtocol  string
	DeploymentName string
	Command        string
	ErrorCode      string
	Port           uint16
	Order          uint32
	HTTPStatus     uint16
	IdleTimeout    uint16
	ProbeInterval  uint32
	ProbeTimeout   uint32
	PIDLimit       uint16
	Size           string
)

const (
	byteRange      = `(25[0-5]|2[0-4][0-9]|1[0-9][0-9]|[1-9]?[0-9])`
	addressPattern = byteRange + `(\.` + byteRange + `){3}`
)

var one = uint64(1)

func text(title string) *jsonschema.Schema {
	return &jsonschema.Schema{Type: "string", Title: title, MinLength: &one}
}

func matching(title, pattern string) *jsonschema.Schema {
	return &jsonschema.Schema{Type: "string", Title: title, Pattern: pattern}
}

func oneOf[T ~string](title string, values ...T) *jsonschema.Schema {
	s := &jsonschema.Schema{Type: "string", Title: title}
	for _, v := range values {
		s.Enum = append(s.Enum, string(v))
	}
	return s
}

func integer(title string, minimum, maximum json.Number) *jsonschema.Schema {
	return &jsonschema.Schema{Type: "integer", Title: title, Minimum: minimum, Maximum: maximum}
}

// numbers is a range of the platform.
func numbers(title string, r limits.Range) *jsonschema.Schema {
	number := func(n int) json.Number { return json.Number(strconv.Itoa(n)) }
	return integer(title+" "+r.String(), number(r.Minimum), number(r.Maximum))
}

// JSONSchema is any text that isn't empty.
func (Text) JSONSchema() *jsonschema.Schema { return text("a text") }

// JSONSchema is any text that isn't empty.
func (Reference) JSONSchema() *jsonschema.Schema { return text("a text") }

// JSONSchema lists the platform's locations.
func (Location) JSONSchema() *jsonschema.Schema {
	return oneOf("a location of the platform", lab.Locations...)
}

// JSONSchema is an IPv4 address.
func (Address) JSONSchema() *jsonschema.Schema {
	return matching("an IPv4 address such as 10.0.2.10", "^"+addressPattern+"$")
}

// JSONSchema is an IPv4 prefix.
func (Prefix) JSONSchema() *jsonschema.Schema {
	return matching("an IPv4 prefix such as 10.0.2.0/24", "^"+addressPattern+"/(3[0-2]|[12]?[0-9])$")
}

// JSONSchema lists the operating systems.
func (OS) JSONSchema() *jsonschema.Schema {
	return oneOf("an operating system", lab.Windows, lab.Linux)
}

// JSONSchema lists the protocols.
func (Protocol) JSONSchema() *jsonschema.Schema { return oneOf("a protocol", emu.TCP, emu.UDP) }

// JSONSchema lists the distribution modes of the load balancer.
func (Distribution) JSONSchema() *jsonschema.Schema {
	return oneOf("a distribution mode", lab.DistributeNone, lab.DistributeSourceIP, lab.DistributeSourceIPProtocol)
}

// JSONSchema lists the actions of access control rules.
func (Action) JSONSchema() *jsonschema.Schema { return oneOf("an action", "permit", "deny") }

// JSONSchema lists the verdicts that can be expected: timeout and error are findings, never expected.
func (Verdict) JSONSchema() *jsonschema.Schema {
	return oneOf("a verdict that can be expected", emu.Open, emu.Refused, emu.Blocked, emu.NoBackend, emu.Mixed,
		emu.WrongHost, emu.Unresolved)
}

// JSONSchema is an absolute path.
func (HTTPPath) JSONSchema() *jsonschema.Schema {
	return matching("a path such as /index.html", "^/[!-~]*$")
}

// JSONSchema is a port number.
func (Port) JSONSchema() *jsonschema.Schema { return integer("a port from 1 to 65535", "1", "65535") }

// JSONSchema is the order of an access control rule.
func (Order) JSONSchema() *jsonschema.Schema {
	return numbers("an order of", limits.ACLOrder)
}

// JSONSchema is a final status of HTTP.
func (HTTPStatus) JSONSchema() *jsonschema.Schema {
	return integer("an HTTP status from 200 to 599", "200", "599")
}

// JSONSchema lists the protocols of health probes.
func (ProbeProtocol) JSONSchema() *jsonschema.Schema {
	return oneOf("a protocol of probes", "http", "tcp")
}

// JSONSchema is a name that the names of instances can contain.
func (DeploymentName) JSONSchema() *jsonschema.Schema {
	return matching("a name of letters, digits, hyphens and underscores", lab.DeploymentNamePattern)
}

// JSONSchema is a command line.
func (Command) JSONSchema() *jsonschema.Schema {
	return matching("a command such as lab vm delete sql1", "^lab +[^ ]")
}

// JSONSchema is a code of the platform's errors.
func (ErrorCode) JSONSchema() *jsonschema.Schema {
	return matching("an error code such as BadRequest", "^[A-Za-z][A-Za-z0-9.]*$")
}

// JSONSchema is the idle timeout of a connection.
func (IdleTimeout) JSONSchema() *jsonschema.Schema {
	return numbers("a number of minutes", limits.IdleTimeout)
}

// JSONSchema is the interval of a health probe.
func (ProbeInterval) JSONSchema() *jsonschema.Schema {
	return numbers("a number of seconds of", limits.ProbeInterval)
}

// JSONSchema is the timeout of a health probe.
func (ProbeTimeout) JSONSchema() *jsonschema.Schema {
	return numbers("a number of seconds of", limits.ProbeTimeout)
}

// JSONSchema is a number of processes and threads.
func (PIDLimit) JSONSchema() *jsonschema.Schema {
	return integer("a number of processes from 16 to 65535", "16", "65535")
}

// JSONSchema is a size with its unit.
func (Size) JSONSchema() *jsonschema.Schema {
	return matching("a size such as 512MiB or 2GiB", "^[1-9][0-9]{0,5}(MiB|GiB)$")
}

// JSONSchema is a list of rules, or the word off.
func (Firewall) JSONSchema() *jsonschema.Schema {
	return &jsonschema.Schema{
		Description: "Guest firewall: rules beyond the defaults, in the short form (allow tcp 1433 from " +
			"10.0.1.0/24), as netsh or as New-NetFirewallRule; or off.",
		OneOf: []*jsonschema.Schema{{Type: "array", Items: text("a rule")}, {Const: firewallOff}},
	}
}

const firewallOff = "off"

// text decodes a text and checks it against its schema.
func (d *decoder) text(n ast.Node, what string, rule *jsonschema.Schema) (string, bool) {
	var s string
	switch n := n.(type) {
	case *ast.StringNode:
		s = n.Value
	case *ast.LiteralNode:
		s = n.Value.Value
	case *ast.IntegerNode, *ast.FloatNode, *ast.BoolNode, *ast.InfinityNode, *ast.NanNode:
		d.add(invalid(d.origin(n), "%s must be a text, not %s", what, describe(n)).
			hint("Put it in quotes: %q.", n.GetToken().Value))
		return "", false
	default:
		d.wrongType(n, what, "a text")
		return "", false
	}
	switch {
	case s == "":
		d.add(invalid(d.origin(n), "%s is empty", what).hint("Give it a value, or leave the key out."))
		return "", false
	case rule.Enum != nil && !slices.Contains(rule.Enum, any(s)):
		var known []string
		for _, v := range rule.Enum {
			known = append(known, v.(string))
		}
		p := invalid(d.origin(n), "%s: %s is not %s", what, quoted(s), rule.Title).
			hint("Known: %s.", strings.Join(known, ", "))
		if near, ok := spelling.Nearest(s, known); ok {
			p = p.hint("Did you mean %s?", near)
		}
		d.add(p)
		return "", false
	case rule.Pattern != "" && !compiled(rule.Pattern).MatchString(s):
		d.add(invalid(d.origin(n), "%s: %s is not %s", what, quoted(s), rule.Title))
		return "", false
	}
	return s, true
}

var patterns sync.Map // from text to *regexp.Regexp

func compiled(pattern string) *regexp.Regexp {
	if re, ok := patterns.Load(pattern); ok {
		return re.(*regexp.Regexp)
	}
	re := regexp.MustCompile(pattern)
	patterns.Store(pattern, re)
	return re
}

// integer decodes a number and checks it against its schema. Numbers are decimal without leading zeros: 010 is
// eight for some readers and ten for others.
func (d *decoder) integer(n ast.Node, what string, rule *jsonschema.Schema) (int, bool) {
	number, isNumber := n.(*ast.IntegerNode)
	if huge, ok := n.(*ast.StringNode); ok && huge.Token.Type == token.StringType && decimal.MatchString(huge.Value) {
		// The parser makes a text of a number that doesn't fit into 64 bits.
		d.add(invalid(d.origin(n), "%s: %s is not %s", what, quoted(huge.Value), rule.Title))
		return 0, false
	}
	if !isNumber {
		p := invalid(d.origin(n), "%s must be a whole number, not %s", what, describe(n))
		if s, ok := n.(*ast.StringNode); ok && decimal.MatchString(s.Value) {
			p = p.hint("Remove the quotes.")
		}
		d.add(p)
		return 0, false
	}
	written := number.Token.Value
	if !decimal.MatchString(written) {
		d.add(invalid(d.origin(n), "%s: %s is not a decimal number", what, quoted(written)))
		return 0, false
	}
	i, err := strconv.Atoi(written)
	least, _ := rule.Minimum.Int64()
	most, _ := rule.Maximum.Int64()
	if err != nil || int64(i) < least || int64(i) > most {
		d.add(invalid(d.origin(n), "%s: %s is not %s", what, written, rule.Title))
		return 0, false
	}
	return i, true
}

var decimal = regexp.MustCompile(`^-?(0|[1-9][0-9]*)$`)
