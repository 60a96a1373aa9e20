package lab

import (
	"fmt"
	"net/http"

	"vnetlab/emu"
)

// Origin is the place in a file that a resource, a rule or an error comes from.
type Origin = emu.Origin

// Error is a refusal by the platform.
type Error struct {
	// Code is the platform's: BadRequest, ConflictError, ResourceNotFound, or that of one kind of failure.
	Code string
	// HTTPStatus is what the management API answers with.
	HTTPStatus int
	// Message is the platform's own text where one is known, otherwise ours.
	Message string
	// Hint is ours: the next step. It may be empty.
	Hint string
	// Origin is the place in the lab file; zero when there is none.
	Origin Origin
}

// Error gives code and message, without place and hint.
func (e *Error) Error() string { return e.Code + ": " + e.Message }

// At gives the error the place it comes from.
func (e *Error) At(o Origin) *Error { e.Origin = o; return e }

// WithHint adds the next step.
func (e *Error) WithHint(format string, args ...any) *Error {
	e.Hint = fmt.Sprintf(format, args...)
	return e
}

// The platform's error codes, with their HTTP status (MSDN "Service Management Status and Error Codes").
func badRequest(format string, args ...any) *Error {
	return &Error{Code: "BadRequest", HTTPStatus: http.StatusBadRequest, Message: fmt.Sprintf(format, args...)}
}

func conflict(format string, args ...any) *Error {
	return &Error{Code: "ConflictError", HTTPStatus: http.StatusConflict, Message: fmt.Sprintf(format, args...)}
}

func notFound(format string, args ...any) *Error {
	return &Error{Code: "ResourceNotFound", HTTPStatus: http.StatusNotFound, Message: fmt.Sprintf(format, args...)}
}
