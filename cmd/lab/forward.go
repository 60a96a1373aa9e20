package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"sync"

	"github.com/spf13/cobra"

	"vnetlab/emu"
	"vnetlab/lab/api"
	"vnetlab/lab/client"
	"vnetlab/lab/supervisor"
)

func (a *app) forward() *cobra.Command {
	from := ""
	cmd := &cobra.Command{
		Use:   "forward [BIND:]PORT TO:PORT",
		Short: "Forward a port of this machine to an address in a lab",
		Long: `Listen on a port of this machine and forward each connection to an address in the lab,
until Ctrl-C. Nothing is added to this machine's network.

The port is on 127.0.0.1 unless BIND names another address; one that other machines can
reach gets a warning. With port 0 a free port is chosen and printed.

Connections enter the lab as its first internet host, or as the member that --from
names. One that the lab doesn't let through is closed, and the rule printed. If the
target is closed at once, that is printed at the start.`,
		Example: `  sudo lab forward 8080 contactmanager.cloudapp.net:80
  sudo lab forward 127.0.0.1:14330 sql1:1433 --from web1`,
		Args: want(2, 2, "a port of this machine and an address in the lab"),
		ValidArgsFunction: func(cmd *cobra.Command, args []string, _ string) ([]string, cobra.ShellCompDirective) {
			if len(args) == 1 {
				udp := func(target string) bool { return strings.HasSuffix(target, "/udp") }
				return slices.DeleteFunc(targets(a.known(cmd)), udp), cobra.ShellCompDirectiveNoFileComp
			}
			return nil, cobra.ShellCompDirectiveNoFileComp
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			bind, err := parseBind(args[0])
			if err != nil {
				return err
			}
			if err := checkTarget(args[1]); err != nil {
				return err
			}
			if strings.HasSuffix(args[1], "/udp") {
				return usage("only TCP connections are forwarded, not %s", args[1])
			}
			client, err := a.client(cmd)
			if err != nil {
				return err
			}
			return a.forwardFrom(cmd.Context(), client, bind, api.ForwardRequest{From: from, To: args[1]})
		},
	}
	cmd.Flags().StringVar(&from, "from", "",
		"instance, internet host or web site from which the connections come (default the first internet host)")
	a.flagNames(cmd, "from", func(info api.Lab, _ []string) (names []string) {
		for _, h := range hosts(info) {
			names = append(names, h.Name)
		}
		return names
	})
	return a.asks(cmd)
}

// parseBind reads [BIND:]PORT.
func parseBind(text string) (string, error) {
	host, number, err := net.SplitHostPort(text)
	if err != nil {
		host, number = "127.0.0.1", text
	}
	if _, err := strconv.ParseUint(number, 10, 16); err != nil {
		return "", usage("%q is not a port of this machine", text).
			orHint("write PORT or ADDRESS:PORT, with a number from 0 to 65535")
	}
	return net.JoinHostPort(host, number), nil
}

// forwardFrom forwards until the context or the lab ends.
func (a *app) forwardFrom(ctx context.Context, client *client.Client, bind string, request api.ForwardRequest) error {
	network := "tcp"
	if at, err := netip.ParseAddrPort(bind); err == nil && at.Addr().Is4() {
		network = "tcp4" // 0.0.0.0 would stand for all IPv6 addresses too
	}
	if !isLoopback(bind) {
		warning := fmt.Sprintf("%s %s is not a loopback address: everyone who can connect to it reaches %s in the lab",
			a.stderr.red("warning:"), bind, request.To)
		a.stderr.printf("%s\n", a.stderr.wrap(warning, 2))
	}
	listener, err := net.Listen(network, bind)
	if err != nil {
		var reason *net.OpError
		if errors.As(err, &reason) { // its text names the address as well
			err = reason.Err
		}
		return fmt.Errorf("can't listen on %s: %w", bind, err)
	}
	forwarding, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	told := &announced{Listener: listener, announce: func() {
		a.stdout.printf("%s leads to %s in the lab %s\n", listener.Addr(), request.To, client.Name)
		go a.tellIfClosed(forwarding, client, request)
	}}
	go func() { cancel(supervisor.WaitForEnd(forwarding, client.Name)) }()
	err = client.Forward(forwarding, told, request, func(err error) {
		if _, ended := supervisor.Dial(client.Name); ended != nil {
			return // so does the forwarding
		}
		a.stderr.printf("%s\n", a.whyNot(forwarding, client, request, err))
	})
	if err != nil {
		return err
	}
	if ctx.Err() != nil {
		return byCtrlC
	}
	return context.Cause(forwarding)
}

// isLoopback reports whether only this machine itself can connect to an address.
func isLoopback(bind string) bool {
	host, _, err := net.SplitHostPort(bind)
	if err != nil {
		return false
	}
	address, err := netip.ParseAddr(host)
	return host == "localhost" || err == nil && address.IsLoopback()
}

// tellIfClosed prints at once if the lab would not let a connection through.
func (a *app) tellIfClosed(ctx context.Context, client *client.Client, request api.ForwardRequest) {
	if why, ok := a.verdictOf(ctx, client, request); ok && ctx.Err() == nil {
		a.stderr.printf("%s\n", a.stderr.wrap(why, 2))
	}
}

// whyNot explains why a connection failed, if possible by the verdict of a probe.
func (a *app) whyNot(ctx context.Context, client *client.Client, request api.ForwardRequest, err error) string {
	if why, ok := a.verdictOf(ctx, client, request); ok {
		return why
	}
	return a.text(err)
}

// verdictOf probes the target of a forwarding. It returns false if the verdict is open or unknown.
func (a *app) verdictOf(ctx context.Context, client *client.Client, request api.ForwardRequest) (text string, ok bool) {
	info, err := client.Lab(ctx)
	if err != nil || len(info.InternetHosts) == 0 {
		return "", false
	}
	r, err := client.Probe(
		ctx,
		api.ProbeRequest{From: cmp.Or(request.From, info.InternetHosts[0].Name), To: request.To},
	)
	if err != nil || r.Verdict == emu.Open {
		return "", false
	}
	text = fmt.Sprintf("%s -> %s  %s", r.From, r.To, r.Verdict)
	if r.By != nil {
		text += "  " + placesOf(info.Summary).rule(*r.By)
	}
	return text, true
}

// announced is a listener with a function that is called when it first accepts.
type announced struct {
	net.Listener
	once     sync.Once
	announce func()
}

func (l *announced) Accept() (net.Conn, error) {
	l.once.Do(l.announce)
	return l.Listener.Accept()
}
