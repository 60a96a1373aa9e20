package process

import (
	"context"
	"errors"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"vnetlab/emu"
	"vnetlab/emu/kerneltest"
)

func TestProgramRestarts(t *testing.T) {
	dir, sleep := t.TempDir(), sleeper()
	s := emu.Service{
		Name:     "web",
		Port:     80,
		Protocol: emu.TCP,
		Dir:      dir,
		Command:  `pwd; echo "port $PORT"; ` + sleep + ` & exit 3`,
	}
	in := newInstance(t, Options{}, s)
	began := time.Now()
	if err := in.Run(s); err != nil {
		t.Fatal(err)
	}
	if err := in.Run(s); err == nil {
		t.Error("the same service ran twice")
	}
	var p ProgramStatus
	var left int
	kerneltest.Eventually(t, "a look between two runs, after three exits", func() bool {
		p = in.Programs()[0]
		left = onHost(t, sleep)
		return p.State == Restarting && p.Exits >= 3 && in.Programs()[0] == p
	})
	if took := time.Since(began); took < 600*time.Millisecond {
		t.Errorf("three exits took %s", took)
	}
	if p.Last != "exit status 3" || p.Service != "web" || p.Port != 80 {
		t.Errorf("%+v", p)
	}
	if left != 0 {
		t.Errorf("%d processes are left of earlier runs", left)
	}
	log, _ := in.Logs("web")
	want := []string{
		dir,
		"port 80",
		"exit status 3; starting again in 200ms",
		dir,
		"port 80",
		"exit status 3; starting again in 400ms",
		dir,
		"port 80",
		"exit status 3; starting again in 800ms",
	}
	var text []string
	kerneltest.Eventually(t, "three exits in the log", func() bool { // where the third comes after the state
		text = nil
		for _, l := range log.Last(1000) {
			text = append(text, l.Text)
		}
		return len(text) >= len(want)
	})
	if !slices.Equal(text[:len(want)], want) {
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
	s := emu.Service{
		Name:     "db",
		Port:     1433,
		Protocol: emu.TCP,
		Dir:      dir,
		Command:  `trap 'echo bye >bye; exit 0' TERM; echo ready; while :; do sleep 0.02; done`,
	}
	in := newInstanceWithin(t, emu.Boundary{Mounts: []emu.Mount{{Path: dir, Writable: true}}}, Options{}, s)
	in.grace = kerneltest.Patience
	if err := in.Run(s); err != nil {
		t.Fatal(err)
	}
	log, _ := in.Logs("db")
	kerneltest.Eventually(t, "ready", func() bool { return len(log.Last(1)) == 1 })
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
	sleep := sleeper()
	s := emu.Service{Name: "db", Port: 1433, Protocol: emu.TCP, Command: `echo up; exec ` + sleep}
	in := newInstance(t, Options{}, s)
	if err := in.Run(s); err != nil {
		t.Fatal(err)
	}
	kerneltest.Eventually(t, "it runs", func() bool { return onHost(t, sleep) == 1 })
	in.mu.Lock()
	_ = in.init.cmd.Process.Kill()
	in.mu.Unlock()
	kerneltest.Eventually(t, "it runs again", func() bool {
		p := in.Programs()[0]
		return p.Exits == 1 && p.State == Running && onHost(t, sleep) == 1
	})
}

func TestLogFollow(t *testing.T) {
	sleep := sleeper()
	s := emu.Service{
		Name:     "web",
		Port:     80,
		Protocol: emu.TCP,
		Command:  `for i in 1 2 3; do echo $i; sleep 0.05; done; printf unfinished; exec ` + sleep,
	}
	in := newInstance(t, Options{}, s)
	if err := in.Run(s); err != nil {
		t.Fatal(err)
	}
	log, ok := in.Logs("web")
	if _, other := in.Logs("other"); !ok || other {
		t.Fatal("which logs are there")
	}
	var got []string
	for line := range log.Lines(t.Context(), -1, true) { // ends with Close
		if got = append(got, line.Text); len(got) == 3 {
			kerneltest.Eventually(t, "all is written", func() bool { return onHost(t, sleep) == 1 })
			time.AfterFunc(10*time.Millisecond, func() { _ = in.Close() }) // while this waits for the next line
		}
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
	if l.size > logSize || len(lines) < 1000 || lines[0].Text != "a line of text" ||
		len(lines[len(lines)-1].Text) > maxLogLine {
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
		return strings.NewReplacer("socket.socket(%s)", "socket.socket("+family+")", `("%s"`, `("`+addr+`"`, "; %s", "; "+more).
			Replace(listen)
	}
	for _, test := range []struct {
		name    string
		service emu.Service
		// What doesn't listen where it should has this state and last output before it is judged, and an error with
		// these texts.
		state  State
		output string
		err    []string
	}{
		{"tcp", emu.Service{Protocol: emu.TCP, Command: program("socket.AF_INET", "0.0.0.0", "s.listen()")}, "", "", nil},
		{"dual stack", emu.Service{Protocol: emu.TCP, Command: program("socket.AF_INET6", "::", "s.listen()")}, "", "", nil},
		{"udp", emu.Service{Protocol: emu.UDP, Command: program("socket.AF_INET, socket.SOCK_DGRAM", "0.0.0.0", "")}, "", "", nil},
		{
			"loopback",
			emu.Service{Protocol: emu.TCP, Command: program("socket.AF_INET", "127.0.0.1", "s.listen()")},
			Running, "listening",
			[]string{"nothing listens on port 8080/tcp but on the loopback address", "service s is running", "    listening"},
		},
		{
			"not",
			emu.Service{Protocol: emu.TCP, Command: "echo no such database; exit 4"},
			Restarting, "no such database",
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
			wait := func(limit time.Duration) error {
				ctx, cancel := context.WithTimeout(t.Context(), limit)
				defer cancel()
				return in.WaitListening(ctx, s)
			}
			if test.err == nil {
				if err := wait(kerneltest.Patience); err != nil {
					t.Fatal(err)
				}
			} else {
				log, _ := in.Logs("s")
				var err error
				kerneltest.Eventually(t, "an error while the program stayed as it was", func() bool {
					before, said := in.Programs()[0], log.Last(lastWords)
					err = wait(30 * time.Millisecond)
					return before.State == test.state && in.Programs()[0] == before &&
						slices.ContainsFunc(said, func(l Line) bool { return l.Text == test.output })
				})
				for _, want := range test.err {
					if err == nil || !strings.Contains(err.Error(), want) {
						t.Errorf("%v\nlacks %q", err, want)
					}
				}
			}
			go in.Close()
			if err := in.WaitListening(
				t.Context(),
				emu.Service{Name: "other", Port: 1, Protocol: emu.TCP},
			); !errors.Is(
				err,
				ErrClosed,
			) {
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
