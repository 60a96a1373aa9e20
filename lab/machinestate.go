package lab

import (
	"fmt"
	"net/netip"
)

// ShutdownRoleOp is [Lab.ShutdownRole] as an operation.
type ShutdownRoleOp struct {
	Service, Name   string
	StayProvisioned bool
}

func (o ShutdownRoleOp) Do(l *Lab) error {
	return l.ShutdownRole(o.Service, o.Name, !o.StayProvisioned)
}

func (o ShutdownRoleOp) String() string {
	return fmt.Sprintf("stop virtual machine %s of %s", o.Name, o.Service)
}

// ShutdownRole stops a virtual machine. Deallocated it gives up its dynamic address and, if it was the last, the
// service's VIP; a shutdown of the guest alone keeps both.
func (l *Lab) ShutdownRole(service, name string, deallocate bool) error {
	d, i, err := l.machine(service, name)
	if err != nil {
		return err
	}
	now, stopped := d.copy(), i.copy()
	replace(now.Instances, i, stopped)
	switch {
	case deallocate:
		stopped.State, stopped.PublicIP = StoppedDeallocated, netip.Addr{}
		if !i.StaticAddress {
			stopped.DIP = netip.Addr{}
		}
		releaseVIP(now)
	case i.State == StoppedDeallocated:
		return conflict("The virtual machine %s is deallocated already.", name)
	default:
		stopped.State = Stopped
	}
	l.replaceDeployment(d, now)
	return nil
}

// StartRoleOp is [Lab.StartRole] as an operation.
type StartRoleOp struct{ Service, Name string }

func (o StartRoleOp) Do(l *Lab) error { return l.StartRole(o.Service, o.Name) }

func (o StartRoleOp) String() string {
	return fmt.Sprintf("start virtual machine %s of %s", o.Name, o.Service)
}

// StartRole starts a stopped virtual machine. One that was deallocated takes the lowest free address.
func (l *Lab) StartRole(service, name string) error {
	d, i, err := l.machine(service, name)
	if err != nil {
		return err
	}
	now, started := d.copy(), i.copy()
	replace(now.Instances, i, started)
	if !started.DIP.IsValid() {
		if started.DIP, err = l.assign(d, i.Subnet, netip.Addr{}); err != nil {
			return err
		}
	}
	started.State = Running
	l.allocateVIP(now)
	l.allocatePublicIPs(now, started)
	l.replaceDeployment(d, now)
	return nil
}

func init() {
	register(
		ShutdownRoleOp{},
		StartRoleOp{},
	)
}
