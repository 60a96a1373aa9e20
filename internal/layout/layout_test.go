package layout

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
)

const (
	module        = "vnetlab"
	maxLines      = 400
	maxTestLines  = 500
	kernelPackage = "emu/kernel"
)

// emuData are the packages of emu that only hold, compare and print data, each of which may use those before it.
// They need no kernel and no root.
var emuData = []string{"emu", "emu/diff", "emu/text"}

// kernelLibraries change the kernel's networking: one package may.
var kernelLibraries = []string{
	"github.com/vishvananda/netlink",
	"github.com/vishvananda/netns",
	"github.com/google/nftables",
	"github.com/coreos/go-iptables",
}

// impure is what a package that needs no kernel, no root and no clock doesn't import.
var impure = []string{"os/exec", "os/signal", "syscall", "golang.org/x/sys"}

// running are the packages that run labs or talk to one that runs.
var running = []string{"lab/client", "lab/engine", "lab/server", "lab/supervisor"}

// file is one Go file of the tree.
type file struct {
	path    string // from the top folder, with slashes
	pkg     string // its folder
	test    bool
	lines   int
	imports []string
	doc     bool // has a package comment
	syntax  *ast.File
	fset    *token.FileSet
}

func TestImportDirections(t *testing.T) {
	for _, f := range readTree(t) {
		for _, imported := range f.imports {
			if why := forbidden(f.pkg, imported); why != "" {
				t.Errorf("%s imports %s: %s", f.path, imported, why)
			}
		}
	}
}

// A client of labs runs where labs don't: on another machine, or in another program.
func TestClientNeedsNoKernel(t *testing.T) {
	out, err := exec.Command("go", "list", "-deps", module+"/lab/client").Output()
	if err != nil {
		t.Fatal(err)
	}
	deps := strings.Fields(string(out))
	if !slices.Contains(deps, module+"/lab/api") {
		t.Fatalf("the dependencies of lab/client are %v", deps)
	}
	for _, d := range deps {
		if within(d, kernelLibraries...) || within(d, "golang.zx2c4.com", "gvisor.dev") ||
			strings.HasPrefix(d, module+"/emu/") || within(d, module+"/lab/labfile", module+"/lab/compile") {
			t.Errorf("lab/client depends on %s", d)
		}
	}
}

// The rules must forbid what they are for: a rule that matches nothing holds nothing.
func TestForbidden(t *testing.T) {
	for _, tt := range []struct {
		pkg, imported string
		forbidden     bool
	}{
		{"emu", "vnetlab/lab", true},
		{"emu/kernel", "vnetlab/lab/compile", true},
		{"emu/probe", "vnetlab/scenarios", true},
		{"emu/probe", "vnetlab/cmd/lab", true},
		{"emu/probe", "vnetlab/emu/kernel", false},
		{"emu/probe", "github.com/vishvananda/netlink", true},
		{"emu/probe", "github.com/vishvananda/netlink/nl", true},
		{"emu/probe", "github.com/mdlayher/netlink", false},
		{"emu/kernel", "github.com/vishvananda/netlink/nl", false},
		{"lab", "vnetlab/emu", false},
		{"lab", "vnetlab/emu/diff", false},
		{"lab", "vnetlab/emu/kernel", true},
		{"emu", "vnetlab/emu/diff", true},
		{"emu/diff", "vnetlab/emu", false},
		{"emu/diff", "vnetlab/emu/text", true},
		{"emu/diff", "vnetlab/emu/kernel", true},
		{"emu/diff", "os/exec", true},
		{"emu/text", "vnetlab/emu/diff", false},
		{"emu/text", "vnetlab/emu/probe", true},
		{"emu/kernel", "vnetlab/emu/text", false},
		{"emu/probe", "vnetlab/emu/internal/nonblocking", false},
		{"lab/supervisor", "vnetlab/emu/internal/nonblocking", true},
		{"lab/compile", "vnetlab/lab", false},
		{"lab/compile", "vnetlab/lab/engine", true},
		{"lab/labfile", "vnetlab/lab/api", false},
		{"lab/labfile", "vnetlab/scenarios", true},
		{"lab/oracle", "os/exec", true},
		{"lab/oracle", "vnetlab/lab/compile", true},
		{"lab/oracle", "vnetlab/lab/rules", false},
		{"lab/api", "vnetlab/lab", false},
		{"lab/api", "vnetlab/emu", false},
		{"lab/api", "vnetlab/lab/labfile", true},
		{"lab/client", "vnetlab/lab/api", false},
		{"lab/client", "vnetlab/internal/descriptors", false},
		{"lab/client", "vnetlab/emu/process", true},
		{"lab/client", "vnetlab/lab/labfile", true},
		{"lab/client", "vnetlab/lab/supervisor", true},
		{"lab/client", "golang.org/x/sys/unix", true},
		{"lab/engine", "vnetlab/lab/compile", false},
		{"lab/engine", "vnetlab/emu/emulator", true},
		{"lab/engine", "vnetlab/lab/server", true},
		{"lab/server", "vnetlab/lab/labfile", false},
		{"lab/server", "vnetlab/lab/engine", true},
		{"lab/supervisor", "os/exec", false},
		{"lab/supervisor", "vnetlab/emu/emulator", false},
		{"lab/supervisor", "vnetlab/lab/engine", false},
		{"lab/supervisor", "vnetlab/scenarios", true},
		{"lab/supervisor", "github.com/google/nftables", true},
		{"scenarios", "vnetlab/lab/labfile", false},
		{"scenarios", "vnetlab/lab/supervisor", true},
		{"cmd/lab", "vnetlab/lab/supervisor", false},
		{"cmd/lab", "vnetlab/lab/engine", true},
		{"cmd/lab", "vnetlab/emu/kernel", true},
		{"cmd/lab", "vnetlab/emu/text", false},
		{"emu/probe", "vnetlab/internal/sockets", false},
		{"lab/supervisor", "vnetlab/internal/bench", true},
		{"internal/sockets", "vnetlab/emu", true},
		{"internal/bench/bare", "github.com/vishvananda/netlink", false},
		{"internal/bench/bare", "vnetlab/emu/kernel", true},
		{"internal/bench/bare", "vnetlab/emu/text", false},
	} {
		if got := forbidden(tt.pkg, tt.imported) != ""; got != tt.forbidden {
			t.Errorf("%s importing %s: forbidden %v, want %v", tt.pkg, tt.imported, got, tt.forbidden)
		}
	}
}

// forbidden says why a package must not import another; empty: it may.
func forbidden(pkg, imported string) string {
	ours, isOurs := strings.CutPrefix(imported, module+"/")
	bench := within(pkg, "internal/bench")
	if within(imported, kernelLibraries...) && pkg != kernelPackage && !bench {
		return "only " + kernelPackage + " talks to the kernel's networking"
	}
	pure := within(pkg, "lab") && !within(pkg, "lab/supervisor")
	if pure && within(imported, impure...) {
		return "lab is pure: no kernel, no root"
	}
	if slices.Contains(emuData, pkg) && within(imported, impure...) {
		return "a network is data: no kernel, no root"
	}
	if !isOurs {
		return ""
	}
	switch {
	case helper(pkg):
		return "a package that everybody may use uses none of ours"
	case helper(ours):
		return ""
	case within(pkg, "emu") && !within(ours, "emu"):
		return "emu knows nothing of what is above it"
	case within(ours, "emu/internal") && !within(pkg, "emu"):
		return "internal to emu"
	case slices.Contains(emuData, pkg) && ours != "emu/internal/emutest" &&
		!slices.Contains(emuData[:slices.Index(emuData, pkg)+1], ours):
		return "emu is what emu/diff compares and emu/text prints: each uses only those before it"
	case pure && within(ours, "emu") && !slices.Contains(emuData, ours):
		return "of emu, lab uses only the data"
	case pkg == "lab/oracle" && within(ours, "lab/compile"):
		return "the oracle is a witness of its own"
	case pkg == "lab/api" && ours != "lab" && ours != "emu":
		return "the contract is data"
	case pkg == "lab/client" && ours != "lab" && ours != "lab/api":
		return "a client knows only the contract"
	case pkg == "lab/engine" && within(ours, "lab/client", "lab/server", "lab/supervisor"):
		return "the engine doesn't know who uses it"
	case pkg == "lab/server" && within(ours, "lab/engine", "lab/supervisor"):
		return "a server has an interface for the engine"
	case pure && !within(pkg, running...) && within(ours, running...),
		within(pkg, "lab") && within(ours, "scenarios", "cmd", "internal"):
		return "dependencies point from cmd to lab"
	case within(pkg, "scenarios") && !within(ours, "scenarios") && (!within(ours, "lab") || within(ours, running...)):
		return "scenarios are data"
	case within(pkg, "cmd") && within(ours, "emu") && !slices.Contains(emuData, ours):
		return "cmd reaches the emulator only through lab/supervisor"
	case within(pkg, "cmd") && within(ours, "lab/engine", "lab/server"):
		return "cmd reaches a running lab only through a client"
	case within(pkg, "internal/bench/bare") && within(ours, "emu") && !slices.Contains(emuData, ours):
		return "what a benchmark compares with the emulator doesn't use it"
	}
	return ""
}

// helper reports whether a package is for everybody: below internal, and of no use by itself.
func helper(pkg string) bool {
	return within(pkg, "internal") && !within(pkg, "internal/bench", "internal/layout")
}

// within reports whether a path is one of the folders or below one.
func within(p string, folders ...string) bool {
	for _, f := range folders {
		if p == f || strings.HasPrefix(p, f+"/") {
			return true
		}
	}
	return false
}

func TestPackageComments(t *testing.T) {
	documented := map[string]bool{}
	for _, f := range readTree(t) {
		if !f.test {
			documented[f.pkg] = documented[f.pkg] || f.doc
		}
	}
	for pkg, ok := range documented {
		if !ok {
			t.Errorf("%s: no file has a package comment saying what the package is for", pkg)
		}
	}
}

func TestFileLength(t *testing.T) {
	for _, f := range readTree(t) {
		limit := maxLines
		if f.test {
			limit = maxTestLines
		}
		if f.lines > limit {
			t.Errorf("%s has %d lines, more than %d: split it where a reader would", f.path, f.lines, limit)
		}
	}
}

func TestMainIsThreeLines(t *testing.T) {
	for _, f := range readTree(t) {
		if f.path != "cmd/lab/main.go" {
			continue
		}
		for _, d := range f.syntax.Decls {
			fn, ok := d.(*ast.FuncDecl)
			if !ok || fn.Name.Name != "main" {
				continue
			}
			if lines := f.fset.Position(fn.Body.Rbrace).Line - f.fset.Position(fn.Body.Lbrace).Line + 1; lines > 5 {
				t.Errorf("%s: main has %d lines; it only hands over", f.path, lines-2)
			}
			return
		}
	}
	t.Error("cmd/lab/main.go has no func main")
}

// readTree reads every Go file of the module but those in folders that Go itself leaves out.
func readTree(t *testing.T) []file {
	t.Helper()
	top := filepath.Join("..", "..")
	var files []file
	err := filepath.WalkDir(top, func(p string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		name := d.Name()
		if d.IsDir() {
			if p != top &&
				(strings.HasPrefix(name, ".") || strings.HasPrefix(name, "_") || name == "testdata" || name == "node_modules") {
				return filepath.SkipDir
			}
			return nil
		}
		if filepath.Ext(name) != ".go" {
			return nil
		}
		f, err := readFile(top, p)
		files = append(files, f)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	if len(files) < 2 {
		t.Fatalf("found only %d Go files: is %s the top folder?", len(files), top)
	}
	return files
}

func readFile(top, p string) (file, error) {
	src, err := os.ReadFile(p)
	if err != nil {
		return file{}, err
	}
	rel, err := filepath.Rel(top, p)
	if err != nil {
		return file{}, err
	}
	fset := token.NewFileSet()
	syntax, err := parser.ParseFile(fset, p, src, parser.ParseComments|parser.SkipObjectResolution)
	if err != nil {
		return file{}, err
	}
	f := file{
		path: filepath.ToSlash(rel), test: strings.HasSuffix(p, "_test.go"), doc: syntax.Doc != nil,
		lines: strings.Count(string(src), "\n"), syntax: syntax, fset: fset,
	}
	f.pkg = path.Dir(f.path)
	for _, i := range syntax.Imports {
		name, err := strconv.Unquote(i.Path.Value)
		if err != nil {
			return file{}, err
		}
		f.imports = append(f.imports, name)
	}
	return f, nil
}
