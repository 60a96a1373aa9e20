package supervisor

import (
	"net/netip"
	"slices"
	"strings"
	"testing"

	"vnetlab/emu"
	"vnetlab/lab"
	"vnetlab/lab/api"
	"vnetlab/lab/client"
	"vnetlab/lab/expect"
)

// exposureOf returns, of a running lab whose list of exposed ports is empty, what the internet reaches and whether
// somebody answers. Each case about it must have failed, all others passed.
func exposureOf(t *testing.T, c *client.Client) (all []string) {
	t.Helper()
	result, err := c.Test(t.Context(), api.TestRequest{Given: &api.Given{Exposure: &[]lab.ExposedPort{}}}, nil)
	if err != nil {
		t.Fatal(err)
	}
	for _, x := range result.Cases {
		if x.Passed == (len(x.Exposed) > 0) || x.Expected != expect.NotExposed ||
			strings.Contains(x.Message, "differ") ||
			strings.Contains(x.Message, "not known") {
			t.Errorf("%+v", x)
		}
		for _, port := range x.Exposed {
			all = append(all, port+" "+string(x.Verdict)+" "+x.Answers)
		}
	}
	return all
}

func isExposed(t *testing.T, c *client.Client, want ...string) {
	t.Helper()
	if got := exposureOf(t, c); !slices.Equal(got, want) {
		t.Errorf("exposed are\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
}

const publicIP = `lab: NAME
virtualNetworks:
  - {name: net, location: West US, addressSpace: [10.0.0.0/16], subnets: [{name: s, addressPrefix: 10.0.0.0/24}]}
cloudServices:
  - name: data
    location: West US
    virtualNetwork: net
    virtualMachines:
      - {name: sql1, os: linux, subnet: s, firewall: off, services: [{port: 1433}, {port: 53, protocol: udp}], publicIP: direct}
      - {name: sql2, os: linux, subnet: s, firewall: [allow tcp 1433-1440, block tcp 1435], services: [{port: 1433}, {port: 1435}], publicIP: second}
internetHosts: [{name: laptop}]
`

// TestExposureOfPublicIPs holds that all ports that a guest firewall lets through to an instance with a public
// address are exposed, whether or not somebody listens.
func TestExposureOfPublicIPs(t *testing.T) {
	setUp(t)
	c := up(t, write(t, "public", publicIP))
	isExposed(t, c,
		"sql1:1-65535/tcp open 1433 answered; nothing listens on the others",
		"sql1:1-65535/udp open 53 answered; nothing listens on the others",
		"sql2:22/tcp refused nothing listens yet",
		"sql2:1433-1434/tcp open 1433 answered; nothing listens on the others",
		"sql2:1436-1440/tcp refused nothing listens yet",
	)
	do(
		t,
		c,
		lab.SetFirewallOp{
			Instance: "sql1",
			Rules:    []lab.GuestFirewallRule{rule(t, "allow tcp 1433 from 130.88.0.0/16")},
		},
	)
	do(
		t,
		c,
		lab.ShutdownRoleOp{Service: "data", Name: "sql2", StayProvisioned: true},
	) // nothing leads to its address then
	isExposed(t, c, "sql1:22/tcp refused nothing listens yet", "sql1:1433/tcp open answered by sql1")
}

const lists = `lab: NAME
cloudServices:
  - name: svc
    location: West US
    virtualMachines:
      - name: vm1
        os: linux
        firewall: [allow tcp 80-90]
        services: [{port: 80}]
        endpoints:
          - {name: a, publicPort: 80, localPort: 80, acl: [{order: 1, action: deny, remoteSubnet: 203.0.113.4/32}]}
          - {name: b, publicPort: 81, localPort: 81}
          - {name: c, publicPort: 82, localPort: 8200}
internetHosts: [{name: laptop, address: 203.0.113.4}]
`

// TestExposureAsksEverybody holds that a list that denies the lab's only host hides nothing, nor one that permits a
// network which isn't in the lab: also when the lists change while the lab runs.
func TestExposureAsksEverybody(t *testing.T) {
	setUp(t)
	c := up(t, write(t, "lists", lists))
	isExposed(
		t,
		c,
		"svc.cloudapp.net:80/tcp open answered by vm1",
		"svc.cloudapp.net:81/tcp refused nothing listens yet",
	)
	isSeen(t, c, "laptop", "svc.cloudapp.net:80", emu.Blocked)

	list := func(endpoint string, rules ...lab.ACLRule) {
		t.Helper()
		do(t, c, lab.SetEndpointACLOp{Service: "svc", Instance: "vm1", Endpoint: endpoint, Rules: rules})
	}
	permit := func(order int, permit bool, subnet string) lab.ACLRule {
		return lab.ACLRule{Order: order, Permit: permit, RemoteSubnet: netip.MustParsePrefix(subnet)}
	}
	list("a", permit(1, false, "130.88.1.0/24"), permit(2, true, "130.88.0.0/16"))
	list("b", permit(1, true, "10.0.0.0/8")) // nobody on the internet has such an address
	isExposed(t, c, "svc.cloudapp.net:80/tcp open answered by vm1")
	for _, nobody := range []string{"130.88.0.1:80", "130.88.1.1:80", "130.88.0.1:25000/udp", "198.51.100.7:80"} {
		isSeen(t, c, "laptop", nobody, emu.Blocked) // that packets come from there doesn't mean that somebody is there
	}

	list("a", permit(1, false, "0.0.0.0/0"))
	isExposed(t, c)
	list("a", permit(1, false, "130.88.1.0/24"), permit(2, true, "130.88.1.0/24")) // the first decides
	isExposed(t, c)
	list("b")
	do(
		t,
		c,
		lab.AddFirewallRuleOp{
			Instance: "vm1",
			Rule:     rule(t, "block tcp 81 from 0.0.0.0-198.51.99.255,198.52.0.0-255.255.255.255"),
		},
	)
	isExposed(t, c, "svc.cloudapp.net:81/tcp refused nothing listens yet") // for the rest of 198.0.0.0/8
}

const members = `lab: NAME
cloudServices:
  - name: svc
    location: West US
    virtualMachines:
      - {name: vm1, os: linux, services: [{port: 80}], endpoints: [{name: w, loadBalancedSet: web, publicPort: 80, localPort: 80}]}
      - {name: vm2, os: linux, services: [{port: 80}], firewall: [allow tcp 80], endpoints: [{name: w, loadBalancedSet: web, publicPort: 80, localPort: 80}]}
webSites:
  - {name: one, location: West US}
  - {name: two, location: West US}
`

// TestExposureCountsRules holds that a member of a set that lets the internet in exposes the port, whether it is
// asked or runs just now, and that a web site is always exposed.
func TestExposureCountsRules(t *testing.T) {
	setUp(t)
	c := up(t, write(t, "members", members))
	ports := func(all []string) (ports []string) {
		for _, line := range all {
			port, _, _ := strings.Cut(line, " ")
			ports = append(ports, port)
		}
		return ports
	}
	const first, set, second = "one.azurewebsites.net:80/tcp", "svc.cloudapp.net:80/tcp", "two.azurewebsites.net:80/tcp"
	for _, stop := range []string{"", "vm2", "vm1"} {
		if stop != "" {
			do(t, c, lab.ShutdownRoleOp{Service: "svc", Name: stop, StayProvisioned: true})
		}
		all := exposureOf(t, c)
		if got, want := ports(all), []string{first, set, second}; !slices.Equal(got, want) {
			t.Errorf("without %q: %q, want %q", stop, got, want)
		}
		if stop == "vm1" && !strings.HasSuffix(all[1], "no-backend no healthy instance behind it") {
			t.Errorf("with nobody behind it: %s", all[1])
		}
	}
	do(t, c, lab.DeleteRoleOp{Service: "svc", Name: "vm2"})
	if got := ports(exposureOf(t, c)); !slices.Equal(got, []string{first, second}) {
		t.Errorf("the guest firewall of who is left blocks everybody: %q", got)
	}
}
