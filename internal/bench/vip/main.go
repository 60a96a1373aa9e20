// Command vip measures connections through a VIP beside connections that nothing translates, and beside HAProxy, in
// one run: with few and with many endpoints in the rules of the edge. It prints JSON.
//
// From the internet all paths have the same hosts and cables:
//
//	client ── internet ── datacenter ── edge ── bridge ── instance
//
// On the direct path routers have routes alone, no rules, and the client asks for the instance's own address. HAProxy
// listens on the VIPs in such an edge. From an instance of another subnet, the direct path leads through the same
// edge with all its rules, to the instance's own address.
package main

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"net/netip"
	"os"
	"strconv"
	"strings"
)

// Row is a figure of the paths from somewhere with a number of endpoints.
type Row struct {
	From                 string // internet or instance
	Endpoints            int
	Figure               string // a key of figures
	VIP, Direct, HAProxy float64
	// ToDirect and ToHAProxy are medians of the ratios of each run, in which both met the same machine.
	ToDirect, ToHAProxy float64
	ToFewest            float64 // the VIP's figure with the fewest endpoints; 0 for that itself
}

func main() {
	runs := flag.Int("runs", 5, "how often each path is measured")
	haproxy := flag.String("haproxy", "", "the haproxy program; empty: goes on without it")
	sizes := flag.String("endpoints", "1,500,5000", "numbers of endpoints")
	flag.Parse()
	if err := start(*runs, *haproxy, *sizes, flag.Args()); err != nil {
		fmt.Fprintln(os.Stderr, "vip:", err)
		os.Exit(1)
	}
}

// start plays one of three parts: the whole measurement, or a server or client in a namespace.
func start(runs int, haproxy, sizes string, args []string) error {
	if len(args) == 2 && args[0] == "serve" {
		return serve(args[1])
	}
	if len(args) == 1 && args[0] == "load" {
		return load(os.Stdin, os.Stdout)
	}
	var counts []int
	for s := range strings.SplitSeq(sizes, ",") {
		n, err := strconv.Atoi(s)
		if err != nil || n < 1 {
			return fmt.Errorf("-endpoints: %q is no number of endpoints", s)
		}
		counts = append(counts, n)
	}
	rows, err := measure(context.Background(), runs, haproxy, counts)
	return errors.Join(err, json.NewEncoder(os.Stdout).Encode(rows))
}

// path is one way from a client to a server.
type path struct {
	name   string
	client *client
	target netip.AddrPort
}

// slicesOfRun is how many pieces a run has: each is short, and all paths take turns, so that what else the machine
// does meets all of them alike.
const slicesOfRun = 5

// measure builds all networks, measures every path in each run, and takes everything down.
func measure(ctx context.Context, runs int, haproxy string, counts []int) (rows []Row, err error) {
	var worlds []*world
	defer func() {
		for _, w := range worlds {
			err = errors.Join(err, w.close())
		}
	}()
	add := func(w *world, err error) (*world, error) {
		if w != nil {
			worlds = append(worlds, w)
		}
		return w, err
	}
	direct, err := add(plain(ctx, 1, ""))
	if err != nil {
		return nil, err
	}
	paths := []path{{"direct", direct.outside, direct.dip}}
	for _, n := range counts {
		w, err := add(balanced(ctx, n))
		if err != nil {
			return nil, err
		}
		paths = append(
			paths,
			path{fmt.Sprintf("vip %d", n), w.outside, w.vip},
			path{
				fmt.Sprintf("inside vip %d", n),
				w.inside,
				w.vip,
			},
			path{fmt.Sprintf("inside direct %d", n), w.inside, w.dip},
		)
		if haproxy == "" {
			continue
		}
		if w, err = add(plain(ctx, n, haproxy)); err != nil {
			return nil, err
		}
		paths = append(paths, path{fmt.Sprintf("haproxy %d", n), w.outside, w.vip})
	}
	all := map[string]map[string][]float64{} // by path and figure
	for run := range runs*slicesOfRun + 1 {
		if run%slicesOfRun == 0 {
			fmt.Fprintf(os.Stderr, "VIP, run %d of %d\n", run/slicesOfRun, runs)
		}
		for _, figure := range figureNames {
			for i := range paths {
				p := paths[(i+run)%len(paths)]
				v, err := p.client.measure(figure, p.target)
				if err != nil {
					return nil, fmt.Errorf("%s, %s: %w", p.name, figure, err)
				}
				if all[p.name] == nil {
					all[p.name] = map[string][]float64{}
				}
				if run > 0 { // the first one warms up
					all[p.name][figure] = append(all[p.name][figure], v)
				}
			}
		}
	}
	for _, n := range counts {
		name := func(kind string) string { return fmt.Sprintf("%s %d", kind, n) }
		for _, figure := range figureNames {
			row := func(from string, vip, fewest, direct, haproxy []float64) Row {
				toFewest := 0.0
				if n != counts[0] {
					toFewest = medianRatio(vip, fewest)
				}
				return Row{
					ToFewest:  toFewest,
					From:      from,
					Endpoints: n,
					Figure:    figure,
					VIP:       median(vip),
					Direct:    median(direct),
					HAProxy:   median(haproxy),
					ToDirect:  medianRatio(vip, direct),
					ToHAProxy: medianRatio(vip, haproxy),
				}
			}
			rows = append(
				rows,
				row(
					"internet",
					all[name("vip")][figure],
					all[fmt.Sprintf("vip %d", counts[0])][figure],
					all["direct"][figure],
					all[name("haproxy")][figure],
				),
				row(
					"instance",
					all[name("inside vip")][figure],
					all[fmt.Sprintf("inside vip %d", counts[0])][figure],
					all[name("inside direct")][figure],
					nil,
				),
			)
		}
	}
	return rows, nil
}
