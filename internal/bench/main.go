// Command bench measures `lab up` and `lab down` beside a program that makes the same kernel objects and nothing
// else, and beside Mininet, operations on running labs, connections through VIPs beside HAProxy, all-pairs probes,
// and memory, in one run on one machine, and prints a table. scripts/bench installs what it needs and starts it.
package main

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"slices"
	"strconv"
	"strings"
)

func main() {
	b := bench{}
	output := flag.String("o", "", "also write the table to this file")
	sizes := flag.String("sizes", "10,100,1000", "numbers of instances")
	flag.IntVar(&b.runs, "runs", 5, "how often each is measured; the table has medians")
	flag.StringVar(&b.lab, "lab", "bin/lab", "the lab command")
	flag.StringVar(&b.bare, "bare", "bin/bare", "the program to compare with")
	flag.StringVar(&b.mininet, "mininet", "", "a program that times Mininet with the number of hosts it is given")
	flag.IntVar(&b.mininetHosts, "mininet-hosts", 100, "hosts of the Mininet")
	flag.StringVar(&b.probes, "probes", "", "a program that prints the result of the Go benchmark of a sweep")
	flag.StringVar(&b.vip, "vip", "", "the program that measures connections through VIPs")
	flag.StringVar(&b.haproxy, "haproxy", "", "the haproxy to measure beside them")
	flag.Parse()
	for s := range strings.SplitSeq(*sizes, ",") {
		n, err := strconv.Atoi(s)
		if err != nil || n < 1 {
			fmt.Fprintf(os.Stderr, "bench: -sizes: %q is no number of instances\n", s)
			os.Exit(2)
		}
		b.sizes = append(b.sizes, n)
	}
	if err := b.run(*output); err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

type bench struct {
	runs, mininetHosts         int
	sizes                      []int
	lab, bare, mininet, probes string
	vip, haproxy               string
	dir                        string // for lab files and the state of the labs
}

func (b *bench) run(output string) (err error) {
	if b.dir, err = os.MkdirTemp("", "vnetlab-bench-"); err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(b.dir)) }()
	var t table
	labs := map[int]medians{}
	for _, n := range b.sizes {
		lab, bare, err := b.instances(n)
		if err != nil {
			return err
		}
		labs[n] = lab
		t.add(
			fmt.Sprintf("up, %d instances", n),
			seconds(lab.up),
			"bare program "+seconds(bare.up),
			ratio(lab.up, bare.up),
			"within 2×",
		)
		t.add(
			fmt.Sprintf("down, %d instances", n),
			seconds(lab.down),
			"bare program "+seconds(bare.down),
			ratio(lab.down, bare.down),
			"within 1.5×; 1,000 under 1 s",
		)
		if n >= 100 {
			t.add(
				fmt.Sprintf("kernel memory per instance, of %d", n),
				kib(lab.kernel/float64(n)),
				"",
				"",
				"under 512 KiB",
			)
		}
	}
	small, large := b.sizes[0], b.sizes[len(b.sizes)-1]
	if small != large {
		perInstance := (labs[large].rss - labs[small].rss) / float64(large-small)
		t.add(
			fmt.Sprintf("supervisor memory per instance, from %d to %d", small, large),
			kib(perInstance),
			fmt.Sprintf("in all at %d: %s", large, kib(labs[large].rss)),
			"",
			"under 50 KiB",
		)
	}
	besideErr := errors.Join(
		b.timeOperations(&t),
		b.timeVIPs(&t),
		b.beside(&t, labs),
	) // the table is worth having without them
	text := t.String() + "\n" + machine(b.runs)
	if output != "" {
		if err := os.WriteFile(output, []byte(text), 0o644); err != nil {
			return errors.Join(err, besideErr)
		}
	}
	_, err = io.WriteString(os.Stdout, text)
	return errors.Join(err, besideErr)
}

// beside measures what is not there in every size: Mininet and probes.
func (b *bench) beside(t *table, labs map[int]medians) error {
	var errs []error
	if b.mininet != "" {
		m, err := b.timeMininet()
		n := b.mininetHosts
		if lab, ok := labs[n]; ok && err == nil {
			t.add(
				fmt.Sprintf("up, %d instances, and Mininet's hosts without firewalls", n),
				seconds(lab.up),
				"Mininet "+seconds(m.up),
				ratio(lab.up, m.up),
				"20× faster (0.05×)",
			)
			t.add(
				fmt.Sprintf("down, %d instances", n),
				seconds(lab.down),
				"Mininet "+seconds(m.down),
				ratio(lab.down, m.down),
				"",
			)
		}
		errs = append(errs, err)
	}
	if b.probes != "" {
		results, err := b.timeProbes()
		for _, r := range results {
			t.add(r.name, seconds(r.seconds), "", "", "9,900 under 1 s")
		}
		errs = append(errs, err)
	}
	return errors.Join(errs...)
}

// medians are the figures of one kind of run, in seconds and bytes.
type medians struct{ up, down, rss, kernel float64 }

func median(v []float64) float64 {
	v = slices.Sorted(slices.Values(v))
	if len(v)%2 == 1 {
		return v[len(v)/2]
	}
	return (v[len(v)/2-1] + v[len(v)/2]) / 2
}

func mediansOf(runs []medians) medians {
	of := func(field func(medians) float64) float64 {
		v := make([]float64, len(runs))
		for i, r := range runs {
			v[i] = field(r)
		}
		return median(v)
	}
	return medians{
		up: of(func(r medians) float64 { return r.up }), down: of(func(r medians) float64 { return r.down }),
		rss: of(func(r medians) float64 { return r.rss }), kernel: of(func(r medians) float64 { return r.kernel }),
	}
}
