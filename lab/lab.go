// Package lab is the platform: its resources, the operations that change them and the rules they obey.
//
// It is pure: no kernel, no root, no clock. Operations are named after the Service Management API and refuse what the
// platform refused, in its own words where they are known. lab/labfile turns a file into operations, lab/compile
// turns the resources into an emu.Network, lab/oracle predicts what should happen to a packet.
package lab

import (
	"sync/atomic"

	"vnetlab/emu"
)

// Lab is one emulated world: a subscription's resources, the internet around them, and what is expected of both.
// Change it by its operations alone: a resource that is in a lab never changes, another one takes its place.
// Resources are kept in the order of their creation.
type Lab struct {
	Name            string
	AffinityGroups  []*AffinityGroup
	VirtualNetworks []*VirtualNetwork
	ReservedIPs     []*ReservedIP
	CloudServices   []*CloudService
	WebSites        []*WebSite
	InternetHosts   []*InternetHost
	LocalNetworks   []*LocalNetwork
	// Boundary is what members may use of the machine unless they say otherwise.
	Boundary     emu.Boundary
	Expectations []Expectation
	// Exposure lists every port of a public address that the internet is meant to reach; nil when the lab says
	// nothing about it.
	Exposure []ExposedPort

	// created counts the deployments ever made, for identities that don't come back.
	created int
	// places finds instances; nil until somebody asks. See Lab.index.
	places atomic.Pointer[places]
}

// New makes an empty lab.
func New(name string, origin Origin) (*Lab, error) {
	if err := checkName("lab", name, labNames); err != nil {
		return nil, err.At(origin)
	}
	return &Lab{Name: name}, nil
}
