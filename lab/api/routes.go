package api

import (
	"encoding/json"
	"net/http"
	"reflect"
)

// Route is a route of the control socket. Request is what a client sends, in the body or, with GET, in the query, where
// each field goes by its JSON name. Answer is the body of a success; the body of a failure is an [ErrorAnswer].
type Route[Request, Answer any] struct {
	Method, Path string
	Does         string // in one sentence
	// Content is the media type of the answer. Of StreamType the body is a sequence of answers, of TextType plain text
	// as long as there is any; empty: JSON.
	Content string
	// Protocol is what the connection is upgraded to. Client and lab then leave HTTP: the client sends the request with
	// open files (internal/descriptors), and the lab answers with one line of JSON unless the route says otherwise.
	Protocol string
}

// Media types of answers that aren't one JSON value.
const (
	StreamType = "application/x-ndjson"
	TextType   = "text/plain; charset=utf-8"
)

// None is the request or the answer of a route that has none.
type None struct{}

// Operation is an operation as package lab encodes it: {"operation": NAME, "parameters": {…}}.
type Operation = json.RawMessage

// The routes of the control socket.
var (
	GetLab = Route[LabRequest, Lab]{
		Method: http.MethodGet,
		Path:   "/v1/lab",
		Does:   "Describe the lab, or only the cloud services that a name may belong to.",
	}
	GetPing    = Route[None, None]{Method: http.MethodGet, Path: "/v1/ping", Does: "Answer, to show that the lab does."}
	GetSummary = Route[None, Summary]{Method: http.MethodGet, Path: "/v1/summary", Does: "Describe the lab in short."}
	GetFile    = Route[None, File]{
		Method: http.MethodGet, Path: "/v1/file", Does: "Return the lab file that the lab was last made from.",
	}
	GetNetwork = Route[None, json.RawMessage]{
		Method: http.MethodGet,
		Path:   "/v1/network",
		Does:   "Return the wanted state of the lab's network, as lab plan prints it.",
	}
	GetDiff = Route[DiffRequest, DiffResult]{
		Method: http.MethodGet,
		Path:   "/v1/diff",
		Does:   "List where the kernel differs from the lab, or from one instance.",
	}
	PostRepair = Route[None, RepairResult]{
		Method: http.MethodPost, Path: "/v1/repair", Does: "Make the kernel again what the lab wants.",
	}
	PostProbe = Route[ProbeRequest, ProbeResult]{
		Method: http.MethodPost, Path: "/v1/probe", Does: "Find out by a connection whether one name reaches another.",
	}
	PostTest = Route[TestRequest, TestMessage]{
		Method: http.MethodPost, Path: "/v1/test", Does: "Check expectations.", Content: StreamType,
	}
	GetLogs = Route[LogsRequest, None]{
		Method: http.MethodGet, Path: "/v1/logs", Does: "Return the output of a program.", Content: TextType,
	}
	// PostExec takes three files: stdin, stdout and stderr. A client that hangs up ends the command.
	PostExec = Route[ExecRequest, ExecAnswer]{
		Method: http.MethodPost, Path: "/v1/exec", Does: "Run a command in an instance.", Protocol: "vnetlab-exec",
	}
	// PostTerminal answers with a message that carries two files, master and slave.
	PostTerminal = Route[TerminalRequest, TerminalAnswer]{
		Method:   http.MethodPost,
		Path:     "/v1/terminal",
		Does:     "Open a pseudo-terminal in an instance.",
		Protocol: "vnetlab-terminal",
	}
	// PostForward takes the connection as its file; without one the request is only checked. The lab answers when it
	// has connected, or can't; from then on the connection is the lab's.
	PostForward = Route[ForwardRequest, ForwardAnswer]{
		Method: http.MethodPost, Path: "/v1/forward", Does: "Connect a connection of the host to a target in the lab.",
		Protocol: "vnetlab-forward",
	}
	PostOperations = Route[[]Operation, ChangeResult]{
		Method: http.MethodPost, Path: "/v1/operations", Does: "Do operations in order, all of them or none.",
	}
	PostApply = Route[ApplyRequest, ChangeResult]{
		Method: http.MethodPost, Path: "/v1/apply", Does: "Make the lab what a file describes, in one change.",
	}
	PostRestart = Route[RestartRequest, ChangeResult]{
		Method: http.MethodPost,
		Path:   "/v1/restart",
		Does:   "End everything that runs in an instance and start its listeners again.",
	}
	PostDown = Route[None, None]{Method: http.MethodPost, Path: "/v1/down", Does: "End the lab."}
)

// Entry is a route in the table.
type Entry struct {
	Method, Path, Does, Content, Protocol string
	Request, Answer                       reflect.Type // that of None: there is none
}

// Pattern returns the route as [http.ServeMux] wants it.
func (r Route[Request, Answer]) Pattern() string { return r.Method + " " + r.Path }

// Entry returns the route without its type parameters.
func (r Route[Request, Answer]) Entry() Entry {
	return Entry{
		Method: r.Method, Path: r.Path, Does: r.Does, Content: r.Content, Protocol: r.Protocol,
		Request: reflect.TypeFor[Request](), Answer: reflect.TypeFor[Answer](),
	}
}

// Routes is the table of all routes.
func Routes() []Entry {
	return []Entry{
		GetLab.Entry(),
		GetPing.Entry(),
		GetSummary.Entry(),
		GetFile.Entry(),
		GetNetwork.Entry(),
		GetDiff.Entry(),
		PostRepair.Entry(),
		PostProbe.Entry(),
		PostTest.Entry(),
		GetLogs.Entry(),
		PostExec.Entry(),
		PostTerminal.Entry(),
		PostForward.Entry(),
		PostOperations.Entry(),
		PostApply.Entry(),
		PostRestart.Entry(),
		PostDown.Entry(),
	}
}
