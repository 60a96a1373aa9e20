package kernel

import (
	"encoding/binary"
	"fmt"
	"strings"

	"github.com/google/nftables"
	"github.com/google/nftables/binaryutil"
	"github.com/google/nftables/expr"
	"golang.org/x/sys/unix"

	"vnetlab/emu"
)

// Places in packets, from the start of the header.
const (
	dscpOffset        = 1
	sourceOffset      = 12
	destinationOffset = 16
	arpSenderOffset   = 14
	etherTypeOffset   = 12
	sourcePortOffset  = 0
	destPortOffset    = 2
)

// The registers that nft uses. A register of 16 bytes is four of 4 bytes, and the kernel calls the first of the four
// by the name of the whole; a concatenation fills them in turn.
const register = unix.NFT_REG_1

func part(n int) uint32 {
	if n%4 == 0 {
		return uint32(unix.NFT_REG_1 + n/4)
	}
	return uint32(unix.NFT_REG32_00 + n)
}

// newMap makes an anonymous map from integers in the transaction that is being built.
type newMap func(values nftables.SetDatatype, elements []nftables.SetElement) (*nftables.Set, error)

// expressions translates a rule. The result is written the way the kernel returns it, so that both can be compared.
func expressions(r emu.Rule, anonymous newMap) ([]expr.Any, error) {
	var all []expr.Any
	for _, s := range r.Statements {
		e, err := statement(s, anonymous)
		if err != nil {
			return nil, err
		}
		all = append(all, e...)
	}
	return all, nil
}

func statement(s emu.Statement, anonymous newMap) ([]expr.Any, error) {
	switch s := s.(type) {
	case emu.MatchInput:
		name := deviceName(s.Device)
		if prefix, ok := strings.CutSuffix(s.Device, "*"); ok {
			name = []byte(prefix)
		}
		return []expr.Any{&expr.Meta{Key: expr.MetaKeyIIFNAME, Register: register}, equal(name)}, nil
	case emu.MatchPortAddress:
		return append(frameOf(unix.ETH_P_IP), portAddress(sourceOffset, s.Set)...), nil
	case emu.MatchPortARP:
		frame := &expr.Payload{Base: expr.PayloadBaseLLHeader, Offset: etherTypeOffset, Len: 2, DestRegister: register}
		isARP := []expr.Any{frame, equal(binary.BigEndian.AppendUint16(nil, unix.ETH_P_ARP))}
		return append(isARP, portAddress(arpSenderOffset, s.Set)...), nil
	case emu.MatchIPv4:
		return frameOf(unix.ETH_P_IP), nil
	case emu.MatchARP:
		return frameOf(unix.ETH_P_ARP), nil
	case emu.MatchForgedSource:
		return []expr.Any{
			&expr.Fib{Register: register, ResultOIF: true, FlagPRESENT: true, FlagSADDR: true, FlagIIF: true},
			equal(make([]byte, 4)),
		}, nil
	case emu.MatchOutput:
		return []expr.Any{&expr.Meta{Key: expr.MetaKeyOIFNAME, Register: register}, equal(deviceName(s.Device))}, nil
	case emu.MatchPrefix:
		return matchPrefix(s), nil
	case emu.MatchPrefixSet:
		return []expr.Any{addressOf(s.Of, register), &expr.Lookup{SourceRegister: register, SetName: s.Set}}, nil
	case emu.MatchPairSet:
		return []expr.Any{
			addressOf(emu.Source, part(0)), addressOf(emu.Destination, part(1)),
			&expr.Lookup{SourceRegister: register, SetName: s.Set},
		}, nil
	case emu.MatchProtocol:
		number, ok := transports[s.Protocol]
		if !ok {
			return nil, fmt.Errorf("unknown protocol %q", s.Protocol)
		}
		return []expr.Any{protocol(register), equal([]byte{number})}, nil
	case emu.MatchPort:
		return []expr.Any{transport(destPortOffset, register), equal(port(s.Port))}, nil
	case emu.MatchSourcePort:
		return []expr.Any{transport(sourcePortOffset, register), equal(port(s.Port))}, nil
	case emu.MatchEstablished:
		return anyBit(expr.CtKeySTATE, expr.CtStateBitESTABLISHED|expr.CtStateBitRELATED), nil
	case emu.MatchInvalid:
		return anyBit(expr.CtKeySTATE, expr.CtStateBitINVALID), nil
	case emu.MatchDNATed:
		const dstNAT = 1 << 5 // IPS_DST_NAT
		return anyBit(expr.CtKeySTATUS, dstNAT), nil
	case emu.MatchProbe:
		return []expr.Any{
			network(dscpOffset, 1, register),
			mask([]byte{0xfc}),
			equal([]byte{emu.ProbeDSCP << 2}),
		}, nil
	case emu.Log:
		return []expr.Any{&expr.Log{
			Key:        1<<unix.NFTA_LOG_GROUP | 1<<unix.NFTA_LOG_PREFIX | 1<<unix.NFTA_LOG_QTHRESHOLD,
			Group:      emu.LogGroup,
			QThreshold: 1,
			Data:       []byte(emu.Quotable(s.Prefix)),
		}}, nil
	case emu.Counter:
		return []expr.Any{&expr.Counter{}}, nil
	case emu.NoTrack:
		return []expr.Any{&expr.Notrack{}}, nil
	case emu.Accept:
		return []expr.Any{&expr.Verdict{Kind: expr.VerdictAccept}}, nil
	case emu.Drop:
		return []expr.Any{&expr.Verdict{Kind: expr.VerdictDrop}}, nil
	case emu.Goto:
		return []expr.Any{gotoChain(s.Chain)}, nil
	case emu.Dispatch:
		return []expr.Any{
			addressOf(emu.Destination, part(0)), protocol(part(1)), transport(destPortOffset, part(2)),
			&expr.Lookup{
				SourceRegister: register, SetName: s.Map, IsDestRegSet: true,
				DestRegister: unix.NFT_REG_VERDICT,
			},
		}, nil
	case emu.SetMark:
		return []expr.Any{
			&expr.Immediate{Register: unix.NFT_REG_1, Data: binaryutil.NativeEndian.PutUint32(s.Mark)},
			&expr.Meta{Key: expr.MetaKeyMARK, SourceRegister: true, Register: unix.NFT_REG_1},
		}, nil
	case emu.SetMarkByMap:
		return []expr.Any{
			addressOf(emu.Source, register),
			&expr.Lookup{SourceRegister: register, SetName: s.Map, IsDestRegSet: true, DestRegister: register},
			&expr.Meta{Key: expr.MetaKeyMARK, SourceRegister: true, Register: register},
		}, nil
	case emu.MatchMaskedMark:
		return []expr.Any{
			&expr.Meta{Key: expr.MetaKeyMARK, Register: register},
			mask(binary.NativeEndian.AppendUint32(nil, s.Mask)),
			equal(binary.NativeEndian.AppendUint32(nil, s.Mark)),
		}, nil
	case emu.MatchMark:
		return []expr.Any{
			&expr.Meta{Key: expr.MetaKeyMARK, Register: unix.NFT_REG_1},
			&expr.Cmp{Op: expr.CmpOpEq, Register: unix.NFT_REG_1, Data: binaryutil.NativeEndian.PutUint32(s.Mark)},
		}, nil
	case emu.DNAT:
		if s.To.Port() == 0 {
			return []expr.Any{
				&expr.Immediate{Register: unix.NFT_REG_1, Data: s.To.Addr().AsSlice()},
				&expr.NAT{
					Type: expr.NATTypeDestNAT, Family: unix.NFPROTO_IPV4, RegAddrMin: unix.NFT_REG_1,
					RegAddrMax: unix.NFT_REG_1,
				},
			}, nil
		}
		return []expr.Any{
			&expr.Immediate{Register: unix.NFT_REG_1, Data: s.To.Addr().AsSlice()},
			&expr.Immediate{Register: unix.NFT_REG_2, Data: port(s.To.Port())},
			&expr.NAT{
				Type: expr.NATTypeDestNAT, Family: unix.NFPROTO_IPV4, Specified: true,
				RegAddrMin: unix.NFT_REG_1, RegAddrMax: unix.NFT_REG_1, RegProtoMin: unix.NFT_REG_2,
				RegProtoMax: unix.NFT_REG_2,
			},
		}, nil
	case emu.DNATByHash:
		var targets [][]byte
		for _, to := range s.To {
			// Each part of a concatenation fills whole registers.
			targets = append(targets, append(append(to.Addr().AsSlice(), port(to.Port())...), 0, 0))
		}
		choice, err := choose(s.By, anonymous, socketValue, targets)
		return append(choice, &expr.NAT{
			Type: expr.NATTypeDestNAT, Family: unix.NFPROTO_IPV4, Specified: true,
			RegAddrMin: part(0), RegAddrMax: part(0), RegProtoMin: part(1), RegProtoMax: part(1),
		}), err
	case emu.SNATByHash:
		var sources [][]byte
		for _, to := range s.To {
			sources = append(sources, to.AsSlice())
		}
		choice, err := choose(s.By, anonymous, nftables.TypeIPAddr, sources)
		return append(choice, sourceNAT()), err
	case emu.SetTimeout:
		return []expr.Any{setTimeout(s)}, nil
	case emu.SNAT:
		return []expr.Any{&expr.Immediate{Register: register, Data: s.To.AsSlice()}, sourceNAT()}, nil
	case emu.SNATByMap:
		return []expr.Any{
			addressOf(emu.Source, register),
			&expr.Lookup{SourceRegister: register, SetName: s.Map, IsDestRegSet: true, DestRegister: register},
			sourceNAT(),
		}, nil
	}
	return nil, fmt.Errorf("unknown statement %T", s)
}

// socketValue is what a destination is translated to.
var socketValue = nftables.MustConcatSetType(nftables.TypeIPAddr, nftables.TypeInetService)

// choose hashes parts of the packet, loaded from the second register on, into the first, from which a map then makes
// one of the values.
func choose(by emu.Distribution, anonymous newMap, of nftables.SetDatatype, values [][]byte) ([]expr.Any, error) {
	loads := []expr.Any{addressOf(emu.Source, part(4)), addressOf(emu.Destination, part(5))}
	switch by {
	case emu.FiveTuple:
		loads = append(loads, transport(sourcePortOffset, part(6)), transport(destPortOffset, part(7)))
	case emu.AddressesAndProtocol:
		loads = append(loads, protocol(part(6)))
	case emu.AddressPair:
	default:
		return nil, fmt.Errorf("unknown distribution %q", by)
	}
	var elements []nftables.SetElement
	for i, v := range values {
		elements = append(elements, nftables.SetElement{Key: binary.NativeEndian.AppendUint32(nil, uint32(i)), Val: v})
	}
	set, err := anonymous(of, elements)
	if err != nil {
		return nil, err
	}
	return append(loads,
		&expr.Hash{
			SourceRegister: part(4), DestRegister: register, Length: uint32(4 * len(loads)),
			Modulus: uint32(len(values)), Seed: emu.DistributionSeed, Type: expr.HashTypeJenkins,
		},
		&expr.Lookup{
			SourceRegister: register, SetID: set.ID, SetName: set.Name, IsDestRegSet: true,
			DestRegister: register,
		},
	), nil
}

// matchPrefix loads whole bytes where the prefix ends at one, as nft does.
func matchPrefix(s emu.MatchPrefix) []expr.Any {
	prefix := s.Prefix.Masked()
	load := addressOf(s.Of, register)
	address := prefix.Addr().AsSlice()
	bits := prefix.Bits()
	if bits > 0 && bits%8 == 0 {
		load.Len = uint32(bits / 8)
		return []expr.Any{load, equal(address[:bits/8])}
	}
	m := binary.BigEndian.AppendUint32(nil, uint32(0xffffffff<<(32-bits)))
	return []expr.Any{load, mask(m), equal(address)}
}

func addressOf(d emu.Direction, reg uint32) *expr.Payload {
	if d == emu.Source {
		return network(sourceOffset, 4, reg)
	}
	return network(destinationOffset, 4, reg)
}

// frameOf matches the protocol of a frame.
func frameOf(protocol uint16) []expr.Any {
	return []expr.Any{
		&expr.Meta{Key: expr.MetaKeyPROTOCOL, Register: register}, equal(binary.BigEndian.AppendUint16(nil, protocol)),
	}
}

// portAddress looks up the port that a frame came in by, in its own registers, with the address at the offset.
func portAddress(offset uint32, set string) []expr.Any {
	return []expr.Any{
		&expr.Meta{Key: expr.MetaKeyIIFNAME, Register: register}, network(offset, 4, part(unix.IFNAMSIZ/4)),
		&expr.Lookup{SourceRegister: register, SetName: set},
	}
}

func network(offset, length, reg uint32) *expr.Payload {
	return &expr.Payload{Base: expr.PayloadBaseNetworkHeader, Offset: offset, Len: length, DestRegister: reg}
}

func transport(offset, reg uint32) *expr.Payload {
	return &expr.Payload{Base: expr.PayloadBaseTransportHeader, Offset: offset, Len: 2, DestRegister: reg}
}

func protocol(reg uint32) *expr.Meta { return &expr.Meta{Key: expr.MetaKeyL4PROTO, Register: reg} }

func equal(value []byte) *expr.Cmp {
	return &expr.Cmp{Op: expr.CmpOpEq, Register: register, Data: value}
}

func mask(m []byte) *expr.Bitwise {
	return &expr.Bitwise{
		SourceRegister: register, DestRegister: register, Len: uint32(len(m)), Mask: m,
		Xor: make([]byte, len(m)),
	}
}

// anyBit matches a connection of which the key has one of the bits.
func anyBit(key expr.CtKey, bits uint32) []expr.Any {
	return []expr.Any{
		&expr.Ct{Key: key, Register: register},
		mask(binary.NativeEndian.AppendUint32(nil, bits)),
		&expr.Cmp{Op: expr.CmpOpNeq, Register: register, Data: make([]byte, 4)},
	}
}

func sourceNAT() *expr.NAT {
	return &expr.NAT{Type: expr.NATTypeSourceNAT, Family: unix.NFPROTO_IPV4, RegAddrMin: register, RegAddrMax: register}
}

func gotoChain(name string) *expr.Verdict { return &expr.Verdict{Kind: expr.VerdictGoto, Chain: name} }

func port(p uint16) []byte { return binary.BigEndian.AppendUint16(nil, p) }

// deviceName fills the 16 bytes that the kernel compares.
func deviceName(name string) []byte {
	var b [unix.IFNAMSIZ]byte
	copy(b[:], name)
	return b[:]
}
