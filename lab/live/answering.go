package live

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"os"
	"strings"
	"time"
)

// How a client finds out that a supervisor doesn't answer. A call may take as long as it needs; meanwhile the client asks, beside it, whether
// the supervisor still answers at all.
const (
	firstPing = 500 * time.Millisecond  // after the beginning of a call
	pingLimit = 1300 * time.Millisecond // for the answer to a ping
	givenUp   = 30 * time.Second        // without any answer from a supervisor that isn't stopped: the machine may be overloaded
)

// notAnswering is why a call to a supervisor that doesn't answer ended.
func (c *Client) notAnswering(since time.Time) *Error {
	pid := holder(c.Name)
	e := &Error{Message: fmt.Sprintf("lab %s is not answering since %s", c.Name, since.Format(time.TimeOnly)), Hint: fmt.Sprintf("lab down %s ends it", c.Name)}
	if isStopped(pid) {
		e.Message += fmt.Sprintf(": its supervisor (process %d) is stopped", pid)
		e.Hint = fmt.Sprintf("kill -CONT %d lets it go on; lab down %s ends it", pid, c.Name)
	}
	return e
}

// isStopped reports whether a process is stopped by a signal, or by a debugger.
func isStopped(pid int) bool {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return false
	}
	_, state, ok := strings.Cut(string(text), ") ") // the name may hold anything but the state's place is behind it
	return ok && (strings.HasPrefix(state, "T ") || strings.HasPrefix(state, "t "))
}

// watch returns a context for a call. It ends, with a cause that says so, when the supervisor is found not to answer. The caller calls stop when
// the call is over.
func (c *Client) watch(ctx context.Context) (watched context.Context, stop func()) {
	watched, cancel := context.WithCancelCause(ctx)
	go func() {
		var since time.Time // of the first ping that got no answer
		for wait := firstPing; ; wait = 2 * time.Second {
			select {
			case <-watched.Done():
				return
			case <-time.After(wait):
			}
			began := time.Now()
			err := c.ping(watched, pingLimit)
			switch {
			case watched.Err() != nil:
				return
			case !errors.Is(err, context.DeadlineExceeded):
				since = time.Time{} // it answers, or is gone, which the call itself finds out
				continue
			case since.IsZero():
				since = began
				if e := c.notAnswering(since); !isStopped(holder(c.Name)) && c.Remark != nil {
					c.Remark(e.Message)
				}
			}
			if isStopped(holder(c.Name)) || time.Since(since) > givenUp {
				cancel(c.notAnswering(since))
				return
			}
		}
	}()
	return watched, func() { cancel(nil) }
}

// ping asks whether the supervisor answers at all.
func (c *Client) ping(ctx context.Context, limit time.Duration) error {
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://lab/v1/ping", http.NoBody)
	if err != nil {
		return err
	}
	response, err := c.http.Do(req)
	if err != nil {
		return errors.Join(err, ctx.Err())
	}
	return response.Body.Close()
}
