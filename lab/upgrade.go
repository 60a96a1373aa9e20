package lab

import (
	"fmt"
	"net/netip"
)

// UpgradeDeploymentOp is [Lab.UpgradeDeployment] as an operation.
type UpgradeDeploymentOp struct {
	Service    string
	Deployment PackageDeployment
}

func (o UpgradeDeploymentOp) Do(l *Lab) error { return l.UpgradeDeployment(o.Service, o.Deployment) }

func (o UpgradeDeploymentOp) String() string {
	return fmt.Sprintf("upgrade the %s deployment of %s", orDefault(o.Deployment.Slot, Production), o.Service)
}

// UpgradeDeployment replaces the roles of a deployment in place: the VIP stays, and an instance whose role stays
// keeps its address (MSDN "Upgrade Deployment").
func (l *Lab) UpgradeDeployment(service string, p PackageDeployment) error {
	s, d, err := l.deployment(service, p.Slot)
	if err != nil {
		return err.At(p.Origin)
	}
	if d.Kind != PaaS {
		return slotOccupied(orDefault(p.Slot, Production)).WithHint("%s holds virtual machines.", s.Name).At(p.Origin)
	}
	if p.VirtualNetwork != d.VirtualNetwork {
		return badRequest(
			"The deployment of %s is in %s; an upgrade can't move it to %s.",
			s.Name,
			networkName(d.VirtualNetwork),
			networkName(p.VirtualNetwork),
		).At(p.Origin)
	}
	without := l.Clone()
	without.replaceDeployment(d, nil)
	p.Name, p.ReservedIP, p.InternalLoadBalancer = orDefault(p.Name, d.Name), "", d.InternalLoadBalancer
	if b := p.InternalLoadBalancer; b != nil && d.VirtualNetwork == "" {
		again := *b
		again.Address = netip.Addr{} // outside a virtual network it can't be asked for, and comes before those of the instances
		p.InternalLoadBalancer = &again
	}
	if err := without.CreateDeployment(service, p); err != nil {
		return err
	}
	made, _ := without.cloudService(service)
	now := made.In(orDefault(p.Slot, Production)).copy()
	for n, i := range now.Instances {
		now.Instances[n] = i.copy()
	}
	if now.VirtualNetwork == "" {
		for _, i := range now.Instances {
			i.DIP = Nth(d.Block, Offset(now.Block, i.DIP))
		}
	}
	now.VIP, now.ReservedIP, now.PrivateID, now.Block, now.InternalLoadBalancer = d.VIP, d.ReservedIP, d.PrivateID, d.Block, d.InternalLoadBalancer
	for _, i := range now.Instances {
		i.ID = ""
	}
	keepInstances(d, now)
	without.giveIDs(now, orDefault(p.Slot, Production))
	l.allocatePublicIPs(now, now.Instances...)
	l.created = without.created
	l.replaceDeployment(d, now)
	return nil
}

// keepInstances gives the instances that were in the deployment before their ids and addresses back, and the answers
// to their health probes. Whoever has one of the addresses takes the other's.
func keepInstances(before, now *Deployment) {
	for _, i := range now.Instances {
		i.PublicIP = netip.Addr{}
		old := before.machine(i.Name)
		if old == nil {
			continue
		}
		i.ID, i.healthy = old.ID, old.healthy
		if i.PublicIPName != "" {
			i.PublicIP = old.PublicIP
		}
		if old.Subnet != i.Subnet || old.DIP == i.DIP {
			continue
		}
		for _, other := range now.Instances {
			if other.DIP == old.DIP {
				other.DIP = i.DIP
			}
		}
		i.DIP = old.DIP
	}
}

func init() {
	register(
		UpgradeDeploymentOp{},
	)
}
