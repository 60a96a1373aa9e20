package lab

import (
	"encoding/json"
	"fmt"
	"reflect"
	"slices"
	"strings"
)

// Operation is one change of a lab, as the management API names it: what a command or a step asks for, and what
// [Reconcile] returns. Each is defined beside the resource that it changes. It calls the method of Lab that the
// reader of a lab file calls directly.
type Operation interface {
	// Do changes the lab, or returns a refusal. A lab that refused may be changed in part: Apply works on a copy.
	Do(*Lab) error
	// String describes the operation for people.
	String() string
}

// Apply returns the lab that operations make of l, which stays as it is. The first refusal ends it.
func (l *Lab) Apply(operations ...Operation) (*Lab, error) {
	next := l.Clone()
	for _, o := range operations {
		if err := o.Do(next); err != nil {
			return nil, err
		}
	}
	return next, nil
}

// operations are the registered types by their names.
var operations = map[string]reflect.Type{}

// register makes operations known to MarshalOperation and its like.
func register(all ...Operation) {
	for _, o := range all {
		operations[operationName(o)] = reflect.TypeOf(o)
	}
}

// operationName returns the name of an operation in JSON: that of its type, without Op.
func operationName(o Operation) string { return strings.TrimSuffix(reflect.TypeOf(o).Name(), "Op") }

// Operations returns an empty operation of each kind, in the order of their names.
func Operations() []Operation {
	all := make([]Operation, 0, len(operations))
	for _, t := range operations {
		all = append(all, reflect.Zero(t).Interface().(Operation))
	}
	slices.SortFunc(all, func(a, b Operation) int { return strings.Compare(operationName(a), operationName(b)) })
	return all
}

// envelope is an operation in JSON.
type envelope struct {
	Operation  string          `json:"operation"`
	Parameters json.RawMessage `json:"parameters"`
}

// MarshalOperation returns an operation as {"operation": NAME, "parameters": {…}}.
func MarshalOperation(o Operation) ([]byte, error) {
	parameters, err := json.Marshal(o)
	if err != nil {
		return nil, err
	}
	return json.Marshal(envelope{operationName(o), parameters})
}

// UnmarshalOperation reads what MarshalOperation returns.
func UnmarshalOperation(data []byte) (Operation, error) {
	var e envelope
	if err := json.Unmarshal(data, &e); err != nil {
		return nil, err
	}
	t, ok := operations[e.Operation]
	if !ok {
		return nil, badRequest("There is no operation %s.", shorten(e.Operation))
	}
	v := reflect.New(t)
	if err := json.Unmarshal(e.Parameters, v.Interface()); err != nil {
		return nil, fmt.Errorf("%s: %w", e.Operation, err)
	}
	return v.Elem().Interface().(Operation), nil
}
