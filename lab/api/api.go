// Package api is the contract between a running lab and its clients: the routes of the control socket ([Routes]), the
// types of their requests and answers, what a lab looks like ([Lab]), and errors.
//
// It holds data and no behavior, so that a client links neither the kernel's libraries nor the platform's readers.
package api

// Error is an error in the form in which it crosses the control socket: one line for a person, and the next step.
type Error struct {
	// Code is the platform's error code; empty when it wasn't the platform that refused.
	Code       string `json:"code,omitempty"`
	HTTPStatus int    `json:"httpStatus,omitempty"`
	Message    string `json:"message"`
	Hint       string `json:"hint,omitempty"`
	// Lacking reports whether a limit of the machine is used up, or the kernel or the privileges do not suffice.
	Lacking bool `json:"lacking,omitempty"`
	// File, Line and Column are the place in the lab file, if there is one.
	File   string `json:"file,omitempty"`
	Line   int    `json:"line,omitempty"`
	Column int    `json:"column,omitempty"`
}

// Error returns the message, after its code if it has one, without hint and place.
func (e *Error) Error() string {
	if e.Code == "" {
		return e.Message
	}
	return e.Code + ": " + e.Message
}

// PrivilegesNeeded is the code of an error about what only root may do. How to become root is known where commands are
// typed.
const PrivilegesNeeded = "PrivilegesNeeded"

// ErrorAnswer is the body of every answer that isn't a success.
type ErrorAnswer struct {
	Error *Error `json:"error"`
}

// File is a lab file on its way to a lab. The names of folders need not be UTF-8, so paths are bytes.
type File struct {
	// Path is absolute. With a Text it is only shown.
	Path []byte `json:"path"`
	// Text is the content of the file; nil: the lab reads Path.
	Text []byte `json:"text,omitempty"`
	// Dir is the absolute path of the folder that the paths in Text are relative to.
	Dir []byte `json:"dir,omitempty"`
}
