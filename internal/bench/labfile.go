package main

import (
	"fmt"
	"strings"
)

// maxSubnets is how many subnets the labs have at most; each subnet's machines are one cloud service.
const maxSubnets = 40

// labFile writes a lab of n Linux machines in one virtual network: a listener on port 80 and a guest firewall of five
// rules each (three of its own, SSH, and the drop of everything else), and a public endpoint per service.
func labFile(name string, n int) string {
	subnets := min(n, maxSubnets)
	var b strings.Builder
	fmt.Fprintf(&b, "lab: %s\n", name)
	b.WriteString("affinityGroups:\n  - {name: ag, location: West US}\n")
	b.WriteString(
		"virtualNetworks:\n  - name: net\n    affinityGroup: ag\n    addressSpace: [10.0.0.0/16]\n    subnets:\n",
	)
	for s := range subnets {
		fmt.Fprintf(&b, "      - {name: subnet%02d, addressPrefix: 10.0.%d.0/24}\n", s, s)
	}
	b.WriteString("cloudServices:\n")
	vm := 0
	for s := range subnets {
		fmt.Fprintf(
			&b,
			"  - name: service%02d\n    affinityGroup: ag\n    virtualNetwork: net\n    virtualMachines:\n",
			s,
		)
		for i := s; i < n; i += subnets {
			fmt.Fprintf(&b, "      - name: vm%04d\n        os: linux\n        subnet: subnet%02d\n", vm, s)
			if i == s {
				b.WriteString("        endpoints: [{name: http, protocol: tcp, publicPort: 80, localPort: 80}]\n")
			}
			b.WriteString(
				"        firewall:\n          - allow tcp 80\n          - allow tcp 443 from 10.0.0.0/16\n          - block tcp 8080 from 10.0.1.0/24\n",
			)
			b.WriteString("        services: [{port: 80}]\n")
			vm++
		}
	}
	b.WriteString(
		"internetHosts:\n  - {name: laptop}\nexpect:\n  - {from: laptop, to: \"service00.cloudapp.net:80\", verdict: open}\n",
	)
	return b.String()
}
