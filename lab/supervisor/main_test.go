package supervisor

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"vnetlab/emu/kerneltest"
	"vnetlab/emu/process"
	"vnetlab/lab/api"
	"vnetlab/lab/client"
	"vnetlab/lab/labfile"
)

// The test binary plays all the parts of lab: the supervisor, the init of an instance, a program in it, and `lab up`
// where that must be another process.
func TestMain(m *testing.M) {
	process.MaybeInit()
	for _, p := range []*time.Duration{&acquirePatience, &stopPatience, &patience} {
		*p = kerneltest.Patience
	}
	switch {
	case len(os.Args) > 1 && os.Args[1] == "supervise":
		if err := Supervise(); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		os.Exit(0)
	case os.Getenv("TEST_SERVER") != "":
		panic(http.ListenAndServe(":"+os.Getenv("PORT"), http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			fmt.Fprintln(w, "hello from", os.Getenv("INSTANCE"))
		})))
	case os.Getenv("TEST_UP") != "":
		_, err := Up(
			context.Background(),
			UpRequest{File: labfile.Input{Path: os.Getenv("TEST_UP")}, Foreground: os.Getenv("TEST_FOREGROUND") != ""},
		)
		json.NewEncoder(os.Stdout).Encode(fmt.Sprint(err))
		if err == nil && os.Getenv("TEST_FOREGROUND") != "" {
			select {} // until it is killed
		}
		os.Exit(0)
	}
	os.Exit(m.Run())
}

// setUp gives a test a place of its own for running labs, and takes down what it leaves.
func setUp(t *testing.T) {
	t.Helper()
	kerneltest.RequireRoot(t)
	dir, err := os.MkdirTemp("", "lab") // not t.TempDir: the path of a socket is short
	if err != nil {
		t.Fatal(err)
	}
	t.Setenv("VNETLAB_RUN", filepath.Join(dir, "run"))
	t.Setenv("LAB", "")
	t.Cleanup(func() {
		names, _ := running()
		for _, name := range names {
			if err := Down(context.Background(), name); err != nil {
				t.Error(err)
			}
		}
		if err := Clean(); err != nil {
			t.Error(err)
		}
		if _, err := os.Stat(RunDir()); err == nil {
			t.Errorf("%s is left: %v", RunDir(), tree(RunDir()))
		}
		os.RemoveAll(dir)
	})
}

// lives says whether a process hasn't ended yet. One that has stays in the table of processes until its parent has
// noticed.
func lives(pid int) bool {
	state := processState(fmt.Sprintf("/proc/%d/stat", pid))
	return state != 0 && state != 'Z' && state != 'X'
}

// processState reads the letter for the state of a process or thread; 0: there is none.
func processState(stat string) byte {
	text, _ := os.ReadFile(stat)
	if _, rest, ok := strings.Cut(string(text[bytes.LastIndexByte(text, ')')+1:]), " "); ok {
		return rest[0]
	}
	return 0
}

func tree(dir string) (all []string) {
	filepath.WalkDir(dir, func(path string, _ os.DirEntry, _ error) error { //nolint:errcheck // for a message
		all = append(all, path)
		return nil
	})
	return all
}

// shop is a small lab with a bit of everything: a virtual network with a database and a front end of two machines.
const shop = `lab: NAME
affinityGroups:
  - {name: west, location: West US}
virtualNetworks:
  - name: Net
    affinityGroup: west
    addressSpace: [10.0.0.0/16]
    subnets:
      - {name: FrontEnd, addressPrefix: 10.0.1.0/24}
      - {name: BackEnd, addressPrefix: 10.0.2.0/24}
cloudServices:
  - name: shopdata
    affinityGroup: west
    virtualNetwork: Net
    virtualMachines:
      - name: db
        subnet: BackEnd
        firewall: [allow tcp 1433 from 10.0.1.0/24]
        services: [{port: 1433}]
  - name: shopweb
    affinityGroup: west
    virtualNetwork: Net
    virtualMachines:
      - name: web1
        subnet: FrontEnd
        endpoints: [{name: http, publicPort: 80, localPort: 80, loadBalancedSet: web}]
        firewall: [allow tcp 80]
        services: [SERVICE]
      - name: web2
        subnet: FrontEnd
        endpoints: [{name: http, publicPort: 80, localPort: 80, loadBalancedSet: web}]
        firewall: [allow tcp 80]
        services: [{port: 80}]
internetHosts:
  - {name: laptop}
expect:
  - {from: laptop, to: "shopweb.cloudapp.net:80", verdict: open}
  - {from: web1, to: "db:1433", verdict: open}
  - {from: laptop, to: "shopdata.cloudapp.net:1433", verdict: blocked}
  - {from: db, to: "web2:80", verdict: open, seenAs: db, answeredBy: [web2]}
exposure:
  - shopweb.cloudapp.net:80/tcp
`

// fileOf returns a lab file as a test is asked for it.
func fileOf(in labfile.Input) *api.File {
	f := in.File()
	return &f
}

// write writes a lab file and gives its path.
func write(t *testing.T, name, text string) string {
	t.Helper()
	text = strings.NewReplacer("NAME", name, "SERVICE", "{port: 80}").Replace(text)
	path := filepath.Join(t.TempDir(), "lab.yaml")
	if strings.Contains(text, "./server") {
		self, err := os.Executable()
		if err != nil {
			t.Fatal(err)
		}
		if out, err := exec.Command("cp", self, filepath.Join(filepath.Dir(path), "server")).
			CombinedOutput(); err != nil {
			t.Fatalf("%v: %s", err, out)
		}
	}
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// withProgram gives web1 a program instead of the built-in listener: this binary, which write puts beside the lab
// file, because instances don't see the /tmp where go test built it. Before is a shell command to run first.
func withProgram(text, before string) string {
	return strings.ReplaceAll(
		text,
		"SERVICE",
		fmt.Sprintf("{port: 80, run: %q}", before+"exec env TEST_SERVER=1 ./server"),
	)
}

func up(t *testing.T, path string) *client.Client {
	t.Helper()
	r, err := Up(t.Context(), UpRequest{File: labfile.Input{Path: path}})
	if err != nil {
		t.Fatal(err)
	}
	c, err := r.Client()
	if err != nil {
		t.Fatal(err)
	}
	return c
}
