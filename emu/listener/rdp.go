package listener

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
)

// The first packets of a remote desktop connection: an X.224 connection request in a TPKT, and the confirmation
// ("[MS-RDPBCGR]: Client X.224 Connection Request PDU" and "Server X.224 Connection Confirm PDU").
const (
	tpktVersion = 3
	tpktHeader  = 4
	x224Header  = 7
	requestCode = 0xE0
	confirmCode = 0xD0
	// maxRequest is the longest request in bytes: X.224 counts its own length in one byte.
	maxRequest = tpktHeader + 1 + 254
)

// cookie starts the line with the name of the requested desktop.
const cookie = "Cookie: mstshash="

// connectionRequest is the first packet of a client.
type connectionRequest struct {
	packet  []byte
	desktop string // that the cookie names; empty: none
}

// readConnectionRequest reads a client's first packet and no byte more.
func readConnectionRequest(r io.Reader) (connectionRequest, error) {
	var none connectionRequest
	header := make([]byte, tpktHeader)
	if _, err := io.ReadFull(r, header); err != nil {
		return none, err
	}
	length := int(binary.BigEndian.Uint16(header[2:]))
	if header[0] != tpktVersion || length < tpktHeader+x224Header || length > maxRequest {
		return none, fmt.Errorf("this is no connection request: version %d, %d bytes", header[0], length)
	}
	packet := append(header, make([]byte, length-tpktHeader)...)
	if _, err := io.ReadFull(r, packet[tpktHeader:]); err != nil {
		return none, err
	}
	if int(packet[tpktHeader]) != length-tpktHeader-1 || packet[tpktHeader+1]&0xF0 != requestCode {
		return none, errors.New("this is no connection request")
	}
	return connectionRequest{packet, desktopIn(packet[tpktHeader+x224Header:])}, nil
}

// desktopIn finds the name in the cookie, which may stand after the header; empty: there is none. Clients fill a line
// up with spaces ("IMsRdpClientAdvancedSettings::LoadBalanceInfo property").
func desktopIn(rest []byte) string {
	line, _, ended := bytes.Cut(rest, []byte("\r\n"))
	name, ok := bytes.CutPrefix(line, []byte(cookie))
	if !ok || !ended {
		return ""
	}
	return string(bytes.TrimSpace(name))
}

// connectionConfirm takes any request, without any of the protocol's later inventions.
func connectionConfirm() []byte {
	return []byte{tpktVersion, 0, 0, tpktHeader + x224Header, x224Header - 1, confirmCode, 0, 0, 0x12, 0x34, 0}
}
