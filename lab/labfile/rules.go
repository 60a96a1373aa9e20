package labfile

import "github.com/invopop/jsonschema"

// Rules about several keys of one structure, each for the decoder and, beside it, for the schema. What the platform refuses in
// its own words stands in the schema alone: the operations say it better.

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
	return []string{"the expectation says nothing: give it a verdict"}
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
func (VirtualNetwork) JSONSchemaExtend(s *jsonschema.Schema) { exactlyOnePlace(s) }

// JSONSchemaExtend adds the rules about several keys.
func (CloudService) JSONSchemaExtend(s *jsonschema.Schema) {
	exactlyOnePlace(s)
	s.Not = required("virtualMachines", "production")
}

func exactlyOnePlace(s *jsonschema.Schema) {
	s.OneOf = []*jsonschema.Schema{required("affinityGroup"), required("location")}
}
