package labfile

import (
	"slices"
	"strings"

	"vnetlab/emu"
	"vnetlab/lab"
	"vnetlab/lab/cscfg"
	"vnetlab/lab/csdef"
)

// plugins adds the listeners of a role's plug-ins, and returns the names of the endpoints that the plug-ins bring.
// A listener of the lab file on the same port replaces that of the plug-in.
func (l *loader) plugins(role *lab.Role, defined csdef.Role, configured *cscfg.Role) (brought []string) {
	for _, p := range []struct {
		module, endpoint string
		does             emu.RemoteDesktop // empty: it has no setting that turns it off
	}{
		{csdef.RemoteAccess, csdef.RemoteAccessEndpoint, emu.RemoteDesktopServer},
		{csdef.RemoteForwarder, csdef.RemoteForwarderEndpoint, emu.RemoteDesktopForwarder},
		{csdef.WebDeploy, csdef.WebDeployEndpoint, ""},
	} {
		imported, ok := defined.Imported(p.module)
		at, listens := listeningAt(role, p.endpoint)
		if !ok || !listens || at.protocol != emu.TCP {
			continue
		}
		brought = append(brought, p.endpoint)
		taken := slices.ContainsFunc(role.Services, func(s lab.Service) bool {
			return s.Port == at.port && s.Protocol == at.protocol
		})
		if !taken && (p.does == "" || l.enabled(p.module, configured)) {
			role.Services = append(role.Services, lab.Service{
				Port: at.port, Protocol: at.protocol, RemoteDesktop: p.does, Origin: imported.Origin,
			})
		}
	}
	return brought
}

// listeningAt returns where the instances of a role listen for an endpoint.
func listeningAt(role *lab.Role, endpoint string) (listener, bool) {
	for _, e := range role.InputEndpoints {
		if e.Name == endpoint {
			return listener{e.Protocol, e.LocalPort}, true
		}
	}
	for _, e := range role.InternalEndpoints {
		if e.Name == endpoint {
			return listener{protocol(Protocol(e.Protocol)), e.Ports.First}, e.Ports.First != 0
		}
	}
	return listener{}, false
}

// enabled reports whether the configuration turns a module of a role on ("How does Remote Desktop works in Windows
// Azure?"). Many files lack the setting. They import the module, so it is turned on.
func (l *loader) enabled(module string, role *cscfg.Role) bool {
	name := csdef.Plugin + module + ".Enabled"
	s, ok := role.Setting(name)
	switch {
	case !ok:
		l.note(role.Origin, "role %s has no setting %s: it is taken for true", quoted(role.Name), name)
		return true
	case strings.EqualFold(s.Value, "true"):
		return true
	case !strings.EqualFold(s.Value, "false"):
		l.note(s.Origin, "%s of role %s is %s, which doesn't turn it on", name, quoted(role.Name), quoted(s.Value))
	}
	return false
}
