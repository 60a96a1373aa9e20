package platformdoc

import (
	"bufio"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// top is the folder of the module.
var top = filepath.Join("..", "..")

// document is docs/platform.md: its text, and the rows of its tables by the heading above.
type document struct {
	text string
	rows map[string][]row
}

// row is a line of a table.
type row struct {
	line  int
	cells []string
}

func readDocument(t *testing.T) document {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(top, "docs", "platform.md"))
	if err != nil {
		t.Fatal(err)
	}
	d := document{text: string(text), rows: map[string][]row{}}
	section, n, underHead := "", 0, false
	lines := bufio.NewScanner(strings.NewReader(d.text))
	for lines.Scan() {
		n++
		line := lines.Text()
		switch {
		case strings.HasPrefix(line, "## "):
			section = strings.TrimPrefix(line, "## ")
		case strings.HasPrefix(line, "|---"):
			underHead = true
		case strings.HasPrefix(line, "|") && underHead:
			d.rows[section] = append(d.rows[section], row{n, cells(line)})
		case !strings.HasPrefix(line, "|"):
			underHead = false
		}
	}
	return d
}

func cells(line string) (all []string) {
	for c := range strings.SplitSeq(strings.Trim(line, "|"), " | ") {
		all = append(all, strings.TrimSpace(c))
	}
	return all
}

var code = regexp.MustCompile("`([^`]+)`")

// codes are what stands in backquotes.
func codes(text string) (all []string) {
	for _, m := range code.FindAllStringSubmatch(text, -1) {
		all = append(all, m[1])
	}
	return all
}

// section finds the heading that begins with a number.
func (d document) section(number string) string {
	for s := range d.rows {
		if strings.HasPrefix(s, number+" ") {
			return s
		}
	}
	return ""
}

// sections are those of the platform's behaviors.
var sections = []string{"1", "2", "3", "4", "5", "6", "7", "8", "9", "10", "11"}

func TestEachSectionHasRows(t *testing.T) {
	d := readDocument(t)
	all := 0
	for _, number := range sections {
		rows := d.rows[d.section(number)]
		if len(rows) < 5 {
			t.Errorf("section %s has %d rows", number, len(rows))
		}
		for _, r := range rows {
			if len(r.cells) != 4 {
				t.Errorf("line %d has %d cells, want behavior, source, vnetlab, shown by", r.line, len(r.cells))
				continue
			}
			for i, c := range r.cells {
				if c == "" {
					t.Errorf("line %d: cell %d is empty", r.line, i+1)
				}
			}
			all++
		}
	}
	t.Logf("%d rows", all)
	if len(d.rows["Left out"]) == 0 {
		t.Error("nothing is left out")
	}
}

// TestSourcesAreListed holds that each source that a row names is a public document in the list.
func TestSourcesAreListed(t *testing.T) {
	d := readDocument(t)
	listed, used := map[string]bool{"not documented": true}, map[string]bool{}
	for _, r := range d.rows["Sources"] {
		for name := range strings.SplitSeq(r.cells[0], ", ") {
			listed[name] = true
		}
	}
	// A name may have a comma.
	listed["Web sites, cloud services and virtual machines"], listed["IP addresses, classic"] = true, true
	check := func(r row, cell string) {
		for source := range strings.SplitSeq(cell, "; ") {
			source = strings.TrimSuffix(source, ", *a later document*")
			used[source] = true
			if !listed[source] {
				t.Errorf("line %d: %q is not in the list of sources", r.line, source)
			}
		}
	}
	for _, number := range sections {
		for _, r := range d.rows[d.section(number)] {
			check(r, r.cells[1])
		}
	}
	for _, r := range d.rows["Error texts"] {
		check(r, r.cells[2])
	}
	for _, r := range d.rows["Sources"] {
		any := used[r.cells[0]]
		for name := range strings.SplitSeq(r.cells[0], ", ") {
			any = any || used[name]
		}
		if !any {
			t.Errorf("line %d: nobody uses %q", r.line, r.cells[0])
		}
	}
}

// TestLinks holds that links within the document lead somewhere.
func TestLinks(t *testing.T) {
	d := readDocument(t)
	anchors := map[string]bool{}
	for line := range strings.SplitSeq(d.text, "\n") {
		if heading, ok := strings.CutPrefix(line, "## "); ok {
			anchors[strings.ReplaceAll(strings.ToLower(heading), " ", "-")] = true
		}
	}
	for _, m := range regexp.MustCompile(`\]\(#([^)]+)\)`).FindAllStringSubmatch(d.text, -1) {
		if !anchors[m[1]] {
			t.Errorf("there is no heading #%s", m[1])
		}
	}
	if m := regexp.MustCompile(`/(work|tmp|home)/\S*`).FindString(d.text); m != "" {
		t.Errorf("%s is a place on somebody's machine", m)
	}
}
