package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"regexp"
	"slices"
	"strings"

	"github.com/kballard/go-shellquote"
	"github.com/spf13/cobra"

	"vnetlab/emu"
	"vnetlab/lab/api"
	"vnetlab/lab/client"
	"vnetlab/lab/expect"
	"vnetlab/lab/labfile"
	"vnetlab/lab/spelling"
)

// The steps of a lab file are commands of lab, run in this process against the running lab, with their expected
// results.

// stepName begins the names of the cases of steps.
var stepName = regexp.MustCompile(`^step \d+: `)

func isStep(c expect.Case) bool { return stepName.MatchString(c.Name) }

// stepDone is the verdict on a step whose command did what it should; one that failed has the code of its error.
const stepDone emu.Verdict = "done"

// runSteps runs the steps of a lab file, or of the file that the lab has, and adds their cases to a result.
func runSteps(ctx context.Context, client *client.Client, file *labfile.Input, result *expect.Result,
	finished func(expect.Case),
) error {
	summary, err := client.Summary(ctx)
	if err != nil {
		return err
	}
	if file == nil {
		own, err := client.File(ctx)
		if err != nil {
			return err
		}
		input := labfile.InputOf(own)
		file = &input
	}
	loaded, err := file.Load(labfile.Options{Real: summary.Real})
	if err != nil || len(loaded.Steps) == 0 {
		return err
	}
	return inFolder(loaded.Dir, func() error {
		for n, step := range loaded.Steps {
			prefix := fmt.Sprintf("step %d: ", n+1)
			add := func(c expect.Case) {
				c.Name = prefix + c.Name
				result.Add(c)
				finished(c)
			}
			add(runStep(ctx, client, step))
			if err := ctx.Err(); err != nil {
				return err
			}
			if err := expectAfter(ctx, client, step, add); err != nil {
				return err
			}
		}
		return nil
	})
}

// inFolder does something in a folder: the paths in a step are relative to that of the lab file.
func inFolder(dir string, do func() error) error {
	before, err := os.Getwd()
	if err != nil {
		return err
	}
	if err := os.Chdir(dir); err != nil {
		return err
	}
	return errors.Join(do(), os.Chdir(before))
}

// expectAfter checks what is expected after a step. An expectation with an unknown name is a case that fails.
func expectAfter(ctx context.Context, client *client.Client, step labfile.Step, add func(expect.Case)) error {
	if len(step.Expect) == 0 && step.Exposure == nil {
		return nil
	}
	result, err := client.Test(ctx,
		api.TestRequest{Given: &api.Given{Expectations: step.Expect, Exposure: step.Exposure}}, nil)
	var refused *api.Error
	switch {
	case errors.As(err, &refused):
		place := emu.Origin{File: refused.File, Line: refused.Line, Column: refused.Column}
		if place.IsZero() {
			place = step.Origin
		}
		add(expect.Case{Name: "what is expected", Verdict: emu.Error, Message: refused.Error(), Origin: place})
		return nil
	case err != nil:
		return err
	}
	for _, c := range result.Cases {
		add(c)
	}
	return nil
}

// runStep runs the command of a step and judges the result.
func runStep(ctx context.Context, client *client.Client, step labfile.Step) expect.Case {
	c := expect.Case{
		Name:     step.Command,
		Passed:   true,
		Expected: string(stepDone),
		Verdict:  stepDone,
		Origin:   step.Origin,
	}
	if step.Fails != "" {
		c.Expected = step.Fails
	}
	fail := func(format string, args ...any) { c.Passed, c.Message = false, fmt.Sprintf(format, args...) }
	output, err := command(ctx, client.Name, step.Command)
	if err == nil {
		if step.Fails != "" {
			fail("expected the error %s, but the command was done", step.Fails)
		}
		return c
	}
	info := errorInfos(err)[0]
	c.Verdict = emu.Verdict(info.Code)
	var status exitStatus
	if errors.As(err, &status) && output != "" {
		info.Message += ": " + output
	}
	switch {
	case step.Fails == "":
		fail("%s", info.Message)
	case step.Fails != info.Code:
		fail("expected the error %s, got %s: %s", step.Fails, info.Code, info.Message)
	case !strings.Contains(info.Message, step.Message):
		fail("the message of the error doesn't contain %q: %s", step.Message, info.Message)
	}
	return c
}

// command runs a command line of lab on the running lab and returns its output.
func command(ctx context.Context, name, line string) (string, error) {
	null, err := os.Open(os.DevNull)
	if err != nil {
		return "", err
	}
	defer null.Close()
	printed, err := os.CreateTemp("", "lab-step-")
	if err != nil {
		return "", err
	}
	defer os.Remove(printed.Name())
	defer printed.Close()
	var text bytes.Buffer
	a := &app{
		stdout: newOutput(&text), stderr: newOutput(&text), format: textFormat,
		files: []*os.File{null, printed, printed},
	}
	root := a.root()
	words, _, err := stepVerb(root, line)
	if err != nil {
		return "", err
	}
	a.lab = name // a flag of the command can override it
	root.SetArgs(words)
	root.SetOut(&text)
	root.SetErr(&text)
	err = root.ExecuteContext(ctx)
	if _, wrong := printed.Seek(0, io.SeekStart); wrong != nil {
		return "", errors.Join(err, wrong)
	}
	if _, wrong := io.Copy(&text, io.LimitReader(printed, 1<<16)); wrong != nil {
		return "", errors.Join(err, wrong)
	}
	return strings.TrimSpace(text.String()), err
}

// stepVerb takes the command line of a step apart: its words after "lab", and the verb that they begin with.
func stepVerb(root *cobra.Command, line string) (words []string, verb *cobra.Command, err error) {
	words, err = shellquote.Split(line)
	if err != nil || len(words) < 2 || words[0] != "lab" {
		return nil, nil, usage("%q is not a command line of lab", line)
	}
	verb, _, err = root.Find(words[1:])
	if err != nil || verb == root || !stepMay(verb) {
		return nil, nil, usage("%q is no command for a step", line).
			orHint("a step manages the lab, or is lab show, diff, probe or exec")
	}
	return words[1:], verb, nil
}

// checkSteps finds the steps that can't be run: no verb for a step, unknown flags, too few or too many arguments.
// One that is meant to be wrong is left alone.
func checkSteps(steps []labfile.Step) (wrong labfile.Errors) {
	for _, step := range steps {
		if step.Fails == usageCode {
			continue
		}
		root := (&app{stdout: newOutput(io.Discard), stderr: newOutput(io.Discard), format: textFormat}).root()
		words, verb, err := stepVerb(root, step.Command)
		if err == nil {
			_, rest, _ := root.Find(words)
			if err = verb.ParseFlags(rest); err != nil {
				err = flagError(verb, err)
			} else if verb.HasSubCommands() {
				word := strings.Join(verb.Flags().Args()[:min(1, verb.Flags().NArg())], "")
				err = usage("%q names no command of %s", step.Command, verb.CommandPath()).
					orHint(spelling.DidYouMean(word, verbs(verb)), "the commands are "+spelling.And(verbs(verb)))
			} else {
				err = verb.ValidateArgs(verb.Flags().Args())
			}
			if watch := verb.Flags().Lookup("watch"); err == nil && watch != nil && watch.Changed {
				err = usage("%q goes on until it is interrupted", step.Command)
			}
		}
		if err != nil {
			info := errorInfos(err)[0]
			wrong = append(wrong, labfile.Problem{
				Origin: step.Origin, Code: labfile.InvalidFile, HTTPStatus: http.StatusBadRequest,
				Message: "step: " + info.Message, Hint: info.Hint,
			})
		}
	}
	return wrong
}

// stepMay reports whether a verb can be a step: not one that starts, tests or ends labs, or runs until it is
// interrupted.
func stepMay(verb *cobra.Command) bool {
	for verb.HasParent() && verb.Parent().HasParent() {
		verb = verb.Parent()
	}
	return verb.GroupID == manageGroup || slices.Contains([]string{"show", "diff", "probe", "exec"}, verb.Name())
}
