package live

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log"
	"net/http"
	"os"
	"strconv"
	"time"

	"vnetlab/emu"
	"vnetlab/lab"
	"vnetlab/lab/compile"
)

// maxBody bounds what a request may send, in bytes.
const maxBody = 1 << 20

// httpServer serves the control socket. Whoever can open that socket is root, so it asks nobody who they are.
func (s *server) httpServer() *http.Server {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /v1/lab", func(w http.ResponseWriter, r *http.Request) {
		if name := r.FormValue("about"); name != "" {
			answer(w, s.about(name))
			return
		}
		answer(w, s.info())
	})
	mux.HandleFunc("GET /v1/ping", func(w http.ResponseWriter, _ *http.Request) { answer(w, struct{}{}) })
	mux.HandleFunc("GET /v1/summary", func(w http.ResponseWriter, _ *http.Request) { answer(w, s.summary()) })
	mux.HandleFunc("GET /v1/file", func(w http.ResponseWriter, _ *http.Request) { answer(w, s.now().file) })
	mux.HandleFunc("GET /v1/network", func(w http.ResponseWriter, _ *http.Request) {
		network := compile.Named(s.now().lab)
		network.Sort()
		answer(w, network)
	})
	mux.HandleFunc("GET /v1/diff", s.diff)
	mux.HandleFunc("POST /v1/repair", s.repair)
	mux.HandleFunc("POST /v1/probe", s.probe)
	mux.HandleFunc("POST /v1/test", s.test)
	mux.HandleFunc("GET /v1/logs", s.logs)
	mux.HandleFunc("POST /v1/exec", s.exec)
	mux.HandleFunc("POST /v1/terminal", s.terminal)
	mux.HandleFunc("POST /v1/forward", s.forward)
	mux.HandleFunc("POST /v1/operations", s.operations)
	mux.HandleFunc("POST /v1/apply", s.apply)
	mux.HandleFunc("POST /v1/restart", s.restart)
	mux.HandleFunc("POST /v1/down", func(w http.ResponseWriter, _ *http.Request) {
		answer(w, struct{}{})
		s.stop()
	})
	mux.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) {
		refuse(w, &Error{
			HTTPStatus: http.StatusNotFound, Message: "there is no " + r.Method + " " + r.URL.Path,
			Hint: "this lab may have been started by another version of lab",
		})
	})
	return &http.Server{
		Handler:           mux,
		ReadHeaderTimeout: 5 * time.Second,
		ErrorLog:          log.New(os.Stderr, "control: ", log.LstdFlags),
	}
}

// logs prints the output of a program, and with follow goes on as it is written.
func (s *server) logs(w http.ResponseWriter, r *http.Request) {
	q := r.URL.Query()
	l := s.now().lab
	namespace, err := l.Namespace(q.Get("instance"))
	if err != nil {
		refuse(w, err)
		return
	}
	last := -1
	if text := q.Get("last"); text != "" {
		if last, err = strconv.Atoi(text); err != nil || last < 0 {
			refuse(w, &Error{HTTPStatus: http.StatusBadRequest, Message: "last must be a number of lines, not " + strconv.Quote(text)})
			return
		}
	}
	lines, err := s.emu.Logs(r.Context(), namespace, q.Get("service"), last, q.Get("follow") == "true")
	if err != nil {
		refuse(w, fmt.Errorf("%s %w", l.NamespaceName(namespace), err))
		return
	}
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
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

// logText is a line of output as it is printed; what the emulator has to say stands out.
func logText(line emu.LogLine) string {
	if line.Note {
		return "-- " + line.Text
	}
	return line.Text
}

// read decodes the body of a request; it answers itself when that is wrong.
func read(w http.ResponseWriter, r *http.Request, body any) bool {
	in := json.NewDecoder(http.MaxBytesReader(w, r.Body, maxBody))
	in.DisallowUnknownFields()
	if err := in.Decode(body); err != nil && !errors.Is(err, io.EOF) {
		refuse(w, &Error{HTTPStatus: http.StatusBadRequest, Message: "request body: " + err.Error()})
		return false
	}
	return true
}

func answer(w http.ResponseWriter, body any) {
	w.Header().Set("Content-Type", "application/json")
	json.NewEncoder(w).Encode(body) //nolint:errcheck // the client is gone
}

// errorAnswer is the body of every answer that isn't a success.
type errorAnswer struct {
	Error *Error `json:"error"`
}

func refuse(w http.ResponseWriter, err error) {
	e := errorOf(err)
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(e.HTTPStatus)
	json.NewEncoder(w).Encode(errorAnswer{e}) //nolint:errcheck // the client is gone
}

// errorOf gives any error the form in which the control socket tells it. The first platform error in it lends it its code and place.
func errorOf(err error) *Error {
	var own *Error
	var platform *lab.Error
	switch {
	case errors.As(err, &own):
		e := *own
		own = &e
	case errors.As(err, &platform):
		own = &Error{
			Code: platform.Code, HTTPStatus: platform.HTTPStatus, Message: platform.Message, Hint: platform.Hint,
			File: platform.Origin.File, Line: platform.Origin.Line, Column: platform.Origin.Column,
		}
	default:
		hint := LimitHint(err)
		var inTheWay *taken
		own = &Error{Message: err.Error(), Hint: hint, Lacking: hint != "" && !errors.As(err, &inTheWay)}
	}
	if own.HTTPStatus == 0 {
		own.HTTPStatus = http.StatusInternalServerError
	}
	return own
}
