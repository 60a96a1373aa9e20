package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"vnetlab/emu"
	"vnetlab/lab"
	"vnetlab/lab/guestfirewall"
	"vnetlab/lab/supervisor"
)

// timedOperation is an operation on a running lab, and what comes before and after it, untimed.
type timedOperation struct {
	name      string
	before    []lab.Operation
	operation lab.Operation
	after     []lab.Operation
}

// rounds is how often a run does all operations.
const rounds = 3

// operations starts a lab of n instances and gives the seconds that each operation takes, from the request to the
// answer on the control socket.
func (b *bench) operations(n int) (names []string, times map[string]float64, err error) {
	all, err := timedOperations()
	if err != nil {
		return nil, nil, err
	}
	if err := os.Setenv("VNETLAB_RUN", filepath.Join(b.dir, "run")); err != nil { // where output has labs run
		return nil, nil, err
	}
	file := filepath.Join(b.dir, fmt.Sprintf("%d.yaml", n)) // instances wrote it
	if _, err := b.output(b.lab, "up", file); err != nil {
		return nil, nil, err
	}
	defer func() {
		_, downErr := b.output(b.lab, "down", labName)
		err = errors.Join(err, downErr)
	}()
	c, err := supervisor.Dial(labName)
	if err != nil {
		return nil, nil, err
	}
	runs := map[string][]float64{}
	for i := range b.runs * rounds {
		if i%rounds == 0 {
			fmt.Fprintf(os.Stderr, "operations on %d instances, run %d of %d\n", n, i/rounds+1, b.runs)
		}
		for _, o := range all {
			_, beforeErr := c.Do(context.Background(), o.before...)
			start := time.Now()
			_, err := c.Do(context.Background(), o.operation)
			runs[o.name] = append(runs[o.name], time.Since(start).Seconds())
			_, afterErr := c.Do(context.Background(), o.after...)
			if err := errors.Join(beforeErr, err, afterErr); err != nil {
				return nil, nil, fmt.Errorf("%s: %w", o.name, err)
			}
		}
	}
	times = map[string]float64{}
	for _, o := range all {
		names = append(names, o.name)
		times[o.name] = median(runs[o.name])
	}
	return names, times, nil
}

// timedOperations are for labs as labFile writes them. Together they leave the lab as it was.
func timedOperations() ([]timedOperation, error) {
	rule, err := guestfirewall.Parse("allow tcp 4000")
	if err != nil {
		return nil, err
	}
	rule.Name = "added"
	const group, network, service, machine, paas = "ag", "net", "service00", "vm0000", "swapped"
	deployment := func(name string, slot lab.Slot) lab.Operation {
		return lab.CreateDeploymentOp{Service: paas, Deployment: lab.PackageDeployment{
			Name: name, Slot: slot, VirtualNetwork: network, Roles: []lab.Role{
				{
					Name:           "Web",
					InstanceCount:  2,
					Subnet:         "subnet00",
					InputEndpoints: []lab.InputEndpoint{{Name: "In", Protocol: emu.TCP, Port: 80}},
					Services:       []lab.Service{{Port: 80, Protocol: emu.TCP}},
				},
			},
		}}
	}
	return []timedOperation{
		{
			name: "add a virtual machine to a new cloud service",
			before: []lab.Operation{
				lab.CreateHostedServiceOp{
					HostedService: lab.HostedService{Name: "added", AffinityGroup: group, VirtualNetwork: network},
				},
			},
			operation: lab.AddRoleOp{Service: "added", VirtualMachine: lab.VirtualMachine{
				Name:     "added",
				OS:       lab.Linux,
				Subnet:   "subnet00",
				Services: []lab.Service{{Port: 80, Protocol: emu.TCP}},
			}},
		},
		{
			name: "delete the virtual machine", operation: lab.DeleteRoleOp{Service: "added", Name: "added"},
			after: []lab.Operation{lab.DeleteHostedServiceOp{Name: "added"}},
		},
		{
			name: "add an endpoint",
			operation: lab.AddEndpointOp{
				Service:        service,
				VirtualMachine: machine,
				Endpoint:       lab.Endpoint{Name: "e", PublicPort: 4000, LocalPort: 4000},
			},
		},
		{
			name:      "delete the endpoint",
			operation: lab.DeleteEndpointOp{Service: service, VirtualMachine: machine, Name: "e"},
		},
		{
			name:      "add a firewall rule",
			operation: lab.AddFirewallRuleOp{Instance: machine, Rule: lab.GuestFirewallRule{Rule: rule}},
		},
		{name: "delete the firewall rule", operation: lab.DeleteFirewallRuleOp{Instance: machine, Name: rule.Name}},
		{
			name: "VIP swap",
			before: []lab.Operation{
				lab.CreateHostedServiceOp{
					HostedService: lab.HostedService{Name: paas, AffinityGroup: group, VirtualNetwork: network},
				},
				deployment("blue", lab.Production),
				deployment("green", lab.Staging),
			},
			operation: lab.SwapDeploymentOp{Service: paas},
			after: []lab.Operation{
				lab.DeleteDeploymentOp{Service: paas, Slot: lab.Staging},
				lab.DeleteDeploymentOp{Service: paas, Slot: lab.Production},
				lab.DeleteHostedServiceOp{Name: paas},
			},
		},
	}, nil
}

// timeOperations adds the operations on labs of all sizes to the table.
func (b *bench) timeOperations(t *table) error {
	var first map[string]float64
	for i, n := range b.sizes {
		names, times, err := b.operations(n)
		if err != nil {
			return err
		}
		if i == 0 {
			first = times
		}
		for _, name := range names {
			beside, compared := "", ""
			if i > 0 {
				beside, compared = fmt.Sprintf(
					"with %d: %s",
					b.sizes[0],
					seconds(first[name]),
				), ratio(
					times[name],
					first[name],
				)
			}
			t.add(
				fmt.Sprintf("%s, %d instances", name, n),
				seconds(times[name]),
				beside,
				compared,
				"under 50 ms, whatever the size",
			)
		}
	}
	return nil
}
