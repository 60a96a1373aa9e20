package listener

import (
	"strings"
	"testing"

	wire "github.com/miekg/dns"
)

func TestQuestionsHaveTheirNonce(t *testing.T) {
	for _, nonce := range []uint64{1, 0xfedcba9876543210} {
		for _, port := range []uint16{53, 5000} {
			q := Question(nonce, port)
			if got, ok := Nonce(q); !ok || got != nonce {
				t.Errorf("nonce %x of a question to port %d: %x, %t", nonce, port, got, ok)
			}
			if got, ok := Nonce(q[:min(len(q), MaxQuestion)]); !ok || got != nonce {
				t.Errorf("nonce %x in the first bytes of a question to port %d: %x, %t", nonce, port, got, ok)
			}
		}
	}
	var query wire.Msg
	if err := query.Unpack(
		Question(1, 53),
	); err != nil || len(query.Question) != 1 ||
		query.Question[0].Name != "vnetlab-0000000000000001.invalid." {
		t.Errorf("to port 53: %v %v", err, query)
	}
}

func TestNonceOfWhatIsNoQuestion(t *testing.T) {
	for _, text := range []string{"", "hello", "vnetlab-", "vnetlab-123", "vnetlab-000000000000000x", strings.Repeat("vnetlab", 9)} {
		if nonce, ok := Nonce([]byte(text)); ok {
			t.Errorf("%q has nonce %x", text, nonce)
		}
	}
}
