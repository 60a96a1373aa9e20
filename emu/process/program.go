package process

import (
	"context"
	"fmt"
	"os"
	"slices"
	"strconv"
	"sync"
	"time"

	"golang.org/x/sys/unix"

	"vnetlab/emu"
)

// Waits between the end of a program and its next start: doubling from the first to the longest, and from the first
// again after a run that lasted.
const (
	firstDelay   = 200 * time.Millisecond
	longestDelay = 10 * time.Second
	lastingRun   = 10 * time.Second
)

// State is what a program is doing.
type State = emu.ProgramState

const (
	Starting   = emu.ProgramStarting
	Running    = emu.ProgramRunning
	Restarting = emu.ProgramRestarting
	Stopped    = emu.ProgramStopped
)

// ProgramStatus is what is known of a program.
type ProgramStatus = emu.ProgramStatus

// program keeps one service running.
type program struct {
	in      *Instance
	service emu.Service
	log     *Log

	ctx    context.Context // ends with Stop, or with Close of the instance
	cancel context.CancelFunc
	ended  chan struct{} // closed when the program runs no more

	mu     sync.Mutex
	status ProgramStatus
}

// Run keeps the program of a service running until Stop or Close: its Command, given to sh -c, in the folder Dir,
// with its Env and PORT in its environment beside what [Command] has. It returns at once; WaitListening returns when
// it serves, Programs its state. A program that ends is started again after 0.2 s, and up to 10 s if it goes on
// ending; what it leaves running in its session ends with it.
func (in *Instance) Run(service emu.Service) error {
	if service.BuiltIn() {
		return fmt.Errorf("%s: service %s has no command to run", in.name, service.Name)
	}
	p := &program{in: in, service: service, log: newLog(), ended: make(chan struct{})}
	p.ctx, p.cancel = context.WithCancel(in.ctx)
	p.status = ProgramStatus{Service: service.Name, Port: service.Port, State: Starting, Since: time.Now()}
	in.mu.Lock()
	defer in.mu.Unlock()
	if in.ctx.Err() != nil {
		return fmt.Errorf("%s: %w", in.name, ErrClosed)
	}
	if slices.ContainsFunc(in.programs, func(q *program) bool { return q.service.Name == service.Name }) {
		return fmt.Errorf("%s: service %s runs already", in.name, service.Name)
	}
	in.programs = append(in.programs, p)
	in.loops.Go(p.loop)
	return nil
}

// Stop ends the program of a service, and drops it and its log. It gets SIGTERM, and half a second later its whole
// session is killed. Stop returns when that is done.
func (in *Instance) Stop(service string) {
	p := in.program(service)
	if p == nil {
		return
	}
	p.cancel()
	<-p.ended
	in.mu.Lock()
	defer in.mu.Unlock()
	in.programs = slices.DeleteFunc(in.programs, func(q *program) bool { return q == p })
}

// Programs lists the states of the programs, in the order in which they were started.
func (in *Instance) Programs() []ProgramStatus {
	in.mu.Lock()
	defer in.mu.Unlock()
	all := make([]ProgramStatus, len(in.programs))
	for i, p := range in.programs {
		all[i] = p.get()
	}
	return all
}

// Logs returns the output of a service's program, also after Close.
func (in *Instance) Logs(service string) (*Log, bool) {
	p := in.program(service)
	if p == nil {
		return nil, false
	}
	return p.log, true
}

func (in *Instance) program(service string) *program {
	in.mu.Lock()
	defer in.mu.Unlock()
	for _, p := range in.programs {
		if p.service.Name == service {
			return p
		}
	}
	return nil
}

func (p *program) get() ProgramStatus {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.status
}

func (p *program) set(change func(s *ProgramStatus)) {
	p.mu.Lock()
	defer p.mu.Unlock()
	change(&p.status)
	p.status.Since = time.Now()
}

// loop runs the program again and again until the instance is closed.
func (p *program) loop() {
	ctx := p.ctx
	defer close(p.ended)
	defer p.cancel()
	defer p.log.close()
	var delay time.Duration
	for {
		began := time.Now()
		how := p.once(ctx)
		if ctx.Err() != nil {
			break
		}
		delay = nextDelay(delay, time.Since(began))
		p.set(func(s *ProgramStatus) {
			s.State, s.PID, s.Last = Restarting, 0, how
			s.Exits++
		})
		p.log.note(fmt.Sprintf("%s; starting again in %s", how, delay))
		select {
		case <-time.After(delay):
			continue
		case <-ctx.Done():
		}
		break
	}
	p.set(func(s *ProgramStatus) { s.State, s.PID = Stopped, 0 })
}

// nextDelay returns the wait before the next start from the last wait and how long the program ran since.
func nextDelay(last, ran time.Duration) time.Duration {
	if last == 0 || ran >= lastingRun {
		return firstDelay
	}
	return min(2*last, longestDelay)
}

// once runs the program until it ends and returns how it ended.
func (p *program) once(ctx context.Context) string {
	dir, err := absolute(p.service.Dir)
	if err != nil {
		return "its working directory: " + err.Error()
	}
	out, in, err := pipe(0)
	if err != nil {
		return err.Error()
	}
	null, err := os.OpenFile(os.DevNull, os.O_RDWR, 0)
	if err != nil {
		return err.Error()
	}
	defer null.Close()
	r, err := p.in.start(startRequest{
		Argv:       []string{"sh", "-c", p.service.Command},
		Env:        p.in.environment(append(p.in.envOf(p.service), "PORT="+strconv.Itoa(int(p.service.Port)))...),
		Dir:        dir,
		EndSession: true,
	}, null, in, in)
	in.Close()
	if err != nil {
		out.Close()
		return err.Error()
	}
	p.set(func(s *ProgramStatus) { s.State, s.PID = Running, r.pid })
	killedBefore := r.init.group.killed()

	copied := make(chan struct{})
	go func() {
		defer close(copied)
		defer out.Close()
		p.log.copy(out)
	}()
	status, err := r.wait(ctx, unix.SIGTERM)
	select {
	case <-copied: // so that its last words come before ours
	case <-time.After(100 * time.Millisecond):
		if hungUp(out) {
			<-copied // late, but all is written
		} // else a daemon that left the session still writes
	}
	if err != nil {
		return err.Error()
	}
	text := exitText(*status)
	if g := r.init.group; status.Signaled() && status.Signal() == unix.SIGKILL && g.killed() > killedBefore {
		text += fmt.Sprintf(": out of memory, of which the instance may use %s", g.limits.Memory)
	}
	return text
}

// envOf returns the service's additions to the environment as they are now, not as they were when the service
// started.
func (in *Instance) envOf(s emu.Service) []string {
	in.mu.Lock()
	defer in.mu.Unlock()
	for _, now := range in.spec.Services {
		if now.Name == s.Name {
			return slices.Clone(now.Env)
		}
	}
	return slices.Clone(s.Env)
}

// hungUp reports whether the writing end of a pipe is closed everywhere.
func hungUp(pipe *os.File) bool {
	raw, err := pipe.SyscallConn()
	if err != nil {
		return true // closed, so it was read to its end
	}
	var state [1]unix.PollFd
	err = raw.Control(func(fd uintptr) {
		state[0].Fd = int32(fd)
		_, _ = unix.Poll(state[:], 0)
	})
	return err != nil || state[0].Revents&unix.POLLHUP != 0
}

// pipe makes a pipe one end of which, 0 to read or 1 to write, is non-blocking: it is ours. The other is for a
// program, which must not be surprised by EAGAIN.
func pipe(own int) (r, w *os.File, err error) {
	var fds [2]int
	if err := unix.Pipe2(fds[:], unix.O_CLOEXEC); err != nil {
		return nil, nil, os.NewSyscallError("pipe2", err)
	}
	if err := unix.SetNonblock(fds[own], true); err != nil {
		unix.Close(fds[0])
		unix.Close(fds[1])
		return nil, nil, os.NewSyscallError("fcntl", err)
	}
	return os.NewFile(uintptr(fds[0]), "pipe"), os.NewFile(uintptr(fds[1]), "pipe"), nil
}
