package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"vnetlab/emu/kernel"
)

const labName = "bench"

// instances measures labs of n instances and the bare program with the same file, in turns, so that both meet the same
// machine.
func (b *bench) instances(n int) (lab, bare medians, err error) {
	file := filepath.Join(b.dir, fmt.Sprintf("%d.yaml", n))
	if err := os.WriteFile(file, []byte(labFile(labName, n)), 0o644); err != nil {
		return lab, bare, err
	}
	var labs, bares []medians
	for i := range b.runs {
		fmt.Fprintf(os.Stderr, "%d instances, run %d of %d\n", n, i+1, b.runs)
		m, err := b.timeBare(file)
		if err != nil {
			return lab, bare, err
		}
		bares = append(bares, m)
		if m, err = b.timeLab(file); err != nil {
			return lab, bare, err
		}
		labs = append(labs, m)
	}
	return mediansOf(labs), mediansOf(bares), nil
}

func (b *bench) timeBare(file string) (medians, error) {
	out, err := b.output(b.bare, file)
	if err != nil {
		return medians{}, err
	}
	var r struct{ UpSeconds, DownSeconds float64 }
	if err := json.Unmarshal(out, &r); err != nil {
		return medians{}, fmt.Errorf("%s: %w", b.bare, err)
	}
	// The program saw its last link end. The kernel is done some time later, which is what lab down waits for.
	start := time.Now()
	if err := kernel.WaitUntilGone(context.Background()); err != nil {
		return medians{}, err
	}
	return medians{up: r.UpSeconds, down: r.DownSeconds + time.Since(start).Seconds()}, nil
}

// rest is how long after its start the supervisor's memory is looked at: it gives back what building took after it
// has said that it is ready.
const rest = 2 * time.Second

// timeLab times the commands as a user would: with the start of the supervisor, reading the file, and every listener
// there.
func (b *bench) timeLab(file string) (m medians, err error) {
	before, err := kernelMemory()
	if err != nil {
		return m, err
	}
	start := time.Now()
	if _, err := b.output(b.lab, "up", file); err != nil {
		return m, err
	}
	m.up = time.Since(start).Seconds()
	after, err := kernelMemory()
	if err == nil {
		time.Sleep(rest)
		m.rss, err = b.supervisorRSS()
	}
	m.kernel = after - before
	start = time.Now()
	if _, downErr := b.output(b.lab, "down", labName); downErr != nil {
		return m, downErr
	}
	m.down = time.Since(start).Seconds()
	return m, err
}

func (b *bench) supervisorRSS() (float64, error) {
	lock, err := os.ReadFile(filepath.Join(b.dir, "run", labName, "lock"))
	if err != nil {
		return 0, err
	}
	pid, err := strconv.Atoi(strings.TrimSpace(string(lock)))
	if err != nil {
		return 0, fmt.Errorf("process id of the supervisor: %w", err)
	}
	return field(fmt.Sprintf("/proc/%d/status", pid), "VmRSS")
}

// kernelMemory is what the kernel holds for itself. The share of network namespaces is in its slabs and its
// per-processor memory; page cache, which comes and goes, is in none of these.
func kernelMemory() (float64, error) {
	var sum float64
	for _, name := range []string{"SUnreclaim", "Percpu", "VmallocUsed"} {
		bytes, err := field("/proc/meminfo", name)
		if err != nil {
			return 0, err
		}
		sum += bytes
	}
	return sum, nil
}

// field reads a line such as "VmRSS:  1234 kB", in bytes.
func field(path, name string) (float64, error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return 0, err
	}
	for line := range strings.SplitSeq(string(text), "\n") {
		var kib float64
		if _, err := fmt.Sscanf(line, name+": %f kB", &kib); err == nil {
			return kib * 1024, nil
		}
	}
	return 0, fmt.Errorf("%s has no %s", path, name)
}

func (b *bench) timeMininet() (medians, error) {
	var runs []medians
	for i := range b.runs {
		fmt.Fprintf(os.Stderr, "Mininet, %d hosts, run %d of %d\n", b.mininetHosts, i+1, b.runs)
		out, err := b.output(b.mininet, strconv.Itoa(b.mininetHosts))
		if err != nil {
			return medians{}, err
		}
		var r struct{ UpSeconds, DownSeconds float64 }
		if err := json.Unmarshal(out, &r); err != nil {
			return medians{}, fmt.Errorf("%s: %w", b.mininet, err)
		}
		runs = append(runs, medians{up: r.UpSeconds, down: r.DownSeconds})
	}
	return mediansOf(runs), nil
}

type probeResult struct {
	name    string
	seconds float64
}

// timeProbes runs the Go benchmark of sweeps and takes the median of each of its lines.
func (b *bench) timeProbes() ([]probeResult, error) {
	fmt.Fprintln(os.Stderr, "probes")
	out, err := b.output(b.probes, strconv.Itoa(b.runs))
	if err != nil {
		return nil, err
	}
	var names []string
	times := map[string][]float64{}
	for line := range strings.SplitSeq(string(out), "\n") {
		f := strings.Fields(line) // BenchmarkSweep/100-2  3  250000000 ns/op ...
		if len(f) < 4 || !strings.HasPrefix(f[0], "Benchmark") || f[3] != "ns/op" {
			continue
		}
		ns, err := strconv.ParseFloat(f[2], 64)
		if err != nil {
			return nil, err
		}
		if times[f[0]] == nil {
			names = append(names, f[0])
		}
		times[f[0]] = append(times[f[0]], ns/1e9)
	}
	if len(names) == 0 {
		return nil, fmt.Errorf("%s printed no result of a benchmark:\n%s", b.probes, out)
	}
	results := make([]probeResult, len(names))
	for i, n := range names {
		results[i] = probeResult{"probes, " + n, median(times[n])}
	}
	return results, nil
}

// output runs a program and gives what it printed; the labs it runs keep their state in a folder of the benchmark's
// own.
func (b *bench) output(program string, args ...string) ([]byte, error) {
	cmd := exec.Command(program, args...)
	cmd.Env = append(os.Environ(), "VNETLAB_RUN="+filepath.Join(b.dir, "run"))
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		return nil, fmt.Errorf("%s %s: %w\n%s%s", program, strings.Join(args, " "), err, out, stderr.Bytes())
	}
	return out, nil
}
