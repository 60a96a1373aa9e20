package main

import (
	"strings"
	"testing"

	"vnetlab/emu"
	"vnetlab/lab/expect"
)

// TestTableWidth holds that a table fits the terminal: text wraps at words, and columns give way from the last one on.
func TestTableWidth(t *testing.T) {
	titled := &table{titled: true, rows: [][]string{
		{"NAME", "\x1b[1mADDRESS\x1b[0m", "WHAT IT IS FOR", "FILE"},
		{"web", "10.0.1.4", "a web server of two", "/home/me/labs/first/lab.yaml"},
	}}
	untitled := &table{
		indent: "  ",
		rows: [][]string{{
			"ok", "laptop -> sql1:1433", "blocked",
			"by sql1: guest firewall: inbound is blocked unless a rule allows it",
		}},
	}
	for _, tt := range []struct {
		name    string
		table   *table
		columns int
		want    string
		hidden  string
	}{
		{"any width", titled, 0, "NAME  ADDRESS   WHAT IT IS FOR       FILE\nweb   10.0.1.4  a web server of two  /home/me/labs/first/lab.yaml", ""},
		{
			"wide enough", titled, 65,
			"NAME  ADDRESS   WHAT IT IS FOR       FILE\nweb   10.0.1.4  a web server of two  /home/me/labs/first/lab.yaml", "",
		},
		{"one gives way", titled, 40, "NAME  ADDRESS   WHAT IT IS FOR\nweb   10.0.1.4  a web server of two", "FILE"},
		{
			"text wraps", titled, 33, "NAME  ADDRESS   WHAT IT IS FOR\nweb   10.0.1.4  a web server of\n                two",
			"FILE",
		},
		{"two give way", titled, 20, "NAME  ADDRESS\nweb   10.0.1.4", "WHAT IT IS FOR FILE"},
		{"one is left", titled, 3, "NA…\nweb", "ADDRESS WHAT IT IS FOR FILE"},
		{
			"without titles", untitled, 60,
			"  ok  laptop -> sql1:1433  blocked  by sql1: guest firewall:\n" + strings.Repeat(" ", 36) + "inbound is blocked\n" +
				strings.Repeat(" ", 36) + "unless a rule allows it", "",
		},
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

// TestTableFits holds that no line is longer than the terminal is wide, down to one on which hardly anything fits.
func TestTableFits(t *testing.T) {
	long := strings.Repeat("x", 70)
	for name, rows := range map[string]*table{
		"titled": {
			titled: true,
			rows:   [][]string{{"ENDPOINT", "PUBLIC"}, {"an-endpoint-with-a-long-name", "contactmanager.cloudapp.net:80/tcp"}},
		},
		"untitled": {rows: [][]string{
			{"endpoint sql", "contactsql.cloudapp.net:57500/tcp to port 1433"},
			{"mount", "\x1b[1m/srv/" + long + "\x1b[0m"},
		}},
		"indented": {
			indent: "  ",
			rows:   [][]string{{"route 10.0.0.0/8 of the namespace with a long name", "is missing"}, {long, "was added"}},
		},
	} {
		for columns := 8; columns <= 120; columns++ {
			lines, _ := rows.lines(columns)
			var text strings.Builder
			for _, row := range lines {
				for _, line := range row {
					text.WriteString(plain(line))
					if w := width(line); w > columns {
						t.Errorf("%s: %d columns on a terminal of %d: %q", name, w, columns, line)
					}
				}
			}
			if rows.titled {
				continue
			}
			for _, row := range rows.rows { // nothing of a table without titles is left out
				for _, cell := range row {
					got := strings.Count(text.String(), "x")
					if strings.Contains(cell, long) && got < len(long) {
						t.Errorf("%s: %d columns: %d of %d characters", name, columns, got, len(long))
					}
				}
			}
		}
	}
}

// TestStackedCase holds that a case fits a narrow terminal with its question, its verdict and its rule.
func TestStackedCase(t *testing.T) {
	for _, columns := range []int{20, 40, 59, 80} {
		a := &app{stdout: &output{columns: columns}}
		c := expect.Case{
			Name:    "ContactManager.Web_IN_0 -> contactmanager.cloudapp.net:8080",
			Verdict: emu.Blocked,
			By: &emu.RuleReference{
				Namespace: "sql1",
				Text:      "guest firewall: inbound is blocked unless a rule allows it",
			},
		}
		lines := a.caseLines([]expect.Case{c}, places{})[0]
		for _, line := range lines {
			if width(line) > columns {
				t.Errorf("%d columns: %q", columns, line)
			}
		}
		text := strings.Join(strings.Fields(strings.Join(lines, "")), "")
		for _, part := range []string{"FAIL", "contactmanager.cloudapp.net:8080", "blocked", "guestfirewall:inbound"} {
			if !strings.Contains(text, part) {
				t.Errorf("%d columns: no %s in %q", columns, part, lines)
			}
		}
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
