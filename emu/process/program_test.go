package process

import (
	"context"
	"errors"
	"os"
	"strings"
	"testing"
	"time"

	"vnetlab/emu"
)

func TestProgramRestarts(t *testing.T) {
	dir := t.TempDir()
	s := emu.Service{Name: "web", Port: 80, Protocol: emu.TCP, Dir: dir, Command: `pwd; echo "port $PORT"; sleep 86394.5 & exit 3`}
	in := newInstance(t, Options{}, s)
	if err := in.Run(s); err != nil {
		t.Fatal(err)
	}
	if err := in.Run(s); err == nil {
		t.Error("the same service ran twice")
	}
	began := time.Now()
	eventually(t, "three exits", func() bool { return in.Programs()[0].Exits >= 3 })
	if took := time.Since(began); took < 600*time.Millisecond || took > 3*time.Second {
		t.Errorf("three exits took %s", took)
	}
	if p := in.Programs()[0]; p.Last != "exit status 3" || p.State != Restarting || p.Service != "web" || p.Port != 80 {
		t.Errorf("%+v", p)
	}
	if n := onHost(t, "sleep 86394.5"); n != 0 {
		t.Errorf("%d processes are left of earlier runs", n)
	}
	log, _ := in.Logs("web")
	var text []string
	for _, l := range log.Last(6) {
		text = append(text, l.Text)
	}
	want := []string{dir, "port 80", "exit status 3; starting again in 400ms", dir, "port 80", "exit status 3; starting again in 800ms"}
	if strings.Join(text, "\n") != strings.Join(want, "\n") {
		t.Errorf("log: %q", text)
	}
	if err := in.Close(); err != nil {
		t.Fatal(err)
	}
	if p := in.Programs()[0]; p.State != Stopped || p.PID != 0 {
		t.Errorf("after Close: %+v", p)
	}
}

func TestProgramIsAskedToEnd(t *testing.T) {
	dir := t.TempDir()
	s := emu.Service{Name: "db", Port: 1433, Protocol: emu.TCP, Dir: dir, Command: `trap 'echo bye >bye; exit 0' TERM; echo ready; while :; do sleep 0.02; done`}
	in := newInstance(t, Options{}, s)
	if err := in.Run(s); err != nil {
		t.Fatal(err)
	}
	log, _ := in.Logs("db")
	eventually(t, "ready", func() bool { return len(log.Last(1)) == 1 })
	if p := in.Programs()[0]; p.State != Running || p.PID == 0 || p.Exits != 0 {
		t.Errorf("%+v", p)
	}
	if err := in.Close(); err != nil {
		t.Fatal(err)
	}
	if text, _ := os.ReadFile(dir + "/bye"); string(text) != "bye\n" {
		t.Errorf("the program was not asked: %q", text)
	}
}

func TestProgramSurvivesItsInit(t *testing.T) {
	s := emu.Service{Name: "db", Port: 1433, Protocol: emu.TCP, Command: `echo up; exec sleep 86395.5`}
	in := newInstance(t, Options{}, s)
	if err := in.Run(s); err != nil {
		t.Fatal(err)
	}
	eventually(t, "it runs", func() bool { return onHost(t, "sleep 86395.5") == 1 })
	in.mu.Lock()
	_ = in.init.cmd.Process.Kill()
	in.mu.Unlock()
	eventually(t, "it runs again", func() bool {
		p := in.Programs()[0]
		return p.Exits == 1 && p.State == Running && onHost(t, "sleep 86395.5") == 1
	})
}

func TestLogFollow(t *testing.T) {
	s := emu.Service{Name: "web", Port: 80, Protocol: emu.TCP, Command: `for i in 1 2 3; do echo $i; sleep 0.05; done; printf unfinished; exec sleep 1000`}
	in := newInstance(t, Options{}, s)
	if err := in.Run(s); err != nil {
		t.Fatal(err)
	}
	log, ok := in.Logs("web")
	if _, other := in.Logs("other"); !ok || other {
		t.Fatal("which logs are there")
	}
	time.AfterFunc(time.Second, func() { _ = in.Close() })
	var got []string
	for line := range log.Lines(t.Context(), -1, true) { // ends with Close
		got = append(got, line.Text)
	}
	if strings.Join(got, " ") != "1 2 3 unfinished" {
		t.Errorf("%q", got)
	}
	got = nil
	for line := range log.Lines(t.Context(), 2, false) {
		got = append(got, line.Text)
	}
	if strings.Join(got, " ") != "3 unfinished" {
		t.Errorf("%q", got)
	}
}

func TestLogIsBounded(t *testing.T) {
	l := newLog()
	l.copy(strings.NewReader(strings.Repeat("a line of text\r\n", 20_000) + strings.Repeat("x", 3*maxLogLine) + "\n"))
	lines := l.Last(1 << 20)
	if l.size > logSize || len(lines) < 1000 || lines[0].Text != "a line of text" || len(lines[len(lines)-1].Text) > maxLogLine {
		t.Errorf("%d lines, %d bytes", len(lines), l.size)
	}
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	n := 0
	for line := range l.Lines(ctx, 1, true) { // a reader that is too slow
		switch n++; n {
		case 1:
			l.copy(strings.NewReader(strings.Repeat("more\n", 20_000)))
		case 2:
			if !line.Note || !strings.Contains(line.Text, "lost") {
				t.Errorf("%+v", line)
			}
		case 3:
			cancel()
		}
	}
	if n != 3 {
		t.Errorf("%d lines", n)
	}
}

func TestWaitListening(t *testing.T) {
	const listen = `exec python3 -c 'import socket,os,time
time.sleep(0.1)
s = socket.socket(%s); s.bind(("%s", int(os.environ["PORT"]))); %s
print("listening", flush=True); time.sleep(1000)'`
	program := func(family, addr, more string) string {
		return strings.NewReplacer("socket.socket(%s)", "socket.socket("+family+")", `("%s"`, `("`+addr+`"`, "; %s", "; "+more).Replace(listen)
	}
	for _, test := range []struct {
		name    string
		service emu.Service
		err     []string
	}{
		{"tcp", emu.Service{Protocol: emu.TCP, Command: program("socket.AF_INET", "0.0.0.0", "s.listen()")}, nil},
		{"dual stack", emu.Service{Protocol: emu.TCP, Command: program("socket.AF_INET6", "::", "s.listen()")}, nil},
		{"udp", emu.Service{Protocol: emu.UDP, Command: program("socket.AF_INET, socket.SOCK_DGRAM", "0.0.0.0", "")}, nil},
		{
			"loopback",
			emu.Service{Protocol: emu.TCP, Command: program("socket.AF_INET", "127.0.0.1", "s.listen()")},
			[]string{"nothing listens on port 8080/tcp but on the loopback address", "service s is running", "    listening"},
		},
		{
			"not",
			emu.Service{Protocol: emu.TCP, Command: "echo no such database; exit 4"},
			[]string{name, "service s is restarting", "exit status 4", "    no such database"},
		},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			s := test.service
			s.Name, s.Port = "s", 8080
			in := newInstance(t, Options{}, s)
			if err := in.Run(s); err != nil {
				t.Fatal(err)
			}
			limit := 10 * time.Second
			if test.err != nil {
				limit = 1500 * time.Millisecond
			}
			ctx, cancel := context.WithTimeout(t.Context(), limit)
			defer cancel()
			err := in.WaitListening(ctx, s)
			if (err == nil) != (test.err == nil) {
				t.Fatal(err)
			}
			for _, want := range test.err {
				if !strings.Contains(err.Error(), want) {
					t.Errorf("%v\nlacks %q", err, want)
				}
			}
			go in.Close()
			if err := in.WaitListening(t.Context(), emu.Service{Name: "other", Port: 1, Protocol: emu.TCP}); !errors.Is(err, ErrClosed) {
				t.Error(err)
			}
		})
	}
}

func TestNextDelay(t *testing.T) {
	for _, test := range []struct{ last, ran, want time.Duration }{
		{0, 0, firstDelay},
		{firstDelay, time.Second, 2 * firstDelay},
		{8 * time.Second, 0, longestDelay},
		{longestDelay, 9 * time.Second, longestDelay},
		{longestDelay, 10 * time.Second, firstDelay},
	} {
		if got := nextDelay(test.last, test.ran); got != test.want {
			t.Errorf("%v: %s", test, got)
		}
	}
}
