package supervisor

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"vnetlab/emu"
	"vnetlab/emu/kerneltest"
	"vnetlab/lab"
	"vnetlab/lab/api"
	"vnetlab/lab/client"
	"vnetlab/lab/labtest"
)

// office has remote desktop on all roles but Quiet, where it is turned off, and leads to it by Web.
const office = `lab: NAME
cloudServices:
  - name: office
    location: West US
    production: {definition: office.csdef, configuration: office.cscfg, roles: {Web: {services: [{endpoint: HttpIn}]}}}
internetHosts: [{name: laptop}]
expect:
  - {from: laptop, to: "office.cloudapp.net:3389", verdict: open, seenAs: laptop, answeredBy: [Web_IN_0, Web_IN_1]}
  - {from: Web_IN_0, to: "Data_IN_0:3389", verdict: open, answeredBy: [Data_IN_0], seenAs: Web_IN_0}
  - {from: Web_IN_0, to: "Quiet_IN_0:3389", verdict: refused}
  - {from: laptop, to: "Data_IN_0:3389", verdict: blocked}
exposure: [office.cloudapp.net:80, office.cloudapp.net:3389]
`

const officeDefinition = `<ServiceDefinition name="Office" xmlns="http://schemas.microsoft.com/ServiceHosting/2008/10/ServiceDefinition">
  <WebRole name="Web">
    <Endpoints><InputEndpoint name="HttpIn" protocol="http" port="80" /></Endpoints>
    <Imports><Import moduleName="RemoteAccess" /><Import moduleName="RemoteForwarder" /></Imports>
  </WebRole>
  <WorkerRole name="Data"><Imports><Import moduleName="RemoteAccess" /></Imports></WorkerRole>
  <WorkerRole name="Quiet"><Imports><Import moduleName="RemoteAccess" /></Imports></WorkerRole>
</ServiceDefinition>`

func officeConfiguration() string {
	var b strings.Builder
	b.WriteString(
		`<ServiceConfiguration serviceName="Office" xmlns="http://schemas.microsoft.com/ServiceHosting/2008/10/ServiceConfiguration">`,
	)
	setting := func(name string, on bool) string {
		return fmt.Sprintf(`<Setting name="Microsoft.WindowsAzure.Plugins.%s.Enabled" value="%t" />`, name, on)
	}
	for _, r := range []struct {
		name     string
		count    int
		settings string
	}{
		{"Web", 2, setting("RemoteAccess", true) + setting("RemoteForwarder", true)},
		{"Data", 1, setting("RemoteAccess", true)},
		{"Quiet", 1, setting("RemoteAccess", false)},
	} {
		fmt.Fprintf(
			&b,
			`<Role name=%q><Instances count="%d" /><ConfigurationSettings>%s</ConfigurationSettings></Role>`,
			r.name,
			r.count,
			r.settings,
		)
	}
	return b.String() + `</ServiceConfiguration>`
}

// TestRemoteDesktop connects from the internet to each role instance, by the forwarder and the name in the
// connection's cookie.
func TestRemoteDesktop(t *testing.T) {
	setUp(t)
	path := write(t, "office", office)
	for name, text := range map[string]string{"office.csdef": officeDefinition, "office.cscfg": officeConfiguration()} {
		if err := os.WriteFile(filepath.Join(filepath.Dir(path), name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	c := up(t, path)
	results, err := c.Test(t.Context(), api.TestRequest{}, nil)
	if err != nil {
		t.Fatal(err)
	}
	for _, r := range results.Cases {
		if !r.Passed {
			t.Errorf("%s: %s, %s", r.Name, r.Verdict, r.Message)
		}
	}
	forwarder := throughHost(t, c, "laptop", "office.cloudapp.net:3389")
	names := func(role, instance string) string {
		return fmt.Sprintf("%s#%s#Microsoft.WindowsAzure.Plugins.RemoteAccess.Rdp", role, instance)
	}
	reaches := func(role, instance string) {
		t.Helper()
		if got := connectDesktop(
			t,
			forwarder,
			names(role, instance),
		); !strings.Contains(got, instance+" (") ||
			!strings.Contains(got, "answered on port 3389") {
			t.Errorf("%s: %q", instance, got)
		}
	}
	cutOff := func(name string) {
		t.Helper()
		if got := connectDesktop(t, forwarder, name); got != "" {
			t.Errorf("%s: %q", name, got)
		}
	}
	reaches("Web", "Web_IN_0")
	reaches("Web", "Web_IN_1")
	reaches("Data", "Data_IN_0")
	cutOff(names("Quiet", "Quiet_IN_0")) // nobody listens
	cutOff(names("Web", "Web_IN_2"))
	cutOff("administrator")
	do(t, c, lab.ScaleRoleOp{Service: "office", Slot: lab.Production, Role: "Web", Count: 3})
	reaches("Web", "Web_IN_2")
	reaches("Data", "Data_IN_0")
	do(t, c, lab.ScaleRoleOp{Service: "office", Slot: lab.Production, Role: "Web", Count: 1})
	reaches("Web", "Web_IN_0")
	cutOff(names("Web", "Web_IN_2"))

	// The forwarder goes through the guest firewall, like anybody.
	do(t, c, lab.AddFirewallRuleOp{Instance: "Data_IN_0", Rule: labtest.Rule(t, "block tcp 3389", 1)})
	cutOff(names("Data", "Data_IN_0"))
	info, err := c.Lab(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	found := false
	for _, e := range info.CloudServices[0].Endpoints {
		found = found ||
			e.Name == "Microsoft.WindowsAzure.Plugins.RemoteForwarder.RdpInput" && e.PublicPort == 3389 &&
				e.Protocol == emu.TCP
	}
	if !found {
		t.Errorf("the endpoints are %+v", info.CloudServices[0].Endpoints)
	}
}

// throughHost gives an address of this machine that leads to a target as seen from a host of the lab.
func throughHost(t *testing.T, c *client.Client, from, to string) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	//nolint:errcheck // it ends with the test
	go c.Forward(t.Context(), l, api.ForwardRequest{From: from, To: to}, func(error) {})
	return l.Addr().String()
}

// connectDesktop asks for a desktop as a remote desktop client does, and gives what answers; nothing: it was cut off.
func connectDesktop(t *testing.T, address, name string) string {
	t.Helper()
	c, err := net.Dial("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if err := c.SetDeadline(time.Now().Add(kerneltest.Patience)); err != nil {
		t.Fatal(err)
	}
	cookie := "Cookie: mstshash=" + name + "\r\n"
	request := []byte{3, 0, 0, 0, byte(6 + len(cookie)), 0xE0, 0, 0, 0, 0, 0}
	binary.BigEndian.PutUint16(request[2:], uint16(len(request)+len(cookie)))
	if _, err := c.Write(append(request, cookie...)); err != nil {
		return ""
	}
	answer, err := io.ReadAll(c)
	if errors.Is(err, os.ErrDeadlineExceeded) {
		t.Fatalf("%s: no answer", name)
	}
	return string(answer)
}
