package lab_test

import (
	"errors"
	"fmt"
	"net/netip"
	"strings"
	"testing"
	"time"

	"vnetlab/emu"
	"vnetlab/lab"
	"vnetlab/lab/guestfirewall"
)

// inhabited is world with two virtual machines behind a load-balanced set, a role in both slots and reserved addresses.
func inhabited(t testing.TB) *lab.Lab {
	t.Helper()
	l := world(t)
	must(t, l.CreateReservedIP(lab.ReservedIP{Name: "kept", Location: "East US"}))
	must(
		t,
		l.AddVirtualMachine("standalone", vm("a", member("web", endpoint("web", 80, 8080)), endpoint("ssh", 2201, 22))),
	)
	must(t, l.AddVirtualMachine("standalone", vm("b", member("web", endpoint("web", 80, 8080)))))
	must(t, l.AddVirtualMachine("contactsql", inSubnet(vm("sql1"), "BackEnd")))
	must(t, l.CreateHostedService(lab.HostedService{Name: "shop", Location: "East US"}))
	must(t, l.CreateDeployment("shop", lab.PackageDeployment{Roles: []lab.Role{role("Web", 2, "", 80)}}))
	must(
		t,
		l.CreateDeployment("shop", lab.PackageDeployment{Slot: lab.Staging, Roles: []lab.Role{role("Web", 1, "", 80)}}),
	)
	must(t, l.CreateInternetHost(lab.InternetHost{Name: "laptop"}))
	return l
}

func address(t testing.TB, l *lab.Lab, member string) netip.Addr {
	t.Helper()
	m, ok := l.Find(member)
	if !ok {
		t.Fatalf("there is no %s", member)
	}
	return m.Address()
}

// deployed is the production deployment of a service.
func deployed(t testing.TB, l *lab.Lab, service string) *lab.Deployment {
	t.Helper()
	s, ok := l.CloudService(service)
	if !ok || s.Production == nil {
		t.Fatalf("nothing is deployed to %s", service)
	}
	return s.Production
}

func TestStopAndStart(t *testing.T) {
	l := inhabited(t)
	vip, a, b := deployed(t, l, "standalone").VIP, address(t, l, "a"), address(t, l, "b")

	must(t, l.ShutdownRole("standalone", "a", false))
	if address(t, l, "a") != a || deployed(t, l, "standalone").VIP != vip {
		t.Error("a guest that is shut down lost an address")
	}
	must(t, l.ShutdownRole("standalone", "a", true))
	if address(t, l, "a").IsValid() {
		t.Error("a deallocated machine kept its dynamic address")
	}
	if deployed(t, l, "standalone").VIP != vip {
		t.Error("the VIP is gone while a machine is allocated")
	}
	must(t, l.ShutdownRole("standalone", "b", true))
	if deployed(t, l, "standalone").VIP.IsValid() {
		t.Error("the VIP stays although no machine is allocated")
	}
	for _, r := range l.PublicNames() {
		if r.Name == "standalone.cloudapp.net" {
			t.Error("the service has an address without a VIP")
		}
	}
	must(t, l.StartRole("standalone", "b"))
	if address(t, l, "b") != a || !deployed(t, l, "standalone").VIP.IsValid() {
		t.Errorf("the first to start has %s, want the lowest free address %s, and a VIP", address(t, l, "b"), a)
	}
	must(t, l.StartRole("standalone", "a"))
	if address(t, l, "a") != b {
		t.Errorf("the second to start has %s, want %s", address(t, l, "a"), b)
	}
}

func TestReservedIPSurvives(t *testing.T) {
	l := inhabited(t)
	reserved := l.ReservedIPs[0].Address
	must(t, l.AssociateReservedIP("kept", "standalone", ""))
	must(t, l.ShutdownRole("standalone", "a", true))
	must(t, l.ShutdownRole("standalone", "b", true))
	if deployed(t, l, "standalone").VIP != reserved {
		t.Errorf("the VIP is %s, want the reserved %s", deployed(t, l, "standalone").VIP, reserved)
	}
	must(t, l.DeleteRole("standalone", "a"))
	must(t, l.DeleteRole("standalone", "b"))
	if s, _ := l.CloudService("standalone"); s.Production != nil {
		t.Error("the deployment outlives its last machine")
	}
	if l.UsedBy(l.ReservedIPs[0]) != nil || l.ReservedIPs[0].Address != reserved {
		t.Error("the reserved IP is lost or in use")
	}
	must(t, l.AssociateReservedIP("kept", "shop", lab.Production))
	must(t, l.DisassociateReservedIP("kept"))
	if deployed(t, l, "shop").VIP == reserved {
		t.Error("the VIP stays reserved")
	}
	must(t, l.DeleteReservedIP("kept"))
}

func TestSwap(t *testing.T) {
	l := inhabited(t)
	before, _ := l.CloudService("shop")
	first, second := before.Production, before.Staging
	must(t, l.SwapDeployment("shop"))
	s, _ := l.CloudService("shop")
	if s.Production.PrivateID != second.PrivateID || s.Staging.PrivateID != first.PrivateID ||
		s.Production.VIP != first.VIP ||
		s.Staging.VIP != second.VIP {
		t.Error("the swap didn't exchange deployments and VIPs")
	}
	if s.NameOf(s.Staging) != first.PrivateID+".cloudapp.net" || len(first.PrivateID) != 32 {
		t.Errorf("staging is called %s", s.NameOf(s.Staging))
	}
}

func TestScale(t *testing.T) {
	l := inhabited(t)
	first := address(t, l, "Web_IN_0")
	must(t, l.ScaleRole("shop", "", "Web", 4))
	must(t, l.ScaleRole("shop", "", "Web", 1))
	if _, ok := l.Find("Web_IN_1"); ok {
		t.Error("an instance too many")
	}
	if address(t, l, "Web_IN_0") != first {
		t.Error("scaling moved an instance")
	}
}

func TestInternalEndpoints(t *testing.T) {
	l := world(t)
	worker := role("Worker", 2, "")
	worker.InternalEndpoints = []lab.InternalEndpoint{
		{Name: "Fixed", Protocol: "tcp", Ports: emu.PortRange{First: 7000, Last: 7010}},
		{Name: "Dynamic", Protocol: "udp"},
		{
			Name:       "ForWeb",
			Protocol:   "tcp",
			Ports:      emu.PortRange{First: 9, Last: 9},
			Restricted: true,
			FromRoles:  []string{"Web"},
		},
	}
	worker.InstanceInputEndpoints = []lab.InstanceInputEndpoint{
		{Name: "Debug", Protocol: emu.TCP, LocalPort: 22, Public: emu.PortRange{First: 10100, Last: 10102}},
	}
	must(t, l.CreateDeployment("standalone", lab.PackageDeployment{Roles: []lab.Role{role("Web", 1, "", 80), worker}}))
	m, _ := l.Find("Worker_IN_1")
	if e := m.Instance.Endpoints[0]; e.PublicPort != 10101 || e.LocalPort != 22 {
		t.Errorf("the second instance has the public port %d", e.PublicPort)
	}
	var got []string
	for _, r := range l.FirewallRules(m.Instance) {
		got = append(got, r.String())
	}
	want := []string{
		"allow tcp 22",
		"allow tcp 7000-7010 from 100.64.0.4,100.64.0.5,100.64.0.6",
		"allow udp 20000 from 100.64.0.4,100.64.0.5,100.64.0.6",
		"allow tcp 9 from 100.64.0.4",
	}
	if fmt.Sprint(got) != fmt.Sprint(want) {
		t.Errorf("got  %q\nwant %q", got, want)
	}
	rules := l.FirewallRules(m.Instance)
	for n, want := range map[int]string{
		1: "internal endpoint Fixed: for the instances of standalone", 3: "internal endpoint ForWeb: for the role Web of standalone",
	} {
		if rules[n].Text != want {
			t.Errorf("got %q, want %q", rules[n].Text, want)
		}
	}
	if err := l.ScaleRole("standalone", "", "Worker", 4); err == nil {
		t.Error("more instances than public ports")
	}
}

// TestOperationRefusals holds each refusal of a change, with its text, and that it changed nothing.
func TestOperationRefusals(t *testing.T) {
	stranger := vm("new")
	stranger.VirtualNetwork = "SampleNetwork"
	for _, tt := range []struct {
		operation lab.Operation
		text      string
	}{
		{lab.DeleteHostedServiceOp{Name: "standalone"}, "ConflictError: The cloud service standalone has a deployment."},
		{lab.DeleteHostedServiceOp{Name: "nowhere"}, "ResourceNotFound: The hosted service does not exist."},
		{lab.DeleteVirtualNetworkOp{Name: "SampleNetwork"}, "BadRequest: Cannot delete or modify virtual network while in use 'SampleNetwork'."},
		{lab.DeleteAffinityGroupOp{Name: "west"}, "ConflictError: The affinity group west is in use by the virtual network SampleNetwork."},
		{lab.UpdateVirtualNetworkOp{VirtualNetwork: lab.VirtualNetwork{
			Name: "SampleNetwork", AffinityGroup: "west", AddressSpace: prefixes("10.0.0.0/16"),
			Subnets: []lab.Subnet{{Name: "BackEnd", AddressPrefix: prefix("10.0.3.0/29")}},
		}}, "BadRequest: Cannot delete or modify subnet while in use 'BackEnd'."},
		{lab.AddRoleOp{Service: "standalone", VirtualMachine: stranger}, "BadRequest: The deployment of standalone is in no virtual network; a virtual network can only be specified on new deployments."},
		{lab.AddRoleOp{Service: "nowhere", VirtualMachine: vm("c")}, "ResourceNotFound: The hosted service does not exist."},
		{lab.AddRoleOp{Service: "shop", VirtualMachine: vm("c")}, "ConflictError: The specified deployment slot Production is occupied."},
		{lab.AddRoleOp{Service: "standalone", VirtualMachine: vm("c", endpoint("web", 80, 80))}, "BadRequest: Port 80 is already in use by one of the endpoints in this deployment. Ensure that the port numbers are unique across endpoints within a deployment."},
		{lab.DeleteRoleOp{Service: "standalone", Name: "z"}, "ResourceNotFound: The role z does not exist in the deployment of standalone."},
		{lab.AddEndpointOp{Service: "standalone", VirtualMachine: "a", Endpoint: endpoint("more", 80, 81)}, "BadRequest: Port 80 is already in use by one of the endpoints in this deployment. Ensure that the port numbers are unique across endpoints within a deployment."},
		{lab.AddEndpointOp{Service: "standalone", VirtualMachine: "a", Endpoint: endpoint("more", 81, 22)}, "BadRequest: Local Port 22 for endpoint more is already in use by one of the other endpoints in this role. Ensure that the local port numbers are unique across endpoints within a role."},
		{lab.UpdateEndpointOp{Service: "standalone", VirtualMachine: "a", Name: "ssh", Endpoint: endpoint("ssh", 80, 22)}, "BadRequest: Port 80 is already in use by one of the endpoints in this deployment. Ensure that the port numbers are unique across endpoints within a deployment."},
		{lab.DeleteEndpointOp{Service: "standalone", VirtualMachine: "a", Name: "none"}, "ResourceNotFound: The virtual machine a has no endpoint none."},
		{lab.CreateDeploymentOp{Service: "shop", Deployment: lab.PackageDeployment{Slot: lab.Staging, Roles: []lab.Role{role("Web", 1, "", 80)}}}, "ConflictError: The specified deployment slot Staging is occupied."},
		{lab.CreateDeploymentOp{Service: "standalone", Deployment: lab.PackageDeployment{Slot: lab.Staging, Roles: []lab.Role{role("Web", 1, "", 80)}}}, "ConflictError: The specified deployment slot Production is occupied."},
		{lab.SwapDeploymentOp{Service: "standalone"}, "ResourceNotFound: The cloud service standalone has no staging deployment."},
		{lab.ScaleRoleOp{Service: "shop", Slot: "", Role: "Web", Count: 0}, "BadRequest: The role Web can't have 0 instances: a role has at least one."},
		{lab.SetEndpointACLOp{Service: "standalone", Endpoint: "none"}, "ResourceNotFound: The cloud service standalone has no endpoint none."},
		{lab.SetEndpointACLOp{Service: "standalone", Instance: "a", Endpoint: "none"}, "ResourceNotFound: The cloud service standalone has no instance a with an endpoint none."},
		{lab.CreateReservedIPOp{ReservedIP: lab.ReservedIP{Name: "kept", Location: "East US"}}, "ConflictError: The reserved IP kept already exists."},
		{lab.AssociateReservedIPOp{Name: "kept", Service: "contactsql", Slot: ""}, "BadRequest: The reserved IP kept is in East US, the cloud service contactsql in West US."},
		{lab.DisassociateReservedIPOp{Name: "kept"}, "ConflictError: The reserved IP kept is not in use."},
		{lab.DeleteFirewallRuleOp{Instance: "a", Name: "none"}, "ResourceNotFound: The guest firewall of a has no added rule 'none'."},
	} {
		t.Run(tt.operation.String(), func(t *testing.T) {
			l := inhabited(t)
			before := fingerprint(l)
			_, err := l.Apply(tt.operation)
			var refusal *lab.Error
			if !errors.As(err, &refusal) || refusal.Error() != tt.text {
				t.Errorf("got  %v\nwant %s", err, tt.text)
			}
			if fingerprint(l) != before {
				t.Error("the refusal changed the lab")
			}
		})
	}
	t.Run("swap with different endpoints", func(t *testing.T) {
		l := inhabited(t)
		must(t, l.DeleteDeployment("shop", lab.Staging))
		must(
			t,
			l.CreateDeployment(
				"shop",
				lab.PackageDeployment{Slot: lab.Staging, Roles: []lab.Role{role("Web", 1, "", 80, 81)}},
			),
		)
		if err := l.SwapDeployment(
			"shop",
		); err == nil ||
			!strings.Contains(err.Error(), "different number of endpoints") {
			t.Errorf("got %v", err)
		}
	})
}

func TestOperationsAreJSON(t *testing.T) {
	rule, err := guestfirewall.Parse("allow tcp 80 from 10.0.0.0/8")
	must(t, err)
	for _, o := range []lab.Operation{
		lab.AddRoleOp{Service: "s", Location: "West US", Now: time.Unix(0, 0).UTC(), VirtualMachine: vm("a", endpoint("e", 1, 2))},
		lab.AddFirewallRuleOp{Instance: "a", Rule: lab.GuestFirewallRule{Rule: rule}},
		lab.CreateVirtualNetworkOp{VirtualNetwork: lab.VirtualNetwork{Name: "n", AddressSpace: prefixes("10.0.0.0/8")}},
		lab.SetEndpointACLOp{Service: "s", Instance: "a", Endpoint: "e", Rules: acl(1, 2)},
		lab.SwapDeploymentOp{Service: "s"},
	} {
		data, err := lab.MarshalOperation(o)
		must(t, err)
		back, err := lab.UnmarshalOperation(data)
		must(t, err)
		again, err := lab.MarshalOperation(back)
		must(t, err)
		if string(again) != string(data) || fmt.Sprintf("%T", back) != fmt.Sprintf("%T", o) {
			t.Errorf("%s became %s", data, again)
		}
	}
	if _, err := lab.UnmarshalOperation([]byte(`{"operation":"Explode"}`)); err == nil {
		t.Error("an unknown operation is not refused")
	}
}

func TestImplicitService(t *testing.T) {
	l := world(t)
	now := time.Date(2012, 5, 7, 23, 12, 0, 0, time.UTC)
	l, err := l.Apply(lab.AddRoleOp{Service: "quick", Location: "West US", Now: now, VirtualMachine: vm("quick")})
	must(t, err)
	s, ok := l.CloudService("quick")
	if !ok || s.Description != "Implicitly created hosted service2012-05-07 23:12" {
		t.Errorf("the implicit service is %+v", s)
	}
	l, err = l.Apply(lab.DeleteRoleOp{Service: "quick", Name: "quick"})
	must(t, err)
	if s, ok := l.CloudService("quick"); !ok || s.Production != nil {
		t.Error("the service went with its machine, or kept its deployment")
	}
}

func TestPlaceOfService(t *testing.T) {
	for _, tt := range []struct{ service, location, affinityGroup, text string }{
		{"standalone", "", "", ""},
		{"standalone", "East US", "", ""},
		{"standalone", "West US", "", "ConflictError: The cloud service standalone is in East US, not in 'West US'."},
		{"standalone", "", "west", "ConflictError: The cloud service standalone is in no affinity group, not in 'west'."},
		{"contactsql", "", "west", ""},
		{"contactsql", "West US", "", ""}, // where its affinity group is
		{"contactsql", "East US", "", "ConflictError: The cloud service contactsql is in West US, not in 'East US'."},
		{"contactsql", "", "east", "ConflictError: The cloud service contactsql is in the affinity group west, not in 'east'."},
	} {
		machine := vm("placed")
		if tt.service == "contactsql" {
			machine = inSubnet(machine, "FrontEnd")
		}
		_, err := inhabited(
			t,
		).Apply(lab.AddRoleOp{Service: tt.service, Location: tt.location, AffinityGroup: tt.affinityGroup, VirtualMachine: machine})
		if got := fmt.Sprint(err); tt.text == "" && err != nil || tt.text != "" && got != tt.text {
			t.Errorf("%+v: got %s", tt, got)
		}
	}
}

func TestUpdateLocalNetwork(t *testing.T) {
	l := lab.Lab{Name: "sites"}
	must(t, l.CreateVirtualNetwork(lab.VirtualNetwork{
		Name:         "net",
		Location:     "West US",
		AddressSpace: prefixes("10.0.0.0/16"),
		Subnets:      []lab.Subnet{{Name: "GatewaySubnet", AddressPrefix: prefix("10.0.0.0/29")}},
	}))
	must(
		t,
		l.CreateLocalNetwork(
			lab.LocalNetwork{
				Name:         "hq",
				AddressSpace: prefixes("192.168.0.0/24"),
				Hosts:        []*lab.LocalHost{{Name: "desk"}},
			},
		),
	)
	must(t, l.CreateGateway("net", lab.VPNGateway{Connections: lab.ConnectTo("hq")}))
	update := func(name string, space ...string) (*lab.Lab, error) {
		return l.Apply(
			lab.UpdateLocalNetworkOp{LocalNetwork: lab.LocalNetwork{Name: name, AddressSpace: prefixes(space...)}},
		)
	}
	next, err := update("hq", "192.168.0.0/16", "172.16.0.0/16")
	must(t, err)
	old, now := l.LocalNetworks[0], next.LocalNetworks[0]
	if len(now.AddressSpace) != 2 || now.VPNGatewayAddress != old.VPNGatewayAddress || len(now.Hosts) != 1 ||
		now.Hosts[0].Address != old.Hosts[0].Address {
		t.Errorf("%+v became %+v", old, now)
	}
	if n, _ := next.VirtualNetwork("net"); n.Gateway == nil || len(next.Connections()) != 1 {
		t.Error("the gateway is gone")
	}
	for _, tt := range []struct {
		name, space, text string
	}{
		{"hp", "192.168.0.0/24", "ResourceNotFound: The local network site 'hp' does not exist."},
		{"hq", "10.0.8.0/24", "BadRequest: The address 192.168.0.4 of the host desk is not in 10.0.8.0/24."},
		{"hq", "192.168.0.0/30", "BadRequest: The local network site hq (192.168.0.0/30) has no room for hosts."},
	} {
		if _, err := update(tt.name, tt.space); err == nil || err.Error() != tt.text {
			t.Errorf("%+v: got %v", tt, err)
		}
	}
	if _, err := update(
		"hq",
		"192.168.0.0/24",
		"10.0.8.0/24",
	); err == nil ||
		!strings.Contains(err.Error(), "overlap: they can't be joined") {
		t.Errorf("got %v", err)
	}
}
