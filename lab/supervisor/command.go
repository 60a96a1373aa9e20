package supervisor

import (
	"context"
	"os"

	"vnetlab/emu/emulator"
	"vnetlab/emu/kernel"
	"vnetlab/emu/process"
	"vnetlab/emu/process/terminal"
	"vnetlab/lab/api"
	"vnetlab/lab/client"
)

// What a command needs of the emulator, so that it needs no package below this one.
type (
	// Progress is how far the building of a lab is.
	Progress = emulator.Progress
	// Feature is something of the machine that labs use.
	Feature = kernel.Feature
)

// Check tries each feature of the machine that labs use, for their networks and for their instances.
func Check(ctx context.Context) []Feature {
	return append(kernel.Check(ctx), process.Check(ctx)...)
}

// MaybeInit becomes the init of an instance if this process was started as one, and then never returns. Every program
// that starts labs calls it before anything else.
func MaybeInit() { process.MaybeInit() }

// ExecHere runs a command in an instance with the descriptors of this process; where those are a terminal, the command
// gets one with job control.
func ExecHere(ctx context.Context, c *client.Client, r api.ExecRequest) (int, error) {
	open := func() (master, slave *os.File, err error) { return c.OpenTerminal(ctx, r.Instance) }
	return terminal.Run(open, func(stdin, stdout, stderr *os.File, isTerminal bool) (int, error) {
		r.Terminal = isTerminal
		if name := os.Getenv("TERM"); isTerminal && name != "" {
			r.Env = append(r.Env, "TERM="+name)
		}
		return c.Exec(ctx, r, stdin, stdout, stderr)
	})
}
