// Package client talks to a running lab over its control socket, by the contract of package api.
//
// It needs neither root nor a kernel of its own: everything that only the machine of the lab can do, such as finding
// the socket of a lab or starting one, is in lab/supervisor.
package client

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strconv"

	"vnetlab/lab"
	"vnetlab/lab/api"
)

// Client talks to a running lab. Its methods may be called from many goroutines at once.
type Client struct {
	// Name of the lab.
	Name string
	// Remark is called, from another goroutine, with what there is to say while a call waits; nil: nothing is said.
	Remark func(text string)

	http    *http.Client
	process Process
	dial    func(context.Context) (*net.UnixConn, error)
}

// Process is what can be known of the process behind a socket without asking it.
type Process interface {
	// Unreachable returns why no connection to the lab could be made, in place of err.
	Unreachable(err error) error
	// Ended returns an error when the process is no longer there; nil: it is.
	Ended() error
	// Stopped returns the id of the process, and whether a signal or a debugger has stopped it.
	Stopped() (pid int, stopped bool)
}

// New returns a client of the lab behind a unix socket. It makes no connection.
func New(name, socket string, process Process) *Client {
	c := &Client{Name: name, process: process}
	c.dial = func(ctx context.Context) (*net.UnixConn, error) {
		conn, err := (&net.Dialer{}).DialContext(ctx, "unix", socket)
		if err != nil {
			return nil, process.Unreachable(err)
		}
		return conn.(*net.UnixConn), nil
	}
	c.http = &http.Client{Transport: &http.Transport{
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) { return c.dial(ctx) },
		// A connection is cheap, and one kept open would keep a supervisor from knowing that nobody listens any more.
		DisableKeepAlives: true,
	}}
	return c
}

// Check returns an error when no connection to the lab can be made.
func (c *Client) Check(ctx context.Context) error {
	conn, err := c.dial(ctx)
	if err != nil {
		return err
	}
	return conn.Close()
}

// Summary describes the lab in short.
func (c *Client) Summary(ctx context.Context) (api.Summary, error) {
	return call(ctx, c, api.GetSummary, api.None{})
}

// File returns the lab file that the lab was last made from.
func (c *Client) File(ctx context.Context) (api.File, error) {
	return call(ctx, c, api.GetFile, api.None{})
}

// Lab describes the lab in full.
func (c *Client) Lab(ctx context.Context) (api.Lab, error) {
	return call(ctx, c, api.GetLab, api.LabRequest{})
}

// About describes only the cloud services that a name may belong to: that of an instance, or the cloud service itself.
// Its cost doesn't depend on the size of the lab.
func (c *Client) About(ctx context.Context, name string) (api.Lab, error) {
	return call(ctx, c, api.GetLab, api.LabRequest{About: name})
}

// Network returns the wanted state of the lab's network as JSON, as `lab plan` prints it.
func (c *Client) Network(ctx context.Context) (json.RawMessage, error) {
	return call(ctx, c, api.GetNetwork, api.None{})
}

// Diff lists where the kernel differs from what the lab made.
func (c *Client) Diff(ctx context.Context) (api.DiffResult, error) {
	return call(ctx, c, api.GetDiff, api.DiffRequest{})
}

// DiffInstance is Diff for one instance, with its guest firewall.
func (c *Client) DiffInstance(ctx context.Context, instance string) (api.DiffResult, error) {
	return call(ctx, c, api.GetDiff, api.DiffRequest{Instance: instance})
}

// Repair makes the kernel again what the lab wants.
func (c *Client) Repair(ctx context.Context) (api.RepairResult, error) {
	return call(ctx, c, api.PostRepair, api.None{})
}

// Probe finds out whether one name reaches another.
func (c *Client) Probe(ctx context.Context, r api.ProbeRequest) (api.ProbeResult, error) {
	return call(ctx, c, api.PostProbe, r)
}

// Test checks expectations. It passes each case to finished, which may be nil, as soon as it and all before it are
// done.
func (c *Client) Test(
	ctx context.Context, r api.TestRequest, finished func(api.Case),
) (result api.TestResult, err error) {
	body, err := open(ctx, c, api.PostTest, r)
	if err != nil {
		return result, err
	}
	defer body.Close()
	in := json.NewDecoder(body)
	for {
		var m api.TestMessage
		if err := in.Decode(&m); err != nil {
			return result, c.broken(err)
		}
		if m.Case != nil && finished != nil {
			finished(*m.Case)
		}
		if m.Result != nil {
			return *m.Result, nil
		}
	}
}

// Logs copies the output of a program to w, with Follow until ctx ends.
func (c *Client) Logs(ctx context.Context, r api.LogsRequest, w io.Writer) error {
	body, err := open(ctx, c, api.GetLogs, r)
	if err != nil {
		return err
	}
	defer body.Close()
	_, err = io.Copy(w, body)
	if ctx.Err() != nil {
		return ctx.Err()
	}
	return err
}

// Do does operations on the lab, in order and as one change: all of them happen, or none. A refusal of the platform is
// an *api.Error with its code.
func (c *Client) Do(ctx context.Context, operations ...lab.Operation) (result api.ChangeResult, err error) {
	raw := make([]api.Operation, len(operations))
	for i, o := range operations {
		if raw[i], err = lab.MarshalOperation(o); err != nil {
			return result, err
		}
	}
	return call(ctx, c, api.PostOperations, raw)
}

// Apply makes the lab what a file describes, as one change: all of the difference, or nothing of it. It returns the
// operations that make the difference; with DryRun that is all it does.
func (c *Client) Apply(ctx context.Context, r api.ApplyRequest) (api.ChangeResult, error) {
	return call(ctx, c, api.PostApply, r)
}

// Restart ends everything that runs in an instance and starts its listeners again.
func (c *Client) Restart(ctx context.Context, instance string) (api.ChangeResult, error) {
	return call(ctx, c, api.PostRestart, api.RestartRequest{Instance: instance})
}

// Stop asks the lab to end, which it does some time later.
func (c *Client) Stop(ctx context.Context) error {
	_, err := call(ctx, c, api.PostDown, api.None{})
	return err
}

// call makes one request and decodes its answer.
func call[Q, A any](ctx context.Context, c *Client, route api.Route[Q, A], request Q) (answer A, err error) {
	body, err := open(ctx, c, route, request)
	if err != nil {
		return answer, err
	}
	defer body.Close()
	if err := json.NewDecoder(body).Decode(&answer); err != nil {
		return answer, c.broken(err)
	}
	return answer, nil
}

// open makes one request and returns the body of its answer, if it is a success.
func open[Q, A any](ctx context.Context, c *Client, route api.Route[Q, A], request Q) (io.ReadCloser, error) {
	text, err := json.Marshal(request)
	if err != nil {
		return nil, err
	}
	address, body := "http://lab"+route.Path, io.Reader(http.NoBody)
	if _, none := any(request).(api.None); !none && route.Method == http.MethodGet {
		q, err := query(text)
		if err != nil {
			return nil, err
		}
		address += q
	} else if !none {
		body = bytes.NewReader(text)
	}
	return c.open(ctx, route.Method, address, body)
}

func (c *Client) open(ctx context.Context, method, address string, body io.Reader) (io.ReadCloser, error) {
	watched, stop := c.watch(ctx)
	req, err := http.NewRequestWithContext(watched, method, address, body)
	if err != nil {
		stop()
		return nil, err
	}
	response, err := c.http.Do(req)
	if err != nil {
		defer stop()
		var known *api.Error
		if errors.As(err, &known) || errors.As(context.Cause(watched), &known) {
			return nil, known
		}
		return nil, c.broken(err)
	}
	if response.StatusCode != http.StatusOK {
		defer stop()
		defer response.Body.Close()
		return nil, readError(response)
	}
	return &watchedBody{response.Body, watched, stop}, nil
}

// query returns the fields of a JSON object as a query, with its question mark; empty: there are none.
func query(object []byte) (string, error) {
	in := json.NewDecoder(bytes.NewReader(object))
	in.UseNumber()
	var fields map[string]any
	if err := in.Decode(&fields); err != nil || len(fields) == 0 {
		return "", err
	}
	q := url.Values{}
	for name, value := range fields {
		switch v := value.(type) {
		case string:
			q.Set(name, v)
		case bool:
			q.Set(name, strconv.FormatBool(v))
		case json.Number:
			q.Set(name, v.String())
		default:
			return "", fmt.Errorf("%s can't be part of a query", name)
		}
	}
	return "?" + q.Encode(), nil
}

// watchedBody is the body of an answer that ends when the supervisor stops answering.
type watchedBody struct {
	io.ReadCloser
	ctx  context.Context //nolint:containedctx // that of the one call
	stop func()
}

func (b *watchedBody) Read(p []byte) (int, error) {
	n, err := b.ReadCloser.Read(p)
	var known *api.Error
	if err != nil && errors.As(context.Cause(b.ctx), &known) {
		err = known
	}
	return n, err
}

func (b *watchedBody) Close() error {
	b.stop()
	return b.ReadCloser.Close()
}

// readError returns the error that an answer carries.
func readError(response *http.Response) error {
	var a api.ErrorAnswer
	if err := json.NewDecoder(response.Body).Decode(&a); err != nil || a.Error == nil {
		return fmt.Errorf("the lab answered %s", response.Status)
	}
	return a.Error
}

// broken explains an answer that breaks off.
func (c *Client) broken(err error) error {
	var known *api.Error
	if errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded) || errors.As(err, &known) {
		return err
	}
	if ended := c.process.Ended(); ended != nil {
		return ended
	}
	return fmt.Errorf("lab %s: %w", c.Name, err)
}
