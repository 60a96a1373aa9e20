package lab

import (
	"net/netip"

	"vnetlab/emu"
)

// RemoteAccessEndpoint is the internal endpoint of roles that import the module RemoteAccess: the remote desktop of
// their instances. The forwarder of the module RemoteForwarder takes connections from outside and leads each to the
// desktop that it names ("Create a Remote Desktop Protocol File").
const RemoteAccessEndpoint = "Microsoft.WindowsAzure.Plugins.RemoteAccess.Rdp"

// Desktops lists where the forwarder of a deployment leads connections: to the instances whose role has RemoteAccess,
// by the name that the platform's .rdp files have for them, ROLE#INSTANCE#ENDPOINT.
func (d *Deployment) Desktops() (all []emu.Desktop) {
	for _, i := range d.Running() {
		for _, e := range i.InternalEndpoints {
			if e.Name == RemoteAccessEndpoint {
				name := i.Role + "#" + i.Name + "#" + e.Name
				all = append(all, emu.Desktop{Name: name, Address: netip.AddrPortFrom(i.DIP, e.Ports.First)})
			}
		}
	}
	return all
}
