package labfile

import (
	_ "embed" // for the comments of file.go
	"encoding/json"
	"go/ast"
	"go/parser"
	"go/token"
	"reflect"
	"strings"
	"sync"

	"github.com/invopop/jsonschema"
)

// portForm is a port number of a target, which may begin with zeros.
const portForm = `0*(6553[0-5]|655[0-2][0-9]|65[0-4][0-9]{2}|6[0-4][0-9]{3}|[1-5][0-9]{4}|[1-9][0-9]{0,3})`

// namePatterns are the platform's rules for names, as the operations of package lab check them. They are only for
// editors: a lab file that breaks one gets the error of the operation.
var namePatterns = map[string]string{
	"lab":      `^[a-z][a-z0-9-]{0,30}$`,
	"resource": `^[^\s<>/\\]([^<>/\\\x00-\x1f]{0,254}[^\s<>/\\])?$`,
	"dns":      `^[a-z0-9][a-z0-9-]{1,61}[a-z0-9]$`,
	"machine":  `^[A-Za-z0-9]([A-Za-z0-9-]{0,61}[A-Za-z0-9])?$`,
	"endpoint": `^[A-Za-z][A-Za-z0-9 _-]{0,29}$`,
	"target":   `^.+:` + portForm + `(/(tcp|udp))?$`,
	"exposed":  `^.+:` + portForm + `(-` + portForm + `)?(/(tcp|udp))?$`,
}

// Schema returns the JSON Schema (draft 2020-12) of lab files, for editors. It is made from the types that the
// decoder works with.
func Schema() ([]byte, error) {
	reflector := jsonschema.Reflector{
		Anonymous:                  true,
		FieldNameTag:               "yaml",
		RequiredFromJSONSchemaTags: true,
		ExpandedStruct:             true,
		LookupComment:              description,
	}
	schema := reflector.Reflect(&File{})
	schema.Title = "vnetlab lab file"
	addNamePatterns(schema, reflect.TypeFor[File]())
	for _, t := range structures() {
		if definition, ok := schema.Definitions[t.Name()]; ok {
			addNamePatterns(definition, t)
		}
	}
	data, err := json.MarshalIndent(schema, "", "  ")
	if err != nil {
		return nil, err
	}
	return append(data, '\n'), nil
}

// source is the file whose comments describe the keys.
//
//go:embed file.go
var source string

// descriptions returns the comments of the fields in file.go, by the names of type and field.
var descriptions = sync.OnceValue(func() map[[2]string]string {
	parsed, err := parser.ParseFile(token.NewFileSet(), "file.go", source, parser.ParseComments)
	if err != nil {
		panic(err) // the compiler has read the same file
	}
	found := map[[2]string]string{}
	ast.Inspect(parsed, func(n ast.Node) bool {
		spec, ok := n.(*ast.TypeSpec)
		if !ok {
			return true
		}
		if structure, ok := spec.Type.(*ast.StructType); ok {
			for _, field := range structure.Fields.List {
				for _, name := range field.Names {
					found[[2]string{spec.Name.Name, name.Name}] = strings.Join(strings.Fields(field.Doc.Text()), " ")
				}
			}
		}
		return false
	})
	return found
})

// description returns the comment of a field, which describes its key.
func description(t reflect.Type, field string) string {
	return descriptions()[[2]string{t.Name(), field}]
}

func addNamePatterns(schema *jsonschema.Schema, t reflect.Type) {
	for i := range t.NumField() {
		f := t.Field(i)
		if name := f.Tag.Get("pattern"); name != "" {
			if property, ok := schema.Properties.Get(f.Tag.Get("yaml")); ok {
				if property.Items != nil { // the pattern is that of each
					property = property.Items
				}
				property.Pattern = namePatterns[name]
			}
		}
	}
}

// structures returns the types below File that are mappings in the file.
func structures() []reflect.Type {
	var found []reflect.Type
	seen := map[reflect.Type]bool{}
	var visit func(t reflect.Type)
	visit = func(t reflect.Type) {
		switch t.Kind() {
		case reflect.Pointer, reflect.Slice, reflect.Map:
			visit(t.Elem())
		case reflect.Struct:
			if seen[t] {
				return
			}
			seen[t] = true
			found = append(found, t)
			for i := range t.NumField() {
				if f := t.Field(i); f.Tag.Get("yaml") != "" && f.Tag.Get("yaml") != "-" {
					visit(f.Type)
				}
			}
		}
	}
	visit(reflect.TypeFor[File]())
	return found
}
