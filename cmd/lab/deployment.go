package main

import (
	"fmt"
	"net/http"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"vnetlab/lab"
	"vnetlab/lab/api"
	"vnetlab/lab/labfile"
	"vnetlab/lab/spelling"
)

func (a *app) deployment() *cobra.Command {
	return noun("deployment", "Create, swap, scale and delete deployments of roles",
		`Deployments of web and worker roles in the slots of a cloud service. Virtual machines
have no command for their deployment: lab vm create makes it.`,
		a.deploymentCreate(), a.deploymentDelete(), a.deploymentSwap(), a.deploymentScale(), a.deploymentList(),
		a.deploymentShow())
}

func (a *app) deploymentCreate() *cobra.Command {
	var definition, configuration, slot, name string
	cmd := &cobra.Command{
		Use:   "create SERVICE",
		Short: "Deploy roles to a slot of a cloud service",
		Long: `Deploy the roles of a service definition (.csdef) to a slot of a cloud service,
configured by a service configuration (.cscfg). There is no package: a built-in listener
stands behind each endpoint.`,
		Example: `  sudo lab deployment create contactmanager --definition v1.csdef --configuration v1.cscfg
  sudo lab deployment create contactmanager --slot staging --definition v2.csdef --configuration v2.cscfg`,
		Args:              want(1, 1, "a cloud service"),
		ValidArgsFunction: a.names(cloudServices),
	}
	cmd.Flags().StringVar(&definition, "definition", "", "service definition (.csdef)")
	cmd.Flags().StringVar(&configuration, "configuration", "", "service configuration (.cscfg)")
	cmd.Flags().StringVar(&name, "name", "", "name of the deployment (default that of the service, or staging)")
	slotFlag(cmd, &slot)
	for flag, extension := range map[string]string{"definition": "csdef", "configuration": "cscfg"} {
		if err := cmd.MarkFlagFilename(flag, extension); err != nil {
			panic(err)
		}
	}
	return a.notingOperation(cmd,
		func(cmd *cobra.Command, args []string, _ *runningLab) (lab.Operation, []labfile.Note, error) {
			if definition == "" || configuration == "" {
				return nil, nil, usage(
					"%s needs --definition and --configuration",
					cmd.CommandPath(),
				).orHint(cmd.UseLine())
			}
			if err := needRoot(cmd, socketNeedsRoot); err != nil {
				return nil, nil, err
			}
			// Errors name the paths as they were typed; the origins that the lab keeps are absolute.
			_, notes, err := labfile.ReadDeployment(args[0], definition, configuration, lab.Slot(slot))
			if err != nil {
				return nil, nil, err
			}
			for _, path := range []*string{&definition, &configuration} {
				full, err := filepath.Abs(*path)
				if err != nil {
					return nil, nil, err
				}
				*path = full
			}
			request, _, err := labfile.ReadDeployment(args[0], definition, configuration, lab.Slot(slot))
			if err != nil {
				return nil, nil, err
			}
			if name != "" {
				request.Name = name
			}
			return lab.CreateDeploymentOp{Service: args[0], Deployment: request}, notes, nil
		})
}

func (a *app) deploymentDelete() *cobra.Command {
	slot := ""
	cmd := &cobra.Command{
		Use:   "delete SERVICE",
		Short: "Delete the deployment in a slot",
		Long: `Delete the deployment in a slot of a cloud service with all its instances. Its VIP is
released unless it is reserved.`,
		Example:           "  sudo lab deployment delete contactmanager --slot staging",
		Args:              want(1, 1, "a cloud service"),
		ValidArgsFunction: a.names(cloudServices),
	}
	slotFlag(cmd, &slot)
	return a.operation(cmd, func(_ *cobra.Command, args []string, _ *runningLab) (lab.Operation, error) {
		return lab.DeleteDeploymentOp{Service: args[0], Slot: lab.Slot(slot)}, nil
	})
}

func (a *app) deploymentSwap() *cobra.Command {
	return a.operation(&cobra.Command{
		Use:   "swap SERVICE",
		Short: "Swap production and staging",
		Long: `Swap the VIPs of production and staging, so that the staged deployment answers at the
DNS name of the cloud service. Established connections stay.

Both deployments must have the same number of endpoints. Without a production
deployment, staging becomes production.`,
		Example:           "  sudo lab deployment swap contactmanager",
		Args:              want(1, 1, "a cloud service"),
		ValidArgsFunction: a.names(cloudServices),
	}, func(_ *cobra.Command, args []string, _ *runningLab) (lab.Operation, error) {
		return lab.SwapDeploymentOp{Service: args[0]}, nil
	})
}

func (a *app) deploymentScale() *cobra.Command {
	slot := ""
	cmd := &cobra.Command{
		Use:               "scale SERVICE ROLE COUNT",
		Short:             "Set the number of instances of a role",
		Example:           "  sudo lab deployment scale contactmanager Web 3",
		Args:              want(3, 3, "a cloud service, a role and a number of instances"),
		ValidArgsFunction: a.names(cloudServices, roleNames),
	}
	slotFlag(cmd, &slot)
	return a.operation(cmd, func(_ *cobra.Command, args []string, _ *runningLab) (lab.Operation, error) {
		count, err := strconv.Atoi(args[2])
		if err != nil {
			return nil, usage("%q is not a number of instances", args[2])
		}
		return lab.ScaleRoleOp{Service: args[0], Slot: lab.Slot(slot), Role: args[1], Count: count}, nil
	})
}

// deploymentAnswer is a deployment with its service, as JSON.
type deploymentAnswer struct {
	CloudService string `json:"cloudService"`
	api.Deployment
}

func (a *app) deploymentList() *cobra.Command {
	return a.question(&cobra.Command{
		Use:               "list",
		Short:             "List the deployments",
		Example:           "  sudo lab deployment list",
		Args:              want(0, 0, ""),
		ValidArgsFunction: cobra.NoFileCompletions,
	}, func(info api.Lab, _ []string) error {
		all := []deploymentAnswer{}
		t := table{}
		t.head(a.stdout, "CLOUD SERVICE", "SLOT", "DEPLOYMENT", "DNS NAME", "VIP", "RESERVED IP", "NETWORK", "CONTENTS")
		for _, c := range info.CloudServices {
			for _, d := range c.Deployments {
				all = append(all, deploymentAnswer{c.Name, d})
				t.add(
					c.Name,
					string(d.Slot),
					d.Name,
					d.DNSName,
					address(d.VIP),
					orDash(d.ReservedIP),
					orDash(d.VirtualNetwork),
					contents(d),
				)
			}
		}
		return a.list(all, t, "there is no deployment")
	})
}

func (a *app) deploymentShow() *cobra.Command {
	slot := ""
	cmd := &cobra.Command{
		Use:               "show SERVICE",
		Short:             "Show the deployment in a slot",
		Example:           "  sudo lab deployment show contactmanager --slot staging",
		Args:              want(1, 1, "a cloud service"),
		ValidArgsFunction: a.names(cloudServices),
	}
	slotFlag(cmd, &slot)
	return a.question(cmd, func(info api.Lab, args []string) error {
		c, err := findService(info, args[0])
		if err != nil {
			return err
		}
		return a.showSlot(c, lab.Slot(slot))
	})
}

// showSlot shows the deployment in a slot.
func (a *app) showSlot(c api.CloudService, slot lab.Slot) error {
	for _, d := range c.Deployments {
		if d.Slot == slot {
			return a.detail(deploymentAnswer{c.Name, d}, func() {
				t := table{}
				t.add("cloud service", c.Name)
				a.addDeployment(&t, d)
				a.printTable(&t)
			})
		}
	}
	return &lab.Error{
		Code: "ResourceNotFound", HTTPStatus: http.StatusNotFound,
		Message: fmt.Sprintf("The cloud service %s has no %s deployment.", c.Name, slot),
	}
}

// addDeployment describes a deployment in rows of name and value.
func (a *app) addDeployment(t *table, d api.Deployment) {
	t.add("deployment", fmt.Sprintf("%s in %s: %s", d.Name, d.Slot, contents(d)))
	t.add("DNS name", d.DNSName)
	t.add("VIP", address(d.VIP)+parenthesis(d.ReservedIP))
	t.add("virtual network", orDash(d.VirtualNetwork))
	if b := d.InternalLoadBalancer; b != nil {
		t.add("internal load balancer", strings.TrimSpace(fmt.Sprintf("%s %s %s", b.Name, b.Address, b.Subnet)))
	}
	for _, r := range d.Roles {
		t.add("role "+r.Name, spelling.Count(r.Instances, "instance"))
	}
	for _, e := range d.Endpoints {
		at := ""
		if e.Internal {
			at = " of " + address(e.Address)
		}
		t.add("endpoint "+e.Name,
			fmt.Sprintf("%d/%s%s to port %s of %s%s", e.PublicPort, e.Protocol, at, localPorts(e),
				strings.Join(members(e), ", "), balancing(e)))
	}
	for _, r := range d.Roles {
		for _, e := range r.InternalEndpoints {
			t.add(
				"internal endpoint "+e.Name,
				fmt.Sprintf("%s of %s, for %s", internalPorts(e), r.Name, orAll(e.FromRoles)),
			)
		}
	}
	for _, h := range byRole(d) {
		state := ""
		if stopped(h) {
			state = a.state(h) + "  "
		}
		t.add("instance "+h.Name, strings.TrimSpace(address(h.Address)+"  "+state+services(h)))
	}
}

// internalPorts returns the ports of an internal endpoint, as text.
func internalPorts(e api.InternalEndpoint) string {
	switch {
	case e.FirstPort == 0 || e.FirstPort == 1 && e.LastPort == 65535:
		return "all ports/" + e.Protocol
	case e.FirstPort == e.LastPort:
		return fmt.Sprintf("%d/%s", e.FirstPort, e.Protocol)
	}
	return fmt.Sprintf("%d-%d/%s", e.FirstPort, e.LastPort, e.Protocol)
}

func orAll(roles []string) string {
	if len(roles) == 0 {
		return "all roles"
	}
	return strings.Join(roles, ", ")
}

// byRole lists the instances of a deployment role by role. Scaling appends instances after those of other roles.
func byRole(d api.Deployment) []api.Host {
	place := func(h api.Host) int {
		return slices.IndexFunc(d.Roles, func(r api.Role) bool { return r.Name == h.Role })
	}
	return slices.SortedStableFunc(slices.Values(d.Instances), func(a, b api.Host) int { return place(a) - place(b) })
}

// contents returns the number and kind of a deployment's instances, as text.
func contents(d api.Deployment) string {
	if d.Kind != string(lab.PaaS) {
		return spelling.Count(len(d.Instances), "virtual machine")
	}
	return spelling.Count(len(d.Instances), "role instance")
}

func parenthesis(text string) string {
	if text == "" {
		return ""
	}
	return " (" + text + ")"
}
