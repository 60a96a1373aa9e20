package main

import (
	"slices"
	"testing"

	"vnetlab/lab/live"
)

// TestSubnetNames holds that completion offers each subnet that a machine can be in once.
func TestSubnetNames(t *testing.T) {
	info := live.Info{VirtualNetworks: []live.VirtualNetworkInfo{
		{Name: "a", Subnets: []live.SubnetInfo{{Name: "front end"}, {Name: "GatewaySubnet"}}},
		{Name: "b", Subnets: []live.SubnetInfo{{Name: "back"}, {Name: "front end"}, {Name: "GatewaySubnet"}}},
	}}
	if got := subnetNames(info, nil); !slices.Equal(got, []string{"front end", "back"}) {
		t.Errorf("got %q", got)
	}
}
