package client

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"time"

	"vnetlab/lab/api"
)

// How a client finds out that a supervisor doesn't answer. A call may take as long as it needs; meanwhile the client
// asks, beside it, whether the supervisor still answers at all.
const (
	firstPing = 500 * time.Millisecond  // after the beginning of a call
	laterPing = 2 * time.Second         // after the previous one
	pingLimit = 1300 * time.Millisecond // for the answer to a ping
	givenUp   = 30 * time.Second        // without an answer from a supervisor that isn't stopped: the machine may be overloaded
)

// NotAnswering returns the error for a supervisor that hasn't answered since then.
func (c *Client) NotAnswering(since time.Time) *api.Error {
	e := &api.Error{
		Message: fmt.Sprintf("lab %s is not answering since %s", c.Name, since.Format(time.TimeOnly)),
		Hint:    fmt.Sprintf("lab down %s ends it", c.Name),
	}
	if pid, stopped := c.process.Stopped(); stopped {
		e.Message += fmt.Sprintf(": its supervisor (process %d) is stopped", pid)
		e.Hint = fmt.Sprintf("kill -CONT %d lets it go on; lab down %s ends it", pid, c.Name)
	}
	return e
}

// watch returns a context for a call. It ends, with a cause that explains it, when the supervisor stops answering. The
// caller calls stop when the call is over.
func (c *Client) watch(ctx context.Context) (watched context.Context, stop func()) {
	watched, cancel := context.WithCancelCause(ctx)
	go func() {
		var since time.Time // of the first ping without an answer
		for wait := firstPing; ; wait = laterPing {
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
			}
			_, stopped := c.process.Stopped()
			if since.IsZero() {
				since = began
				if !stopped && c.Remark != nil {
					c.Remark(c.NotAnswering(since).Message)
				}
			}
			if stopped || time.Since(since) > givenUp {
				cancel(c.NotAnswering(since))
				return
			}
		}
	}()
	return watched, func() { cancel(nil) }
}

// ping finds out whether the supervisor answers at all.
func (c *Client) ping(ctx context.Context, limit time.Duration) error {
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, api.GetPing.Method, "http://lab"+api.GetPing.Path, http.NoBody)
	if err != nil {
		return err
	}
	response, err := c.http.Do(req)
	if err != nil {
		return errors.Join(err, ctx.Err())
	}
	return response.Body.Close()
}
