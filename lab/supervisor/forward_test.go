package supervisor

import (
	"context"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"vnetlab/lab/api"
)

func TestForward(t *testing.T) {
	setUp(t)
	c := up(t, write(t, "shop", shop))
	for _, r := range []api.ForwardRequest{
		{From: "nobody", To: "web1:80"}, {To: "nobody:80"}, {To: "web1"}, {To: "web1:53/udp"},
	} {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		if err := c.Forward(t.Context(), l, r, nil); err == nil {
			t.Errorf("%+v is forwarded", r)
		}
	}
	get := func(r api.ForwardRequest) (string, error) {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithCancel(t.Context())
		failed, done := make(chan error, 1), make(chan error, 1)
		go func() { done <- c.Forward(ctx, l, r, func(err error) { failed <- err }) }()
		defer func() {
			cancel()
			if err := <-done; err != nil {
				t.Errorf("%+v ends with %v", r, err)
			}
		}()
		response, err := http.Get("http://" + l.Addr().String())
		if err != nil {
			return "", <-failed
		}
		defer response.Body.Close()
		body, err := io.ReadAll(response.Body)
		return string(body), err
	}
	for _, tt := range []struct {
		r    api.ForwardRequest
		want string
	}{
		{api.ForwardRequest{To: "shopweb.cloudapp.net:80"}, "saw you as 203.0.113."},
		{api.ForwardRequest{From: "web1", To: "db:1433"}, "saw you as 10.0.1.4"},
	} {
		if page, err := get(tt.r); err != nil || !strings.Contains(page, tt.want) {
			t.Errorf("%+v gives %q, %v", tt.r, page, err)
		}
	}
	if page, err := get(
		api.ForwardRequest{From: "web1", To: "laptop:80"},
	); err == nil ||
		!strings.Contains(err.Error(), "refused") {
		t.Errorf("where nobody listens: %q, %v", page, err)
	}
	if _, err := os.Stat(filepath.Join(RunDir(), "shop")); err != nil {
		t.Error(err)
	}
}
