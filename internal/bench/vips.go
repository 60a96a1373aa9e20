package main

import (
	"encoding/json"
	"fmt"
	"os"
	"strconv"
	"strings"
)

// vipRow is what the program vip prints for each figure.
type vipRow struct {
	From, Figure                              string
	Endpoints                                 int
	VIP, Direct, HAProxy, ToDirect, ToHAProxy float64
	ToFewest                                  float64
}

// timeVIPs adds what connections through VIPs cost to the table.
func (b *bench) timeVIPs(t *table) error {
	if b.vip == "" {
		return nil
	}
	fmt.Fprintln(os.Stderr, "VIPs")
	out, err := b.output(b.vip, "-runs", strconv.Itoa(b.runs), "-haproxy", b.haproxy)
	if err != nil {
		return err
	}
	var rows []vipRow
	if err := json.Unmarshal(out, &rows); err != nil {
		return fmt.Errorf("%s: %w", b.vip, err)
	}
	endpoints := func(n int) string {
		if n == 1 {
			return "1 endpoint"
		}
		return fmt.Sprintf("%d endpoints", n)
	}
	for _, r := range rows {
		name, direct := "from the internet", "bare routing "
		if r.From != "internet" {
			name, direct = "from another subnet", "instance's address "
		}
		beside, compared := []string{direct + amount(r.Figure, r.Direct)}, []string{fmt.Sprintf("%.2f×", r.ToDirect)}
		if r.HAProxy > 0 {
			beside, compared = append(
				beside,
				"HAProxy "+amount(r.Figure, r.HAProxy),
			), append(
				compared,
				fmt.Sprintf("%.2f×", r.ToHAProxy),
			)
		}
		if r.ToFewest > 0 {
			beside, compared = append(
				beside,
				"with "+endpoints(rows[0].Endpoints),
			), append(
				compared,
				fmt.Sprintf("%.2f×", r.ToFewest),
			)
		}
		t.add(fmt.Sprintf("VIP %s, %s, %s", name, r.Figure, endpoints(r.Endpoints)), amount(r.Figure, r.VIP),
			strings.Join(beside, "; "), strings.Join(compared, "; "), "within 15 % of direct")
	}
	return nil
}

func amount(figure string, v float64) string {
	switch {
	case strings.HasSuffix(figure, "per second"):
		return fmt.Sprintf("%.0f/s", v)
	case figure == "throughput":
		return fmt.Sprintf("%.2f GB/s", v/1e9)
	}
	return fmt.Sprintf("%.0f µs", v*1e6)
}
