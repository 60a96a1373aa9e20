package emu

import (
	"fmt"
	"net/netip"
)

// RemoteDesktop says what a built-in listener does with clients that speak the remote desktop protocol.
type RemoteDesktop string

const (
	// RemoteDesktopServer confirms the connection and says who answered.
	RemoteDesktopServer RemoteDesktop = "server"
	// RemoteDesktopForwarder leads the connection to the desktop that its first packet names.
	RemoteDesktopForwarder RemoteDesktop = "forwarder"
)

// Desktop is where a forwarder leads connections that name it.
type Desktop struct {
	Name    string         `json:"name"`
	Address netip.AddrPort `json:"address"`
}

func (d Desktop) String() string { return fmt.Sprintf("%s to %s", d.Name, d.Address) }
