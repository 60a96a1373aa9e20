package main

import (
	"fmt"
	"os"
	"runtime"
	"strings"
	"time"
	"unicode/utf8"
)

// table is printed as Markdown, with columns that line up.
type table struct{ rows [][]string }

func (t *table) add(cells ...string) { t.rows = append(t.rows, cells) }

func (t *table) String() string {
	rows := append([][]string{{"work", "lab", "beside it", "ratio", "goal"}, nil}, t.rows...)
	widths := make([]int, len(rows[0]))
	for _, r := range rows {
		for i, c := range r {
			widths[i] = max(widths[i], utf8.RuneCountInString(c))
		}
	}
	var b strings.Builder
	for _, r := range rows {
		for i, w := range widths {
			cell := strings.Repeat("-", w)
			if r != nil {
				cell = r[i] + strings.Repeat(" ", w-utf8.RuneCountInString(r[i]))
			}
			b.WriteString("| " + cell + " ")
		}
		b.WriteString("|\n")
	}
	return b.String()
}

func seconds(s float64) string {
	if s < 0.1 {
		return fmt.Sprintf("%.1f ms", s*1e3)
	}
	return fmt.Sprintf("%.2f s", s)
}

func ratio(a, b float64) string {
	if b == 0 {
		return ""
	}
	return fmt.Sprintf("%.2f×", a/b)
}

func kib(bytes float64) string { return fmt.Sprintf("%.0f KiB", bytes/1024) }

// machine says what the figures belong to.
func machine(runs int) string {
	release, _ := os.ReadFile("/proc/sys/kernel/osrelease") // only told
	return fmt.Sprintf(
		"Medians of %d runs, %s, Linux %s, %d processors, %s. The times of lab are those of the whole command, with its start, "+
			"the reading of the file, the listeners and the comparison with the kernel; the bare program makes the same links, addresses, routes, "+
			"neighbors, bridge ports and rules and nothing else, and its time begins when it has read the file. Kernel memory is the "+
			"growth of SUnreclaim, Percpu and VmallocUsed in /proc/meminfo. The time of an operation is from the request on the control socket to the "+
			"answer, with the new listeners. Bare routing has the same hosts and cables as the path through a VIP and no rules in any router; HAProxy "+
			"listens on the VIPs at its edge, in TCP mode. The ratios of VIPs are medians of the ratios of short turns.\n",
		runs,
		time.Now().UTC().Format("2006-01-02"),
		strings.TrimSpace(string(release)),
		runtime.NumCPU(),
		runtime.Version(),
	)
}
