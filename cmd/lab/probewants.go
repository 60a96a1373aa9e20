package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"vnetlab/emu"
	"vnetlab/lab/api"
	"vnetlab/lab/client"
	"vnetlab/lab/expect"
	"vnetlab/lab/spelling"
)

// instanceNamesHelp is how instances are named, for the help of verbs that take such names.
const instanceNamesHelp = `
An instance in production goes by its host name or by SERVICE.NAME, one in staging by
SERVICE.staging.NAME. A swap of the slots moves the names with them. A name that
instances of two cloud services share is refused, and the longer names are listed.
`

// probeWants is what the flags of lab probe ask for beyond the verdict.
type probeWants struct {
	verdicts []string
	by       string
	timeout  time.Duration
	watch    bool
	interval time.Duration
}

// probeRetry is the time between two tries of lab probe --timeout, and probeInterval the default of --watch.
const (
	probeRetry    = 200 * time.Millisecond
	probeInterval = time.Second
)

func (w *probeWants) flags(cmd *cobra.Command) {
	f := cmd.Flags()
	f.StringSliceVar(&w.verdicts, "expect", nil,
		"expected `VERDICT`, or several separated by commas; any other is exit status 3")
	f.StringVar(&w.by, "by", "", "id or text of the `RULE` that is expected to decide; with --expect")
	f.DurationVar(&w.timeout, "timeout", 0,
		"how long to keep trying until it is as expected, for example 30s; with --expect")
	f.BoolVar(&w.watch, "watch", false, "try over and over, and print each change of the verdict")
	f.DurationVar(&w.interval, "interval", probeInterval, "time between two tries; with --watch")
	for _, flag := range []string{"by", "timeout", "interval"} {
		register(cmd, flag)
	}
	verdicts := func(_ *cobra.Command, _ []string, word string) ([]string, cobra.ShellCompDirective) {
		before := word[:strings.LastIndex(word, ",")+1]
		var all []string
		for _, v := range emu.Verdicts {
			if !slices.Contains(strings.Split(before, ","), string(v)) {
				all = append(all, before+string(v))
			}
		}
		return all, cobra.ShellCompDirectiveNoFileComp | cobra.ShellCompDirectiveNoSpace
	}
	if err := cmd.RegisterFlagCompletionFunc("expect", verdicts); err != nil {
		panic(err) // the flag is not there
	}
}

// verdictList names all verdicts in a sentence.
func verdictList() string { return spelling.Or(verdictNames()) }

func verdictNames() (all []string) {
	for _, v := range emu.Verdicts {
		all = append(all, string(v))
	}
	return all
}

// check refuses flags that make no sense, alone or together.
func (w *probeWants) check(cmd *cobra.Command) error {
	given := cmd.Flags().Changed
	for i, v := range w.verdicts {
		w.verdicts[i] = strings.TrimSpace(v)
		if !slices.Contains(emu.Verdicts, emu.Verdict(w.verdicts[i])) {
			return usage("%q is not a verdict", w.verdicts[i]).
				orHint(spelling.DidYouMean(w.verdicts[i], verdictNames()), "a verdict is "+verdictList())
		}
	}
	expects := len(w.verdicts) > 0
	switch {
	case given("expect") && !expects:
		return usage("--expect needs a verdict").orHint("a verdict is " + verdictList())
	case w.watch && (expects || given("by") || given("timeout")):
		return usage("--watch shows what happens and expects nothing: it goes without --expect, --by and --timeout")
	case given("by") && !expects:
		return usage("--by goes with --expect").orHint("--expect blocked --by RULE")
	case given("by") && w.by == "":
		return usage("--by needs the id or the text of a rule")
	case given("by") && !slices.ContainsFunc(w.verdicts, decidedByRule):
		return usage("no rule decides that a connection is %s", strings.Join(w.verdicts, " or ")).
			orHint("--by goes with --expect blocked or --expect no-backend")
	case given("timeout") && !expects:
		return usage("--timeout goes with --expect")
	case w.timeout < 0:
		return usage("--timeout %s must not be negative", w.timeout)
	case given("interval") && !w.watch:
		return usage("--interval goes with --watch")
	case w.interval <= 0:
		return usage("--interval %s must be positive", w.interval)
	}
	return nil
}

// decidedByRule reports whether there is a rule behind a verdict.
func decidedByRule(verdict string) bool {
	v := emu.Verdict(verdict)
	return v == emu.Blocked || v == emu.NoBackend
}

// problem returns how a result differs from what is expected; empty if it doesn't.
func (w *probeWants) problem(r api.ProbeResult) string {
	if !r.Agrees {
		return r.Difference
	}
	o := emu.Observation{Verdict: r.Verdict, By: r.By, Detail: r.Detail}
	if !slices.Contains(w.verdicts, string(r.Verdict)) {
		return fmt.Sprintf("expected %s, but it is %s", strings.Join(w.verdicts, " or "), expect.Describe(o))
	}
	if w.by != "" && decidedByRule(string(r.Verdict)) && (r.By == nil || w.by != r.By.ID && w.by != r.By.Text) {
		return fmt.Sprintf("expected %s by %q, but it is %s", r.Verdict, w.by, expect.Describe(o))
	}
	return ""
}

// expectedProbe is a probe with what was expected of it, as JSON.
type expectedProbe struct {
	api.ProbeResult
	Expected   []string `json:"expected"`
	ExpectedBy string   `json:"expectedBy,omitempty"`
	AsExpected bool     `json:"asExpected"`
	Message    string   `json:"message,omitempty"` // how it differs from what is expected
}

// expectProbe tries a connection until it is as expected, or the time is up.
func (a *app) expectProbe(ctx context.Context, client *client.Client, request api.ProbeRequest,
	wants probeWants,
) error {
	var r api.ProbeResult
	var message string
	for end := time.Now().Add(wants.timeout); ; {
		var err error
		if r, err = client.Probe(ctx, request); err != nil {
			return err
		}
		if message = wants.problem(r); message == "" || !time.Now().Add(probeRetry).Before(end) {
			break
		}
		if err := pause(ctx, probeRetry); err != nil {
			return err
		}
	}
	p := a.places(ctx, client)
	if a.format == jsonFormat {
		if err := a.stdout.json(expectedProbe{r, wants.verdicts, wants.by, message == "", message}); err != nil {
			return err
		}
	} else {
		a.printProbe(r, p)
		if message != "" && r.Agrees {
			a.stdout.printf("  %s\n", a.stdout.red(p.short(message)))
		}
	}
	switch {
	case message == "":
		return nil
	case !r.Agrees, r.Verdict == emu.Error:
		return exitStatus(exitError)
	}
	return exitStatus(exitExpectation)
}

// pause waits, or ends with the context.
func pause(ctx context.Context, d time.Duration) error {
	select {
	case <-time.After(d):
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// watchedProbe is a probe with its time, as JSON.
type watchedProbe struct {
	Time time.Time `json:"time"`
	api.ProbeResult
}

// watchProbe tries a connection again and again, and prints each change of the verdict until it is interrupted.
func (a *app) watchProbe(
	ctx context.Context, client *client.Client, request api.ProbeRequest, interval time.Duration,
) error {
	p := a.places(ctx, client)
	last := ""
	for first := true; ; first = false {
		r, err := client.Probe(ctx, request)
		var refused *api.Error
		switch {
		case ctx.Err() != nil:
			return byCtrlC
		case err != nil && !first && errors.As(err, &refused) && refused.HTTPStatus/100 == http.StatusBadRequest/100:
			// One of the names has no meaning at the moment.
			r = api.ProbeResult{
				From:    request.From,
				To:      request.To,
				Verdict: emu.Error,
				Detail:  refused.Message,
				Agrees:  true,
			}
		case err != nil:
			return err
		}
		text := fmt.Sprintf("%s -> %s  %s", r.From, r.To, a.verdict(r.Verdict))
		if r.By != nil {
			text += "  " + p.rule(*r.By)
		}
		if r.Verdict == emu.Error && r.Detail != "" {
			text += "  " + r.Detail
		}
		if !r.Agrees {
			text += "  " + a.stdout.red(r.Difference)
		}
		if text != last {
			last = text
			if err := a.printWatched(time.Now(), r, text); err != nil {
				return err
			}
		}
		if pause(ctx, interval) != nil {
			return byCtrlC
		}
	}
}

func (a *app) printWatched(now time.Time, r api.ProbeResult, text string) error {
	if a.format == jsonFormat {
		e := json.NewEncoder(a.stdout.w)
		e.SetEscapeHTML(false)
		return e.Encode(watchedProbe{now, r})
	}
	_, err := fmt.Fprintf(a.stdout.w, "%s  %s\n", now.Format(time.TimeOnly), text)
	return err
}
