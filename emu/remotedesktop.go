package emu

import (
	"fmt"
	"net/netip"
)

// RemoteDesktop is what a built-in listener does with clients that speak the remote desktop protocol.
type RemoteDesktop string

const (
	// RemoteDesktopServer confirms the connection and sends which instance answered.
	RemoteDesktopServer RemoteDesktop = "server"
	// RemoteDesktopForwarder forwards the connection to the desktop that its first packet names.
	RemoteDesktopForwarder RemoteDesktop = "forwarder"
)

// Desktop is a target of a forwarder: connections that name it go to its address.
type Desktop struct {
	Name    string         `json:"name"`
	Address netip.AddrPort `json:"address"`
}

func (d Desktop) String() string { return fmt.Sprintf("%s to %s", d.Name, d.Address) }
