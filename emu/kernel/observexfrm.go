package kernel

import (
	"errors"
	"fmt"
	"net/netip"
	"os"
	"slices"
	"strings"
	"sync"

	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netlink/nl"
	"golang.org/x/sys/unix"
)

// From linux/xfrm.h.
const (
	setDefaultPolicy = 0x27
	getDefaultPolicy = 0x28

	defaultBlocks  = 1
	defaultAccepts = 2

	policyTypeSub  = 1
	anyIPsec       = 255 // IPSEC_PROTO_ANY
	xfrmPolicyType = 16  // XFRMA_POLICY_TYPE
)

// ofXFRM begins the names of the objects of IPsec. A lab has none of them, and each can decide a packet.
const ofXFRM = "XFRM "

// xfrmDirections are the directions of policies, in the order of the kernel's numbers. Those of sockets have higher
// numbers: they end with their socket.
var xfrmDirections = []string{"in", "out", "fwd"}

// xfrmDefaultOrder is the order of the directions in struct xfrm_userpolicy_default.
var xfrmDefaultOrder = []string{"in", "fwd", "out"}

// xfrmBuiltIn reports whether the kernel had the netlink family of IPsec when the process first needed it.
var xfrmBuiltIn = sync.OnceValue(func() bool {
	sockets, err := os.ReadFile("/proc/net/netlink")
	if err != nil {
		return true // opening a socket of the family will tell
	}
	for line := range strings.Lines(string(sockets)) {
		if fields := strings.Fields(line); len(fields) > 1 && fields[1] == fmt.Sprint(unix.NETLINK_XFRM) {
			return true
		}
	}
	return false
})

// hasXFRM reports whether the kernel has the netlink family of IPsec. Opening a socket of a family that is a module
// would load the module on the host. Without it a namespace has no policies.
func hasXFRM() bool {
	if xfrmBuiltIn() {
		return true
	}
	_, err := os.Stat("/sys/module/xfrm_user")
	return err == nil
}

// openXFRM opens a socket of the family in the namespace of the calling thread; nil: the kernel doesn't have it.
func openXFRM() (*routeSocket, error) {
	if !hasXFRM() {
		return nil, nil
	}
	s, err := newSocket(unix.NETLINK_XFRM)
	if errors.Is(err, unix.EPROTONOSUPPORT) {
		return nil, nil
	}
	return s, err
}

// readXFRM reads the policies and states of IPsec, and what happens to packets without a policy.
func (r *reader) readXFRM() error {
	if r.xfrm == nil {
		return nil
	}
	for _, read := range []func() error{r.readPolicies, r.readStates, r.readDefaultPolicies} {
		if err := read(); err != nil {
			return fmt.Errorf("read the XFRM policies: %w", err)
		}
	}
	return nil
}

func (r *reader) readPolicies() error {
	messages, err := r.xfrm.dump(nl.XFRM_MSG_GETPOLICY)
	if err != nil {
		return err
	}
	for _, m := range messages {
		if len(m) < nl.SizeofXfrmUserpolicyInfo {
			return fmt.Errorf("a policy of %d bytes", len(m))
		}
		p := nl.DeserializeXfrmUserpolicyInfo(m)
		if int(p.Dir) >= len(xfrmDirections) {
			continue
		}
		object := fmt.Sprintf("%spolicy %s %s", ofXFRM, xfrmDirections[p.Dir], r.selectorText(&p.Sel))
		r.objects[object] = properties{"action": netlink.PolicyAction(p.Action).String()}
	}
	return nil
}

func (r *reader) readStates() error {
	messages, err := r.xfrm.dump(nl.XFRM_MSG_GETSA)
	if err != nil {
		return err
	}
	for _, m := range messages {
		if len(m) < nl.SizeofXfrmUsersaInfo {
			return fmt.Errorf("a state of %d bytes", len(m))
		}
		s := nl.DeserializeXfrmUsersaInfo(m)
		r.objects[fmt.Sprintf("%sstate from %s to %s proto %s spi %#x",
			ofXFRM, xfrmAddress(s.Saddr, s.Family), xfrmAddress(s.Id.Daddr, s.Family), netlink.Proto(s.Id.Proto),
			nl.Swap32(s.Id.Spi))] = properties{}
	}
	return nil
}

// readDefaultPolicies reads what happens to packets without a policy. Kernels before Linux 5.15 accept them.
func (r *reader) readDefaultPolicies() error {
	ask := newRequest("read the default policies", getDefaultPolicy, 0, raw{0, 0, 0, 0})
	ask.answer = func(m []byte) error {
		for i, direction := range xfrmDefaultOrder {
			if i < len(m) && m[i] == defaultBlocks {
				r.objects[ofXFRM+"default policy "+direction] = properties{"action": "block"}
			}
		}
		return nil
	}
	err := r.xfrm.do(ask)
	if errors.Is(err, unix.EINVAL) || errors.Is(err, unix.EOPNOTSUPP) {
		return nil
	}
	return err
}

// selectorText returns which packets a policy is for, in the words of ip xfrm.
func (r *reader) selectorText(s *nl.XfrmSelector) string {
	parts := []string{
		fmt.Sprintf("from %s/%d", xfrmAddress(s.Saddr, s.Family), s.PrefixlenS),
		fmt.Sprintf("to %s/%d", xfrmAddress(s.Daddr, s.Family), s.PrefixlenD),
	}
	if s.Proto != 0 {
		parts = append(parts, fmt.Sprintf("proto %s", netlink.Proto(s.Proto)))
	}
	if s.SportMask != 0 {
		parts = append(parts, fmt.Sprintf("sport %d", nl.Swap16(s.Sport)))
	}
	if s.DportMask != 0 {
		parts = append(parts, fmt.Sprintf("dport %d", nl.Swap16(s.Dport)))
	}
	if s.Ifindex != 0 {
		parts = append(parts, "dev "+r.device(int(s.Ifindex)))
	}
	return strings.Join(parts, " ")
}

func xfrmAddress(a nl.XfrmAddress, family uint16) netip.Addr {
	length := 4
	if family == unix.AF_INET6 {
		length = 16
	}
	addr, _ := netip.AddrFromSlice(slices.Clone(a[:length]))
	return addr
}

// clearXFRM deletes all policies and states of IPsec, and accepts packets without a policy.
func (n *Namespace) clearXFRM() (err error) {
	var s *routeSocket
	if err := n.Do(func() (err error) {
		s, err = openXFRM()
		return err
	}); err != nil || s == nil {
		return err
	}
	defer func() { err = errors.Join(err, s.close()) }()
	// struct xfrm_userpolicy_type
	sub := nl.NewRtAttr(xfrmPolicyType, []byte{policyTypeSub, 0, 0, 0, 0, 0})
	for _, q := range []request{
		newRequest("delete the XFRM policies", nl.XFRM_MSG_FLUSHPOLICY, 0),
		newRequest("delete the XFRM subpolicies", nl.XFRM_MSG_FLUSHPOLICY, 0, sub),
		newRequest("delete the XFRM states", nl.XFRM_MSG_FLUSHSA, 0, &nl.XfrmUsersaFlush{Proto: anyIPsec}),
		newRequest("accept packets without a policy", setDefaultPolicy, 0,
			raw{defaultAccepts, defaultAccepts, defaultAccepts, 0}),
	} {
		// A kernel may have no subpolicies, and no default policies.
		if qErr := s.do(q); !errors.Is(qErr, unix.EINVAL) && !errors.Is(qErr, unix.EOPNOTSUPP) {
			err = errors.Join(err, qErr)
		}
	}
	return err
}
