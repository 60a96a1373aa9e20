package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"regexp"
	"runtime/debug"
	"slices"
	"strings"
	"syscall"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"vnetlab/lab/api"
	"vnetlab/lab/client"
	"vnetlab/lab/spelling"
	"vnetlab/lab/supervisor"
)

// app is the state that all verbs share.
type app struct {
	stdout, stderr *output
	format         string // of the flag --output
	lab            string // of the flag --lab
	stdinRead      bool   // as a lab file, which can be done once
	called         invocation
	// files are stdin, stdout and stderr of commands inside instances; nil: those of this process.
	files []*os.File
}

const (
	textFormat = "text"
	wideFormat = "wide"
	jsonFormat = "json"
)

// run executes one command line and returns the exit status.
func run(args []string, stdout, stderr io.Writer) int {
	a := &app{stdout: newOutput(stdout), stderr: newOutput(stderr), format: textFormat, called: currentInvocation()}
	if err := supervisor.CheckProcesses(supervisor.CommandProcesses); err != nil {
		return a.report(err)
	}
	debug.SetTraceback("single")
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	context.AfterFunc(ctx, stop) // a second Ctrl-C ends this process at once; a lab that it was starting ends with it

	root := a.root()
	root.SetArgs(args)
	root.SetOut(a.stdout)
	root.SetErr(a.stderr)
	a.called.adviseHelp(root)
	err := unknownVerb(root, args)
	if err == nil {
		err = root.ExecuteContext(ctx)
	}
	if ctx.Err() != nil && err != nil && !errors.Is(err, byCtrlC) {
		err = interrupted(ctx, err)
	}
	if err != nil && asksForJSON(args) {
		a.format = jsonFormat // also where the flags were not understood
	}
	return a.lost(a.report(err))
}

// lost makes it an error that output could not be written, because its reader would mistake a part for the whole.
func (a *app) lost(status int) int {
	if a.stdout.err == nil {
		return status
	}
	a.stderr.printf("%s%v\n", a.stderr.red("error: "), fmt.Errorf("the output could not be written: %w", a.stdout.err))
	if status == exitDone {
		return exitError
	}
	return status
}

// asksForJSON finds the flag in a command line that can't be parsed.
func asksForJSON(args []string) bool {
	for i, arg := range args {
		switch arg {
		case "--":
			return false
		case "-ojson", "-o=json", "--output=json", "--format=json":
			return true
		case "-o", "--output", "--format":
			if i+1 < len(args) && args[i+1] == jsonFormat {
				return true
			}
		}
	}
	return false
}

func (a *app) root() *cobra.Command {
	root := &cobra.Command{
		Use:   "lab",
		Short: "Emulate classic Windows Azure networks and prove who reaches whom",
		Long: `lab builds classic Windows Azure cloud services and virtual networks as a real network
on this machine, and proves with real connections who reaches whom and why.

Start with a ready-made lab:

  lab scenarios
  sudo lab run sql-vnet

Exit status:

  0    done, and as expected
  1    error
  2    wrong usage or invalid file
  3    an expectation failed
  4    the kernel or the privileges do not suffice
  130  interrupted`,
		SilenceErrors: true,
		SilenceUsage:  true,
		Args:          cobra.ArbitraryArgs,
		RunE:          func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	root.CompletionOptions.SetDefaultShellCompDirective(cobra.ShellCompDirectiveNoFileComp)
	root.SetFlagErrorFunc(flagError)
	root.AddGroup(
		&cobra.Group{ID: fileGroup, Title: "Lab files:"},
		&cobra.Group{ID: labGroup, Title: "Labs:"},
		&cobra.Group{ID: insideGroup, Title: "A running lab:"},
		&cobra.Group{ID: manageGroup, Title: "Management of a running lab:"},
		&cobra.Group{ID: aboutGroup, Title: "About:"},
	)
	add := func(group string, commands ...*cobra.Command) {
		for _, c := range commands {
			c.GroupID = group
			root.AddCommand(c)
		}
	}
	add(fileGroup, a.validate(), a.plan(), a.schema(), a.scenarios())
	add(labGroup, a.run(), a.up(), a.test(), a.down(), a.ls())
	add(insideGroup, a.show(), a.diff(), a.probe(), a.exec(), a.shell(), a.logs(), a.forward())
	add(manageGroup, append(a.management(), a.apply())...)
	add(aboutGroup, a.doctor(), a.version())
	root.AddCommand(supervise(), a.docs(), endpointSpec())
	root.SetHelpCommandGroupID(aboutGroup)
	root.SetCompletionCommandGroupID(aboutGroup)
	root.InitDefaultHelpCmd()
	root.InitDefaultCompletionCmd()
	refuseUnknown(root)
	root.SetUsageTemplate(strings.ReplaceAll(root.UsageTemplate(), "FlagUsages ",
		fmt.Sprintf("FlagUsagesWrapped %d ", helpColumns)))
	return root
}

// helpColumns is the width of the flags in help texts. A word may stand out by a few columns.
const helpColumns = 85

// The groups of the help text.
const (
	fileGroup   = "file"
	labGroup    = "lab"
	insideGroup = "inside"
	manageGroup = "manage"
	aboutGroup  = "about"
)

// unknownVerb refuses a first word that is not a command.
func unknownVerb(root *cobra.Command, args []string) error {
	if len(args) == 0 || strings.HasPrefix(args[0], "-") || strings.HasPrefix(args[0], "__") {
		return nil
	}
	if found, _, err := root.Find(args[:1]); err == nil && found != root {
		return nil
	}
	return usage("unknown command %q", args[0]).orHint(spelling.DidYouMean(args[0], verbs(root)),
		"lab help lists the commands")
}

// verbs lists the commands and help topics below a command.
func verbs(cmd *cobra.Command) (names []string) {
	for _, c := range cmd.Commands() {
		if c.IsAvailableCommand() || c.IsAdditionalHelpTopicCommand() {
			names = append(names, c.Name())
		}
	}
	return names
}

func isVerb(root *cobra.Command, name string) bool { return slices.Contains(verbs(root), name) }

// refuseUnknown makes an unknown topic of help and an unknown shell of completion an error. Cobra would print a
// help text.
func refuseUnknown(root *cobra.Command) {
	for _, c := range root.Commands() {
		switch c.Name() {
		case "help":
			c.Short = "Print the help of a command or a topic"
			c.Long = "Print the help of a command or a topic, as the command does with --help."
			c.Args = func(_ *cobra.Command, topic []string) error {
				found, rest, err := root.Find(topic)
				if err == nil && (len(rest) == 0 || !found.HasSubCommands()) {
					return nil
				}
				if err != nil || found == root {
					return unknownVerb(root, topic)
				}
				return noVerb(found, rest[0])
			}
		case "completion":
			c.Short = "Print the completion script of a shell"
			c.Args = cobra.ArbitraryArgs
			c.RunE = func(cmd *cobra.Command, args []string) error {
				if len(args) == 0 {
					return cmd.Help()
				}
				return usage("unknown shell %q", args[0]).
					orHint(spelling.DidYouMean(args[0], verbs(c)), "the shells are "+spelling.And(verbs(c)))
			}
		}
	}
}

// noVerb returns the error for an unknown verb of a noun.
func noVerb(noun *cobra.Command, word string) error {
	return usage("unknown command %q for %s", word, noun.CommandPath()).
		orHint(spelling.DidYouMean(word, verbs(noun)), "the commands are "+spelling.And(verbs(noun)))
}

// negative finds a negative number in the error for a flag that doesn't exist.
var negative = regexp.MustCompile(`(?:^| )(-[0-9]+)(?: [^-].*)?$`)

// flagError returns the error for a wrong flag, with a hint.
func flagError(cmd *cobra.Command, err error) error {
	if errors.Is(err, pflag.ErrHelp) {
		return err
	}
	if number := negative.FindStringSubmatch(err.Error()); number != nil {
		return usage("%s: %s must not be negative", cmd.CommandPath(), number[1]).orHint(cmd.UseLine())
	}
	hint := cmd.CommandPath() + " --help lists the flags"
	if !cmd.HasParent() {
		hint = "lab help lists the commands"
	}
	var unknown *pflag.NotExistError
	var invalid *pflag.InvalidValueError
	switch {
	case errors.As(err, &unknown):
		var names []string
		cmd.Flags().VisitAll(func(f *pflag.Flag) { names = append(names, f.Name) })
		if near, ok := spelling.Nearest(unknown.GetSpecifiedName(), names); ok {
			hint = fmt.Sprintf("did you mean \"--%s\"?", near)
		} else if !cmd.HasParent() && isVerb(cmd, unknown.GetSpecifiedName()) {
			hint = fmt.Sprintf("did you mean \"%s %s\"?", cmd.Name(), unknown.GetSpecifiedName())
		}
	case errors.As(err, &invalid) && slices.Contains([]string{"int", "uint16"}, invalid.GetFlag().Value.Type()):
		return usage("%s: --%s %q is not a number", cmd.CommandPath(), invalid.GetFlag().Name, invalid.GetValue()).
			orHint(hint)
	case errors.As(err, &invalid) && invalid.GetFlag().Value.Type() == "duration":
		return usage("%s: --%s %q is not a duration", cmd.CommandPath(), invalid.GetFlag().Name, invalid.GetValue()).
			orHint("write it with a unit, for example 500ms, 30s or 2m")
	}
	return usage("%s: %v", cmd.CommandPath(), err).orHint(hint)
}

// want checks the number of arguments of a verb; a negative maximum allows any number. What describes them.
func want(least, most int, what string) cobra.PositionalArgs {
	return func(cmd *cobra.Command, args []string) error {
		switch {
		case len(args) < least:
			return usage("%s needs %s", cmd.CommandPath(), what).orHint(cmd.UseLine())
		case most == 0 && len(args) > 0:
			return usage("%s takes no arguments, but got %q", cmd.CommandPath(), args[0]).orHint(cmd.UseLine())
		case most >= 0 && len(args) > most:
			return usage(
				"%s takes %s and nothing else, but got %q",
				cmd.CommandPath(),
				what,
				args[most],
			).orHint(cmd.UseLine())
		}
		return nil
	}
}

// answers adds the flag --output to a verb with an answer.
func (a *app) answers(cmd *cobra.Command) *cobra.Command {
	format := &formatFlag{choice{value: &a.format, of: []string{textFormat, wideFormat, jsonFormat}}, a.stdout}
	cmd.Flags().VarP(format, "output", "o",
		"`FORMAT` of the answer: text, wide (all columns of tables, however long the lines) or json")
	register(cmd, "output", format.of...)
	return cmd
}

// formatFlag is a choice of a format; wide is text without a limit to the lines.
type formatFlag struct {
	choice
	out *output
}

func (f *formatFlag) Set(s string) error {
	if err := f.choice.Set(s); err != nil {
		return err
	}
	if s == wideFormat {
		*f.value, f.out.columns = textFormat, 0
	}
	return nil
}

// asks adds the flag --lab to a verb about a running lab.
func (a *app) asks(cmd *cobra.Command) *cobra.Command {
	cmd.Flags().StringVar(&a.lab, "lab", "", "`NAME` of the running lab; needed where several run (default $LAB)")
	if err := cmd.RegisterFlagCompletionFunc("lab",
		func(cmd *cobra.Command, _ []string, _ string) ([]string, cobra.ShellCompDirective) {
			return labNames(cmd.Context()), cobra.ShellCompDirectiveNoFileComp
		}); err != nil {
		panic(err)
	}
	return cmd
}

func register(cmd *cobra.Command, flag string, values ...string) {
	if err := cmd.RegisterFlagCompletionFunc(flag,
		cobra.FixedCompletions(values, cobra.ShellCompDirectiveNoFileComp)); err != nil {
		panic(err) // the flag is not there
	}
}

// registerOpen completes a flag with beginnings of values, behind which the user types on.
func registerOpen(cmd *cobra.Command, flag string, values ...string) {
	complete := cobra.FixedCompletions(values, cobra.ShellCompDirectiveNoFileComp|cobra.ShellCompDirectiveNoSpace)
	if err := cmd.RegisterFlagCompletionFunc(flag, complete); err != nil {
		panic(err) // the flag is not there
	}
}

// choice is a flag with a closed set of values.
type choice struct {
	value *string
	of    []string
}

func (c *choice) String() string { return *c.value }
func (c *choice) Type() string   { return strings.Join(c.of, "|") }
func (c *choice) Set(s string) error {
	if !slices.Contains(c.of, s) {
		if near := spelling.DidYouMean(s, c.of); near != "" {
			return fmt.Errorf("must be %s; %s", spelling.Or(c.of), near)
		}
		return fmt.Errorf("must be %s", spelling.Or(c.of))
	}
	*c.value = s
	return nil
}

// client finds the running lab that a verb is about.
func (a *app) client(cmd *cobra.Command) (*client.Client, error) {
	if err := needRoot(cmd, socketNeedsRoot); err != nil {
		return nil, err
	}
	client, err := supervisor.Find(a.lab)
	if err == nil {
		client.Remark = func(text string) { a.stderr.printf("%s\n", text) }
	}
	return client, err
}

// socketNeedsRoot is why most verbs need root.
const socketNeedsRoot = "only root may use the control socket of a lab"

// needRoot refuses to go on without root.
func needRoot(cmd *cobra.Command, why string) error {
	if os.Geteuid() == 0 {
		return nil
	}
	return &failure{
		status: exitPrivileges, code: api.PrivilegesNeeded,
		message: fmt.Sprintf("%s needs root: %s", cmd.CommandPath(), why), hint: rootHint(),
	}
}

// rootHint returns how the user runs this command line as root. Root itself can lack privileges, in a container
// for example.
func rootHint() string {
	if os.Geteuid() == 0 {
		return "lab doctor reports what this machine lacks"
	}
	return currentInvocation().asRoot(os.Args[1:])
}

// supervise is the supervisor of a lab; `lab up` starts it.
func supervise() *cobra.Command {
	return &cobra.Command{
		Use:    "supervise NAME",
		Hidden: true,
		Args:   cobra.ArbitraryArgs,
		RunE:   func(*cobra.Command, []string) error { return supervisor.Supervise() },
	}
}
