package emu

import (
	"encoding/binary"
	"math/bits"
	"net/netip"
)

// ByPort reports whether connections of one source to one destination may be led to different ones of several, by
// their source ports.
func (d Distribution) ByPort() bool { return d == FiveTuple }

// Choose returns which of n, from 0, the kernel chooses for a packet from source to destination: what nftables' jhash
// with [DistributionSeed] makes of the parts of the packet, which lie in registers of four bytes each.
func (d Distribution) Choose(source, destination netip.AddrPort, protocol Protocol, n int) int {
	from, to := source.Addr().As4(), destination.Addr().As4()
	key := append(append(make([]byte, 0, 16), from[:]...), to[:]...)
	switch d {
	case FiveTuple: // a port is the first two bytes of its register
		key = append(binary.BigEndian.AppendUint16(key, source.Port()), 0, 0)
		key = append(binary.BigEndian.AppendUint16(key, destination.Port()), 0, 0)
	case AddressesAndProtocol:
		number := byte(6)
		if protocol == UDP {
			number = 17
		}
		key = append(key, number, 0, 0, 0)
	case AddressPair:
	}
	// The kernel scales the hash to the number of choices (reciprocal_scale): it doesn't take the remainder.
	return int(uint64(jhash(key, DistributionSeed)) * uint64(n) >> 32)
}

// jhash is Bob Jenkins' lookup3 as in the kernel (include/linux/jhash.h), of a key whose length is a multiple of
// four.
func jhash(key []byte, seed uint32) uint32 {
	a := 0xdeadbeef + uint32(len(key)) + seed
	b, c := a, a
	for ; len(key) > 12; key = key[12:] {
		a += binary.NativeEndian.Uint32(key)
		b += binary.NativeEndian.Uint32(key[4:])
		c += binary.NativeEndian.Uint32(key[8:])
		a, c = (a-c)^bits.RotateLeft32(c, 4), c+b
		b, a = (b-a)^bits.RotateLeft32(a, 6), a+c
		c, b = (c-b)^bits.RotateLeft32(b, 8), b+a
		a, c = (a-c)^bits.RotateLeft32(c, 16), c+b
		b, a = (b-a)^bits.RotateLeft32(a, 19), a+c
		c, b = (c-b)^bits.RotateLeft32(b, 4), b+a
	}
	word := func(i int) uint32 {
		if len(key) < 4*i+4 {
			return 0
		}
		return binary.LittleEndian.Uint32(key[4*i:])
	}
	a, b, c = a+word(0), b+word(1), c+word(2)
	c = (c ^ b) - bits.RotateLeft32(b, 14)
	a = (a ^ c) - bits.RotateLeft32(c, 11)
	b = (b ^ a) - bits.RotateLeft32(a, 25)
	c = (c ^ b) - bits.RotateLeft32(b, 16)
	a = (a ^ c) - bits.RotateLeft32(c, 4)
	b = (b ^ a) - bits.RotateLeft32(a, 14)
	c = (c ^ b) - bits.RotateLeft32(b, 24)
	return c
}
