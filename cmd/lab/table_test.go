package main

import (
	"strings"
	"testing"
)

// TestTableWidth holds that a table fits the terminal: text wraps at words, and columns give way from the last one on.
func TestTableWidth(t *testing.T) {
	titled := &table{titled: true, rows: [][]string{
		{"NAME", "\x1b[1mADDRESS\x1b[0m", "WHAT IT IS FOR", "FILE"},
		{"web", "10.0.1.4", "a web server of two", "/home/me/labs/first/lab.yaml"},
	}}
	untitled := &table{indent: "  ", rows: [][]string{{"ok", "laptop -> sql1:1433", "blocked", "by sql1: guest firewall: inbound is blocked unless a rule allows it"}}}
	for _, tt := range []struct {
		name    string
		table   *table
		columns int
		want    string
		hidden  string
	}{
		{"any width", titled, 0, "NAME  ADDRESS   WHAT IT IS FOR       FILE\nweb   10.0.1.4  a web server of two  /home/me/labs/first/lab.yaml", ""},
		{"wide enough", titled, 65, "NAME  ADDRESS   WHAT IT IS FOR       FILE\nweb   10.0.1.4  a web server of two  /home/me/labs/first/lab.yaml", ""},
		{"one gives way", titled, 40, "NAME  ADDRESS   WHAT IT IS FOR\nweb   10.0.1.4  a web server of two", "FILE"},
		{"text wraps", titled, 33, "NAME  ADDRESS   WHAT IT IS FOR\nweb   10.0.1.4  a web server of\n                two", "FILE"},
		{"two give way", titled, 20, "NAME  ADDRESS\nweb   10.0.1.4", "WHAT IT IS FOR FILE"},
		{"one is left", titled, 3, "NAME\nweb", "ADDRESS WHAT IT IS FOR FILE"},
		{"without titles", untitled, 60, "  ok  laptop -> sql1:1433  blocked  by sql1: guest firewall:\n" + strings.Repeat(" ", 36) + "inbound is blocked\n" +
			strings.Repeat(" ", 36) + "unless a rule allows it", ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			rows, hidden := tt.table.lines(tt.columns)
			var lines []string
			for _, row := range rows {
				lines = append(lines, row...)
			}
			if got := plain(strings.Join(lines, "\n")); got != tt.want {
				t.Errorf("got\n%s\nwant\n%s", got, tt.want)
			}
			if got := strings.Join(hidden, " "); got != tt.hidden {
				t.Errorf("hidden %q, want %q", got, tt.hidden)
			}
		})
	}
}

func TestCut(t *testing.T) {
	for _, tt := range []struct {
		text   string
		places int
		want   string
	}{{"short", 5, "short"}, {"longer", 5, "long…"}, {"größer", 4, "grö…"}, {"any", -1, "any"}} {
		if got := cut(tt.text, tt.places); got != tt.want {
			t.Errorf("cut(%q, %d) = %q, want %q", tt.text, tt.places, got, tt.want)
		}
	}
}
