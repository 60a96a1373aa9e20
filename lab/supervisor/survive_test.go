package supervisor

import (
	"cmp"
	"net/netip"
	"strings"
	"testing"
	"time"

	"vnetlab/emu"
	"vnetlab/emu/kerneltest"
	"vnetlab/lab"
	"vnetlab/lab/labtest"
)

// What becomes of a flow that was there before an operation.
type fate string

const (
	goesOn fate = "goes on with the same machine"
	ends   fate = "ends"
	moves  fate = "goes to another machine"
)

// flowCase is an operation that takes away, moves or closes what flows depend on.
type flowCase struct {
	name string
	from string // empty: laptop
	to   func(*flowLab) netip.AddrPort
	// do does it; both flows are with the machine.
	do func(w *flowLab, machine string)
	// heir: another machine then gets the address of vm1, in a service without endpoints. It may hear what is sent
	// to it in the network.
	heir     bool
	tcp, udp fate
	fresh    fate // of a flow that begins afterwards
}

// operations does operations, one change after the other.
func operations(all ...lab.Operation) func(*flowLab, string) {
	return func(w *flowLab, _ string) {
		w.t.Helper()
		for _, o := range all {
			w.do(o)
		}
	}
}

// TestWhichFlowsSurvive talks over a TCP connection and a UDP flow before and after an operation. What ends reaches
// nobody: not the machine that had it, nor the next with its address.
func TestWhichFlowsSurvive(t *testing.T) {
	kerneltest.RequireRoot(t)
	at := func(a netip.Addr) netip.AddrPort { return netip.AddrPortFrom(a, flowPort) }
	vip := func(service string) func(*flowLab) netip.AddrPort {
		return func(w *flowLab) netip.AddrPort { return at(w.vip(service, lab.Production)) }
	}
	public := func(w *flowLab) netip.AddrPort { return at(w.instance("vm1").PublicIP) }
	private := func(w *flowLab) netip.AddrPort { return at(w.instance("vm1").DIP) }
	web1 := func(w *flowLab) netip.AddrPort { return at(w.instance("web1").DIP) }
	outside := func(w *flowLab) netip.AddrPort {
		w.serve("laptop")
		m, _ := w.lab.Find("laptop")
		return at(m.Address())
	}
	front, set, roles := vip("front"), vip("set"), vip("roles")

	remove := operations(lab.DeleteRoleOp{Service: "front", Name: "vm1"})
	deallocate := operations(lab.ShutdownRoleOp{Service: "front", Name: "vm1"})
	restart := operations(
		lab.ShutdownRoleOp{Service: "front", Name: "vm1", StayProvisioned: true},
		lab.StartRoleOp{Service: "front", Name: "vm1"},
	)
	noEndpoint := operations(
		lab.DeleteEndpointOp{Service: "front", VirtualMachine: "vm1", Name: "own-tcp"},
		lab.DeleteEndpointOp{Service: "front", VirtualMachine: "vm1", Name: "own-udp"},
	)
	leaves := func(w *flowLab, machine string) {
		operations(
			lab.DeleteEndpointOp{Service: "set", VirtualMachine: machine, Name: "web-tcp"},
			lab.DeleteEndpointOp{Service: "set", VirtualMachine: machine, Name: "web-udp"},
		)(w, machine)
	}
	fallsIll := func(w *flowLab, machine string) {
		next := w.lab.Clone()
		next.SetHealth(machine+"/web-tcp", false)
		next.SetHealth(machine+"/web-udp", false)
		w.become(next)
	}
	denial := []lab.ACLRule{{Order: 1, RemoteSubnet: netip.MustParsePrefix("0.0.0.0/0")}}
	deny := operations(
		lab.SetEndpointACLOp{Service: "set", Instance: "web1", Endpoint: "web-tcp", Rules: denial},
		lab.SetEndpointACLOp{Service: "set", Instance: "web1", Endpoint: "web-udp", Rules: denial},
	)
	again := operations(
		lab.DeleteDeploymentOp{Service: "roles", Slot: lab.Production},
		lab.CreateDeploymentOp{Service: "roles", Deployment: flowRoles(lab.Production, "New")},
	)
	fewer := operations(lab.ScaleRoleOp{Service: "roles", Slot: lab.Production, Role: "production-Web", Count: 1})
	noRule := operations(lab.SetFirewallOp{Instance: "vm1"})
	guarded := operations(lab.SetFirewallOp{Instance: "web1"})
	otherVIP := operations(lab.DisassociateReservedIPOp{Name: "kept"})
	noGateway := operations(lab.DeleteGatewayOp{Network: "Net"})
	for _, tt := range []flowCase{
		{name: "machine deleted, by the VIP", to: front, do: remove, heir: true, tcp: ends, udp: ends, fresh: ends},
		{
			name: "machine deleted, by its public IP", to: public, do: remove, heir: true,
			tcp: ends, udp: ends, fresh: ends,
		},
		{
			name: "machine deleted, in the network", from: "k", to: private, do: remove, heir: true,
			tcp: ends, udp: ends, fresh: ends,
		},
		{
			name: "machine deleted, through a tunnel", from: "desk", to: private, do: remove, heir: true,
			tcp: ends, udp: ends, fresh: ends,
		},
		{
			name: "machine deallocated, by the VIP", to: front, do: deallocate, heir: true,
			tcp: ends, udp: ends, fresh: ends,
		},
		{
			name: "machine deallocated, by its public IP", to: public, do: deallocate, heir: true,
			tcp: ends, udp: ends, fresh: ends,
		},
		{name: "machine shut down and started", to: front, do: restart, tcp: ends, udp: goesOn, fresh: goesOn},
		{name: "endpoint deleted", to: front, do: noEndpoint, tcp: ends, udp: ends, fresh: ends},
		{
			name: "endpoint deleted, by the public IP", to: public, do: noEndpoint,
			tcp: goesOn, udp: goesOn, fresh: goesOn,
		},
		{
			name: "endpoint deleted, in the network", from: "k", to: private, do: noEndpoint,
			tcp: goesOn, udp: goesOn, fresh: goesOn,
		},
		{name: "member leaves its set", to: set, do: leaves, tcp: goesOn, udp: moves, fresh: moves},
		{name: "member is ill", to: set, do: fallsIll, tcp: goesOn, udp: goesOn, fresh: moves},
		{name: "access control list", to: set, do: deny, tcp: goesOn, udp: goesOn, fresh: ends},
		{
			name: "guest firewall's rule deleted", to: front, do: noRule,
			tcp: goesOn, udp: goesOn, fresh: ends,
		},
		{
			name: "guest firewall turned on", from: "k", to: web1, do: guarded,
			tcp: ends, udp: ends, fresh: ends,
		},
		{
			name: "swap", to: roles, do: operations(lab.SwapDeploymentOp{Service: "roles"}),
			tcp: goesOn, udp: goesOn, fresh: moves,
		},
		{name: "fewer instances", to: roles, do: fewer, tcp: ends, udp: moves, fresh: moves},
		{name: "deployment deleted and made again", to: roles, do: again, tcp: ends, udp: moves, fresh: moves},
		{
			name: "reserved IP taken away", to: front, do: otherVIP,
			tcp: ends, udp: ends, fresh: ends,
		},
		{
			name: "reserved IP taken away, outbound", from: "k", to: outside, do: otherVIP,
			tcp: ends, udp: goesOn, fresh: goesOn,
		},
		{
			name: "gateway deleted", from: "desk", to: private, do: noGateway,
			tcp: ends, udp: ends, fresh: ends,
		},
	} {
		t.Run(tt.name, tt.holds)
	}
}

func (tt flowCase) holds(t *testing.T) {
	w := newFlowLab(t)
	from := cmp.Or(tt.from, "laptop")
	at := tt.to(w)
	flows, machine := w.flowsWithOne(from, at)
	address := w.instance("vm1").DIP
	tt.do(w, machine)
	var received int64
	if tt.heir {
		w.do(lab.AddRoleOp{Service: "data", VirtualMachine: lab.VirtualMachine{
			Name: "db", OS: lab.Linux, Subnet: "a", StaticAddress: address,
			Firewall: []lab.GuestFirewallRule{labtest.Rule(t, "allow any from 203.0.113.0/24", 1)},
		}})
		received = w.received("db")
	}
	old := w.servers[machine].Load()
	for i, want := range []fate{tt.tcp, tt.udp} {
		if is := flows[i].fate(want, machine); is != want {
			t.Errorf("the %s flow with %s %s, want that it %s", flows[i].protocol, machine, is, want)
		}
	}
	if now := w.servers[machine].Load(); tt.tcp == ends && tt.udp != goesOn && now != old {
		t.Errorf("%s still hears the flows", machine)
	}
	if tt.heir {
		if n := w.servers["db"].Load(); n != 0 {
			t.Errorf("the next machine with the address hears the flows, %d times", n)
		}
		if now := w.received("db"); tt.from == "" && now != received {
			t.Errorf("the next machine with the address received %d packets", now-received)
		}
	}
	for _, p := range []emu.Protocol{emu.TCP, emu.UDP} {
		is := ends
		if f, err := w.tryFlow(from, p, at, tt.fresh.patience()); err == nil {
			is = f.fate(tt.fresh, machine)
		}
		if is != tt.fresh {
			t.Errorf("a new %s flow %s of before, %s; want that it %s", p, is, machine, tt.fresh)
		}
	}
	if d, err := w.emulator.Diff(t.Context()); err != nil || len(d) > 0 {
		t.Errorf("the kernel differs from what is wanted: %v, %v", d, err)
	}
}

// flowsWithOne gives a TCP connection and a UDP flow that are with the same machine, the last one of a role.
func (w *flowLab) flowsWithOne(from string, at netip.AddrPort) (flows []*flow, machine string) {
	w.t.Helper()
	for _, p := range []emu.Protocol{emu.TCP, emu.UDP} {
		for len(flows) < 2 {
			f, err := w.tryFlow(from, p, at, kerneltest.Patience)
			if err != nil {
				w.t.Fatal(err)
			}
			who := f.answeredBy(kerneltest.Patience)
			if who == "" {
				w.t.Fatalf("nobody answers %s", p)
			}
			if who == machine || machine == "" && !strings.HasSuffix(who, "_IN_0") {
				flows, machine = append(flows, f), who
				break
			}
		}
	}
	return flows, machine
}

// patience is how long to wait for an answer.
func (want fate) patience() time.Duration {
	if want == ends {
		return 500 * time.Millisecond // what still got through would be there at once
	}
	return kerneltest.Patience
}

// fate says something over a flow that was with a machine, and tells by the answer what has become of it.
func (f *flow) fate(want fate, machine string) fate {
	switch who := f.answeredBy(want.patience()); who {
	case "":
		return ends
	case machine:
		return goesOn
	default:
		return moves
	}
}
