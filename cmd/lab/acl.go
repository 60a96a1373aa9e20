package main

import (
	"fmt"
	"slices"
	"strconv"

	"github.com/spf13/cobra"

	"vnetlab/lab"
	"vnetlab/lab/api"
)

func (a *app) acl() *cobra.Command {
	return noun("acl", "Set and show access control lists of endpoints",
		`Access control lists say which remote addresses may use an endpoint.

Rules are tried in ascending order. If at least one rule permits, everything else is
denied; if all rules deny, everything else is permitted.`,
		a.aclSet(), a.aclShow())
}

func (a *app) aclSet() *cobra.Command {
	none := false
	cmd := &cobra.Command{
		Use:   "set SERVICE|VM ENDPOINT RULE...",
		Short: "Replace the access control list of an endpoint",
		Long: `Replace the access control list of an endpoint of a virtual machine, or of a role. All
members of a load-balanced set get the same list.

SERVICE is the production deployment of a cloud service, SERVICE.staging the one in
staging. A rule is written "ORDER permit|deny PREFIX [DESCRIPTION]".`,
		Example: `  sudo lab acl set sql1 sql "100 permit 203.0.113.0/24" "200 deny 0.0.0.0/0"
  sudo lab acl set sql1 sql --none`,
		Args:              want(2, -1, "a cloud service or a virtual machine, an endpoint and rules"),
		ValidArgsFunction: a.names(machinesAndServices, endpointNames),
	}
	cmd.Flags().BoolVar(&none, "none", false, "remove the access control list")
	return a.operation(cmd, func(cmd *cobra.Command, args []string, running *runningLab) (lab.Operation, error) {
		if none == (len(args) > 2) {
			return nil, usage("%s needs rules, or --none to remove them", cmd.CommandPath()).orHint(cmd.UseLine())
		}
		rules, err := parseACL(args[2:])
		if err != nil {
			return nil, err
		}
		o := lab.SetEndpointACLOp{Endpoint: args[1], Rules: rules}
		h, err := find(running, args[0], func(info api.Lab) (api.Host, error) {
			o.Instance = ""
			if h, err := findInstance(info, args[0]); err == nil {
				o.Instance = h.HostName
			}
			return endpointOwner(info, args[0], args[1])
		})
		o.Service, o.Slot = h.CloudService, h.Slot
		return o, err
	})
}

// endpointOwner finds an instance with an endpoint: the one that is named, or the first of the deployment that is.
func endpointOwner(info api.Lab, name, endpoint string) (api.Host, error) {
	candidates := []api.Host{}
	if h, err := findInstance(info, name); err == nil {
		candidates = append(candidates, h)
	} else if isAmbiguous(err) {
		return h, err
	} else if c, slot, err := findSlot(info, name); err == nil {
		candidates = slices.DeleteFunc(instances(info),
			func(h api.Host) bool { return h.CloudService != c.Name || h.Slot != slot })
	} else {
		return api.Host{}, missing(info, "virtual machine and no cloud service", name, machinesAndServices(info, nil))
	}
	for _, h := range candidates {
		if slices.ContainsFunc(h.Endpoints, func(e api.InstanceEndpoint) bool { return e.Name == endpoint }) {
			return h, nil
		}
	}
	return api.Host{}, missingFrom(name, "endpoint", endpoint, endpointNames(info, []string{name}))
}

// aclAnswer is the access control list of an endpoint, as JSON.
type aclAnswer struct {
	CloudService string        `json:"cloudService"`
	Slot         lab.Slot      `json:"slot"`
	Endpoint     string        `json:"endpoint"`
	Rules        []api.ACLRule `json:"rules"`
}

func (a *app) aclShow() *cobra.Command {
	return a.question(&cobra.Command{
		Use:               "show SERVICE|VM [ENDPOINT]",
		Short:             "Show access control lists",
		Example:           "  sudo lab acl show sql1 sql",
		Args:              want(1, 2, "a cloud service or a virtual machine, and an endpoint"),
		ValidArgsFunction: a.names(machinesAndServices, endpointNames),
	}, func(info api.Lab, args []string) error {
		endpoints, err := endpointsAbout(info, args[:1])
		if err != nil {
			return err
		}
		if len(args) > 1 {
			h, err := endpointOwner(info, args[0], args[1])
			if err != nil {
				return err
			}
			endpoints = endpointsOf(info, h) // a load-balanced set by the name that its member has for it
		}
		all := []aclAnswer{}
		t := table{}
		t.head(a.stdout, "ENDPOINT", "ORDER", "ACTION", "REMOTE SUBNET", "DESCRIPTION")
		for _, e := range endpoints {
			if len(args) > 1 && e.Name != args[1] {
				continue
			}
			all = append(all, aclAnswer{e.CloudService, e.Slot, e.Name, e.ACL})
			for _, r := range e.ACL {
				t.add(e.Name, strconv.Itoa(r.Order), r.Action, r.RemoteSubnet.String(), r.Description)
			}
		}
		return a.list(
			all,
			t,
			fmt.Sprintf("%s has no access control rule: every address may connect", args[len(args)-1]),
		)
	})
}

// aclRules returns the rules of a running lab in the form in which they are requested.
func aclRules(known []api.ACLRule) []lab.ACLRule {
	var all []lab.ACLRule
	for _, r := range known {
		all = append(all, lab.ACLRule{
			Order: r.Order, Permit: r.Action == "permit", RemoteSubnet: r.RemoteSubnet,
			Description: r.Description,
		})
	}
	return all
}
