package main

import (
	"bufio"
	"fmt"
	"io"
	"net/http"
	"os"
	"strings"
	"time"

	"github.com/rogpeppe/go-internal/testscript"
)

// eventually PROGRAM ARGUMENT... runs a program again and again until it says what it goes on to say for a while; what it printed last
// is on stdout.
func eventually(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) == 0 {
		ts.Fatalf("usage: eventually PROGRAM ARGUMENT...")
	}
	said, since := "", time.Now()
	for deadline := time.Now().Add(20 * time.Second); time.Since(since) < time.Second; time.Sleep(50 * time.Millisecond) {
		ts.Check(ts.Exec(args[0], args[1:]...))
		if now := ts.ReadFile("stdout"); now != said {
			said, since = now, time.Now()
		}
		if time.Now().After(deadline) {
			ts.Fatalf("it changes all the time")
		}
	}
}

// forwards CONTAINS ARGUMENT... runs lab forward on a free port, gets the page there, which must contain a text, and interrupts it.
func forwards(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 {
		ts.Fatalf("usage: forwards CONTAINS TO:PORT FLAG...")
	}
	c := asLab(append([]string{"forward", "0"}, args[1:]...)...)
	for _, name := range []string{"PATH", "VNETLAB_RUN", "VNETLAB_CACHE", "HOME", "GORACE", "LAB"} {
		c.Env = append(c.Env, name+"="+ts.Getenv(name))
	}
	out, err := c.StdoutPipe()
	ts.Check(err)
	c.Stderr = os.Stderr
	ts.Check(c.Start())
	defer c.Process.Kill() //nolint:errcheck // it has ended, if all went well
	line, err := bufio.NewReader(out).ReadString('\n')
	ts.Check(err)
	address, _, _ := strings.Cut(line, " leads to ")
	if !strings.HasPrefix(address, "127.0.0.1:") {
		ts.Fatalf("it listens on %q", line)
	}
	client := &http.Client{Timeout: 10 * time.Second, Transport: &http.Transport{Proxy: nil, DisableKeepAlives: true}}
	response, err := client.Get(fmt.Sprintf("http://%s/", address))
	ts.Check(err)
	page, err := io.ReadAll(response.Body)
	response.Body.Close()
	ts.Check(err)
	if !strings.Contains(string(page), args[0]) {
		ts.Fatalf("the page is %q", page)
	}
	ts.Check(c.Process.Signal(os.Interrupt))
	c.Wait() //nolint:errcheck // its exit status is looked at
	if got := c.ProcessState.ExitCode(); got != exitInterrupted {
		ts.Fatalf("exit status %d, want %d", got, exitInterrupted)
	}
}
