package main

import (
	"os/exec"

	"github.com/spf13/cobra"

	"vnetlab/lab/api"
	"vnetlab/lab/supervisor"
)

// insideHelp is the help on what a command finds inside an instance, for exec and shell.
const insideHelp = `The command sees this machine's files. What it writes stays in the instance, and is
removed when the instance ends or restarts:

  /tmp, /run, /dev/shm  empty at first, shared by all programs inside, limited in size
  /root, /home, /mnt    empty but for the lab file's folder and its mounts
  /proc, /sys, /dev     own processes and links; no disks, only network sysctls
  the lab's folder      at its own path, read-only; "mounts" in the lab file changes that

Keys, passwords and databases of this machine, and files in /etc that not every user may
read, are nowhere to be found.

Commands run as root and administer the instance's network: iptables, ip, tcpdump and
binding any port work; mounting, new namespaces and set-uid programs don't. "limits" in
the lab file bounds processes, memory and files; lab show INSTANCE prints them.
"privileged: true" in the lab file lifts everything but the limits, and lets programs
harm this machine.`

func (a *app) exec() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "exec INSTANCE -- COMMAND...",
		Short: "Run a command inside an instance",
		Long: "Run a command inside an instance, an internet host or a web site, and exit with its\n" +
			"status. It has a terminal if this command has one.\n" + instanceNamesHelp + "\n" + insideHelp,
		Example: `  sudo lab exec sql1 -- iptables -S
  sudo lab exec sql1 -- sh -c 'mount; df -h; ulimit -a'`,
		Args:              want(2, -1, "an instance and a command"),
		ValidArgsFunction: a.completeInstance,
		RunE: func(cmd *cobra.Command, args []string) error {
			argv := args[1:]
			if argv[0] == "--" {
				argv = argv[1:]
			}
			if len(argv) == 0 {
				return usage("%s needs a command", cmd.CommandPath()).orHint(cmd.UseLine())
			}
			return a.inside(cmd, args[0], argv)
		},
	}
	cmd.Flags().SetInterspersed(false) // flags after the instance belong to the command
	return a.asks(cmd)
}

func (a *app) shell() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "shell INSTANCE",
		Short: "Open a shell inside an instance",
		Long: "Open a shell inside an instance, an internet host or a web site: bash if this machine\n" +
			"has it, otherwise sh. Leave it with exit.\n\n" +
			insideHelp,
		Example:           `  sudo lab shell sql1`,
		Args:              want(1, 1, "an instance"),
		ValidArgsFunction: a.completeInstance,
		RunE: func(cmd *cobra.Command, args []string) error {
			shell := "sh"
			if _, err := exec.LookPath("bash"); err == nil {
				shell = "bash"
			}
			return a.inside(cmd, args[0], []string{shell})
		},
	}
	return a.asks(cmd)
}

// inside runs a command in an instance, with the descriptors of this process.
func (a *app) inside(cmd *cobra.Command, instance string, argv []string) error {
	client, err := a.client(cmd)
	if err != nil {
		return err
	}
	status, err := 0, error(nil)
	if request := (api.ExecRequest{Instance: instance, Argv: argv}); a.files == nil {
		status, err = supervisor.ExecHere(cmd.Context(), client, request)
	} else {
		status, err = client.Exec(cmd.Context(), request, a.files[0], a.files[1], a.files[2])
	}
	if err != nil && status > 0 {
		return &failure{status: status, code: "Error", message: err.Error(), err: err}
	}
	if err != nil {
		return err
	}
	if status != 0 {
		return exitStatus(status)
	}
	return nil
}
