package guestfirewall_test

import (
	"fmt"

	"vnetlab/lab/guestfirewall"
)

// Rules are read as people typed them: in short, or as a command of Windows.
func ExampleParse() {
	for _, text := range []string{
		"allow tcp 1433 from 10.0.1.0/24",
		`netsh advfirewall firewall add rule name="SQL" dir=in action=allow protocol=TCP localport=1433 remoteip=10.0.1.0/24`,
		"New-NetFirewallRule -DisplayName SQL -Protocol TCP -LocalPort 1433 -RemoteAddress 10.0.1.0/24",
	} {
		r, err := guestfirewall.Parse(text)
		if err != nil {
			fmt.Println(err)
			continue
		}
		fmt.Println(r.Allow, r.Protocol, r.LocalPorts[0].First, r.Remote)
	}
	// Output:
	// true tcp 1433 [10.0.1.0/24]
	// true tcp 1433 [10.0.1.0/24]
	// true tcp 1433 [10.0.1.0/24]
}
