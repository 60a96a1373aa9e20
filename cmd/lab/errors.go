package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"os/exec"
	"strings"
	"syscall"

	"vnetlab/lab"
	"vnetlab/lab/api"
	"vnetlab/lab/labfile"
)

// The exit statuses.
const (
	exitDone        = 0
	exitError       = 1
	exitUsage       = 2 // or an invalid file
	exitExpectation = 3 // an expectation failed
	exitPrivileges  = 4 // the kernel or the privileges do not suffice
	exitInterrupted = 130
)

// failure is an error with its exit status.
type failure struct {
	status  int
	code    string
	message string
	hint    string
	err     error // what caused it; its text is part of message
}

func (f *failure) Error() string { return f.message }
func (f *failure) Unwrap() error { return f.err }

// orHint takes the first hint that isn't empty.
func (f *failure) orHint(hints ...string) *failure {
	for _, h := range hints {
		if f.hint == "" {
			f.hint = h
		}
	}
	return f
}

// usageCode is the code of a command line that can't be understood.
const usageCode = "Usage"

func usage(format string, args ...any) *failure {
	return &failure{status: exitUsage, code: usageCode, message: fmt.Sprintf(format, args...)}
}

// exitStatus ends the command with a status and no further message.
type exitStatus int

func (e exitStatus) Error() string { return fmt.Sprintf("exit status %d", int(e)) }

// byCtrlC ends a verb that runs until a signal arrives, which is no error to report.
const byCtrlC = exitStatus(exitInterrupted)

// interrupted returns the error of a verb that a signal has ended. If the verb has its own message, that is kept.
func interrupted(ctx context.Context, err error) *failure {
	var own *failure
	if errors.As(err, &own) && own.status == exitInterrupted {
		return own
	}
	message := err.Error()
	var request *url.Error // its text says nothing about the interruption
	if errors.As(err, &request) {
		message = context.Canceled.Error()
	}
	for _, end := range []error{context.Canceled, context.Cause(ctx)} {
		if message = strings.TrimSuffix(message, ": "+end.Error()); message == end.Error() {
			message = "interrupted"
		}
	}
	return &failure{status: exitInterrupted, code: "Interrupted", message: message, err: err}
}

// errorInfo is an error as JSON.
type errorInfo struct {
	Code       string `json:"code"`
	HTTPStatus int    `json:"httpStatus"`
	Message    string `json:"message"`
	Hint       string `json:"hint"`
	File       string `json:"file"`
	Line       int    `json:"line"`
	Column     int    `json:"column"`

	platform bool // the code is the platform's
}

// errorAnswer is what a verb answers with --output json when it fails. A file may have several errors.
type errorAnswer struct {
	Error  errorInfo   `json:"error"`
	Errors []errorInfo `json:"errors,omitempty"`
}

// report prints an error, if there is one, and returns the exit status.
func (a *app) report(err error) int {
	if err == nil {
		return exitDone
	}
	var silent exitStatus
	if errors.As(err, &silent) {
		return int(silent)
	}
	status := statusOf(err)
	if a.format == jsonFormat {
		answer := answerOf(err)
		answer.Error.Hint = a.advice(answer.Error.Hint)
		for i := range answer.Errors {
			answer.Errors[i].Hint = a.advice(answer.Errors[i].Hint)
		}
		a.stdout.json(answer) //nolint:errcheck // lost reports it
		return status
	}
	a.stderr.printf("%s\n", a.text(err))
	return status
}

// statusOf returns the exit status for an error.
func statusOf(err error) int {
	var f *failure
	var invalid labfile.Errors
	var running *api.Error
	switch {
	case errors.As(err, &f):
		return f.status
	case errors.As(err, &running) && running.Lacking:
		return exitPrivileges
	case errors.As(err, &invalid):
		return exitUsage
	case errors.Is(err, context.Canceled):
		return exitInterrupted
	case errors.Is(err, syscall.EPERM):
		return exitPrivileges
	}
	return exitError
}

// answerOf returns the JSON form of an error.
func answerOf(err error) errorAnswer {
	all := errorInfos(err)
	a := errorAnswer{Error: all[0]}
	if len(all) > 1 {
		a.Errors = all
	}
	return a
}

// errorInfos returns the errors that an error consists of, at least one.
func errorInfos(err error) []errorInfo {
	if several := parts(err); len(several) > 0 {
		var all []errorInfo
		for _, e := range several {
			all = append(all, errorInfos(e)...)
		}
		return all
	}
	var invalid labfile.Errors
	var f *failure
	var running *api.Error
	var refusal *lab.Error
	switch {
	case errors.As(err, &invalid) && len(invalid) > 0:
		var all []errorInfo
		for _, p := range invalid {
			all = append(all, errorInfo{
				Code:       p.Code,
				HTTPStatus: p.HTTPStatus,
				Message:    p.Message,
				Hint:       p.Hint,
				File:       p.Origin.File,
				Line:       p.Origin.Line,
				Column:     p.Origin.Column,
				platform:   p.Code != labfile.InvalidFile,
			})
		}
		return all
	case errors.As(err, &f):
		return []errorInfo{{Code: f.code, HTTPStatus: http.StatusBadRequest, Message: f.message, Hint: f.hint}}
	case errors.As(err, &running):
		info := errorInfo{
			Code: cmp.Or(
				running.Code,
				"Error",
			),
			HTTPStatus: running.HTTPStatus,
			Message:    running.Message,
			Hint:       running.Hint,
			File:       running.File,
			Line:       running.Line,
			Column:     running.Column,
			platform:   running.Code != "" && running.Code != api.PrivilegesNeeded,
		}
		if running.Code == api.PrivilegesNeeded {
			info.Hint = rootHint()
		}
		return []errorInfo{info}
	case errors.As(err, &refusal):
		return []errorInfo{{
			Code: refusal.Code, HTTPStatus: refusal.HTTPStatus, Message: refusal.Message, Hint: refusal.Hint,
			File: refusal.Origin.File, Line: refusal.Origin.Line, Column: refusal.Origin.Column, platform: true,
		}}
	}
	return []errorInfo{{
		Code: "Error", HTTPStatus: http.StatusInternalServerError, Message: err.Error(),
		Hint: hintOf(err),
	}}
}

// parts returns the errors that errors.Join has joined; none for any other error.
func parts(err error) []error {
	if joined, ok := err.(interface{ Unwrap() []error }); ok { //nolint:errorlint // an error that wraps it has its own text
		return joined.Unwrap()
	}
	return nil
}

// text formats an error for people: what is wrong, the next step, the position.
func (a *app) text(err error) string {
	if several := parts(err); len(several) > 0 {
		texts := make([]string, len(several))
		for i, e := range several {
			texts[i] = a.text(e)
		}
		return strings.Join(texts, "\n")
	}
	var invalid labfile.Errors
	if errors.As(err, &invalid) {
		return invalid.Error()
	}
	info := errorInfos(err)[0]
	title := "error"
	if info.platform {
		title = info.Code
	}
	text := a.stderr.wrap(a.stderr.red(title+": ")+info.Message, 2)
	if info.Hint != "" {
		text += "\n  " + a.stderr.wrap(a.advice(info.Hint), 2)
	}
	if place := (lab.Origin{File: info.File, Line: info.Line, Column: info.Column}); !place.IsZero() {
		text += "\n  " + place.String()
	}
	return text
}

// advice returns a hint with the commands in it as the user can type them.
func (a *app) advice(hint string) string {
	if a.called == (invocation{}) { // a step of a lab file, which calls nothing
		return hint
	}
	return a.called.advice(a.root(), hint)
}

// hintOf returns the next step after an error of the system.
func hintOf(err error) string {
	if errors.Is(err, syscall.EPERM) || errors.Is(err, exec.ErrNotFound) {
		return "lab doctor reports what this machine lacks"
	}
	return ""
}
