package main

import (
	"context"
	"fmt"
	"net/http"
	"slices"
	"time"

	"github.com/spf13/cobra"

	"vnetlab/lab"
	"vnetlab/lab/api"
	"vnetlab/lab/client"
	"vnetlab/lab/labfile"
	"vnetlab/lab/spelling"
)

// The management operations on a running lab are written as noun, verb and arguments. Each verb that changes
// something is one operation of package lab.

// management lists the nouns.
func (a *app) management() []*cobra.Command {
	return []*cobra.Command{
		a.vm(), a.service(), a.deployment(), a.endpoint(), a.acl(), a.firewall(), a.network(), a.localNetwork(),
		a.gateway(), a.affinityGroup(),
		a.reservedIP(), a.site(),
	}
}

// noun is a command that has others below it and does nothing itself.
func noun(name, short, long string, verbs ...*cobra.Command) *cobra.Command {
	cmd := &cobra.Command{
		Use:   name,
		Short: short,
		Long:  long,
		Args:  cobra.ArbitraryArgs,
		// Otherwise an unknown flag would be reported instead of the unknown verb.
		FParseErrWhitelist: cobra.FParseErrWhitelist{UnknownFlags: true},
		RunE: func(cmd *cobra.Command, args []string) error {
			if len(args) == 0 {
				return cmd.Help()
			}
			return noVerb(cmd, args[0])
		},
	}
	cmd.AddCommand(verbs...)
	return cmd
}

// operation makes a verb that changes the lab.
func (a *app) operation(cmd *cobra.Command,
	operation func(cmd *cobra.Command, args []string, running *runningLab) (lab.Operation, error),
) *cobra.Command {
	return a.notingOperation(cmd,
		func(cmd *cobra.Command, args []string, running *runningLab) (lab.Operation, []labfile.Note, error) {
			o, err := operation(cmd, args, running)
			return o, nil, err
		})
}

// notingOperation makes a verb that reads files and changes the lab.
func (a *app) notingOperation(
	cmd *cobra.Command, operation func(cmd *cobra.Command, args []string, running *runningLab) (lab.Operation,
		[]labfile.Note, error),
) *cobra.Command {
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		running := a.running(cmd)
		o, notes, err := operation(cmd, args, running)
		if err != nil {
			return err
		}
		client, err := running.client()
		if err != nil {
			return err
		}
		return a.doNoting(cmd, client, notes, o)
	}
	return a.asks(a.answers(cmd))
}

// question makes a verb that prints something about the lab, as text or JSON.
func (a *app) question(cmd *cobra.Command, answer func(info api.Lab, args []string) error) *cobra.Command {
	return a.answers(a.reading(cmd, answer))
}

// reading makes a verb that reads the state of the lab.
func (a *app) reading(cmd *cobra.Command, read func(info api.Lab, args []string) error) *cobra.Command {
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		client, err := a.client(cmd)
		if err != nil {
			return err
		}
		info, err := client.Lab(cmd.Context())
		if err != nil {
			return err
		}
		return read(info, args)
	}
	return a.asks(cmd)
}

// changeAnswer is the result of a change.
type changeAnswer struct {
	api.ChangeResult
	// Endpoints are the requested ones, with their public ports.
	Endpoints []endpointAnswer `json:"endpoints,omitempty"`
	Notes     []note           `json:"notes,omitempty"` // on what was read
}

// quick is how long a change may take before a message says why it takes long.
const quick = 3 * time.Second

// patiently makes a change. It prints why one takes long, and explains an interruption: the lab completes the change.
func (a *app) patiently(ctx context.Context,
	change func(context.Context) (api.ChangeResult, error),
) (api.ChangeResult, error) {
	defer time.AfterFunc(quick, func() {
		a.stderr.printf("still working: a program that was started has a minute to listen on its port\n")
	}).Stop()
	result, err := change(ctx)
	if err != nil && ctx.Err() != nil {
		err = &failure{
			status: exitInterrupted, code: "Interrupted", message: "interrupted: the change may have been made",
			hint: "lab show shows the result", err: err,
		}
	}
	return result, err
}

// do does operations on the running lab as one change and prints them.
func (a *app) do(cmd *cobra.Command, client *client.Client, operations ...lab.Operation) error {
	return a.doNoting(cmd, client, nil, operations...)
}

// doNoting is do with notes on what was read before.
func (a *app) doNoting(cmd *cobra.Command, client *client.Client, notes []labfile.Note,
	operations ...lab.Operation,
) error {
	result, err := a.patiently(cmd.Context(),
		func(ctx context.Context) (api.ChangeResult, error) { return client.Do(ctx, operations...) })
	if err != nil {
		return err
	}
	notes = append(slices.Clone(notes), a.mappings(cmd, client, operations)...)
	answer := changeAnswer{ChangeResult: result, Notes: notesOf(notes)}
	picked := map[string]bool{}
	for _, o := range operations {
		machine, asked := endpointsIn(o)
		if len(asked) == 0 {
			continue
		}
		info, err := client.About(cmd.Context(), machine)
		if err != nil {
			continue // the lab has ended since, but the change was made
		}
		h, err := findMachine(info, machine)
		if err != nil {
			continue // it has been deleted since
		}
		for _, e := range endpointsOf(info, h) {
			if n := slices.IndexFunc(asked, func(o lab.Endpoint) bool { return o.Name == e.Name }); n >= 0 {
				answer.Endpoints = append(answer.Endpoints, e)
				picked[e.Name] = asked[n].PublicPort == 0
			}
		}
	}
	if a.format == jsonFormat {
		return a.stdout.json(answer)
	}
	if err := a.printChange(result, "done"); err != nil {
		return err
	}
	a.printNotes(notes)
	for _, e := range answer.Endpoints {
		if picked[e.Name] {
			a.stdout.printf("      %s is %s:%d/%s\n", e.Name, e.host(), e.PublicPort, e.Protocol)
		}
	}
	return nil
}

// endpointsIn returns the endpoints that an operation requests, and their virtual machine.
func endpointsIn(o lab.Operation) (machine string, endpoints []lab.Endpoint) {
	switch o := o.(type) {
	case lab.AddRoleOp:
		return o.Service + "." + o.VirtualMachine.Name, o.VirtualMachine.Endpoints
	case lab.AddEndpointOp:
		return o.Service + "." + o.VirtualMachine, []lab.Endpoint{o.Endpoint}
	case lab.UpdateEndpointOp:
		return o.Service + "." + o.VirtualMachine, []lab.Endpoint{o.Endpoint}
	}
	return "", nil
}

// printChange prints the operations that were done, or would be.
func (a *app) printChange(result api.ChangeResult, what string) error {
	if a.format == jsonFormat {
		return a.stdout.json(result)
	}
	for _, o := range result.Operations {
		a.stdout.printf("%s  %s\n", a.stdout.green(what), o)
	}
	for _, w := range result.Warnings {
		a.stderr.printf("%s %s\n", a.stderr.red("warning:"), w)
	}
	return nil
}

// list prints a table or, as JSON, its values. Instead of a table without rows it prints a sentence.
func (a *app) list(values any, t table, nothing string) error {
	switch {
	case a.format == jsonFormat:
		return a.stdout.json(values)
	case len(t.rows) < 2:
		a.stderr.printf("%s\n", nothing)
	default:
		a.printTable(&t)
	}
	return nil
}

// missing returns the error for a name that the lab doesn't have.
func missing(info api.Lab, kind, name string, names []string) error {
	return missingFrom("The lab "+info.Name, kind, name, names)
}

// missingFrom returns the error for a name that a part of the lab doesn't have.
func missingFrom(owner, kind, name string, names []string) error {
	message := fmt.Sprintf("%s has no %s named '%.64s'.", owner, kind, name)
	err := &lab.Error{Code: "ResourceNotFound", HTTPStatus: http.StatusNotFound, Message: message}
	if near, ok := spelling.Nearest(name, names); ok {
		return err.WithHint("Did you mean %s?", near)
	}
	var once []string // a machine and its cloud service often share a name
	for _, n := range names {
		if !slices.Contains(once, n) {
			once = append(once, n)
		}
	}
	if len(once) > 0 && len(once) <= 20 {
		return err.WithHint("%s.", spelling.ThereIs(once))
	}
	return err
}

// names completes the arguments of a verb, each with the names that it can have.
func (a *app) names(choices ...func(info api.Lab, args []string) []string) completion {
	return func(cmd *cobra.Command, args []string, _ string) ([]string, cobra.ShellCompDirective) {
		if len(args) >= len(choices) || choices[len(args)] == nil {
			return nil, cobra.ShellCompDirectiveNoFileComp
		}
		return choices[len(args)](a.known(cmd), args), cobra.ShellCompDirectiveNoFileComp
	}
}

// flagNames completes the value of a flag with names of the lab.
func (a *app) flagNames(cmd *cobra.Command, flag string, choices func(info api.Lab, args []string) []string) {
	complete := func(cmd *cobra.Command, args []string, _ string) ([]string, cobra.ShellCompDirective) {
		return choices(a.known(cmd), args), cobra.ShellCompDirectiveNoFileComp
	}
	if err := cmd.RegisterFlagCompletionFunc(flag, complete); err != nil {
		panic(err) // the flag is not there
	}
}

// placeFlags adds --location and --affinity-group, one of which is needed.
func (a *app) placeFlags(cmd *cobra.Command, location, affinityGroup *string) {
	locationFlag(cmd, location)
	cmd.Flags().StringVar(affinityGroup, "affinity-group", "", "affinity group to create it in")
	a.flagNames(cmd, "affinity-group", affinityGroups)
}

func locationFlag(cmd *cobra.Command, location *string) {
	cmd.Flags().StringVar(location, "location", "", "location to create it in, for example \"West US\"")
	register(cmd, "location", lab.Locations...)
}

// slotFlag adds the flag --slot.
func slotFlag(cmd *cobra.Command, slot *string) {
	slots := []string{string(lab.Production), string(lab.Staging)}
	*slot = slots[0]
	cmd.Flags().Var(&choice{value: slot, of: slots}, "slot", "slot of the deployment: production or staging")
	register(cmd, "slot", slots...)
}
