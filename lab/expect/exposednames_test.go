package expect

import (
	"strings"
	"testing"

	"vnetlab/emu"
)

// TestExposureNames has two services with a machine of one name: who answered, and whose rule dropped, goes by a name
// that means it.
func TestExposureNames(t *testing.T) {
	l := loadText(t, `lab: names
cloudServices:
  - name: shop
    location: West US
    virtualMachines:
      - {name: web, os: linux, services: [{port: 80}, {port: 81}], firewall: [allow tcp 80], endpoints: [
          {name: a, publicPort: 80, localPort: 80}, {name: b, publicPort: 81, localPort: 81}]}
  - name: store
    location: West US
    virtualMachines:
      - {name: web, os: linux, services: [{port: 80}, {port: 81}], firewall: [allow tcp 80], endpoints: [
          {name: a, publicPort: 80, localPort: 80}, {name: b, publicPort: 81, localPort: 81}]}
`)
	x := NewExposure(l)
	seen := 0
	for _, q := range x.Questions(nil) {
		c := x.Check(q, asModel(l))
		service, port, _ := strings.Cut(q.String(), ".cloudapp.net:")
		want := service + ".web"
		switch port {
		case "80/tcp":
			if seen++; c.Answers != "answered by "+want {
				t.Errorf("%s: %q, want %s", q, c.Answers, want)
			}
		case "81/tcp":
			if seen++; c.By == nil || c.By.Namespace != want {
				t.Errorf("%s: dropped by %+v, want %s", q, c.By, want)
			}
		}
	}
	if seen != 4 {
		t.Errorf("%d questions, want 4", seen)
	}
}

// TestAnswersOfASet holds that each member of a set is named that answers the internet.
func TestAnswersOfASet(t *testing.T) {
	l := loadText(t, `
lab: set
cloudServices:
  - name: shop
    location: West US
    virtualMachines:
      - {name: vm1, os: linux, services: [{port: 80}], firewall: [allow tcp 80], endpoints: [
          {name: web, loadBalancedSet: web, publicPort: 80, localPort: 80}]}
      - {name: vm2, os: linux, services: [{port: 80}], firewall: [allow tcp 80], endpoints: [
          {name: web, loadBalancedSet: web, publicPort: 80, localPort: 80}]}
`)
	x := NewExposure(l)
	q := ExposureQuestion{
		Name:     "shop.cloudapp.net",
		Protocol: emu.TCP,
		Ports:    []emu.PortRange{{First: 80, Last: 80}},
		Listed:   true,
	}
	if c := x.Check(q, asModel(l)); c.Answers != "answered by vm1, vm2" {
		t.Errorf("%q: %+v", c.Answers, c)
	}
}
