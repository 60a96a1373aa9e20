package process

import (
	"slices"
	"testing"

	"vnetlab/emu"
	"vnetlab/emu/kerneltest"
)

func TestStopEndsOneProgram(t *testing.T) {
	sleep := sleeper()
	command := `echo $PEERS; ` + sleep
	a := emu.Service{Name: "a", Port: 80, Protocol: emu.TCP, Command: command, Env: []string{"PEERS=x"}}
	b := emu.Service{Name: "b", Port: 81, Protocol: emu.TCP, Command: command}
	in := newInstance(t, Options{}, a, b)
	for _, s := range []emu.Service{a, b} {
		if err := in.Run(s); err != nil {
			t.Fatal(err)
		}
	}
	says := func(service, want string) {
		t.Helper()
		kerneltest.Eventually(t, "output of "+service, func() bool {
			log, ok := in.Logs(service)
			return ok && len(log.Last(1)) == 1 && log.Last(1)[0].Text == want
		})
	}
	says("a", "x")
	kerneltest.Eventually(t, "b runs", func() bool { return in.Programs()[1].State == Running })
	pid := in.Programs()[1].PID
	in.Stop("a")
	in.Stop("nobody")
	if all := in.Programs(); len(all) != 1 || all[0].Service != "b" || all[0].PID != pid || all[0].State != Running {
		t.Errorf("after the stop: %#v", all)
	}
	kerneltest.Eventually(t, "one process less", func() bool { return onHost(t, sleep) == 1 })
	if _, ok := in.Logs("a"); ok {
		t.Error("a program that was stopped has a log")
	}

	// A program that starts has the environment that the namespace has by then.
	later := a
	later.Env = []string{"PEERS=y"}
	in.SetSpec(&emu.Namespace{Name: "instance", Hostname: "renamed", Services: []emu.Service{later, b}})
	if err := in.Run(a); err != nil {
		t.Fatal(err)
	}
	says("a", "y")
	if got := shell(t, in, "echo $INSTANCE"); got != "renamed\n" {
		t.Errorf("INSTANCE=%q", got)
	}
	if !slices.Equal(a.Env, []string{"PEERS=x"}) {
		t.Errorf("the service's environment is %q", a.Env)
	}
}
