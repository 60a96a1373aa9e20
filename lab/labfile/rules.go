package labfile

import "github.com/invopop/jsonschema"

// Rules about several keys of one structure, each for the decoder and, beside it, for the schema. Rules that the
// platform has errors for are only in the schema: the operations report them better.

func (*Service) check(has func(string) bool) (wrong []string) {
	switch {
	case has("port") && has("endpoint"):
		wrong = append(wrong, "a service has a port or an endpoint, not both")
	case !has("port") && !has("endpoint"):
		wrong = append(wrong, "a service needs a port or an endpoint to listen on")
	}
	return append(wrong, commands(has)...)
}

func (*HostService) check(has func(string) bool) []string { return commands(has) }

func commands(has func(string) bool) []string {
	if has("real") && has("run") {
		return []string{"a service has real or run, not both: run is started with and without --real"}
	}
	return nil
}

func (*Expectation) check(has func(string) bool) []string {
	if has("verdict") || has("seenAs") || has("answeredBy") || has("http") {
		return nil
	}
	return []string{"the expectation has no verdict, seenAs, answeredBy or http"}
}

func (*StepEntry) check(has func(string) bool) []string {
	if has("message") && !has("fails") {
		return []string{"message needs fails: the code of the error"}
	}
	return nil
}

func required(keys ...string) *jsonschema.Schema { return &jsonschema.Schema{Required: keys} }

// JSONSchemaExtend adds the rules about several keys.
func (Service) JSONSchemaExtend(s *jsonschema.Schema) {
	s.OneOf = []*jsonschema.Schema{required("port"), required("endpoint")}
	s.Not = required("real", "run")
}

// JSONSchemaExtend adds the rules about several keys.
func (HostService) JSONSchemaExtend(s *jsonschema.Schema) { s.Not = required("real", "run") }

// JSONSchemaExtend adds the rules about several keys.
func (Expectation) JSONSchemaExtend(s *jsonschema.Schema) {
	s.AnyOf = []*jsonschema.Schema{required("verdict"), required("seenAs"), required("answeredBy"), required("http")}
}

// JSONSchemaExtend adds the rules about several keys.
func (LocalNetwork) JSONSchemaExtend(s *jsonschema.Schema) {
	s.AnyOf = []*jsonschema.Schema{required("addressSpace"), required("hosts")}
}

// JSONSchemaExtend adds the rules about several keys.
func (VirtualNetwork) JSONSchemaExtend(s *jsonschema.Schema) { exactlyOnePlace(s) }

// JSONSchemaExtend adds the rules about several keys.
func (CloudService) JSONSchemaExtend(s *jsonschema.Schema) {
	exactlyOnePlace(s)
	machines := required("virtualMachines")
	s.Not = &jsonschema.Schema{AnyOf: []*jsonschema.Schema{
		required("virtualMachines", "production"),
		required("virtualMachines", "staging"),
	}}
	s.DependentSchemas = map[string]*jsonschema.Schema{
		"reservedIP":           {AnyOf: []*jsonschema.Schema{machines, required("production")}},
		"internalLoadBalancer": machines,
	}
}

// JSONSchemaExtend adds the rules about several keys.
func (Probe) JSONSchemaExtend(s *jsonschema.Schema) {
	protocol := func(name string) *jsonschema.Schema {
		branch := &jsonschema.Schema{Properties: jsonschema.NewProperties()}
		branch.Properties.Set("protocol", &jsonschema.Schema{Const: name})
		return branch
	}
	http, tcp := protocol("http"), protocol("tcp")
	http.Required, tcp.Not = []string{"path"}, required("path")
	s.OneOf = []*jsonschema.Schema{http, tcp}
}

// JSONSchemaExtend adds the rules about several keys.
func (StepEntry) JSONSchemaExtend(s *jsonschema.Schema) {
	s.DependentRequired = map[string][]string{"message": {"fails"}}
}

func exactlyOnePlace(s *jsonschema.Schema) {
	s.OneOf = []*jsonschema.Schema{required("affinityGroup"), required("location")}
}
