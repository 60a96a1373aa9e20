package supervisor

import (
	"context"
	"sync"
	"time"

	"vnetlab/lab/api"
)

// listPatience is how long a lab may take to say what it is when all are listed; longer in tests.
var listPatience = 1800 * time.Millisecond

// List describes all running labs, by name. Of a lab that is just being started or stopped, or doesn't answer, it
// returns no more than name, process and that.
func List(ctx context.Context) ([]api.Summary, error) {
	names, err := running()
	if err != nil {
		return nil, err
	}
	all := make([]api.Summary, len(names))
	var group sync.WaitGroup
	for i, name := range names {
		group.Go(func() { all[i] = summarise(ctx, name) })
	}
	group.Wait()
	return all, ctx.Err()
}

func summarise(ctx context.Context, name string) api.Summary {
	s := api.Summary{Name: name, PID: holder(name)}
	c, err := Dial(name)
	if err != nil {
		return s
	}
	began := time.Now()
	limited, cancel := context.WithTimeout(ctx, listPatience)
	defer cancel()
	known, err := c.Summary(limited)
	switch {
	case err == nil:
		return known
	case limited.Err() != nil:
		e := c.NotAnswering(began)
		s.NotAnswering = e.Message
	}
	return s
}

// Swept is what a lab left that ended without removing its files.
type Swept struct {
	Name string `json:"name"`
	How  string `json:"how"` // it ended
}

// Sweep removes what killed labs left, as [Clean] does, and tells how they ended.
func Sweep() (swept []Swept, err error) {
	names, err := labNames()
	if err != nil {
		return nil, err
	}
	for _, name := range names {
		if how := howItEnded(name); how != "" {
			swept = append(swept, Swept{name, how})
		}
	}
	return swept, Clean()
}
