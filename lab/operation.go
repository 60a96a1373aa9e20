package lab

import (
	"encoding/json"
	"fmt"
	"reflect"
	"strings"
	"time"
)

// Operation is one change of a lab, as the management API names it. A command, an entry of a lab file and a step of an apply are the same
// operations.
type Operation interface {
	// Do changes the lab, or refuses. What it refuses it may have changed in part: Apply works on a copy.
	Do(*Lab) error
	// String is the operation as a person reads it.
	String() string
}

// Apply gives the lab that operations make of l, which stays as it is. The first refusal ends it.
func (l *Lab) Apply(operations ...Operation) (*Lab, error) {
	next := l.Clone()
	for _, o := range operations {
		if err := o.Do(next); err != nil {
			return nil, err
		}
	}
	return next, nil
}

// The operations.
type (
	CreateAffinityGroupOp  struct{ AffinityGroup }
	DeleteAffinityGroupOp  struct{ Name string }
	CreateVirtualNetworkOp struct{ VirtualNetwork }
	DeleteVirtualNetworkOp struct{ Name string }
	UpdateVirtualNetworkOp struct{ VirtualNetwork }
	CreateHostedServiceOp  struct{ HostedService }
	DeleteHostedServiceOp  struct{ Name string }
	// AddRoleOp adds a virtual machine. With a location or an affinity group it creates the cloud service that isn't there; one that is there
	// must be in that place.
	AddRoleOp struct {
		Service        string
		Location       string
		AffinityGroup  string
		Now            time.Time // for the description of an implicit service
		VirtualMachine VirtualMachine
	}
	DeleteRoleOp   struct{ Service, Name string }
	ShutdownRoleOp struct {
		Service, Name   string
		StayProvisioned bool
	}
	StartRoleOp   struct{ Service, Name string }
	AddEndpointOp struct {
		Service, VirtualMachine string
		Endpoint                VMEndpoint
	}
	UpdateEndpointOp struct {
		Service, VirtualMachine, Name string
		Endpoint                      VMEndpoint
	}
	DeleteEndpointOp struct{ Service, VirtualMachine, Name string }
	// SetEndpointACLOp is for an endpoint of an instance or, without one, for the one endpoint of that name that the service has: of a role, of
	// a load-balanced set, or of one virtual machine.
	SetEndpointACLOp struct {
		Service, Instance, Endpoint string
		Rules                       []ACLRule
	}
	AddFirewallRuleOp struct {
		Instance string
		Rule     GuestFirewallRule
	}
	DeleteFirewallRuleOp struct{ Instance, Name string }
	CreateDeploymentOp   struct {
		Service    string
		Deployment PackageDeployment
	}
	DeleteDeploymentOp struct {
		Service string
		Slot    Slot
	}
	SwapDeploymentOp struct{ Service string }
	ScaleRoleOp      struct {
		Service string
		Slot    Slot
		Role    string
		Count   int
	}
	UpgradeDeploymentOp struct {
		Service    string
		Deployment PackageDeployment
	}
	SetFirewallOp struct {
		Instance string
		Off      bool
		Rules    []GuestFirewallRule
	}
	// SwitchFirewallOp turns a guest firewall off or on; its rules stay.
	SwitchFirewallOp struct {
		Instance string
		Off      bool
	}
	SetServicesOp struct {
		Member   string
		Services []Service
	}
	CreateReservedIPOp    struct{ ReservedIP }
	DeleteReservedIPOp    struct{ Name string }
	AssociateReservedIPOp struct {
		Name, Service string
		Slot          Slot
	}
	DisassociateReservedIPOp struct{ Name string }
	CreateLocalNetworkOp     struct{ LocalNetwork }
	DeleteLocalNetworkOp     struct{ Name string }
	UpdateLocalNetworkOp     struct{ LocalNetwork } // its hosts stay
	AddLocalHostOp           struct {
		Site string
		Host LocalHost
	}
	DeleteLocalHostOp struct{ Site, Name string }
	CreateGatewayOp   struct {
		Network string
		Gateway VPNGateway
	}
	DeleteGatewayOp      struct{ Network string }
	CreateWebSiteOp      struct{ WebSite }
	DeleteWebSiteOp      struct{ Name string }
	CreateInternetHostOp struct{ InternetHost }
	DeleteInternetHostOp struct{ Name string }
)

func (o CreateAffinityGroupOp) Do(l *Lab) error  { return l.CreateAffinityGroup(o.AffinityGroup) }
func (o DeleteAffinityGroupOp) Do(l *Lab) error  { return l.DeleteAffinityGroup(o.Name) }
func (o CreateVirtualNetworkOp) Do(l *Lab) error { return l.CreateVirtualNetwork(o.VirtualNetwork) }
func (o DeleteVirtualNetworkOp) Do(l *Lab) error { return l.DeleteVirtualNetwork(o.Name) }
func (o UpdateVirtualNetworkOp) Do(l *Lab) error { return l.UpdateVirtualNetwork(o.VirtualNetwork) }
func (o CreateHostedServiceOp) Do(l *Lab) error  { return l.CreateHostedService(o.HostedService) }
func (o DeleteHostedServiceOp) Do(l *Lab) error  { return l.DeleteHostedService(o.Name) }
func (o AddRoleOp) Do(l *Lab) error {
	if s, ok := l.cloudService(o.Service); ok {
		if err := o.checkPlace(l, s); err != nil {
			return err.At(o.VirtualMachine.Origin)
		}
	} else if o.Location != "" || o.AffinityGroup != "" {
		if err := l.CreateHostedService(HostedService{
			Name: o.Service, Location: o.Location, AffinityGroup: o.AffinityGroup, Description: ImplicitDescription(o.Now), Origin: o.VirtualMachine.Origin,
		}); err != nil {
			return err
		}
	}
	return l.AddVirtualMachine(o.Service, o.VirtualMachine)
}

// checkPlace refuses a machine for another place than that of the cloud service it goes to.
func (o AddRoleOp) checkPlace(l *Lab, s *CloudService) *Error {
	const hint = "A machine is where its cloud service is: leave the place out, or choose another cloud service."
	if location := l.LocationOf(s.AffinityGroup, s.Location); o.Location != "" && o.Location != location {
		return conflict("The cloud service %s is in %s, not in %s.", s.Name, location, shorten(o.Location)).WithHint(hint)
	}
	switch {
	case o.AffinityGroup == "" || o.AffinityGroup == s.AffinityGroup:
		return nil
	case s.AffinityGroup == "":
		return conflict("The cloud service %s is in no affinity group, not in %s.", s.Name, shorten(o.AffinityGroup)).WithHint(hint)
	default:
		return conflict("The cloud service %s is in the affinity group %s, not in %s.", s.Name, s.AffinityGroup, shorten(o.AffinityGroup)).WithHint(hint)
	}
}

func (o DeleteRoleOp) Do(l *Lab) error { return l.DeleteRole(o.Service, o.Name) }
func (o ShutdownRoleOp) Do(l *Lab) error {
	return l.ShutdownRole(o.Service, o.Name, !o.StayProvisioned)
}
func (o StartRoleOp) Do(l *Lab) error { return l.StartRole(o.Service, o.Name) }
func (o AddEndpointOp) Do(l *Lab) error {
	return l.AddEndpoint(o.Service, o.VirtualMachine, o.Endpoint)
}

func (o UpdateEndpointOp) Do(l *Lab) error {
	return l.UpdateEndpoint(o.Service, o.VirtualMachine, o.Name, o.Endpoint)
}

func (o DeleteEndpointOp) Do(l *Lab) error {
	return l.DeleteEndpoint(o.Service, o.VirtualMachine, o.Name)
}

func (o SetEndpointACLOp) Do(l *Lab) error {
	return l.SetEndpointACL(o.Service, o.Instance, o.Endpoint, o.Rules)
}
func (o AddFirewallRuleOp) Do(l *Lab) error    { return l.AddFirewallRule(o.Instance, o.Rule) }
func (o DeleteFirewallRuleOp) Do(l *Lab) error { return l.DeleteFirewallRule(o.Instance, o.Name) }
func (o CreateDeploymentOp) Do(l *Lab) error   { return l.CreateDeployment(o.Service, o.Deployment) }
func (o DeleteDeploymentOp) Do(l *Lab) error   { return l.DeleteDeployment(o.Service, o.Slot) }
func (o SwapDeploymentOp) Do(l *Lab) error     { return l.SwapDeployment(o.Service) }
func (o ScaleRoleOp) Do(l *Lab) error          { return l.ScaleRole(o.Service, o.Slot, o.Role, o.Count) }
func (o UpgradeDeploymentOp) Do(l *Lab) error  { return l.UpgradeDeployment(o.Service, o.Deployment) }
func (o SetFirewallOp) Do(l *Lab) error        { return l.SetFirewall(o.Instance, o.Off, o.Rules) }
func (o SwitchFirewallOp) Do(l *Lab) error     { return l.SwitchFirewall(o.Instance, o.Off) }
func (o SetServicesOp) Do(l *Lab) error        { return l.SetServices(o.Member, o.Services) }
func (o CreateReservedIPOp) Do(l *Lab) error   { return l.CreateReservedIP(o.ReservedIP) }
func (o DeleteReservedIPOp) Do(l *Lab) error   { return l.DeleteReservedIP(o.Name) }
func (o AssociateReservedIPOp) Do(l *Lab) error {
	return l.AssociateReservedIP(o.Name, o.Service, o.Slot)
}

func (o DisassociateReservedIPOp) Do(l *Lab) error {
	return l.DisassociateReservedIP(o.Name)
}
func (o CreateLocalNetworkOp) Do(l *Lab) error { return l.CreateLocalNetwork(o.LocalNetwork) }
func (o DeleteLocalNetworkOp) Do(l *Lab) error { return l.DeleteLocalNetwork(o.Name) }
func (o UpdateLocalNetworkOp) Do(l *Lab) error { return l.UpdateLocalNetwork(o.LocalNetwork) }
func (o AddLocalHostOp) Do(l *Lab) error       { return l.AddLocalHost(o.Site, o.Host) }
func (o DeleteLocalHostOp) Do(l *Lab) error    { return l.DeleteLocalHost(o.Site, o.Name) }
func (o CreateGatewayOp) Do(l *Lab) error      { return l.CreateGateway(o.Network, o.Gateway) }
func (o DeleteGatewayOp) Do(l *Lab) error      { return l.DeleteGateway(o.Network) }
func (o CreateWebSiteOp) Do(l *Lab) error      { return l.CreateWebSite(o.WebSite) }
func (o DeleteWebSiteOp) Do(l *Lab) error      { return l.DeleteWebSite(o.Name) }
func (o CreateInternetHostOp) Do(l *Lab) error { return l.CreateInternetHost(o.InternetHost) }
func (o DeleteInternetHostOp) Do(l *Lab) error { return l.DeleteInternetHost(o.Name) }

// operations are the types by the name that JSON has for them: of the type, without Op.
var operations = func() map[string]reflect.Type {
	all := map[string]reflect.Type{}
	for _, o := range []Operation{
		CreateAffinityGroupOp{},
		DeleteAffinityGroupOp{},
		CreateVirtualNetworkOp{},
		DeleteVirtualNetworkOp{},
		UpdateVirtualNetworkOp{},
		CreateHostedServiceOp{},
		DeleteHostedServiceOp{},
		AddRoleOp{},
		DeleteRoleOp{},
		ShutdownRoleOp{},
		StartRoleOp{},
		AddEndpointOp{},
		UpdateEndpointOp{},
		DeleteEndpointOp{},
		SetEndpointACLOp{},
		AddFirewallRuleOp{},
		DeleteFirewallRuleOp{},
		CreateDeploymentOp{},
		DeleteDeploymentOp{},
		SwapDeploymentOp{},
		ScaleRoleOp{},
		UpgradeDeploymentOp{},
		SetFirewallOp{},
		SwitchFirewallOp{},
		SetServicesOp{},
		CreateReservedIPOp{},
		DeleteReservedIPOp{},
		AssociateReservedIPOp{},
		DisassociateReservedIPOp{},
		CreateLocalNetworkOp{},
		DeleteLocalNetworkOp{},
		UpdateLocalNetworkOp{},
		AddLocalHostOp{},
		DeleteLocalHostOp{},
		CreateGatewayOp{},
		DeleteGatewayOp{},
		CreateWebSiteOp{},
		DeleteWebSiteOp{},
		CreateInternetHostOp{},
		DeleteInternetHostOp{},
	} {
		t := reflect.TypeOf(o)
		all[strings.TrimSuffix(t.Name(), "Op")] = t
	}
	return all
}()

// envelope is an operation in JSON: its name and what it takes.
type envelope struct {
	Operation  string          `json:"operation"`
	Parameters json.RawMessage `json:"parameters"`
}

// MarshalOperation gives an operation as {"operation": NAME, "parameters": {…}}.
func MarshalOperation(o Operation) ([]byte, error) {
	parameters, err := json.Marshal(o)
	if err != nil {
		return nil, err
	}
	return json.Marshal(envelope{strings.TrimSuffix(reflect.TypeOf(o).Name(), "Op"), parameters})
}

// UnmarshalOperation reads what MarshalOperation gives.
func UnmarshalOperation(data []byte) (Operation, error) {
	var e envelope
	if err := json.Unmarshal(data, &e); err != nil {
		return nil, err
	}
	t, ok := operations[e.Operation]
	if !ok {
		return nil, badRequest("There is no operation %s.", shorten(e.Operation))
	}
	v := reflect.New(t)
	if err := json.Unmarshal(e.Parameters, v.Interface()); err != nil {
		return nil, fmt.Errorf("%s: %w", e.Operation, err)
	}
	return v.Elem().Interface().(Operation), nil
}
