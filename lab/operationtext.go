package lab

import (
	"fmt"
	"strings"

	"vnetlab/lab/spelling"
)

func (o CreateAffinityGroupOp) String() string {
	return fmt.Sprintf("create affinity group %s in %s", o.Name, o.Location)
}
func (o DeleteAffinityGroupOp) String() string  { return "delete affinity group " + o.Name }
func (o CreateVirtualNetworkOp) String() string { return "create virtual network " + o.Name }
func (o DeleteVirtualNetworkOp) String() string { return "delete virtual network " + o.Name }
func (o UpdateVirtualNetworkOp) String() string { return "change virtual network " + o.Name }
func (o CreateHostedServiceOp) String() string  { return "create cloud service " + o.Name }
func (o DeleteHostedServiceOp) String() string  { return "delete cloud service " + o.Name }
func (o AddRoleOp) String() string {
	return fmt.Sprintf("create virtual machine %s in %s", o.VirtualMachine.Name, o.Service)
}

func (o DeleteRoleOp) String() string {
	return fmt.Sprintf("delete virtual machine %s of %s", o.Name, o.Service)
}

func (o ShutdownRoleOp) String() string {
	return fmt.Sprintf("stop virtual machine %s of %s", o.Name, o.Service)
}

func (o StartRoleOp) String() string {
	return fmt.Sprintf("start virtual machine %s of %s", o.Name, o.Service)
}

func (o AddEndpointOp) String() string {
	return fmt.Sprintf("add endpoint %s to %s of %s", o.Endpoint.Name, o.VirtualMachine, o.Service)
}

func (o UpdateEndpointOp) String() string {
	return fmt.Sprintf("change endpoint %s of %s of %s", o.Name, o.VirtualMachine, o.Service)
}

func (o DeleteEndpointOp) String() string {
	return fmt.Sprintf("delete endpoint %s of %s of %s", o.Name, o.VirtualMachine, o.Service)
}

func (o SetEndpointACLOp) String() string {
	if o.Instance == "" {
		return fmt.Sprintf("set the access control list of endpoint %s of %s", o.Endpoint, o.Service)
	}
	return fmt.Sprintf("set the access control list of endpoint %s of %s of %s", o.Endpoint, o.Instance, o.Service)
}

func (o AddFirewallRuleOp) String() string {
	return fmt.Sprintf("add firewall rule to %s: %s", o.Instance, o.Rule.Text)
}

func (o DeleteFirewallRuleOp) String() string {
	return fmt.Sprintf("delete firewall rule of %s: %s", o.Instance, o.Name)
}

func (o CreateDeploymentOp) String() string {
	return fmt.Sprintf("deploy to %s of %s", orDefault(o.Deployment.Slot, Production), o.Service)
}

func (o DeleteDeploymentOp) String() string {
	return fmt.Sprintf("delete the %s deployment of %s", orDefault(o.Slot, Production), o.Service)
}
func (o SwapDeploymentOp) String() string { return "swap production and staging of " + o.Service }
func (o ScaleRoleOp) String() string {
	return fmt.Sprintf("scale %s of %s to %s", o.Role, o.Service, spelling.Count(o.Count, "instance"))
}

func (o UpgradeDeploymentOp) String() string {
	return fmt.Sprintf("upgrade the %s deployment of %s", orDefault(o.Deployment.Slot, Production), o.Service)
}
func (o SetFirewallOp) String() string { return "replace the guest firewall's rules of " + o.Instance }
func (o SwitchFirewallOp) String() string {
	if o.Off {
		return "turn the guest firewall of " + o.Instance + " off"
	}
	return "turn the guest firewall of " + o.Instance + " on"
}
func (o SetServicesOp) String() string      { return "change what listens in " + o.Member }
func (o CreateReservedIPOp) String() string { return "create reserved IP " + o.Name }
func (o DeleteReservedIPOp) String() string { return "delete reserved IP " + o.Name }
func (o AssociateReservedIPOp) String() string {
	return fmt.Sprintf("associate reserved IP %s with %s", o.Name, o.Service)
}
func (o DisassociateReservedIPOp) String() string { return "disassociate reserved IP " + o.Name }
func (o CreateLocalNetworkOp) String() string     { return "create local network site " + o.Name }
func (o DeleteLocalNetworkOp) String() string     { return "delete local network site " + o.Name }
func (o UpdateLocalNetworkOp) String() string     { return "change local network site " + o.Name }
func (o AddLocalHostOp) String() string {
	return fmt.Sprintf("add host %s to local network site %s", o.Host.Name, o.Site)
}

func (o DeleteLocalHostOp) String() string {
	return fmt.Sprintf("delete host %s of local network site %s", o.Name, o.Site)
}

func (o CreateGatewayOp) String() string {
	if len(o.Gateway.Connections) == 0 {
		return "create the gateway of " + o.Network
	}
	return fmt.Sprintf("create the gateway of %s to %s", o.Network, strings.Join(o.Gateway.Names(), ", "))
}
func (o DeleteGatewayOp) String() string      { return "delete the gateway of " + o.Network }
func (o CreateWebSiteOp) String() string      { return "create web site " + o.Name }
func (o DeleteWebSiteOp) String() string      { return "delete web site " + o.Name }
func (o CreateInternetHostOp) String() string { return "create internet host " + o.Name }
func (o DeleteInternetHostOp) String() string { return "delete internet host " + o.Name }
