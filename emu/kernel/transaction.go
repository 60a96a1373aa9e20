package kernel

import (
	"encoding/binary"

	"github.com/google/nftables"
	"github.com/google/nftables/userdata"
	"github.com/mdlayher/netlink"
	"golang.org/x/sys/unix"
)

// transaction collects requests as the nftables library encodes them and sends them itself, for two reasons. The
// library asks for an answer to each of them, which for a few thousand endpoints is most of the time; and it declares
// the keys of every anonymous map to be in network order, and the marks of a map too, so that nft would list the
// numbers of a hash and the marks wrongly.
type transaction struct {
	*nftables.Conn
	messages []netlink.Message
}

func newTransaction() (*transaction, error) {
	t := &transaction{}
	c, err := nftables.New(nftables.WithTestDial(t.collect))
	t.Conn = c
	return t, err
}

// collect stands in for the kernel: it takes what is sent, and acknowledges whatever the library asks for.
func (t *transaction) collect(sent []netlink.Message) ([]netlink.Message, error) {
	t.messages = append(t.messages, sent...)
	if sent != nil {
		return nil, nil
	}
	return []netlink.Message{{Header: netlink.Header{Type: netlink.Error}, Data: make([]byte, 4)}}, nil
}

// answerBuffer holds the kernel's answers to one transaction if all its requests fail.
const answerBuffer = 16 << 20

// commit carries out the transaction in a namespace, atomically.
func (t *transaction) commit(n *Namespace) error {
	if err := t.Flush(); err != nil || len(t.messages) == 0 {
		return err
	}
	return t.send(n)
}

// send sends the requests that are collected, as one batch, and waits until it is carried out.
func (t *transaction) send(n *Namespace) (err error) {
	size := 0
	for i := range t.messages {
		m := &t.messages[i]
		m.Header.PID, m.Header.Sequence = 0, 0
		m.Header.Flags &^= netlink.Acknowledge | netlink.Echo
		hostOrder(m)
		size += len(m.Data) + unix.NLMSG_HDRLEN + 4
	}
	// The kernel answers what fails, and at the end, the last request before the end of the batch.
	t.messages[len(t.messages)-2].Header.Flags |= netlink.Acknowledge
	var c *netlink.Conn
	if err := n.Do(func() error {
		c, err = netlink.Dial(unix.NETLINK_NETFILTER, nil)
		return err
	}); err != nil {
		return err
	}
	// Closing waits until the kernel has freed what the transaction removes, some ten milliseconds for which nobody
	// needs to wait.
	defer func() { go c.Close() }() //nolint:errcheck // the answer has been read
	if err := c.SetWriteBuffer(2*size + 1<<16); err != nil {
		return err
	}
	if err := c.SetReadBuffer(answerBuffer); err != nil {
		return err
	}
	if _, err := c.SendMessages(t.messages); err != nil {
		return err
	}
	_, err = c.Receive()
	return err
}

// hostOrder corrects the byte order that a request for a new set declares: integer keys and marks are in that of the
// host.
func hostOrder(m *netlink.Message) {
	if m.Header.Type != unix.NFNL_SUBSYS_NFTABLES<<8|unix.NFT_MSG_NEWSET {
		return
	}
	const (
		generic    = 4 // bytes of the netfilter header before the attributes
		hostEndian = 1
		bigEndian  = 2
	)
	integers, marks := false, false
	for attrs := m.Data[generic:]; len(attrs) >= unix.SizeofNlAttr; {
		length := int(binary.NativeEndian.Uint16(attrs))
		value := attrs[unix.SizeofNlAttr:length]
		switch binary.NativeEndian.Uint16(attrs[2:]) {
		case unix.NFTA_SET_KEY_TYPE:
			integers = binary.BigEndian.Uint32(value) == nftables.TypeInteger.GetNFTMagic()
		case unix.NFTA_SET_DATA_TYPE:
			marks = binary.BigEndian.Uint32(value) == nftables.TypeMark.GetNFTMagic()
		case unix.NFTA_SET_USERDATA:
			if integers && len(value) >= 6 && value[0] == byte(userdata.NFTNL_UDATA_SET_KEYBYTEORDER) {
				binary.NativeEndian.PutUint32(value[2:], hostEndian)
			}
		}
		attrs = attrs[min(len(attrs), (length+3)&^3):]
	}
	if !marks {
		return
	}
	orders := userdata.AppendUint32(nil, userdata.NFTNL_UDATA_SET_KEYBYTEORDER, bigEndian)
	orders = userdata.AppendUint32(orders, userdata.NFTNL_UDATA_SET_DATABYTEORDER, hostEndian)
	m.Data = binary.NativeEndian.AppendUint16(m.Data, uint16(unix.SizeofNlAttr+len(orders)))
	m.Data = binary.NativeEndian.AppendUint16(m.Data, unix.NFTA_SET_USERDATA)
	m.Data = append(m.Data, orders...)
	m.Header.Length = 0 // to be computed again
}
