package main

import (
	"slices"
	"testing"

	"vnetlab/lab/api"
)

// TestSubnetNames holds that completion offers each subnet that a machine can be in once.
func TestSubnetNames(t *testing.T) {
	info := api.Lab{VirtualNetworks: []api.VirtualNetwork{
		{Name: "a", Subnets: []api.Subnet{{Name: "front end"}, {Name: "GatewaySubnet"}}},
		{Name: "b", Subnets: []api.Subnet{{Name: "back"}, {Name: "front end"}, {Name: "GatewaySubnet"}}},
	}}
	if got := subnetNames(info, nil); !slices.Equal(got, []string{"front end", "back"}) {
		t.Errorf("got %q", got)
	}
}
