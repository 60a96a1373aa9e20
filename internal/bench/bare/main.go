// Command bare makes the kernel objects of a lab with plain netlink calls, one iptables-restore per instance and one nft per
// router, and takes them down again: what `lab up` and `lab down` are measured against. It starts no listener, no name server
// and no supervisor, reads nothing back, and tells how long it took as one line of JSON.
package main

import (
	"encoding/json"
	"fmt"
	"os"
	"strings"
	"time"

	"vnetlab/emu"
	"vnetlab/lab/compile"
	"vnetlab/lab/labfile"
)

// Result is what one run took. The down time ends when the kernel has removed the last link.
type Result struct {
	Namespaces  int     `json:"namespaces"`
	UpSeconds   float64 `json:"upSeconds"`
	DownSeconds float64 `json:"downSeconds"`
	KernelBytes int64   `json:"kernelBytes"` // that the machine had less while it stood
}

func main() {
	if len(os.Args) != 2 {
		fmt.Fprintln(os.Stderr, "usage: bare LABFILE")
		os.Exit(2)
	}
	r, err := run(os.Args[1])
	if err != nil {
		fmt.Fprintln(os.Stderr, "bare:", err)
		os.Exit(1)
	}
	_ = json.NewEncoder(os.Stdout).Encode(r)
}

func run(path string) (Result, error) {
	l, err := labfile.Load(path, labfile.Options{})
	if err != nil {
		return Result{}, err
	}
	want := compile.Network(l.Lab)
	return measure(want)
}

func measure(want *emu.Network) (Result, error) {
	before, err := memAvailable()
	if err != nil {
		return Result{}, err
	}
	start := time.Now()
	n, err := build(want)
	r := Result{Namespaces: len(want.Namespaces), UpSeconds: time.Since(start).Seconds()}
	if err != nil {
		return r, err
	}
	after, err := memAvailable()
	if err != nil {
		return r, err
	}
	r.KernelBytes = before - after
	gone, err := n.watch()
	if err != nil {
		return r, err
	}
	start = time.Now()
	err = n.teardown(gone)
	r.DownSeconds = time.Since(start).Seconds()
	return r, err
}

// memAvailable reads what the kernel estimates a new program could have, in bytes.
func memAvailable() (int64, error) {
	text, err := os.ReadFile("/proc/meminfo")
	if err != nil {
		return 0, err
	}
	var kib int64
	for line := range strings.SplitSeq(string(text), "\n") {
		if _, err := fmt.Sscanf(line, "MemAvailable: %d kB", &kib); err == nil {
			return kib << 10, nil
		}
	}
	return 0, fmt.Errorf("/proc/meminfo has no MemAvailable")
}
