package live

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
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"

	"vnetlab/internal/descriptors"
	"vnetlab/lab"
	"vnetlab/lab/expect"
	"vnetlab/lab/labfile"
)

// Client talks to a running lab through its control socket. Its methods may be called from many goroutines at once.
type Client struct {
	// Name of the lab.
	Name string
	// Remark is called, from another goroutine, with what there is to say while a call waits; nil: nothing is said.
	Remark func(text string)

	http   *http.Client
	socket string
}

// Dial gives a client of a running lab. A lab that doesn't run is an *Error.
func Dial(name string) (*Client, error) {
	if name != filepath.Base(name) || strings.HasPrefix(name, ".") {
		return nil, notRunning(name)
	}
	c := &Client{Name: name, socket: filepath.Join(labDir(name), socketFile)}
	c.http = &http.Client{Transport: &http.Transport{
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) { return c.dial(ctx) },
		// A connection is cheap, and one kept open would keep a supervisor from knowing that nobody listens any more.
		DisableKeepAlives: true,
	}}
	conn, err := c.dial(context.Background())
	if err != nil {
		return nil, err
	}
	conn.Close()
	return c, nil
}

func (c *Client) dial(ctx context.Context) (*net.UnixConn, error) {
	conn, err := (&net.Dialer{}).DialContext(ctx, "unix", c.socket)
	switch {
	case errors.Is(err, unix.ENOENT), errors.Is(err, unix.ECONNREFUSED):
		if held(c.Name) {
			return nil, &Error{Message: fmt.Sprintf("lab %s is just being started or stopped", c.Name)}
		}
		return nil, notRunning(c.Name)
	case errors.Is(err, unix.EACCES):
		return nil, &Error{Code: PrivilegesNeeded, Message: fmt.Sprintf("only root may use the control socket of lab %s", c.Name), Lacking: true}
	case err != nil:
		return nil, fmt.Errorf("control socket of lab %s: %w", c.Name, err)
	}
	return conn.(*net.UnixConn), nil
}

func notRunning(name string) *Error {
	e := &Error{Message: fmt.Sprintf("lab %s is not running", name), Hint: "lab ls shows what is; lab up FILE starts one"}
	if how := howItEnded(name); how != "" {
		e.Message += ": " + how
	}
	return e
}

// Find gives a client of the lab with the name; with an empty name of the lab that $LAB names, or else of the only one that runs.
func Find(name string) (*Client, error) {
	if name == "" {
		name = os.Getenv("LAB")
	}
	if name != "" {
		return Dial(name)
	}
	names, err := running()
	if err != nil {
		return nil, err
	}
	switch len(names) {
	case 0:
		return nil, &Error{Message: "no lab is running", Hint: "lab up FILE"}
	case 1:
		return Dial(names[0])
	}
	return nil, &Error{
		Message: fmt.Sprintf("%d labs are running: %s", len(names), strings.Join(names, ", ")),
		Hint:    "choose one with --lab NAME or LAB=NAME",
	}
}

// running lists the names of the labs whose supervisors live.
func running() ([]string, error) {
	names, err := labNames()
	if errors.Is(err, os.ErrPermission) {
		return nil, &Error{Code: PrivilegesNeeded, Message: "only root may read " + RunDir(), Lacking: true}
	}
	return slices.DeleteFunc(names, func(name string) bool { return !held(name) }), err
}

// Summary describes the lab in short.
func (c *Client) Summary(ctx context.Context) (s Summary, err error) {
	return s, c.get(ctx, "/v1/summary", &s)
}

// File returns the lab file that the lab was last made from.
func (c *Client) File(ctx context.Context) (f labfile.Input, err error) {
	return f, c.get(ctx, "/v1/file", &f)
}

// Lab describes the lab in full.
func (c *Client) Lab(ctx context.Context) (i Info, err error) {
	return i, c.get(ctx, "/v1/lab", &i)
}

// About describes, of the lab, no more than the cloud services that a name may be of, or of a part of: an instance, or a cloud service itself. What
// it costs doesn't depend on how much else is in the lab.
func (c *Client) About(ctx context.Context, name string) (i Info, err error) {
	return i, c.get(ctx, "/v1/lab?"+url.Values{"about": {name}}.Encode(), &i)
}

// Network gives the wanted state of the lab's network as JSON, as `lab plan` prints it.
func (c *Client) Network(ctx context.Context) (n json.RawMessage, err error) {
	return n, c.get(ctx, "/v1/network", &n)
}

// Diff tells where the kernel is no longer as the lab made it.
func (c *Client) Diff(ctx context.Context) (d DiffResult, err error) {
	return d, c.get(ctx, "/v1/diff", &d)
}

// DiffInstance is Diff for one instance, with its guest firewall.
func (c *Client) DiffInstance(ctx context.Context, instance string) (d DiffResult, err error) {
	return d, c.get(ctx, "/v1/diff?"+url.Values{"instance": {instance}}.Encode(), &d)
}

// Repair makes the kernel again what the lab wants.
func (c *Client) Repair(ctx context.Context) (r RepairResult, err error) {
	return r, c.call(ctx, http.MethodPost, "/v1/repair", nil, &r)
}

// Probe asks whether one name reaches another.
func (c *Client) Probe(ctx context.Context, r ProbeRequest) (p ProbeResult, err error) {
	return p, c.call(ctx, http.MethodPost, "/v1/probe", r, &p)
}

// Test checks expectations. Each case is handed to finished, which may be nil, as soon as it and all before it are done.
func (c *Client) Test(ctx context.Context, r TestRequest, finished func(expect.Case)) (expect.Result, error) {
	body, err := c.open(ctx, http.MethodPost, "/v1/test", r)
	if err != nil {
		return expect.Result{}, err
	}
	defer body.Close()
	in := json.NewDecoder(body)
	for {
		var m testMessage
		if err := in.Decode(&m); err != nil {
			return expect.Result{}, c.broken(err)
		}
		if m.Case != nil && finished != nil {
			finished(*m.Case)
		}
		if m.Result != nil {
			return *m.Result, nil
		}
	}
}

// LogsRequest says whose output is wanted.
type LogsRequest struct {
	Instance string
	Service  string // name or port; empty: the only program of the instance
	Last     int    // so many lines at most; 0: all that are kept
	Follow   bool   // go on until ctx ends
}

// Logs copies the output of a program to w.
func (c *Client) Logs(ctx context.Context, r LogsRequest, w io.Writer) error {
	q := url.Values{"instance": {r.Instance}, "service": {r.Service}}
	if r.Last > 0 {
		q.Set("last", strconv.Itoa(r.Last))
	}
	if r.Follow {
		q.Set("follow", "true")
	}
	body, err := c.open(ctx, http.MethodGet, "/v1/logs?"+q.Encode(), nil)
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

// Exec runs a command in an instance, with these descriptors, and gives its exit code like a shell. When ctx ends, so does the
// command. The terminal of the calling process is lent by [Client.ExecHere].
func (c *Client) Exec(ctx context.Context, r ExecRequest, stdin, stdout, stderr *os.File) (int, error) {
	conn, in, err := c.upgrade(ctx, "/v1/exec", execProtocol)
	if err != nil {
		return -1, err
	}
	defer conn.Close()
	defer context.AfterFunc(ctx, func() { conn.Close() })()
	if err := descriptors.Send(conn, r, stdin, stdout, stderr); err != nil {
		return -1, c.broken(err)
	}
	var a execAnswer
	if err := json.NewDecoder(in).Decode(&a); err != nil {
		if ctx.Err() != nil {
			return -1, ctx.Err()
		}
		return -1, c.broken(err)
	}
	if a.Error != nil {
		return a.Exit, a.Error
	}
	return a.Exit, nil
}

// openTerminal makes a pseudo-terminal in an instance.
func (c *Client) openTerminal(ctx context.Context, instance string) (master, slave *os.File, err error) {
	conn, _, err := c.upgrade(ctx, "/v1/terminal", terminalProtocol)
	if err != nil {
		return nil, nil, err
	}
	defer conn.Close()
	defer context.AfterFunc(ctx, func() { conn.Close() })()
	if err := descriptors.Send(conn, terminalRequest{instance}); err != nil {
		return nil, nil, c.broken(err)
	}
	var a terminalAnswer
	files, err := descriptors.Receive(conn, &a)
	switch {
	case ctx.Err() != nil:
		err = ctx.Err()
	case err != nil:
		err = c.broken(err)
	case a.Error != nil:
		err = a.Error
	case len(files) != 2:
		err = errors.New("no terminal came from the lab")
	default:
		return files[0], files[1], nil
	}
	for _, f := range files {
		f.Close()
	}
	return nil, nil, err
}

// Do does operations on the lab, in order and as one change: all of them happen, or none. A refusal of the platform is an *Error with its
// code.
func (c *Client) Do(ctx context.Context, operations ...lab.Operation) (result ChangeResult, err error) {
	raw := make([]json.RawMessage, len(operations))
	for i, o := range operations {
		if raw[i], err = lab.MarshalOperation(o); err != nil {
			return result, err
		}
	}
	return result, c.call(ctx, http.MethodPost, "/v1/operations", raw, &result)
}

// Apply makes the lab what a file says, as one change: all of the difference, or nothing of it. It gives the operations that make the
// difference; with DryRun it does no more than that.
func (c *Client) Apply(ctx context.Context, r ApplyRequest) (result ChangeResult, err error) {
	return result, c.call(ctx, http.MethodPost, "/v1/apply", r, &result)
}

// Restart ends all that runs in an instance and starts its services again.
func (c *Client) Restart(ctx context.Context, instance string) (result ChangeResult, err error) {
	return result, c.call(ctx, http.MethodPost, "/v1/restart", RestartRequest{instance}, &result)
}

// stop asks the lab to end; it does so some time later.
func (c *Client) stop(ctx context.Context) error {
	return c.call(ctx, http.MethodPost, "/v1/down", nil, nil)
}

func (c *Client) get(ctx context.Context, path string, result any) error {
	return c.call(ctx, http.MethodGet, path, nil, result)
}

// call makes one request and decodes its answer.
func (c *Client) call(ctx context.Context, method, path string, request, result any) error {
	body, err := c.open(ctx, method, path, request)
	if err != nil {
		return err
	}
	defer body.Close()
	if result == nil {
		return nil
	}
	if err := json.NewDecoder(body).Decode(result); err != nil {
		return c.broken(err)
	}
	return nil
}

// open makes one request and gives the body of its answer, if it is a success.
func (c *Client) open(ctx context.Context, method, path string, request any) (io.ReadCloser, error) {
	var body io.Reader = http.NoBody
	if request != nil {
		text, err := json.Marshal(request)
		if err != nil {
			return nil, err
		}
		body = bytes.NewReader(text)
	}
	watched, stop := c.watch(ctx)
	req, err := http.NewRequestWithContext(watched, method, "http://lab"+path, body)
	if err != nil {
		stop()
		return nil, err
	}
	response, err := c.http.Do(req)
	if err != nil {
		defer stop()
		var told *Error
		if errors.As(err, &told) || errors.As(context.Cause(watched), &told) {
			return nil, told
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

// watchedBody is the body of an answer that ends where the supervisor doesn't answer any more.
type watchedBody struct {
	io.ReadCloser
	ctx  context.Context //nolint:containedctx // of the one call that it is the answer to
	stop func()
}

func (b *watchedBody) Read(p []byte) (int, error) {
	n, err := b.ReadCloser.Read(p)
	var told *Error
	if err != nil && errors.As(context.Cause(b.ctx), &told) {
		err = told
	}
	return n, err
}

func (b *watchedBody) Close() error {
	b.stop()
	return b.ReadCloser.Close()
}

// readError gives the error that an answer carries.
func readError(response *http.Response) error {
	var a errorAnswer
	if err := json.NewDecoder(response.Body).Decode(&a); err != nil || a.Error == nil {
		return fmt.Errorf("the lab answered %s", response.Status)
	}
	return a.Error
}

// broken explains an answer that breaks off.
func (c *Client) broken(err error) error {
	var told *Error
	if errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded) || errors.As(err, &told) {
		return err
	}
	if !held(c.Name) {
		e := &Error{Message: fmt.Sprintf("lab %s ended before it had answered", c.Name)}
		if how := howItEnded(c.Name); how != "" {
			e.Message += ": " + how
		}
		return e
	}
	return fmt.Errorf("lab %s: %w", c.Name, err)
}
