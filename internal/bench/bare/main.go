// Command bare makes the kernel objects of a lab with plain netlink calls, one iptables-restore per instance and one
// nft per router, and takes them down again: what `lab up` and `lab down` are measured against. It starts no
// listener, no name server and no supervisor, reads nothing back, and tells how long it took as one line of JSON.
package main

import (
	"encoding/json"
	"fmt"
	"os"
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
	start := time.Now()
	n, err := build(want)
	r := Result{Namespaces: len(want.Namespaces), UpSeconds: time.Since(start).Seconds()}
	if err != nil {
		return r, err
	}
	gone, err := n.watch()
	if err != nil {
		return r, err
	}
	start = time.Now()
	err = n.teardown(gone)
	r.DownSeconds = time.Since(start).Seconds()
	return r, err
}
