package supervisor

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"vnetlab/emu/kerneltest"
	"vnetlab/lab"
	"vnetlab/lab/api"
)

// What an operation doesn't concern keeps its programs and connections.
func TestOperationsLeaveTheRestAlone(t *testing.T) {
	setUp(t)
	// Both machines run a program: it has no limit for how long a request may take.
	c := up(
		t,
		write(t, "shop", withProgram(strings.Replace(shop, "services: [{port: 80}]", "services: [SERVICE]", 1), "")),
	)
	page := func() string {
		t.Helper()
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error, 1)
		go func() {
			done <- c.Forward(ctx, l, api.ForwardRequest{To: "shopweb.cloudapp.net:80"}, func(err error) { t.Error(err) })
		}()
		defer func() { cancel(); <-done }()
		r, err := http.Get("http://" + l.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		defer r.Body.Close()
		body, _ := io.ReadAll(r.Body)
		return string(body)
	}
	if p := page(); !strings.Contains(p, "hello from web1") && !strings.Contains(p, "web2") {
		t.Errorf("a page through the VIP is %q", p)
	}

	// A connection through the VIP's set, held open over all the changes.
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	go c.Forward(
		ctx,
		l,
		api.ForwardRequest{From: "laptop", To: "shopweb.cloudapp.net:80"},
		nil,
	) //nolint:errcheck // it ends with ctx
	held, err := net.Dial("tcp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer held.Close()
	asks := &keptOpen{held, bufio.NewReader(held)}
	who, err := asks.ask() // so that it is known to lead into the lab before anything changes there
	if err != nil || !strings.Contains(who, "hello from web") {
		t.Fatalf("the connection gets %q, %v", who, err)
	}
	held.SetDeadline(time.Time{}) //nolint:errcheck // a TCP connection has deadlines
	if _, err := io.WriteString(held, "GET / HTTP/1.1\r\n"); err != nil {
		t.Fatal(err)
	}
	program := runningProgram(t, c)
	do(
		t,
		c,
		lab.AddRoleOp{
			Service: "shopweb",
			VirtualMachine: machine(
				"web3",
				"FrontEnd",
				lab.Endpoint{Name: "http", PublicPort: 80, LocalPort: 80, LoadBalancedSet: "web"},
			),
		},
	)
	do(t, c, lab.AddFirewallRuleOp{Instance: "web1", Rule: rule(t, "allow tcp 443")})
	do(
		t,
		c,
		lab.AddEndpointOp{
			Service:        "shopweb",
			VirtualMachine: "web1",
			Endpoint:       lab.Endpoint{Name: "https", PublicPort: 443, LocalPort: 443},
		},
	)
	do(t, c, lab.DeleteRoleOp{Service: "shopweb", Name: "web3"})
	if _, err := io.WriteString(held, "Host: shop\r\nConnection: close\r\n\r\n"); err != nil {
		t.Fatal(err)
	}
	held.SetReadDeadline(time.Now().Add(kerneltest.Patience)) //nolint:errcheck // as above
	if answer, err := io.ReadAll(
		asks.in,
	); err != nil || !strings.HasPrefix(string(answer), "HTTP/1.1 200") ||
		!strings.HasSuffix(string(answer), who) {
		t.Errorf("the connection that was open gets %q, %v", answer, err)
	}
	if now := runningProgram(t, c); now != program {
		t.Errorf("the program was %+v and is %+v", program, now)
	}
}

// Commands that come at once all happen, or are refused.
func TestConcurrentOperations(t *testing.T) {
	setUp(t)
	c := up(t, write(t, "shop", shop))
	const commands = 20
	errs := make([]error, commands)
	var group sync.WaitGroup
	for i := range commands {
		group.Go(func() {
			port := uint16(8000 + i/2) // each port is asked for twice
			name := fmt.Sprintf("e%d", i)
			_, errs[i] = c.Do(t.Context(), lab.AddEndpointOp{
				Service:        "shopweb",
				VirtualMachine: "web1",
				Endpoint:       lab.Endpoint{Name: name, PublicPort: port, LocalPort: uint16(9000 + i)},
			})
		})
		group.Go(func() { // nobody who asks meanwhile sees model and packets differ
			if p, err := c.Probe(
				t.Context(),
				api.ProbeRequest{From: "laptop", To: fmt.Sprintf("shopweb.cloudapp.net:%d", 8000+i/2)},
			); err != nil ||
				!p.Agrees {
				t.Errorf("%+v, %v", p, err)
			}
		})
	}
	group.Wait()
	done := 0
	for _, err := range errs {
		var refused *api.Error
		switch {
		case err == nil:
			done++
		case !errors.As(err, &refused) || refused.Code != "BadRequest":
			t.Errorf("refused: %v", err)
		}
	}
	info, err := c.Lab(t.Context())
	if err != nil || done != commands/2 || len(info.CloudServices[1].Endpoints) != 1+done {
		t.Errorf("%d were done, the endpoints are %+v, %v", done, info.CloudServices[1].Endpoints, err)
	}
	asWanted(t, c)
}
