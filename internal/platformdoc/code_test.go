package platformdoc

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// suite is a package's tests: the functions with all strings in their bodies, and its folder.
type suite struct {
	dir   string
	tests map[string][]string
	// entries are the first strings of composite literals, joined: cases that are named by several fields.
	entries map[string]map[string]bool
}

var testReference = regexp.MustCompile(`^([a-z]+)\.(Test[A-Za-z0-9]+)(?:/(.+))?$`)

// TestShownBy holds that every test that the document names is there, and its case.
func TestShownBy(t *testing.T) {
	d, suites := readDocument(t), readSuites(t)
	for _, number := range sections {
		for _, r := range d.rows[d.section(number)] {
			shown := codes(r.cells[len(r.cells)-1])
			if len(shown) == 0 {
				t.Errorf("line %d: no test is named", r.line)
			}
			for _, s := range shown {
				if !testReference.MatchString(s) && !isScript(s) {
					t.Errorf("line %d: %s is neither a test nor a script", r.line, s)
				}
			}
		}
	}
	exist(t, suites, d.text)
}

// TestSecurityShownBy holds that every test that SECURITY.md names is there.
func TestSecurityShownBy(t *testing.T) {
	text, err := os.ReadFile(filepath.Join(top, "SECURITY.md"))
	if err != nil {
		t.Fatal(err)
	}
	if n := exist(t, readSuites(t), string(text)); n < 10 {
		t.Errorf("it names %d tests", n)
	}
}

// exist checks the tests that a document names, and returns how many it does.
func exist(t *testing.T, suites map[string][]suite, text string) (n int) {
	t.Helper()
	for _, s := range codes(text) {
		m := testReference.FindStringSubmatch(s)
		if m == nil || m[1] == "package" {
			continue
		}
		n++
		if !slices.ContainsFunc(suites[m[1]], func(s suite) bool { return s.has(m[2], m[3]) }) {
			t.Errorf("there is no test %s", s)
		}
	}
	return n
}

func isScript(name string) bool {
	_, err := os.Stat(filepath.Join(top, name))
	return strings.HasSuffix(name, ".txtar") && err == nil
}

// has tells whether a test exists and, where a case is named, that it has a string or an entry of that name, or a
// file in testdata.
func (s suite) has(test, name string) bool {
	texts, ok := s.tests[test]
	if !ok || name == "" || slices.Contains(texts, name) || s.entries[test][name] {
		return ok
	}
	files, _ := filepath.Glob(filepath.Join(s.dir, "testdata", "*", name+".*"))
	return len(files) > 0
}

// readSuites reads the tests of the module by the last part of their package's path.
func readSuites(t *testing.T) map[string][]suite {
	t.Helper()
	byDir := map[string]suite{}
	parse(
		t,
		top,
		func(name string) bool { return strings.HasSuffix(name, "_test.go") },
		func(file string, f *ast.File) {
			dir := filepath.Dir(file)
			if _, ok := byDir[dir]; !ok {
				byDir[dir] = suite{dir, map[string][]string{}, map[string]map[string]bool{}}
			}
			for _, decl := range f.Decls {
				fn, ok := decl.(*ast.FuncDecl)
				if !ok || fn.Recv != nil || !strings.HasPrefix(fn.Name.Name, "Test") {
					continue
				}
				entries := map[string]bool{}
				byDir[dir].entries[fn.Name.Name] = entries
				byDir[dir].tests[fn.Name.Name] = stringsIn(fn)
				ast.Inspect(fn, func(n ast.Node) bool {
					if literal, ok := n.(*ast.CompositeLit); ok && len(literal.Elts) > 1 {
						first, second := text(literal.Elts[0]), text(literal.Elts[1])
						entries[first+" "+second] = true
					}
					return true
				})
			}
		},
	)
	all := map[string][]suite{}
	for dir, s := range byDir {
		all[filepath.Base(dir)] = append(all[filepath.Base(dir)], s)
	}
	return all
}

// parse reads the Go files below a folder.
func parse(t *testing.T, root string, wanted func(name string) bool, each func(file string, f *ast.File)) {
	t.Helper()
	err := filepath.WalkDir(root, func(file string, entry fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case entry.IsDir() && file != root && (strings.HasPrefix(entry.Name(), ".") || entry.Name() == "testdata"):
			return filepath.SkipDir
		case entry.IsDir() || !wanted(entry.Name()):
			return nil
		}
		f, err := parser.ParseFile(token.NewFileSet(), file, nil, parser.SkipObjectResolution)
		if err != nil {
			return err
		}
		each(file, f)
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

func stringsIn(n ast.Node) (all []string) {
	ast.Inspect(n, func(n ast.Node) bool {
		if e, ok := n.(ast.Expr); ok {
			if s := text(e); s != "" {
				all = append(all, s)
			}
		}
		return true
	})
	return all
}

// text returns the value of a string literal, or of several that are added.
func text(e ast.Expr) string {
	if sum, ok := e.(*ast.BinaryExpr); ok && sum.Op == token.ADD {
		if left, right := text(sum.X), text(sum.Y); left != "" && right != "" {
			return left + right
		}
		return ""
	}
	literal, ok := e.(*ast.BasicLit)
	if !ok || literal.Kind != token.STRING {
		return ""
	}
	s, err := strconv.Unquote(literal.Value)
	if err != nil {
		return ""
	}
	return s
}

// isCode reports whether a file has code of a package, not of its tests.
func isCode(name string) bool { return path.Ext(name) == ".go" && !strings.HasSuffix(name, "_test.go") }

// TestOperationsAreListed holds that the document has every operation of the package lab, and no other.
func TestOperationsAreListed(t *testing.T) {
	d, listed := readDocument(t), map[string]bool{}
	for _, r := range d.rows["Operations"] {
		for _, name := range codes(r.cells[0]) {
			listed[name] = true
		}
	}
	found := 0
	parse(t, filepath.Join(top, "lab"), isCode, func(_ string, f *ast.File) {
		if f.Name.Name != "lab" {
			return
		}
		ast.Inspect(f, func(n ast.Node) bool {
			if spec, ok := n.(*ast.TypeSpec); ok {
				if name, ok := strings.CutSuffix(spec.Name.Name, "Op"); ok {
					found++
					if !listed[name] {
						t.Errorf("the operation %s is not in the document", name)
					}
					delete(listed, name)
				}
			}
			return true
		})
	})
	if found == 0 {
		t.Error("there is no operation")
	}
	for name := range listed {
		t.Errorf("there is no operation %s", name)
	}
}

// TestRulesAreListed holds that the document has the id of every rule that drops.
func TestRulesAreListed(t *testing.T) {
	d, listed := readDocument(t), map[string]bool{}
	for _, r := range d.rows["What decides, in verdicts"] {
		for _, id := range codes(r.cells[0]) {
			listed[id] = true
		}
	}
	found := 0
	parse(
		t,
		filepath.Join(top, "lab", "rules"),
		func(name string) bool { return name == "rules.go" },
		func(_ string, f *ast.File) {
			for _, decl := range f.Decls {
				group, ok := decl.(*ast.GenDecl)
				if !ok || group.Tok != token.CONST {
					continue
				}
				for _, spec := range group.Specs {
					value := spec.(*ast.ValueSpec) //nolint:forcetypeassert // of a constant
					found++
					if id := text(value.Values[0]); !listed[id] {
						t.Errorf("the rule %s is not in the document", id)
					}
				}
			}
		},
	)
	if found == 0 {
		t.Error("there is no rule")
	}
	for _, id := range []string{"firewall-default", "firewall:RULE", "other-deployment:DEPLOYMENT"} {
		if !listed[id] {
			t.Errorf("the rule %s is not in the document", id)
		}
	}
}

// TestAddressesAreThose holds the addresses of the document.
func TestAddressesAreThose(t *testing.T) {
	d := readDocument(t)
	var listed strings.Builder
	for _, r := range d.rows["Addresses"] {
		listed.WriteString(r.cells[0] + " ")
	}
	address := regexp.MustCompile(`^\d+\.\d+\.\d+\.\d+(/\d+)?$`)
	var wanted []string
	parse(
		t,
		filepath.Join(top, "lab"),
		func(name string) bool { return name == "addresses.go" },
		func(_ string, f *ast.File) {
			for _, s := range stringsIn(f) {
				if address.MatchString(s) && s != "100.64.0.0/10" { // what isn't routed: both ranges below it
					wanted = append(wanted, s)
				}
			}
		},
	)
	if len(wanted) == 0 {
		t.Error("there is no address")
	}
	for _, a := range wanted {
		if !strings.Contains(listed.String(), a) {
			t.Errorf("%s is not in the document", a)
		}
	}
}

// TestErrorTextsAreThose holds that the platform's texts are what the code says.
func TestErrorTextsAreThose(t *testing.T) {
	var said strings.Builder
	parse(t, filepath.Join(top, "lab"), isCode, func(_ string, f *ast.File) {
		for _, s := range stringsIn(f) {
			said.WriteString(s + "\n")
		}
	})
	rows := readDocument(t).rows["Error texts"]
	if len(rows) == 0 {
		t.Error("there is no error text")
	}
	for _, r := range rows {
		for part := range strings.SplitSeq(codes(r.cells[1])[0], "…") {
			if !strings.Contains(said.String(), strings.TrimSpace(part)) {
				t.Errorf("line %d: nobody says %q", r.line, part)
			}
		}
	}
}
