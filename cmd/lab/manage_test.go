package main

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"regexp"
	"strings"
	"syscall"
	"time"

	"github.com/rogpeppe/go-internal/testscript"
	"golang.org/x/sys/unix"
)

// eventually REGEXP PROGRAM ARGUMENT... runs a program again and again until what it prints matches; that is then
// on stdout.
func eventually(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 {
		ts.Fatalf("usage: eventually REGEXP PROGRAM ARGUMENT...")
	}
	wanted := regexp.MustCompile("(?m)" + args[0])
	for deadline := time.Now().Add(timeout); ; time.Sleep(50 * time.Millisecond) {
		ts.Check(ts.Exec(args[1], args[2:]...))
		if wanted.MatchString(ts.ReadFile("stdout")) {
			return
		}
		if time.Now().After(deadline) {
			ts.Fatalf("it never says %s", args[0])
		}
	}
}

// forwards CONTAINS ARGUMENT... runs lab forward on a free port, gets the page there, which must contain a text,
// and interrupts it.
func forwards(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 {
		ts.Fatalf("usage: forwards CONTAINS TO:PORT FLAG...")
	}
	c := labOf(ts, append([]string{"forward", "0"}, args[1:]...)...)
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
	client := &http.Client{Timeout: timeout, Transport: &http.Transport{Proxy: nil, DisableKeepAlives: true}}
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

// onTerminal is terminal KEYS ARGUMENT...: it runs lab on its own terminal, with the contents of the file KEYS as
// input. The output of the terminal is then on stdout. Unlike ttyin and ttyout of testscript it always reads to
// the end.
func onTerminal(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 {
		ts.Fatalf("usage: terminal KEYS ARGUMENT...")
	}
	master, slave, err := pseudoTerminal()
	ts.Check(err)
	defer master.Close()
	_, err = master.WriteString(ts.ReadFile(args[0]))
	ts.Check(err)
	c := labOf(ts, args[1:]...)
	c.Stdin, c.Stdout, c.Stderr = slave, slave, slave
	c.SysProcAttr = &syscall.SysProcAttr{Setsid: true, Setctty: true}
	err = c.Start()
	slave.Close()
	ts.Check(err)
	shown, err := io.ReadAll(master)
	if !errors.Is(err, syscall.EIO) { // the slave is closed and everything is read
		ts.Fatalf("read the terminal: %v", err)
	}
	_, err = ts.Stdout().Write(shown)
	ts.Check(err)
	ts.Check(c.Wait())
}

// pseudoTerminal returns both ends of a new pseudoterminal: the slave is for the program, the master plays the
// terminal.
func pseudoTerminal() (master, slave *os.File, err error) {
	if master, err = os.OpenFile("/dev/ptmx", os.O_RDWR|unix.O_NOCTTY, 0); err != nil {
		return nil, nil, err
	}
	number, err := unix.IoctlGetInt(int(master.Fd()), unix.TIOCGPTN)
	if err == nil {
		err = unix.IoctlSetPointerInt(int(master.Fd()), unix.TIOCSPTLCK, 0)
	}
	if err == nil {
		slave, err = os.OpenFile(fmt.Sprintf("/dev/pts/%d", number), os.O_RDWR|unix.O_NOCTTY, 0)
	}
	if err != nil {
		master.Close()
	}
	return master, slave, err
}
