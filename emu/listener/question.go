package listener

import (
	"bytes"
	"fmt"
	"strconv"

	wire "github.com/miekg/dns"
)

// marker starts the nonce in a question, digits is its length in hexadecimal.
const (
	marker = "vnetlab-"
	digits = 16
)

// Question returns a datagram that asks which instance listens on a UDP port. A built-in listener repeats the nonce
// in its answer. For port 53 the datagram is a DNS query, so that a name server answers too; other programs get a
// line of text.
func Question(nonce uint64, port uint16) []byte {
	text := fmt.Sprintf("%s%0*x", marker, digits, nonce)
	if port == 53 {
		if query, err := new(wire.Msg).SetQuestion(text+".invalid.", wire.TypeA).Pack(); err == nil {
			return query
		}
	}
	return []byte(text + "\n")
}

// MaxQuestion is within how many bytes a question has its nonce.
const MaxQuestion = 64

// Nonce finds the nonce of a question in a datagram, or in the first MaxQuestion bytes of one.
func Nonce(datagram []byte) (nonce uint64, ok bool) {
	_, rest, found := bytes.Cut(datagram, []byte(marker))
	if !found || len(rest) < digits {
		return 0, false
	}
	nonce, err := strconv.ParseUint(string(rest[:digits]), 16, 64)
	return nonce, err == nil
}
