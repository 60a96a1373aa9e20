package process

import (
	"bytes"
	"os"
	"os/signal"
	"strconv"
	"sync"
	"syscall"

	"golang.org/x/sys/unix"
)

// children starts the children of an init and reaps them, and the orphans the kernel gives to it as PID 1. os/exec
// can't be used beside it: it waits for its processes itself.
type children struct {
	// mu is held while a child is started, so that it isn't reaped before it is known.
	mu   sync.Mutex
	ends map[int]chan syscall.WaitStatus
}

func newChildren() *children {
	c := &children{ends: map[int]chan syscall.WaitStatus{}}
	died := make(chan os.Signal, 1)
	signal.Notify(died, unix.SIGCHLD)
	go func() {
		for range died {
			c.reap()
		}
	}()
	return c
}

// start starts a process; how it ended comes on the channel.
func (c *children) start(path string, argv []string, attr *syscall.ProcAttr) (int, <-chan syscall.WaitStatus, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	pid, err := syscall.ForkExec(path, argv, attr)
	if err != nil {
		return 0, nil, err
	}
	end := make(chan syscall.WaitStatus, 1)
	c.ends[pid] = end
	return pid, end, nil
}

// reap takes in all that died.
func (c *children) reap() {
	c.mu.Lock()
	defer c.mu.Unlock()
	for {
		var status syscall.WaitStatus
		pid, err := syscall.Wait4(-1, &status, syscall.WNOHANG, nil)
		switch {
		case err == syscall.EINTR:
			continue
		case err != nil || pid <= 0:
			return
		}
		if end, ok := c.ends[pid]; ok {
			end <- status
			delete(c.ends, pid)
		}
	}
}

// signalSession signals every living process of a session, whatever process group it is in, and returns how many
// there were. The jobs of an interactive shell are process groups of their own.
func signalSession(id int, s syscall.Signal) (n int) {
	entries, err := os.ReadDir("/proc")
	if err != nil {
		return 0
	}
	for _, e := range entries {
		pid, err := strconv.Atoi(e.Name())
		if err != nil {
			continue
		}
		if session, alive := sessionOf(pid); alive && session == id && syscall.Kill(pid, s) == nil {
			n++
		}
	}
	return n
}

// sessionOf reads a process's session from /proc/PID/stat: "PID (NAME) STATE PPID PGRP SESSION …".
func sessionOf(pid int) (session int, alive bool) {
	stat, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/stat")
	if err != nil {
		return 0, false
	}
	_, rest, ok := bytes.Cut(stat[max(0, bytes.LastIndexByte(stat, ')')):], []byte(") "))
	f := bytes.Fields(rest)
	if !ok || len(f) < 4 || f[0][0] == 'Z' || f[0][0] == 'X' {
		return 0, false
	}
	session, err = strconv.Atoi(string(f[3]))
	return session, err == nil
}
