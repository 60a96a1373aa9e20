package lab_test

import (
	"fmt"
	"strings"
	"testing"

	"vnetlab/emu"
	"vnetlab/lab"
	"vnetlab/lab/labtest"
)

func desktops(d *lab.Deployment) string {
	var all []string
	for _, desktop := range d.Desktops() {
		all = append(all, desktop.String())
	}
	return strings.Join(all, "\n")
}

// TestDesktops holds that a forwarder knows the instances of its deployment whose role has RemoteAccess, as they come
// and go.
func TestDesktops(t *testing.T) {
	l := world(t)
	plain := role("Plain", 1, "", 80)
	must(
		t,
		l.CreateDeployment(
			"standalone",
			lab.PackageDeployment{Roles: []lab.Role{plain, labtest.WithRemoteDesktop(role("Web", 1, "", 81))}},
		),
	)
	d := deployed(t, l, "standalone")
	const suffix = "#Microsoft.WindowsAzure.Plugins.RemoteAccess.Rdp to "
	first := "Web#Web_IN_0" + suffix + address(t, l, "Web_IN_0").String() + ":3389"
	if got := desktops(d); got != first {
		t.Errorf("got %s, want %s", got, first)
	}
	must(t, l.ScaleRole("standalone", lab.Production, "Web", 2))
	second := "Web#Web_IN_1" + suffix + address(t, l, "Web_IN_1").String() + ":3389"
	if got := desktops(deployed(t, l, "standalone")); got != first+"\n"+second {
		t.Errorf("got %s, want %s and %s", got, first, second)
	}
	must(t, l.ScaleRole("standalone", lab.Production, "Web", 1))
	if got := desktops(deployed(t, l, "standalone")); got != first {
		t.Errorf("got %s, want %s", got, first)
	}
}

func TestRemoteDesktopIsABuiltInListener(t *testing.T) {
	for text, s := range map[string]lab.Service{
		"not on 3389/udp": {Port: 3389, Protocol: emu.UDP, RemoteDesktop: emu.RemoteDesktopServer},
		"not on 3389/tcp": {Port: 3389, Protocol: emu.TCP, Command: "xrdp", RemoteDesktop: emu.RemoteDesktopServer},
	} {
		l := world(t)
		r := role("Web", 1, "", 80)
		r.Services = []lab.Service{s}
		if err := l.CreateDeployment(
			"standalone",
			lab.PackageDeployment{Roles: []lab.Role{r}},
		); err == nil ||
			!strings.Contains(err.Error(), text) {
			t.Errorf("%s: %v", text, err)
		}
	}
}

// TestPublicIPLabels holds the DNS names of instances' own public addresses.
func TestPublicIPLabels(t *testing.T) {
	labelled := func(name, label string, count int) lab.Role {
		r := role(name, count, "", 80+uint16(len(name)))
		r.PublicIPName, r.PublicIPLabel = "own", label
		return r
	}
	l := world(t)
	must(
		t,
		l.CreateDeployment(
			"standalone",
			lab.PackageDeployment{Roles: []lab.Role{labelled("Web", "Front", 2), role("Plain", 1, "", 90)}},
		),
	)
	names := func() (all []string) {
		for _, r := range l.PublicNames() {
			if r.Address != deployed(t, l, "standalone").VIP {
				all = append(all, fmt.Sprintf("%s %s", r.Name, l.NameOf("", r.Address)))
			}
		}
		return all
	}
	const want = "[Front.0.standalone.cloudapp.net Web_IN_0 Front.1.standalone.cloudapp.net Web_IN_1"
	if got := fmt.Sprint(names()); got != want+"]" {
		t.Errorf("got %s, want %s", got, want)
	}
	must(t, l.ScaleRole("standalone", lab.Production, "Web", 3))
	if got := fmt.Sprint(names()); got != want+" Front.2.standalone.cloudapp.net Web_IN_2]" {
		t.Errorf("with a third instance: %s", got)
	}
	for text, roles := range map[string][]lab.Role{
		"The roles A and Bb have the same domain name label x.": {labelled("A", "X", 1), labelled("Bb", "x", 1)},
		"The name '-x' is not valid for a domain name label.":   {labelled("A", "-x", 1)},
		"The name 'x.y' is not valid for a domain name label.":  {labelled("A", "x.y", 1)},
	} {
		if err := world(
			t,
		).CreateDeployment("standalone", lab.PackageDeployment{Roles: roles}); err == nil ||
			!strings.Contains(err.Error(), text) {
			t.Errorf("%s: %v", text, err)
		}
	}
}

// TestInstanceInputEndpointACL holds that an access control list may be for an endpoint with a port for each
// instance.
func TestInstanceInputEndpointACL(t *testing.T) {
	l := world(t)
	r := role("Web", 2, "")
	r.InstanceInputEndpoints = []lab.InstanceInputEndpoint{
		{
			Name:      "Each",
			Protocol:  emu.TCP,
			LocalPort: 22,
			Public:    emu.PortRange{First: 10000, Last: 10001},
			ACL: []lab.ACLRule{
				{Order: 2, RemoteSubnet: prefix("203.0.113.0/24")},
				{Order: 1, Permit: true, RemoteSubnet: prefix("203.0.113.4/32")},
			},
		},
	}
	must(t, l.CreateDeployment("standalone", lab.PackageDeployment{Roles: []lab.Role{r}}))
	for _, f := range deployed(t, l, "standalone").Frontends() {
		if len(f.ACL) != 2 || f.ACL[0].Order != 1 {
			t.Errorf("the list of port %d is %+v", f.PublicPort, f.ACL)
		}
	}
	r.InstanceInputEndpoints[0].ACL = acl(1, 1)
	if err := world(
		t,
	).CreateDeployment("standalone", lab.PackageDeployment{Roles: []lab.Role{r}}); err == nil ||
		!strings.Contains(err.Error(), "two rules of order 1") {
		t.Errorf("two rules of one order: %v", err)
	}
}
