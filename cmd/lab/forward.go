package main

import (
	"context"
	"fmt"
	"net"
	"strings"
	"sync"

	"github.com/spf13/cobra"

	"vnetlab/lab/live"
)

func (a *app) forward() *cobra.Command {
	from := ""
	cmd := &cobra.Command{
		Use:   "forward [BIND:]PORT TO:PORT",
		Short: "Lead a port of this machine's loopback to an address in a lab",
		Long: `Listen on a port of this machine, on 127.0.0.1 unless another address is given, and lead each connection to an address in the lab, until Ctrl-C. It
enters the lab as the internet host, the lab's first, or as the member that --from names. Nothing is added to this machine's network. With
port 0 a free one is chosen and printed.`,
		Example: `  sudo lab forward 8080 contactmanager.cloudapp.net:80
  sudo lab forward 127.0.0.1:14330 sql1:1433 --from web1`,
		Args: want(2, 2, "a port of this machine and an address in the lab"),
		ValidArgsFunction: func(cmd *cobra.Command, args []string, _ string) ([]string, cobra.ShellCompDirective) {
			if len(args) == 1 {
				return targets(a.known(cmd)), cobra.ShellCompDirectiveNoFileComp
			}
			return nil, cobra.ShellCompDirectiveNoFileComp
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			client, err := a.client(cmd)
			if err != nil {
				return err
			}
			bind := args[0]
			if !strings.Contains(bind, ":") {
				bind = "127.0.0.1:" + bind
			}
			return a.forwardFrom(cmd.Context(), client, bind, live.ForwardRequest{From: from, To: args[1]})
		},
	}
	cmd.Flags().StringVar(&from, "from", "", "instance, internet host or web site as which the connections enter (default the first internet host)")
	a.flagNames(cmd, "from", func(info live.Info, _ []string) (names []string) {
		for _, h := range hosts(info) {
			names = append(names, h.Name)
		}
		return names
	})
	return a.asks(cmd)
}

// forwardFrom forwards until the context or the lab ends.
func (a *app) forwardFrom(ctx context.Context, client *live.Client, bind string, request live.ForwardRequest) error {
	listener, err := net.Listen("tcp", bind)
	if err != nil {
		return fmt.Errorf("%s can't be listened on: %w", bind, err)
	}
	forwarding, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	told := &announced{Listener: listener, announce: func() {
		a.stdout.printf("%s leads to %s in the lab %s\n", listener.Addr(), request.To, client.Name)
	}}
	err = client.Forward(forwarding, told, request, func(err error) {
		if _, ended := live.Dial(client.Name); ended != nil {
			cancel(ended)
			return
		}
		a.stderr.printf("%s\n", a.text(err))
	})
	if err != nil {
		return err
	}
	if ctx.Err() != nil {
		return ctx.Err()
	}
	return context.Cause(forwarding)
}

// announced is a listener that tells when it accepts.
type announced struct {
	net.Listener
	once     sync.Once
	announce func()
}

func (l *announced) Accept() (net.Conn, error) {
	l.once.Do(l.announce)
	return l.Listener.Accept()
}
