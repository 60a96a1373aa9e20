package labtest

import (
	"vnetlab/emu"
	"vnetlab/lab"
)

// WithRemoteDesktop adds to a role what RemoteAccess and RemoteForwarder bring.
func WithRemoteDesktop(r lab.Role) lab.Role {
	const desktop, forwarder = 3389, 20000
	r.InternalEndpoints = append(r.InternalEndpoints, lab.InternalEndpoint{
		Name: lab.RemoteAccessEndpoint, Protocol: "tcp", Ports: emu.PortRange{First: desktop, Last: desktop},
	})
	r.InputEndpoints = append(r.InputEndpoints, lab.InputEndpoint{
		Name: "RdpInput", Protocol: emu.TCP, Port: desktop, LocalPort: forwarder,
	})
	r.Services = append(
		r.Services,
		lab.Service{Port: desktop, Protocol: emu.TCP, RemoteDesktop: emu.RemoteDesktopServer},
		lab.Service{Port: forwarder, Protocol: emu.TCP, RemoteDesktop: emu.RemoteDesktopForwarder},
	)
	return r
}
