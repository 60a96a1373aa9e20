package spelling

import (
	"strings"
	"testing"
)

func TestNearest(t *testing.T) {
	known := []string{"name", "protocol", "port", "localPort", "LoadBalancerProbe"}
	for word, want := range map[string]string{
		"protcol":                  "protocol",
		"prot":                     "port",
		"localport":                "localPort",
		"LoadBalancerProbes":       "LoadBalancerProbe",
		"NAME":                     "name",
		"ünicode":                  "",
		"":                         "",
		"vmsize":                   "",
		strings.Repeat("a", 1<<20): "",
	} {
		if got, _ := Nearest(word, known); got != want {
			t.Errorf("Nearest(%.20q) = %q, want %q", word, got, want)
		}
	}
}

func TestDidYouMean(t *testing.T) {
	if got := DidYouMean("Webrole", []string{"WorkerRole", "WebRole"}); got != `did you mean "WebRole"?` {
		t.Error(got)
	}
	if got := DidYouMean("elephant", []string{"WebRole"}); got != "" {
		t.Error(got)
	}
}
