// Package server serves the routes of package api: it decodes requests, calls an [Engine] and encodes its answers.
package server

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"iter"
	"log"
	"net"
	"net/http"
	"net/url"
	"os"
	"reflect"
	"strconv"
	"strings"
	"time"

	"vnetlab/emu"
	"vnetlab/lab"
	"vnetlab/lab/api"
	"vnetlab/lab/labfile"
)

// Engine is what a running lab can do.
type Engine interface {
	Summary() api.Summary
	View() api.Lab
	About(name string) api.Lab
	File() labfile.Input
	NamedNetwork() *emu.Network

	Do(ctx context.Context, operations ...lab.Operation) (api.ChangeResult, error)
	Apply(ctx context.Context, file labfile.Input, dryRun bool) (api.ChangeResult, error)
	Restart(ctx context.Context, instance string) (api.ChangeResult, error)

	Diff(ctx context.Context) (api.DiffResult, error)
	DiffInstance(ctx context.Context, instance string) (api.DiffResult, error)
	Repair() (api.RepairResult, error)
	Probe(ctx context.Context, r api.ProbeRequest) (api.ProbeResult, error)
	Test(ctx context.Context, r api.TestRequest, finished func(api.Case) error) (api.TestResult, error)

	Logs(ctx context.Context, r api.LogsRequest) (iter.Seq[emu.LogLine], error)
	Exec(ctx context.Context, r api.ExecRequest, stdin, stdout, stderr *os.File) (int, error)
	OpenTerminal(instance string) (master, slave *os.File, err error)
	CheckForward(r api.ForwardRequest) error
	Dial(ctx context.Context, r api.ForwardRequest) (net.Conn, error)
}

// maxBody is the largest request, in bytes: a lab file, which is base64 in it, and something around it.
const maxBody = 2 * labfile.MaxSize

// Server serves one lab.
type Server struct {
	engine Engine
	stop   func()
	errors Errors
}

// Errors turns errors into the form that clients get.
type Errors struct {
	// Hint returns what to do about an error that comes from the machine, and whether the machine lacks something;
	// empty: it is another error. Nil: there are no hints.
	Hint func(error) (hint string, lacking bool)
}

// New returns a server that ends the lab by calling stop.
func New(engine Engine, stop func(), errors Errors) *Server {
	return &Server{engine, stop, errors}
}

// HTTP returns the HTTP server. Only root can open its socket, so there is no authentication.
func (s *Server) HTTP() *http.Server {
	return &http.Server{
		Handler:           s.handler(),
		ReadHeaderTimeout: 5 * time.Second,
		ErrorLog:          log.New(os.Stderr, "control: ", log.LstdFlags),
	}
}

func (s *Server) handler() http.Handler {
	mux := http.NewServeMux()
	e := s.engine
	handle(s, mux, api.GetPing, func(context.Context, api.None) (api.None, error) { return api.None{}, nil })
	handle(s, mux, api.GetSummary, func(context.Context, api.None) (api.Summary, error) { return e.Summary(), nil })
	handle(s, mux, api.GetLab, func(_ context.Context, r api.LabRequest) (api.Lab, error) {
		if r.About != "" {
			return e.About(r.About), nil
		}
		return e.View(), nil
	})
	handle(s, mux, api.GetFile, func(context.Context, api.None) (api.File, error) { return e.File().File(), nil })
	handle(s, mux, api.GetNetwork, func(context.Context, api.None) (json.RawMessage, error) {
		return json.Marshal(e.NamedNetwork())
	})
	handle(s, mux, api.GetDiff, func(ctx context.Context, r api.DiffRequest) (api.DiffResult, error) {
		if r.Instance != "" {
			return e.DiffInstance(ctx, r.Instance)
		}
		return e.Diff(ctx)
	})
	handle(s, mux, api.PostRepair, func(context.Context, api.None) (api.RepairResult, error) { return e.Repair() })
	handle(s, mux, api.PostProbe, e.Probe)
	handle(s, mux, api.PostOperations, s.operations)
	handle(s, mux, api.PostApply, func(ctx context.Context, r api.ApplyRequest) (api.ChangeResult, error) {
		return e.Apply(ctx, labfile.InputOf(r.File), r.DryRun)
	})
	handle(s, mux, api.PostRestart, func(ctx context.Context, r api.RestartRequest) (api.ChangeResult, error) {
		return e.Restart(ctx, r.Instance)
	})
	mux.HandleFunc(api.PostTest.Pattern(), s.test)
	mux.HandleFunc(api.GetLogs.Pattern(), s.logs)
	mux.HandleFunc(api.PostDown.Pattern(), s.down)
	mux.HandleFunc(api.PostExec.Pattern(), s.exec)
	mux.HandleFunc(api.PostTerminal.Pattern(), s.terminal)
	mux.HandleFunc(api.PostForward.Pattern(), s.forward)
	mux.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) {
		s.refuse(w, &api.Error{
			HTTPStatus: http.StatusNotFound, Message: "there is no " + r.Method + " " + r.URL.Path,
			Hint: "this lab may have been started by another version of lab",
		})
	})
	return mux
}

// handle serves a route whose answer is one JSON value.
func handle[Q, A any](
	s *Server, mux *http.ServeMux, route api.Route[Q, A], do func(context.Context, Q) (A, error),
) {
	mux.HandleFunc(route.Pattern(), func(w http.ResponseWriter, r *http.Request) {
		request, err := read(w, r, route)
		if err != nil {
			s.refuse(w, err)
			return
		}
		a, err := do(r.Context(), request)
		if err != nil {
			s.refuse(w, err)
			return
		}
		answer(w, a)
	})
}

// operations does operations in order, all of them or none.
func (s *Server) operations(ctx context.Context, raw []api.Operation) (api.ChangeResult, error) {
	operations := make([]lab.Operation, len(raw))
	for i, text := range raw {
		var err error
		if operations[i], err = lab.UnmarshalOperation(text); err != nil {
			return api.ChangeResult{}, badRequest(err)
		}
	}
	return s.engine.Do(ctx, operations...)
}

// badRequest returns the error for a request that can't be read; a platform error stays what it is.
func badRequest(err error) error {
	var platform *lab.Error
	if errors.As(err, &platform) {
		return err
	}
	return &api.Error{HTTPStatus: http.StatusBadRequest, Message: err.Error()}
}

// test writes each case as soon as it is done, and at the end the result.
func (s *Server) test(w http.ResponseWriter, r *http.Request) {
	request, err := read(w, r, api.PostTest)
	if err != nil {
		s.refuse(w, err)
		return
	}
	out, flush := json.NewEncoder(w), http.NewResponseController(w).Flush
	begun := false
	send := func(m api.TestMessage) error {
		if !begun {
			w.Header().Set("Content-Type", api.PostTest.Content)
			begun = true
		}
		if err := out.Encode(m); err != nil {
			return err
		}
		return flush()
	}
	result, err := s.engine.Test(
		r.Context(),
		request,
		func(c api.Case) error { return send(api.TestMessage{Case: &c}) },
	)
	switch {
	case err == nil:
		send(api.TestMessage{Result: &result}) //nolint:errcheck // the client is gone
	case !begun:
		s.refuse(w, err)
	default: // the client is gone, or will see that the answer breaks off
		panic(http.ErrAbortHandler)
	}
}

// logs prints the output of a program, and with follow goes on as it is written.
func (s *Server) logs(w http.ResponseWriter, r *http.Request) {
	request, err := read(w, r, api.GetLogs)
	if err != nil {
		s.refuse(w, err)
		return
	}
	lines, err := s.engine.Logs(r.Context(), request)
	if err != nil {
		s.refuse(w, err)
		return
	}
	w.Header().Set("Content-Type", api.GetLogs.Content)
	flush := http.NewResponseController(w).Flush
	flush() //nolint:errcheck // so that the client knows that the request was understood
	for line := range lines {
		if _, err := fmt.Fprintln(w, logText(line)); err != nil {
			return
		}
		if flush() != nil {
			return
		}
	}
}

// logText returns a line of output as it is printed; the emulator's own lines stand out.
func logText(line emu.LogLine) string {
	if line.Note {
		return "-- " + line.Text
	}
	return line.Text
}

// down answers before it ends the lab, since with the lab this process ends.
func (s *Server) down(w http.ResponseWriter, _ *http.Request) {
	answer(w, api.None{})
	http.NewResponseController(w).Flush() //nolint:errcheck // the client is gone
	s.stop()
}

// read decodes a request: from the query with GET, otherwise from the body.
func read[Q, A any](w http.ResponseWriter, r *http.Request, route api.Route[Q, A]) (request Q, err error) {
	if route.Method == http.MethodGet {
		err = readQuery(r.URL.Query(), &request)
		return request, err
	}
	if _, none := any(request).(api.None); none {
		return request, nil
	}
	in := json.NewDecoder(http.MaxBytesReader(w, r.Body, maxBody))
	in.DisallowUnknownFields()
	if err := in.Decode(&request); err != nil && !errors.Is(err, io.EOF) {
		return request, &api.Error{HTTPStatus: http.StatusBadRequest, Message: "request body: " + err.Error()}
	}
	return request, nil
}

// readQuery sets the fields of a struct from the query, by their JSON names.
func readQuery(q url.Values, request any) error {
	v := reflect.ValueOf(request).Elem()
	for i := range v.NumField() {
		name, _, _ := strings.Cut(v.Type().Field(i).Tag.Get("json"), ",")
		text := q.Get(name)
		if text == "" {
			continue
		}
		switch f := v.Field(i); f.Kind() { //nolint:exhaustive // those that a request has
		case reflect.String:
			f.SetString(text)
		case reflect.Bool:
			f.SetBool(text == "true")
		case reflect.Int:
			n, err := strconv.Atoi(text)
			if err != nil || n < 0 {
				return &api.Error{
					HTTPStatus: http.StatusBadRequest,
					Message:    fmt.Sprintf("%s must be a number from 0 on, not %q", name, text),
				}
			}
			f.SetInt(int64(n))
		default:
			panic("a query has no " + f.Kind().String())
		}
	}
	return nil
}

func answer(w http.ResponseWriter, body any) {
	w.Header().Set("Content-Type", "application/json")
	json.NewEncoder(w).Encode(body) //nolint:errcheck // the client is gone
}

func (s *Server) refuse(w http.ResponseWriter, err error) {
	e := s.errors.Of(err)
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(e.HTTPStatus)
	json.NewEncoder(w).Encode(api.ErrorAnswer{Error: e}) //nolint:errcheck // the client is gone
}

// Of returns an error as clients get it. The first platform error in it lends it its code and place.
func (e Errors) Of(err error) *api.Error {
	var ours *api.Error
	var platform *lab.Error
	switch {
	case errors.As(err, &ours):
		copied := *ours
		ours = &copied
	case errors.As(err, &platform):
		ours = &api.Error{
			Code: platform.Code, HTTPStatus: platform.HTTPStatus, Message: platform.Message, Hint: platform.Hint,
			File: platform.Origin.File, Line: platform.Origin.Line, Column: platform.Origin.Column,
		}
	default:
		ours = &api.Error{Message: err.Error()}
		if e.Hint != nil {
			ours.Hint, ours.Lacking = e.Hint(err)
		}
	}
	if ours.HTTPStatus == 0 {
		ours.HTTPStatus = http.StatusInternalServerError
	}
	return ours
}
