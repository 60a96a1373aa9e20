package supervisor

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"net"
	"net/http"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"vnetlab/emu"
	"vnetlab/lab"
	"vnetlab/lab/api"
	"vnetlab/lab/client"
	"vnetlab/lab/guestfirewall"
	"vnetlab/lab/labtest"
)

// asWanted checks that the kernel has what the lab wants.
func asWanted(t *testing.T, c *client.Client) {
	t.Helper()
	if d, err := c.Diff(t.Context()); err != nil || len(d.Differences) > 0 {
		t.Fatalf("the kernel differs: %v, %v", d.Differences, err)
	}
}

func do(t *testing.T, c *client.Client, operations ...lab.Operation) api.ChangeResult {
	t.Helper()
	result, err := c.Do(t.Context(), operations...)
	if err != nil {
		t.Fatalf("%v: %v", operations, err)
	}
	if len(result.Operations) != len(operations) || result.Operations[0] != operations[0].String() ||
		len(result.Warnings) > 0 {
		t.Errorf("%v gives %+v", operations, result)
	}
	asWanted(t, c)
	return result
}

// isSeen checks what packets say, and that the model says the same.
func isSeen(t *testing.T, c *client.Client, from, to string, want emu.Verdict) api.ProbeResult {
	t.Helper()
	p, err := c.Probe(t.Context(), api.ProbeRequest{From: from, To: to})
	if err != nil || p.Verdict != want || !p.Agrees {
		t.Errorf("%s -> %s: %s (%s), want %s; %s %v", from, to, p.Verdict, p.Detail, want, p.Difference, err)
	}
	return p
}

func showText(t *testing.T, c *client.Client) string {
	t.Helper()
	info, err := c.Lab(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	text, err := json.Marshal(info)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

func rule(t *testing.T, text string) lab.GuestFirewallRule {
	t.Helper()
	r, err := guestfirewall.Parse(text)
	if err != nil {
		t.Fatal(err)
	}
	return lab.GuestFirewallRule{Rule: r}
}

func machine(name, subnet string, endpoints ...lab.Endpoint) lab.VirtualMachine {
	r, _ := guestfirewall.Parse("allow tcp 80")
	return lab.VirtualMachine{
		Name:      name,
		Subnet:    subnet,
		Endpoints: endpoints,
		Firewall:  []lab.GuestFirewallRule{{Rule: r}},
		Services:  labtest.Listen(80),
	}
}

// TestOperations does one operation of each kind on a running lab and looks at packets before and after.
func TestOperations(t *testing.T) {
	setUp(t)
	c := up(t, write(t, "shop", shop))
	isSeen(t, c, "laptop", "shopweb.cloudapp.net:80", emu.Open)

	do(t, c, lab.CreateHostedServiceOp{HostedService: lab.HostedService{Name: "lonely", Location: "East US"}})
	isSeen(t, c, "laptop", "lonely.cloudapp.net:80", emu.Unresolved)
	do(
		t,
		c,
		lab.AddRoleOp{
			Service:        "lonely",
			VirtualMachine: machine("vm1", "", lab.Endpoint{Name: "http", PublicPort: 8080, LocalPort: 80}),
		},
	)
	isSeen(t, c, "laptop", "lonely.cloudapp.net:8080", emu.Open)
	isSeen(t, c, "vm1", "shopweb.cloudapp.net:80", emu.Open)
	links, err := os.ReadDir(netnsDir())
	if err != nil || !slices.ContainsFunc(links, func(e os.DirEntry) bool { return e.Name() == "shop.vm1" }) {
		t.Errorf("named namespaces %v, %v", links, err)
	}

	isSeen(t, c, "laptop", "lonely.cloudapp.net:8081", emu.Blocked)
	do(
		t,
		c,
		lab.AddEndpointOp{
			Service:        "lonely",
			VirtualMachine: "vm1",
			Endpoint:       lab.Endpoint{Name: "more", PublicPort: 8081, LocalPort: 81},
		},
	)
	isSeen(t, c, "laptop", "lonely.cloudapp.net:8081", emu.Blocked) // by the guest firewall
	do(t, c, lab.AddFirewallRuleOp{Instance: "vm1", Rule: rule(t, "allow tcp 81")})
	isSeen(t, c, "laptop", "lonely.cloudapp.net:8081", emu.Refused)
	do(t, c, lab.DeleteFirewallRuleOp{Instance: "vm1", Name: "allow tcp 81"})
	isSeen(t, c, "laptop", "lonely.cloudapp.net:8081", emu.Blocked)
	do(
		t,
		c,
		lab.UpdateEndpointOp{
			Service:        "lonely",
			VirtualMachine: "vm1",
			Name:           "more",
			Endpoint:       lab.Endpoint{Name: "more", PublicPort: 8082, LocalPort: 81},
		},
	)
	do(t, c, lab.DeleteEndpointOp{Service: "lonely", VirtualMachine: "vm1", Name: "more"})
	isSeen(t, c, "laptop", "lonely.cloudapp.net:8082", emu.Blocked)
	do(t, c, lab.SetEndpointACLOp{Service: "lonely", Instance: "vm1", Endpoint: "http", Rules: []lab.ACLRule{
		{Order: 1, RemoteSubnet: netip.MustParsePrefix("0.0.0.0/0")},
	}})
	isSeen(t, c, "laptop", "lonely.cloudapp.net:8080", emu.Blocked)
	do(t, c, lab.SetEndpointACLOp{Service: "lonely", Instance: "vm1", Endpoint: "http"})

	do(t, c, lab.CreateReservedIPOp{ReservedIP: lab.ReservedIP{Name: "kept", Location: "East US"}})
	do(t, c, lab.AssociateReservedIPOp{Name: "kept", Service: "lonely"})
	info, err := c.Lab(t.Context())
	if err != nil || len(info.ReservedIPs) != 1 || info.ReservedIPs[0].CloudService != "lonely" {
		t.Errorf("reserved IPs %+v, %v", info.ReservedIPs, err)
	}
	if p := isSeen(
		t,
		c,
		"laptop",
		"lonely.cloudapp.net:8080",
		emu.Open,
	); len(info.ReservedIPs) == 1 &&
		p.Address != info.ReservedIPs[0].Address {
		t.Errorf("the VIP is %s", p.Address)
	}
	do(t, c, lab.DisassociateReservedIPOp{Name: "kept"}, lab.DeleteReservedIPOp{Name: "kept"})

	do(t, c, lab.ShutdownRoleOp{Service: "lonely", Name: "vm1"})
	isSeen(t, c, "laptop", "lonely.cloudapp.net:8080", emu.Unresolved)
	if _, err := c.Probe(t.Context(), api.ProbeRequest{From: "vm1", To: "laptop:80"}); err == nil {
		t.Error("a machine that is stopped asks")
	}
	do(t, c, lab.StartRoleOp{Service: "lonely", Name: "vm1"})
	isSeen(t, c, "laptop", "lonely.cloudapp.net:8080", emu.Open)
	if r, err := c.Restart(t.Context(), "vm1"); err != nil || !slices.Equal(r.Operations, []string{"restart vm1"}) {
		t.Errorf("restart gives %+v, %v", r, err)
	}
	isSeen(t, c, "laptop", "lonely.cloudapp.net:8080", emu.Open)

	do(t, c, lab.CreateVirtualNetworkOp{VirtualNetwork: lab.VirtualNetwork{
		Name: "Other", Location: "East US", AddressSpace: []netip.Prefix{netip.MustParsePrefix("10.0.0.0/16")},
		Subnets: []lab.Subnet{{Name: "a", AddressPrefix: netip.MustParsePrefix("10.0.1.0/24")}},
	}})
	do(
		t,
		c,
		lab.CreateHostedServiceOp{
			HostedService: lab.HostedService{Name: "roles", Location: "East US", VirtualNetwork: "Other"},
		},
	)
	role := lab.Role{
		Name: "Web", InstanceCount: 1, Subnet: "a", Services: labtest.Listen(80),
		InputEndpoints: []lab.InputEndpoint{{Name: "In", Protocol: emu.TCP, Port: 80}},
	}
	do(
		t,
		c,
		lab.CreateDeploymentOp{
			Service:    "roles",
			Deployment: lab.PackageDeployment{VirtualNetwork: "Other", Roles: []lab.Role{role}},
		},
	)
	do(
		t,
		c,
		lab.CreateDeploymentOp{
			Service:    "roles",
			Deployment: lab.PackageDeployment{Slot: lab.Staging, VirtualNetwork: "Other", Roles: []lab.Role{role}},
		},
	)
	before, first := isSeen(
		t,
		c,
		"laptop",
		"roles.cloudapp.net:80",
		emu.Open,
	), isSeen(
		t,
		c,
		"laptop",
		"Web_IN_0:80",
		emu.Blocked,
	)
	do(t, c, lab.SwapDeploymentOp{Service: "roles"})
	after, second := isSeen(
		t,
		c,
		"laptop",
		"roles.cloudapp.net:80",
		emu.Open,
	), isSeen(
		t,
		c,
		"laptop",
		"Web_IN_0:80",
		emu.Blocked,
	)
	if before.Address != after.Address || before.AnsweredBy != "Web_IN_0" || after.AnsweredBy != "Web_IN_0" ||
		first.Address == second.Address {
		t.Errorf(
			"swap: from %s by %s at %s to %s by %s at %s",
			before.Address,
			before.AnsweredBy,
			first.Address,
			after.Address,
			after.AnsweredBy,
			second.Address,
		)
	}
	do(t, c, lab.ScaleRoleOp{Service: "roles", Slot: lab.Production, Role: "Web", Count: 3})
	do(t, c, lab.ScaleRoleOp{Service: "roles", Slot: lab.Production, Role: "Web", Count: 1})
	do(t, c, lab.DeleteDeploymentOp{Service: "roles", Slot: lab.Staging})
	do(t, c, lab.CreateWebSiteOp{WebSite: lab.WebSite{Name: "site", Location: "West US", Services: labtest.Listen(80)}})
	isSeen(t, c, "laptop", "site.azurewebsites.net:80", emu.Open)
	do(
		t,
		c,
		lab.CreateWebSiteOp{WebSite: lab.WebSite{Name: "site2", Location: "West US", Services: labtest.Listen(80)}},
	)
	isSeen(t, c, "laptop", "site2.azurewebsites.net:80", emu.Open)
	do(t, c, lab.CreateInternetHostOp{InternetHost: lab.InternetHost{Name: "phone"}})
	isSeen(t, c, "phone", "roles.cloudapp.net:80", emu.Open)
	do(t, c, lab.DeleteInternetHostOp{Name: "phone"}, lab.DeleteWebSiteOp{Name: "site"})
	do(t, c, lab.CreateAffinityGroupOp{AffinityGroup: lab.AffinityGroup{Name: "east", Location: "East US"}})
	do(t, c, lab.DeleteAffinityGroupOp{Name: "east"})

	// All that is taken away again leaves the lab as it began.
	do(
		t,
		c,
		lab.DeleteRoleOp{Service: "lonely", Name: "vm1"},
		lab.DeleteHostedServiceOp{Name: "lonely"},
		lab.DeleteWebSiteOp{Name: "site2"},
		lab.DeleteDeploymentOp{
			Service: "roles",
		},
		lab.DeleteHostedServiceOp{Name: "roles"},
		lab.DeleteVirtualNetworkOp{Name: "Other"},
	)
	isSeen(t, c, "laptop", "shopweb.cloudapp.net:80", emu.Open)
	isSeen(t, c, "web1", "db:1433", emu.Open)
	network, err := c.Network(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if err := Down(t.Context(), "shop"); err != nil {
		t.Fatal(err)
	}
	if links, _ := os.ReadDir(netnsDir()); len(links) > 0 {
		t.Errorf("left: %v", links)
	}
	fresh, err := up(t, write(t, "shop", shop)).Network(t.Context())
	if err != nil || plain(t, network) != plain(t, fresh) {
		t.Errorf("the network is not that of a fresh start: %v\n%s\n%s", err, plain(t, network), plain(t, fresh))
	}
}

// plain gives a network without the places in files that it comes from.
func plain(t *testing.T, network json.RawMessage) string {
	t.Helper()
	var v any
	if err := json.Unmarshal(network, &v); err != nil {
		t.Fatal(err)
	}
	var strip func(any)
	strip = func(v any) {
		switch v := v.(type) {
		case map[string]any:
			delete(v, "origin")
			delete(v, "default") // the place of a firewall
			for _, e := range v {
				strip(e)
			}
		case []any:
			for _, e := range v {
				strip(e)
			}
		}
	}
	strip(v)
	text, err := json.MarshalIndent(v, "", " ")
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// A refusal, of the first operation or the last, changes nothing.
func TestRefusedOperationsChangeNothing(t *testing.T) {
	setUp(t)
	c := up(t, write(t, "shop", shop))
	before := showText(t, c)
	service := lab.CreateHostedServiceOp{HostedService: lab.HostedService{Name: "new", Location: "West US"}}
	for _, tt := range []struct {
		operations []lab.Operation
		code, text string
	}{
		{[]lab.Operation{service, service}, "ConflictError", "already"},
		{[]lab.Operation{lab.DeleteHostedServiceOp{Name: "shopweb"}}, "", ""},
		{[]lab.Operation{service, lab.DeleteVirtualNetworkOp{Name: "Net"}}, "", ""},
		{
			[]lab.Operation{lab.AddRoleOp{Service: "shopweb", VirtualMachine: machine("web3", "FrontEnd", lab.Endpoint{Name: "x", PublicPort: 80, LocalPort: 81})}},
			"BadRequest", "Port 80 is already in use",
		},
		{[]lab.Operation{service, lab.DeleteRoleOp{Service: "shopweb", Name: "web1"}, lab.DeleteRoleOp{Service: "shopweb", Name: "web3"}}, "ResourceNotFound", "web3"},
	} {
		_, err := c.Do(t.Context(), tt.operations...)
		var refused *api.Error
		if !errors.As(err, &refused) || refused.Code == "" || refused.HTTPStatus < 400 ||
			tt.code != "" && refused.Code != tt.code ||
			!strings.Contains(refused.Message, tt.text) {
			t.Errorf("%v gives %#v", tt.operations, err)
		}
		if now := showText(t, c); now != before {
			t.Errorf("after the refusal of %v the lab is %s\nbefore it was %s", tt.operations, now, before)
		}
		asWanted(t, c)
	}
	for _, body := range []any{"nonsense", []any{map[string]any{"operation": "Explode", "parameters": nil}}, []any{3}} {
		if status := postRaw(t, c.Name, api.PostOperations.Path, body); status != http.StatusBadRequest {
			t.Errorf("%v gives status %d", body, status)
		}
	}
	if _, err := c.Restart(t.Context(), "nobody"); err == nil {
		t.Error("nobody is restarted")
	}
}

// postRaw sends something to a lab as no client would, and returns the status of the answer.
func postRaw(t *testing.T, name, path string, body any) int {
	t.Helper()
	text, err := json.Marshal(body)
	if err != nil {
		t.Fatal(err)
	}
	transport := &http.Transport{DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return (&net.Dialer{}).DialContext(ctx, "unix", filepath.Join(labDir(name), socketFile))
	}}
	defer transport.CloseIdleConnections()
	response, err := (&http.Client{Transport: transport}).Post(
		"http://lab"+path,
		"application/json",
		bytes.NewReader(text),
	)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	return response.StatusCode
}
