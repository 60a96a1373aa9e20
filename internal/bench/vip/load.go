package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"slices"
	"sync"
	"sync/atomic"
	"syscall"
	"time"
)

// The figures.
const (
	perSecond  = "connections per second" // many clients at once: open, one question, one answer, close
	connecting = "connection latency"     // seconds, of one client alone: open, one question, one answer
	roundTrip  = "round trip"             // seconds, on an open connection
	throughput = "throughput"             // bytes per second on one connection, from the server
)

var figureNames = []string{perSecond, connecting, roundTrip, throughput}

const (
	clients     = 16
	connections = 500
	alone       = 100
	roundTrips  = 1000
	question    = 64
	download    = 32 << 20 // bytes
	patience    = 20 * time.Second
	pageSize    = 128 << 10
	echo, pages = 'e', 'p' // what the first byte of a connection asks for
)

// serve answers questions and sends pages until its standard input ends, which it does with the process that started
// it.
func serve(address string) error {
	l, err := net.Listen("tcp4", address)
	if err != nil {
		return err
	}
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				fmt.Fprintln(os.Stderr, err)
				os.Exit(1)
			}
			go answer(c)
		}
	}()
	_, err = io.Copy(io.Discard, os.Stdin)
	return err
}

func answer(c net.Conn) {
	defer c.Close()
	buffer := make([]byte, question)
	for first := true; ; first = false {
		if _, err := io.ReadFull(c, buffer); err != nil {
			return
		}
		if first && buffer[0] == pages {
			page := make([]byte, pageSize)
			for sent := 0; sent < download; sent += len(page) {
				if _, err := c.Write(page); err != nil {
					return
				}
			}
			return
		}
		if _, err := c.Write(buffer); err != nil {
			return
		}
	}
}

var measurements = map[string]func(address string) (float64, error){
	perSecond: manyConnections, connecting: oneAfterTheOther, roundTrip: pingPong, throughput: fetch,
}

// order asks a client for a figure.
type order struct{ Figure, Address string }

type result struct {
	Value float64
	Error string
}

// load measures what it is asked for, until it is asked no more.
func load(in io.Reader, out io.Writer) error {
	orders, results := json.NewDecoder(in), json.NewEncoder(out)
	for {
		var o order
		if err := orders.Decode(&o); err != nil {
			if err == io.EOF {
				return nil
			}
			return err
		}
		var r result
		err := warm(o.Address)
		if err == nil {
			r.Value, err = measurements[o.Figure](o.Address)
		}
		if err != nil {
			r.Error = err.Error()
		}
		if err := results.Encode(r); err != nil {
			return err
		}
	}
}

// warm waits for a server that has only just been started.
func warm(address string) error {
	for begin := time.Now(); ; time.Sleep(10 * time.Millisecond) {
		err := ask(address)
		if !errors.Is(err, syscall.ECONNREFUSED) || time.Since(begin) > patience {
			return err
		}
	}
}

func open(address string, kind byte) (*net.TCPConn, []byte, error) {
	c, err := net.DialTimeout("tcp4", address, patience)
	if err != nil {
		return nil, nil, err
	}
	tcp := c.(*net.TCPConn)
	// Closed by a reset, a connection leaves no port in TIME_WAIT; the kernel would run out of ports.
	errs := []error{tcp.SetLinger(0), tcp.SetDeadline(time.Now().Add(patience))}
	buffer := make([]byte, question)
	buffer[0] = kind
	return tcp, buffer, errors.Join(errs...)
}

// ask opens a connection for one question and its answer.
func ask(address string) error {
	c, buffer, err := open(address, echo)
	if err != nil {
		return err
	}
	defer c.Close()
	return again(c, buffer)
}

func again(c *net.TCPConn, buffer []byte) error {
	if _, err := c.Write(buffer); err != nil {
		return err
	}
	_, err := io.ReadFull(c, buffer)
	return err
}

func manyConnections(address string) (float64, error) {
	errs := make([]error, clients)
	var begun atomic.Int64
	var group sync.WaitGroup
	start := time.Now()
	for i := range clients {
		group.Go(func() {
			for errs[i] == nil && begun.Add(1) <= connections {
				errs[i] = ask(address)
			}
		})
	}
	group.Wait()
	return connections / time.Since(start).Seconds(), errors.Join(errs...)
}

func oneAfterTheOther(address string) (float64, error) {
	return medianTime(alone, func() error { return ask(address) })
}

func pingPong(address string) (float64, error) {
	c, buffer, err := open(address, echo)
	if err != nil {
		return 0, err
	}
	defer c.Close()
	return medianTime(roundTrips, func() error { return again(c, buffer) })
}

func fetch(address string) (float64, error) {
	c, buffer, err := open(address, pages)
	if err != nil {
		return 0, err
	}
	defer c.Close()
	start := time.Now()
	if _, err := c.Write(buffer); err != nil {
		return 0, err
	}
	n, err := io.CopyBuffer(struct{ io.Writer }{io.Discard}, struct{ io.Reader }{c}, make([]byte, pageSize))
	if err == nil && n != download {
		err = fmt.Errorf("%d bytes of %d came", n, download)
	}
	return float64(n) / time.Since(start).Seconds(), err
}

func medianTime(n int, f func() error) (float64, error) {
	times := make([]float64, n)
	for i := range times {
		start := time.Now()
		if err := f(); err != nil {
			return 0, err
		}
		times[i] = time.Since(start).Seconds()
	}
	return median(times), nil
}

// medianRatio is the median of the ratios of each turn.
func medianRatio(a, b []float64) float64 {
	var v []float64
	for i := range min(len(a), len(b)) {
		v = append(v, a[i]/b[i])
	}
	return median(v)
}

func median(v []float64) float64 {
	if len(v) == 0 {
		return 0
	}
	return slices.Sorted(slices.Values(v))[len(v)/2]
}
