package lab

import (
	"net/netip"
	"slices"

	"vnetlab/emu"
)

// OS decides the defaults of the guest firewall.
type OS string

const (
	Windows OS = "windows"
	Linux   OS = "linux"
)

// Instance is a virtual machine or a role instance.
type Instance struct {
	// ID names the instance's namespace and stays the same while the instance exists, whatever slot its deployment is
	// in. It is for programs: people have names for it, which Lab.InstanceName returns and Lab.Find takes.
	ID      string
	Name    string // host name in its cloud service
	Service string // the cloud service
	Role    string // of a role instance; empty for a virtual machine
	OS      OS
	Subnet  string // in a virtual network
	DIP     netip.Addr
	// StaticAddress says that the DIP was asked for; then it stays while the machine is deallocated.
	StaticAddress bool
	State         InstanceState
	// PublicIP is the instance's own public address, all of whose ports lead to it; zero: none.
	PublicIP     netip.Addr
	PublicIPName string
	// PublicIPLabel is what the DNS name of the public address starts with: that of the deployment follows. Empty: it
	// has none.
	PublicIPLabel     string
	Endpoints         []Endpoint
	InternalEndpoints []InternalEndpoint
	// Firewall holds the rules that were added to the guest firewall; FirewallRules has them all.
	Firewall       []GuestFirewallRule
	FirewallOff    bool
	FirewallOrigin Origin
	Services       []Service
	Boundary       emu.Boundary
	Origin         Origin

	// healthy names the ports whose health probe has a good answer of the instance.
	healthy []string
}

// InstanceState is what a virtual machine does, in the platform's words. Role instances run always.
type InstanceState string

const (
	Running            InstanceState = "Running"
	Stopped            InstanceState = "Stopped"               // the guest is shut down; its addresses stay
	StoppedDeallocated InstanceState = "Stopped (Deallocated)" // its dynamic addresses are released
)

// Running lists the instances of the deployment that run.
func (d *Deployment) Running() []*Instance {
	var all []*Instance
	for _, i := range d.Instances {
		if i.State == Running {
			all = append(all, i)
		}
	}
	return all
}

func (d *Deployment) machine(name string) *Instance {
	i := slices.IndexFunc(d.Instances, func(i *Instance) bool { return i.Name == name })
	if i < 0 {
		return nil
	}
	return d.Instances[i]
}

// Allocated tells whether the instance holds its place and addresses.
func (i *Instance) Allocated() bool { return i.State != StoppedDeallocated }
