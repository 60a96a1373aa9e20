package main

import (
	"context"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"vnetlab/lab"
	"vnetlab/lab/api"
	"vnetlab/lab/guestfirewall"
)

func (a *app) vm() *cobra.Command {
	return noun("vm", "Create, delete, stop and start virtual machines",
		`Virtual machines of a running lab. A machine goes by the name that lab show prints, or by
SERVICE.NAME.`,
		a.vmCreate(), a.vmDelete(), a.vmList(), a.vmShow(), a.vmStop(), a.vmStart(), a.vmRestart())
}

func (a *app) vmCreate() *cobra.Command {
	var request struct {
		service, location, affinityGroup, network, subnet, address, os, reservedIP, publicIP, balancer, run string
		endpoints, listen, firewall                                                                         []string
	}
	cmd := &cobra.Command{
		Use:   "create NAME",
		Short: "Create a virtual machine",
		Long: `Create a virtual machine in a cloud service. With --location or --affinity-group instead
of --service, the platform creates a cloud service with the name of the machine, which
stays when the machine is deleted. If that cloud service exists, it must be in the given
place.

--endpoint gives the machine a public port; lab help endpoint-spec explains the form.

--listen starts a built-in listener on a port. It opens nothing in the guest firewall:
that takes --firewall.`,
		Example: `  sudo lab vm create sql3 --service contactsql --subnet data --listen 1433 --firewall "allow tcp 1433"
  sudo lab vm create web1 --location "West US" --os linux --endpoint tcp:80:8080,name=http --listen 8080
  sudo lab vm create web2 --service web1 --endpoint tcp::22,name=ssh --listen 8000 --run "python3 -m http.server 8000"`,
		Args:              want(1, 1, "the name of the virtual machine"),
		ValidArgsFunction: cobra.NoFileCompletions,
	}
	flags := cmd.Flags()
	flags.StringVar(&request.service, "service", "", "cloud service of the machine")
	a.flagNames(cmd, "service", cloudServices)
	a.placeFlags(cmd, &request.location, &request.affinityGroup)
	flags.StringVar(&request.network, "network", "",
		"virtual network for the deployment; only with the first machine of a service")
	a.flagNames(cmd, "network", networks)
	flags.StringVar(&request.subnet, "subnet", "", "subnet of the virtual network")
	a.flagNames(cmd, "subnet", subnetNames)
	flags.StringVar(
		&request.address,
		"static-address",
		"",
		"static `ADDRESS` in the subnet (default the lowest free one)",
	)
	flags.Var(&choice{value: &request.os, of: []string{string(lab.Windows), string(lab.Linux)}}, "os",
		"`OS` whose guest firewall defaults apply: windows or linux (default windows)")
	register(cmd, "os", string(lab.Windows), string(lab.Linux))
	flags.StringArrayVar(&request.endpoints, "endpoint", nil,
		"endpoint `SPEC` (see lab help endpoint-spec); may be repeated")
	flags.StringArrayVar(&request.listen, "listen", nil, "port to listen on, as PORT or PORT/udp; may be repeated")
	flags.StringVar(&request.run, "run", "",
		"`COMMAND` that listens on the first --listen port instead of the built-in listener")
	flags.StringArrayVar(&request.firewall, "firewall", nil,
		"rule of the guest firewall; may be repeated; off turns it off")
	flags.StringVar(&request.reservedIP, "reserved-ip", "",
		"reserved IP for the VIP; only with the first machine of a service")
	a.flagNames(cmd, "reserved-ip", reservedIPs)
	flags.StringVar(&request.balancer, "internal-load-balancer", "",
		"private VIP, as NAME[,subnet=SUBNET][,address=ADDRESS]; only with the first machine of a service")
	flags.StringVar(&request.publicIP, "public-ip", "", "`NAME` of an instance-level public IP")
	return a.operation(cmd, func(cmd *cobra.Command, args []string, _ *runningLab) (lab.Operation, error) {
		if request.service == "" && request.location == "" && request.affinityGroup == "" {
			return nil, usage("%s needs a cloud service for the machine", cmd.CommandPath()).
				orHint("--service SERVICE, or --location or --affinity-group for a new one")
		}
		o := lab.AddRoleOp{
			Service: request.service, Location: request.location, AffinityGroup: request.affinityGroup,
			Now: time.Now(),
		}
		if o.Service == "" {
			o.Service = strings.ToLower(args[0])
		}
		vm := lab.VirtualMachine{
			Name: args[0], OS: lab.OS(request.os), VirtualNetwork: request.network, Subnet: request.subnet,
			ReservedIP: request.reservedIP, PublicIPName: request.publicIP,
		}
		dir, err := os.Getwd()
		if err != nil {
			return nil, err
		}
		if vm.StaticAddress, err = parseAddress("static-address", request.address); err != nil {
			return nil, err
		}
		if vm.InternalLoadBalancer, err = parseBalancer(request.balancer); err != nil {
			return nil, err
		}
		if vm.Endpoints, err = parseEndpoints(request.endpoints); err != nil {
			return nil, err
		}
		if vm.Services, err = parseListeners(request.listen, request.run, dir); err != nil {
			return nil, err
		}
		if vm.FirewallOff = slices.Equal(request.firewall, []string{"off"}); vm.FirewallOff {
			request.firewall = nil
		}
		for _, text := range request.firewall {
			command, err := parseFirewallCommand([]string{text})
			if err != nil {
				return nil, err
			}
			a.remark(text, command)
			for _, rule := range command.Rules {
				vm.Firewall = append(vm.Firewall, lab.GuestFirewallRule{Rule: rule})
			}
			if command.Switch != guestfirewall.Unchanged {
				vm.FirewallOff = command.Switch == guestfirewall.TurnOff
			}
		}
		o.VirtualMachine = vm
		return o, nil
	})
}

func (a *app) vmDelete() *cobra.Command {
	return a.machineOperation(&cobra.Command{
		Use:   "delete NAME",
		Short: "Delete a virtual machine",
		Long: `Delete a virtual machine with its endpoints. With the last one of a cloud service, the
deployment and its VIP go as well; the cloud service stays.`,
		Example: "  sudo lab vm delete sql3",
	}, func(service, name string) lab.Operation { return lab.DeleteRoleOp{Service: service, Name: name} })
}

func (a *app) vmStop() *cobra.Command {
	stay := false
	cmd := &cobra.Command{
		Use:   "stop NAME",
		Short: "Stop a virtual machine",
		Long: `Stop a virtual machine and release what it holds: its address, unless it is static, and
with the last machine of a cloud service the VIP, unless it is reserved. With
--stay-provisioned only the guest shuts down, and both stay.`,
		Example: "  sudo lab vm stop sql1\n  sudo lab vm stop sql1 --stay-provisioned",
	}
	cmd.Flags().BoolVar(&stay, "stay-provisioned", false, "shut down the guest and keep its addresses")
	return a.machineOperation(cmd, func(service, name string) lab.Operation {
		return lab.ShutdownRoleOp{Service: service, Name: name, StayProvisioned: stay}
	})
}

func (a *app) vmStart() *cobra.Command {
	return a.machineOperation(&cobra.Command{
		Use:   "start NAME",
		Short: "Start a virtual machine that is stopped",
		Long: `Start a virtual machine that is stopped. One that was deallocated takes the lowest free
address of its subnet.`,
		Example: "  sudo lab vm start sql1",
	}, func(service, name string) lab.Operation { return lab.StartRoleOp{Service: service, Name: name} })
}

// machineOperation makes a verb about one virtual machine.
func (a *app) machineOperation(cmd *cobra.Command, operation func(service, name string) lab.Operation) *cobra.Command {
	cmd.Args = want(1, 1, "the name of a virtual machine")
	cmd.ValidArgsFunction = a.names(machineNames)
	return a.operation(cmd, func(_ *cobra.Command, args []string, running *runningLab) (lab.Operation, error) {
		service, name, err := running.machineName(args[0])
		return operation(service, name), err
	})
}

func (a *app) vmRestart() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "restart NAME",
		Short: "Restart a virtual machine",
		Long: `End everything that runs in a virtual machine and start its listeners again. Its
addresses stay.`,
		Example:           "  sudo lab vm restart sql1",
		Args:              want(1, 1, "the name of a virtual machine"),
		ValidArgsFunction: a.names(machineNames),
		RunE: func(cmd *cobra.Command, args []string) error {
			running := a.running(cmd)
			h, err := find(running, args[0], func(info api.Lab) (api.Host, error) { return findMachine(info, args[0]) })
			if err != nil {
				return err
			}
			client, err := running.client()
			if err != nil {
				return err
			}
			result, err := a.patiently(cmd.Context(),
				func(ctx context.Context) (api.ChangeResult, error) { return client.Restart(ctx, h.Name) })
			if err != nil {
				return err
			}
			return a.printChange(result, "done")
		},
	}
	return a.asks(a.answers(cmd))
}

func (a *app) vmList() *cobra.Command {
	return a.question(&cobra.Command{
		Use:               "list [SERVICE]",
		Short:             "List the virtual machines",
		Example:           "  sudo lab vm list\n  sudo lab vm list contactsql --output json",
		Args:              want(0, 1, "a cloud service"),
		ValidArgsFunction: a.names(cloudServices),
	}, func(info api.Lab, args []string) error {
		if len(args) > 0 {
			if _, err := findService(info, args[0]); err != nil {
				return err
			}
		}
		all := []api.Host{}
		t := table{}
		t.head(a.stdout, "VIRTUAL MACHINE", "CLOUD SERVICE", "DIP", "STATE", "SUBNET", "PUBLIC IP", "OS", "SERVICES")
		for _, h := range machines(info) {
			if len(args) > 0 && h.CloudService != args[0] {
				continue
			}
			all = append(all, h)
			t.add(
				h.Name,
				h.CloudService,
				address(h.Address),
				a.state(h),
				orDash(h.Subnet),
				address(h.PublicIP),
				string(h.OS),
				services(h),
			)
		}
		return a.list(all, t, "there is no virtual machine")
	})
}

func (a *app) vmShow() *cobra.Command {
	return a.question(&cobra.Command{
		Use:               "show NAME",
		Short:             "Show a virtual machine",
		Example:           "  sudo lab vm show sql1",
		Args:              want(1, 1, "the name of a virtual machine"),
		ValidArgsFunction: a.names(machineNames),
	}, func(info api.Lab, args []string) error {
		h, err := findMachine(info, args[0])
		if err != nil {
			return err
		}
		return a.detail(h, func() { a.printHost(info, h) })
	})
}

// state shows the state of an instance.
func (a *app) state(h api.Host) string {
	if stopped(h) {
		return a.stdout.red(string(h.State))
	}
	return string(h.State)
}

// remark prints what a firewall command does on Windows but not in a lab.
func (a *app) remark(text string, c guestfirewall.Command) {
	for _, remark := range c.Remarks() {
		a.stderr.printf("%s: %s\n", text, remark)
	}
}
