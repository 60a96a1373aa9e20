package supervisor

import (
	"errors"
	"io"
	"os"
	"strings"
	"testing"

	"vnetlab/emu"
	"vnetlab/emu/kerneltest"
	"vnetlab/lab/api"
	"vnetlab/lab/client"
)

// namesOfOurOwn is a network with a name server of its own in a virtual machine: what the platform's resolver
// couldn't do, names across cloud services.
const namesOfOurOwn = `
lab: names
virtualNetworks:
  - name: Net
    location: West US
    addressSpace: [10.0.0.0/16]
    subnets: [{name: Data, addressPrefix: 10.0.1.0/24}]
    dnsServers: [{name: dns1, address: 10.0.1.4}]
cloudServices:
  - name: directory
    location: West US
    virtualNetwork: Net
    virtualMachines:
      - name: dns1
        os: linux
        subnet: Data
        firewall: [allow udp 53, allow tcp 53]
        services:
          - port: 53
            run: exec dnsmasq --keep-in-foreground --conf-file=/dev/null --no-resolv --no-hosts --user=root --pid-file --local=/corp.example/ --local=/cloudapp.net/ --address=/db.corp.example/10.0.1.5 --host-record=web1.corp.example,10.0.1.6 --host-record=web.cloudapp.net,10.0.1.5
  - name: data
    location: West US
    virtualNetwork: Net
    virtualMachines:
      - {name: db1, os: linux, subnet: Data, firewall: [allow tcp 5432], services: [{port: 5432}]}
  - name: web
    location: West US
    virtualNetwork: Net
    virtualMachines:
      - {name: web1, os: linux, subnet: Data}
`

func TestOwnNameServer(t *testing.T) {
	setUp(t)
	kerneltest.RequirePrograms(t, "dnsmasq")
	c := up(t, write(t, "names", namesOfOurOwn))
	for _, tt := range []struct {
		to      string
		verdict emu.Verdict
	}{
		{"db.corp.example:5432", emu.Open},
		{"nothing.corp.example:5432", emu.Unresolved},
		{"data.cloudapp.net:5432", emu.Unresolved}, // this name server knows nothing of the platform's names
		{"web.cloudapp.net:5432", emu.WrongHost},   // but for one, of which it is wrong: db1 has that address
	} {
		r, err := c.Probe(t.Context(), api.ProbeRequest{From: "web1", To: tt.to})
		if err != nil || r.Verdict != tt.verdict {
			t.Errorf("web1 to %s: %s (%s), %v, want %s", tt.to, r.Verdict, r.Detail, err, tt.verdict)
		}
	}
	if out := shell(
		t,
		c,
		"web1",
		"cat /etc/resolv.conf",
	); !strings.Contains(out, "nameserver 10.0.1.4") ||
		strings.Contains(out, "168.63.129.16") {
		t.Errorf("resolv.conf of web1: %s", out)
	}
	if out := shell(t, c, "web1", "getent hosts web1.corp.example"); !strings.Contains(out, "10.0.1.6") {
		t.Errorf("the guest's own resolver says %q", out)
	}
}

// shell gives what a command in an instance prints.
func shell(t *testing.T, c *client.Client, instance, command string) string {
	t.Helper()
	null, err := os.Open(os.DevNull)
	if err != nil {
		t.Fatal(err)
	}
	defer null.Close()
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	_, err = c.Exec(t.Context(), api.ExecRequest{Instance: instance, Argv: []string{"sh", "-c", command}}, null, w, w)
	w.Close()
	out, readErr := io.ReadAll(r)
	if err := errors.Join(err, readErr); err != nil {
		t.Fatalf("%s: %s: %v", instance, command, err)
	}
	return string(out)
}
