package labfile

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/goccy/go-yaml"
	"github.com/santhosh-tekuri/jsonschema/v6"
)

func compiledSchema(t testing.TB) *jsonschema.Schema {
	t.Helper()
	data, err := Schema()
	if err != nil {
		t.Fatal(err)
	}
	doc, err := jsonschema.UnmarshalJSON(bytes.NewReader(data))
	if err != nil {
		t.Fatal(err)
	}
	compiler := jsonschema.NewCompiler()
	if err := compiler.AddResource("lab.json", doc); err != nil {
		t.Fatal(err)
	}
	schema, err := compiler.Compile("lab.json")
	if err != nil {
		t.Fatal(err)
	}
	return schema
}

// generic gives a YAML text the way a validator in an editor sees it.
func generic(t testing.TB, text string) any {
	t.Helper()
	var v any
	if err := yaml.Unmarshal([]byte(text), &v); err != nil {
		t.Fatal(err)
	}
	data, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	v, err = jsonschema.UnmarshalJSON(bytes.NewReader(data))
	if err != nil {
		t.Fatal(err)
	}
	return v
}

// TestSchemaAgrees holds that the schema and Load accept and refuse the same files. The schema knows the form
// of a file alone, so the valid files here break no rule of the platform and the invalid ones break the form.
func TestSchemaAgrees(t *testing.T) {
	schema := compiledSchema(t)
	check := func(t *testing.T, path, text string, wantValid bool) {
		t.Helper()
		_, loadErr := Load(path, Options{})
		schemaErr := schema.Validate(generic(t, text))
		if (loadErr == nil) != wantValid {
			t.Errorf("Load: %v", loadErr)
		}
		if (schemaErr == nil) != wantValid {
			t.Errorf("schema: %v", schemaErr)
		}
		if t.Failed() {
			t.Logf("file:\n%s", text)
		}
	}
	good, _ := filepath.Glob("testdata/good/*.yaml")
	for _, file := range good {
		t.Run(filepath.Base(file), func(t *testing.T) {
			data, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			check(t, file, string(data), true)
		})
	}
	for _, c := range corpus() {
		t.Run(c.name, func(t *testing.T) { check(t, write(t, c.text), c.text, c.valid) })
	}
}

type form struct {
	name, text string
	valid      bool
}

// corpus puts good and bad values into every place of a lab.
func corpus() []form {
	// %s is the place.
	places := []struct {
		name, template string
		good, bad      []string
	}{
		{"file", "%s", []string{
			"lab: a", "lab: a-1\naffinityGroups: []\nvirtualNetworks: []\nlocalNetworks: []\nreservedIPs: " +
				"[]\ncloudServices: []\nwebSites: []\ninternetHosts: []\nexpect: []\nexposure: []\nsteps: []",
			"lab: a\nlimits: {pids: 100}\nmounts: [{path: .}]", "lab: a\nprepare: npm ci --prefix web", `{"lab": "a"}`,
		}, []string{
			"[]", "text", "1", "~", "{}", "lab: ~", "lab: ''", "lab: 1", "lab: A", "lab: 1a", "lab: a_b",
			"lab: " + strings.Repeat("a", 32), "lab: [a]", "lab: {a: b}",
			"lab: a\nunknown: 1", "lab: a\nreservedIPs: {}", "lab: a\nsteps: {}", "lab: a\nlocalNetworks: {}",
			"lab: a\ngateways: []", "lab: a\nexpect: ~", "lab: a\nexpect: {}", "lab: a\nexposure: off",
			"lab: a\nprivileged: true", "lab: a\nlimits: off", "lab: a\nmounts: [{writable: true}]",
			"lab: a\nprepare: [a, b]", "lab: a\nprepare: ''", "lab: a\nnetworkConfiguration: 1", "lab: a\nLab: b",
		}},
		{"affinity group", "lab: a\naffinityGroups: [%s]", []string{
			"{name: west, location: West US}", "{name: A_b-1, location: North Europe}",
		}, []string{
			"{}", "west", "{name: west}", "{location: West US}", "{name: west, location: Westeros}",
			"{name: west, location: ''}", "{name: 1, location: West US}",
			"{name: a/b, location: West US}", "{name: " + strings.Repeat("a", 300) + ", location: West US}",
			"{name: west, location: West US, label: x}",
		}},
		{"network", "lab: a\nvirtualNetworks: [%s]", []string{
			"{name: n, location: West US, addressSpace: [10.0.0.0/16], subnets: [{name: s, addressPrefix: " +
				"10.0.0.0/24}]}",
			"{name: n, location: West US, addressSpace: [10.0.0.0/16, 192.168.0.0/24], subnets: [{name: s, " +
				"addressPrefix: 192.168.0.0/29}], dnsServers: [{name: d, address: 10.0.0.4}]}",
			"{name: n, location: West US, addressSpace: [10.0.0.0/16], subnets: [{name: s, addressPrefix: " +
				"10.0.0.0/24}], dnsServers: []}",
		}, []string{
			"{name: n, addressSpace: [10.0.0.0/16], subnets: [{name: s, addressPrefix: 10.0.0.0/24}]}",
			"{name: n, location: West US, affinityGroup: g, addressSpace: [10.0.0.0/16], subnets: [{name: s, " +
				"addressPrefix: 10.0.0.0/24}]}",
			"{name: n, location: West US, subnets: [{name: s, addressPrefix: 10.0.0.0/24}]}",
			"{name: n, location: West US, addressSpace: [], subnets: [{name: s, addressPrefix: 10.0.0.0/24}]}",
			"{name: n, location: West US, addressSpace: 10.0.0.0/16, subnets: [{name: s, addressPrefix: 10.0.0.0/24}]}",
			"{name: n, location: West US, addressSpace: [10.0.0.0/16], subnets: []}",
			"{name: n, location: West US, addressSpace: [10.0.0.0/16]}",
			"{name: n, location: West US, addressSpace: [10.0.0.0/16], subnets: [{name: s}]}",
			"{name: n, location: West US, addressSpace: [10.0.0.0/16], subnets: [{name: s, addressPrefix: 10.0.0.0}]}",
			"{name: n, location: West US, addressSpace: [10.0.0.0/16], subnets: [{name: s, addressPrefix: " +
				"10.0.0.0/33}]}",
			"{name: n, location: West US, addressSpace: [10.0.0.0/16], subnets: [{name: s, addressPrefix: " +
				"'10.00.0.0/24'}]}",
			"{name: n, location: West US, addressSpace: ['fd00::/64'], subnets: [{name: s, addressPrefix: " +
				"10.0.0.0/24}]}",
			"{name: n, location: West US, addressSpace: [10.0.0.0/16], subnets: [{name: s, addressPrefix: " +
				"10.0.0.0/24}], dnsServers: [10.0.0.4]}",
			"{name: n, location: West US, addressSpace: [10.0.0.0/16], subnets: [{name: s, addressPrefix: " +
				"10.0.0.0/24}], dnsServers: [{name: d, address: 10.0.0.256}]}",
		}},
		{"gateway", "lab: a\nvirtualNetworks: [{name: n, location: West US, addressSpace: [10.0.0.0/16], subnets: " +
			"[{name: GatewaySubnet, addressPrefix: 10.0.0.0/29}], gateway: %s}, " +
			"{name: m, location: East US, addressSpace: [10.1.0.0/16], subnets: [{name: s, addressPrefix: " +
			"10.1.0.0/29}]}]\nlocalNetworks: [{name: hq, addressSpace: [192.168.0.0/24]}]", []string{
			"{}", "{connections: []}", "{connections: [hq]}", "{connections: [m, hq]}",
		}, []string{
			"~", "[]", "[hq]", "hq", "{connections: hq}", "{connections: {}}", "{connections: ['']}",
			"{connections: [1]}", "{connections: [hq], address: 203.0.113.1}", "{profile: Small}",
		}},
		{"local network", "lab: a\nlocalNetworks: [%s]", []string{
			"{name: hq, addressSpace: [192.168.10.0/24]}", "{name: hq, addressSpace: [192.168.10.0/24, " +
				"192.168.20.0/24], vpnGatewayAddress: 203.0.113.10, hosts: []}",
			"{name: A_b-1, addressSpace: [192.168.10.0/24], hosts: [{name: desk}, {name: printer, address: " +
				"192.168.10.10, services: [{port: 80}, {port: 53, protocol: udp}]}]}",
		}, []string{
			"{}", "hq", "{name: hq}", "{addressSpace: [192.168.10.0/24]}", "{name: hq, addressSpace: []}",
			"{name: hq, addressSpace: 192.168.10.0/24}", "{name: hq, addressSpace: [192.168.10.0]}",
			"{name: 1, addressSpace: [192.168.10.0/24]}", "{name: a/b, addressSpace: [192.168.10.0/24]}",
			"{name: hq, addressSpace: [192.168.10.0/24], vpnGatewayAddress: vpn}",
			"{name: hq, addressSpace: [192.168.10.0/24], location: West US}",
			"{name: hq, addressSpace: [192.168.10.0/24], hosts: [desk]}",
			"{name: hq, addressSpace: [192.168.10.0/24], hosts: [{}]}",
			"{name: hq, addressSpace: [192.168.10.0/24], hosts: [{name: d/e}]}",
			"{name: hq, addressSpace: [192.168.10.0/24], hosts: [{name: d, services: [{endpoint: e}]}]}",
			"{name: hq, addressSpace: [192.168.10.0/24], hosts: [{name: d, address: 192.168.10.0/24}]}",
		}},
		{"reserved IP", "lab: a\nreservedIPs: [%s]", []string{
			"{name: kept, location: West US}", "{name: A_b-1, location: North Europe}",
		}, []string{
			"{}", "kept", "{name: kept}", "{location: West US}", "{name: kept, location: Westeros}",
			"{name: 1, location: West US}", "{name: a/b, location: West US}",
			"{name: kept, location: West US, address: 203.0.113.1}",
		}},
		{"cloud service", "lab: a\ncloudServices: [%s]", []string{
			"{name: abc, location: West US}", "{name: a-1, location: West US, virtualMachines: []}",
			"{name: abc, location: West US, virtualMachines: [{name: v}], internalLoadBalancer: {name: inside}}",
		}, []string{
			"{name: abc}", "{name: ab, location: West US}", "{name: Abc, location: West US}",
			"{name: -abc, location: West US}", "{location: West US}",
			"{name: abc, location: West US, affinityGroup: g}", "{name: abc, location: West US, staging: {}}",
			"{name: abc, location: West US, reservedIP: x}",
			"{name: abc, location: West US, reservedIP: 1, virtualMachines: [{name: v}]}",
			"{name: abc, location: West US, internalLoadBalancer: {name: x}}",
			"{name: abc, location: West US, internalLoadBalancer: {}, virtualMachines: [{name: v}]}",
			"{name: abc, location: West US, internalLoadBalancer: inside, virtualMachines: [{name: v}]}",
			"{name: abc, location: West US, internalLoadBalancer: {name: x, staticAddress: 10.0.0}, " +
				"virtualMachines: [{name: v}]}",
			"{name: abc, location: West US, virtualMachines: [{name: v}], staging: {definition: a, configuration: b}}",
			"{name: abc, location: West US, production: {name: a/b, definition: a, configuration: b}}",
			"{name: abc, location: West US, reservedIP: x, staging: {definition: a, configuration: b}}",
			"{name: abc, location: West US, virtualMachines: {}}", "{name: abc, location: West US, production: {}}",
			"{name: abc, location: West US, production: []}",
			"{name: abc, location: West US, production: {definition: a.csdef}}",
			"{name: abc, location: West US, production: {definition: 1, configuration: 2}}",
			"{name: abc, location: West US, virtualMachines: [{name: v}], production: {definition: a, " +
				"configuration: b}}",
			"{name: abc, location: West US, production: {definition: a, configuration: b, roles: []}}",
			"{name: abc, location: West US, production: {definition: a, configuration: b, roles: {r: []}}}",
			"{name: abc, location: West US, production: {definition: a, configuration: b, roles: {r: {instances: 2}}}}",
		}},
		{"virtual machine", "lab: a\ncloudServices: [{name: abc, location: West US, virtualMachines: [%s]}]", []string{
			"{name: v}", "{name: v-1, os: windows}", "{name: " + strings.Repeat("v", 63) + ", os: linux}",
			"{name: v, endpoints: [], services: [], firewall: []}",
			"{name: v, privileged: true}", "{name: v, privileged: false, limits: {}, mounts: []}",
			"{name: v, limits: {pids: 16, memory: 32MiB, disk: 1GiB, tmp: 999999MiB}}",
			"{name: v, mounts: [{path: /usr}, {path: /etc/passwd, writable: true}]}",
			"{name: v, firewall: off}", "{name: v, firewall: 'off'}", "{name: v, firewall: [allow tcp 80]}",
			"{name: v, publicIP: own}",
		}, []string{
			"{}", "v", "{os: linux}", "{name: v/w}", "{name: v w}", "{name: -v}",
			"{name: " + strings.Repeat("v", 300) + ", os: linux}", "{name: v, os: Windows}", "{name: v, os: ~}",
			"{name: v, firewall: on}", "{name: v, firewall: false}", "{name: v, firewall: ~}",
			"{name: v, firewall: {}}", "{name: v, firewall: [1]}", "{name: v, firewall: ['']}",
			"{name: v, firewall: [off, {}]}",
			"{name: v, staticAddress: ''}", "{name: v, staticAddress: 1}", "{name: v, staticAddress: 10.0.0}",
			"{name: v, staticAddress: 10.0.0.4/24}", "{name: v, subnet: ''}", "{name: v, subnet: []}",
			"{name: v, privileged: 'yes'}", "{name: v, privileged: ~}", "{name: v, limits: []}",
			"{name: v, limits: {pids: 15}}", "{name: v, limits: {pids: '100'}}",
			"{name: v, limits: {memory: 100}}", "{name: v, limits: {memory: 1TiB}}",
			"{name: v, limits: {memory: 0MiB}}", "{name: v, limits: {memory: 1 GiB}}",
			"{name: v, limits: {cpu: 1}}",
			"{name: v, mounts: {}}", "{name: v, mounts: [/usr]}", "{name: v, mounts: [{}]}",
			"{name: v, mounts: [{path: ''}]}", "{name: v, mounts: [{path: /usr, writable: 1}]}",
			"{name: v, size: Small}", "{name: v, publicIP: ''}", "{name: v, publicIP: [own]}",
			"{name: v, networkSecurityGroup: x}",
		}},
		{"endpoint", "lab: a\ncloudServices: [{name: abc, location: West US, virtualMachines: [{name: v, endpoints: " +
			"[%s]}]}]", []string{
			"{name: e, localPort: 80}", "{name: e, localPort: 65535, publicPort: 1, protocol: udp}",
			"{name: e, localPort: 80, loadBalancedSet: set, distribution: sourceIPProtocol}",
			"{name: e, localPort: 80, acl: []}",
			"{name: e, localPort: 80, acl: [{order: 0, action: deny, remoteSubnet: 0.0.0.0/0}]}",
			"{name: e, localPort: 80, acl: [{order: 1, action: permit, remoteSubnet: 10.0.0.0/8, description: x}]}",
			"{name: e, localPort: 80, idleTimeoutInMinutes: 4}", "{name: e, localPort: 80, idleTimeoutInMinutes: 30}",
			"{name: e, localPort: 80, probe: {protocol: tcp}}",
			"{name: e, localPort: 80, probe: {protocol: http, path: /, port: 81, intervalInSeconds: 5, " +
				"timeoutInSeconds: 11}}",
			"{name: e, localPort: 80, probe: {protocol: tcp, intervalInSeconds: 65535, timeoutInSeconds: 65535}}",
			"{name: e, localPort: 80, publicPort: 80, directServerReturn: true}",
			"{name: e, localPort: 80, directServerReturn: false}",
		}, []string{
			"{name: e}", "{localPort: 80}", "{name: e, localPort: '80'}", "{name: e, localPort: 0}",
			"{name: e, localPort: 65536}", "{name: e, localPort: 80.5}", "{name: e, localPort: -1}",
			"{name: e, localPort: 80, protocol: tcpip}", "{name: e, localPort: 80, protocol: TCP}",
			"{name: e, localPort: 80, distribution: random}", "{name: 1e, localPort: 80}",
			"{name: e, localPort: 80, acl: [{action: deny, remoteSubnet: 0.0.0.0/0}]}",
			"{name: e, localPort: 80, acl: [{order: 0, action: allow, remoteSubnet: 0.0.0.0/0}]}",
			"{name: e, localPort: 80, acl: [{order: 0, action: deny, remoteSubnet: any}]}",
			"{name: e, localPort: 80, acl: [{order: -1, action: deny, remoteSubnet: 0.0.0.0/0}]}",
			"{name: e, localPort: 80, acl: {order: 0}}", "{name: e, localPort: 80, probe: {}}",
			"{name: e, localPort: 80, idleTimeoutInMinutes: 3}",
			"{name: e, localPort: 80, idleTimeoutInMinutes: 31}", "{name: e, localPort: 80, probe: tcp}",
			"{name: e, localPort: 80, probe: {protocol: https}}",
			"{name: e, localPort: 80, probe: {protocol: http}}",
			"{name: e, localPort: 80, probe: {protocol: tcp, path: /}}",
			"{name: e, localPort: 80, probe: {protocol: http, path: x}}",
			"{name: e, localPort: 80, probe: {path: /}}",
			"{name: e, localPort: 80, probe: {protocol: tcp, intervalInSeconds: 4}}",
			"{name: e, localPort: 80, probe: {protocol: tcp, timeoutInSeconds: 10}}",
			"{name: e, localPort: 80, directServerReturn: 'yes'}", "{name: e, localPort: 80, internalLoadBalancer: ''}",
			"{name: e, localPort: 80, internalLoadBalancer: true}",
		}},
		{"service", "lab: a\ncloudServices: [{name: abc, location: West US, virtualMachines: [{name: v, endpoints: " +
			"[{name: e, localPort: 80}], services: [%s]}]}]", []string{
			"{port: 80}", "{port: 80, protocol: udp}", "{endpoint: e}", "{port: 80, real: ./x}",
			"{endpoint: e, run: ./x}",
		}, []string{
			"{}", "80", "{port: 80, endpoint: e}", "{port: 80, real: a, run: b}", "{port: 80, protocol: http}",
			"{port: ~}", "{port: '80'}", "{endpoint: 80}", "{port: 80, run: ''}", "{run: a}",
		}},
		{"web site", "lab: a\nwebSites: [%s]", []string{
			"{name: abc, location: West US}", "{name: abc, location: West US, services: []}",
			"{name: abc, location: West US, services: [{port: 80, real: node a.js}]}",
		}, []string{
			"{name: abc}", "{location: West US}", "{name: ABC, location: West US}",
			"{name: abc, location: West US, services: [{endpoint: e}]}",
			"{name: abc, location: West US, services: [{}]}",
			"{name: abc, location: West US, virtualNetwork: n}",
			"{name: abc, location: West US, services: [{port: 80, real: a, run: b}]}",
		}},
		{"internet host", "lab: a\ninternetHosts: [%s]", []string{
			"{name: laptop}", "{name: laptop, address: 203.0.113.9, services: [{port: 80}]}",
		}, []string{
			"laptop", "{}", "{name: ''}", "{name: lap top}", "{name: a/b}", "{name: laptop, address: 203.0.113}",
			"{name: laptop, address: ~}", "{name: laptop, location: West US}", "{name: laptop, services: [80]}",
		}},
		{"expectation", "lab: a\ninternetHosts: [{name: h}, {name: i}]\nexpect: [%s]", []string{
			"{from: h, to: 'i:80', verdict: open}", "{from: h, to: i:80, verdict: refused}",
			"{from: h, to: 'i:80/tcp', verdict: blocked, name: x, real: true}", "{from: h, to: 'i:80', seenAs: h}",
			"{from: h, to: 'i:80', answeredBy: [i]}", "{from: h, to: 'i:80', http: {}}",
			"{from: h, to: 'i:80', http: {path: /a, status: 404, contains: x}, real: false}",
			"{from: h, to: 'i:53/udp', verdict: refused}",
		}, []string{
			"{}", "{from: h, to: 'i:80'}", "{from: h, verdict: open}", "{to: 'i:80', verdict: open}",
			"{from: h, to: 80, verdict: open}", "{from: h, to: 'i:80', verdict: opened}",
			"{from: h, to: 'i:80', verdict: timeout}",
			"{from: h, to: 'i:80', verdict: error}", "{from: h, to: 'i:80', answeredBy: []}",
			"{from: h, to: 'i:80', answeredBy: i}", "{from: h, to: 'i:80', verdict: open, real: 'yes'}",
			"{from: h, to: 'i:80', http: {path: a}}", "{from: h, to: 'i:80', http: {status: 99}}",
			"{from: h, to: 'i:80', http: {status: '200'}}", "{from: h, to: 'i:80', http: {method: POST}}",
			"{from: h, to: 'i:80', http: /}",
			"{from: [h], to: 'i:80', verdict: open}",
			"{from: h, to: i, verdict: open}", "{from: h, to: 'i:', verdict: open}",
			"{from: h, to: 'i:0', verdict: open}", "{from: h, to: 'i:65536', verdict: open}",
			"{from: h, to: 'i:80-90', verdict: open}", "{from: h, to: 'i:80/icmp', verdict: open}",
			"{from: h, to: ':80', verdict: open}",
		}},
		{"exposure", "lab: a\ncloudServices: [{name: abc, location: West US}]\nexposure: [%s]", []string{
			"abc.cloudapp.net:80", "'abc.cloudapp.net:80/tcp', 'abc.cloudapp.net:81'", "abc.cloudapp.net:53/udp",
			"abc.cloudapp.net:1-65535", "abc.cloudapp.net:8000-8080/udp", "abc.cloudapp.net:00080/tcp",
		}, []string{
			"80", "{a: b}", "''", "~", "[abc.cloudapp.net:80]", "abc.cloudapp.net", "abc.cloudapp.net:0",
			"abc.cloudapp.net:65536",
			"abc.cloudapp.net:1-65536", "abc.cloudapp.net:1-", "abc.cloudapp.net:-80", "abc.cloudapp.net:80/tpc",
			"abc.cloudapp.net:80/", "':80'",
		}},
		{"step", "lab: a\nsteps: [%s]", []string{
			"{run: lab vm delete v}", "{run: lab  show}", "{run: lab vm delete v, fails: BadRequest}",
			"{run: lab vm delete v, fails: BadRequest, message: in use}",
			"{run: lab show, expect: [], exposure: []}", "{run: lab show, expect: [{from: nobody, to: 'nothing:80', " +
				"verdict: open}], exposure: ['nothing.cloudapp.net:53/udp']}",
		}, []string{
			"{}", "lab show", "{run: ''}", "{run: lab}", "{run: 'lab '}", "{run: vm delete v}", "{run: labs show}",
			"{run: [lab, show]}", "{run: lab show, message: x}", "{run: lab show, fails: ''}",
			"{run: lab show, fails: a b}", "{run: lab show, fails: 400}", "{run: lab show, fails: true}",
			"{run: lab show, expect: {}}", "{run: lab show, expect: [{from: a, to: 'b:80'}]}",
			"{run: lab show, expect: ~}",
			"{run: lab show, exposure: off}", "{run: lab show, exposure: [80]}", "{run: lab show, name: x}",
		}},
	}
	var all []form
	for _, p := range places {
		for i, value := range p.good {
			all = append(all, form{
				fmt.Sprintf("%s/good %d", p.name, i), strings.Replace(p.template, "%s", value, 1),
				true,
			})
		}
		for i, value := range p.bad {
			all = append(all, form{
				fmt.Sprintf("%s/bad %d", p.name, i), strings.Replace(p.template, "%s", value, 1),
				false,
			})
		}
	}
	return all
}
