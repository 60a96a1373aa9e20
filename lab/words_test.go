package lab_test

import (
	"errors"
	"testing"

	"vnetlab/emu"
	"vnetlab/lab"
)

// TestHints holds what a refusal tells to do next.
func TestHints(t *testing.T) {
	inNetwork := func(l *lab.Lab, r lab.Role) error {
		return l.CreateDeployment(
			"contactsql",
			lab.PackageDeployment{VirtualNetwork: "SampleNetwork", Roles: []lab.Role{r}},
		)
	}
	stopTwin := func(l *lab.Lab) {
		must(t, l.AddVirtualMachine("standalone", vm("twin")))
		must(t, l.AddVirtualMachine("contactsql", inSubnet(vm("twin"), "FrontEnd")))
		must(t, l.ShutdownRole("contactsql", "twin", true))
	}
	for _, tt := range []struct {
		name string
		do   func(*lab.Lab) error
		hint string
	}{
		{"address space with host bits", func(l *lab.Lab) error {
			return l.CreateVirtualNetwork(lab.VirtualNetwork{Name: "New", Location: "West US", AddressSpace: prefixes("10.0.0.5/8")})
		}, "Write 10.0.0.0/8."},
		{"command in a stopped machine", func(l *lab.Lab) error {
			stopTwin(l)
			_, err := l.Namespace("contactsql.twin")
			return err
		}, "lab vm start contactsql.twin"},
		{"probe of a stopped machine", func(l *lab.Lab) error {
			stopTwin(l)
			_, err := l.EmuTarget(lab.Target{Name: "contactsql.twin", Port: 80, Protocol: emu.TCP})
			return err
		}, "lab vm start contactsql.twin"},
		{"role without a subnet", func(l *lab.Lab) error { return inNetwork(l, role("Web", 1, "", 80)) }, "There are: FrontEnd, BackEnd."},
		{"role in a subnet that is full", func(l *lab.Lab) error { return inNetwork(l, role("Web", 4, "BackEnd", 80)) }, "The role Web asks for 4 instances."},
	} {
		t.Run(tt.name, func(t *testing.T) {
			var refusal *lab.Error
			if err := tt.do(world(t)); !errors.As(err, &refusal) || refusal.Hint != tt.hint {
				t.Errorf("got %+v, want the hint %q", refusal, tt.hint)
			}
		})
	}
}

// TestOperationsInWords holds what operations are called where the words depend on what is asked for.
func TestOperationsInWords(t *testing.T) {
	gateway := func(connections ...string) lab.Operation {
		return lab.CreateGatewayOp{Network: "Net", Gateway: lab.VPNGateway{Connections: lab.ConnectTo(connections...)}}
	}
	for _, tt := range []struct {
		operation lab.Operation
		want      string
	}{
		{lab.ScaleRoleOp{Service: "shop", Role: "Web", Count: 1}, "scale Web of shop to 1 instance"},
		{lab.ScaleRoleOp{Service: "shop", Role: "Web", Count: 2}, "scale Web of shop to 2 instances"},
		{gateway(), "create the gateway of Net"},
		{gateway("hq", "East"), "create the gateway of Net to hq, East"},
		{lab.SetEndpointACLOp{Service: "shop", Endpoint: "HttpIn"}, "set the access control list of endpoint HttpIn of shop"},
		{lab.SetEndpointACLOp{Service: "shop", Instance: "web1", Endpoint: "http"}, "set the access control list of endpoint http of web1 of shop"},
	} {
		if got := tt.operation.String(); got != tt.want {
			t.Errorf("got %q, want %q", got, tt.want)
		}
	}
}

// TestAccessControlListOfAService holds which endpoint is meant where no instance is named.
func TestAccessControlListOfAService(t *testing.T) {
	l := inhabited(t)
	must(t, l.SetEndpointACL("shop", lab.Production, "", "In80", acl(1)))
	for _, i := range deployed(t, l, "shop").Instances {
		if i.Role == "Web" && len(i.Endpoints[0].ACL) != 1 {
			t.Errorf("%s has another list", i.Name)
		}
	}
	l = world(t)
	must(t, l.AddVirtualMachine("standalone", vm("a", endpoint("ssh", 22, 22), member("s", endpoint("web", 80, 80)))))
	must(t, l.AddVirtualMachine("standalone", vm("b", endpoint("ssh", 23, 22), member("s", endpoint("web", 80, 80)))))
	must(t, l.SetEndpointACL("standalone", lab.Production, "", "web", acl(1)))
	const want = "ConflictError: The cloud service standalone has several endpoints ssh: of a, b."
	if err := l.SetEndpointACL("standalone", lab.Production, "", "ssh", acl(1)); err == nil || err.Error() != want {
		t.Errorf("got %v, want %s", err, want)
	}
}
