package supervisor

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"vnetlab/emu"
	"vnetlab/emu/kerneltest"
	"vnetlab/emu/process"
	"vnetlab/lab/api"
	"vnetlab/lab/client"
	"vnetlab/lab/expect"
	"vnetlab/lab/labfile"
)

func TestLabLives(t *testing.T) {
	setUp(t)
	path := write(t, "shop", shop)
	c := up(t, path)
	ctx := t.Context()

	info, err := c.Lab(ctx)
	if err != nil {
		t.Fatal(err)
	}
	if info.Name != "shop" || info.File != path || info.PID != holder("shop") || info.Instances != 3 ||
		len(info.CloudServices) != 2 ||
		len(info.CloudServices[1].Instances) != 2 ||
		len(info.CloudServices[1].Endpoints[0].Instances) != 2 ||
		len(info.InternetHosts) != 1 ||
		len(info.VirtualNetworks[0].Subnets) != 2 ||
		len(info.Fabric) < 3 {
		t.Errorf("info %+v", info)
	}
	if list, err := List(ctx); err != nil || len(list) != 1 || list[0].PID != info.PID || list[0].Instances != 3 {
		t.Errorf("list %+v, %v", list, err)
	}
	if d, err := c.Diff(ctx); err != nil || len(d.Differences) != 0 {
		t.Errorf("diff %+v, %v", d, err)
	}
	network, err := c.Network(ctx)
	if err != nil || !bytes.Contains(network, []byte(`"namespaces"`)) {
		t.Errorf("network %.80s, %v", network, err)
	}

	t.Run("probe", func(t *testing.T) { probes(t, c) })
	t.Run("test", func(t *testing.T) { expectations(t, c, path) })
	t.Run("exec", func(t *testing.T) { commands(t, c) })
	t.Run("ip netns exec", func(t *testing.T) {
		links, _ := os.ReadDir(netnsDir())
		if len(links) != 4+len(info.Fabric) {
			t.Errorf("named namespaces %v", links)
		}
		path := filepath.Join(netnsDir(), "shop.db")
		out, err := exec.Command("nsenter", "--net="+path, "ip", "-4", "-o", "addr", "show", "eth0").CombinedOutput()
		if err != nil || !strings.Contains(string(out), "10.0.2.4/24") {
			t.Errorf("%s: %v: %s", path, err, out)
		}
	})

	if err := Down(ctx, "shop"); err != nil {
		t.Fatal(err)
	}
	if lives(info.PID) {
		t.Error("the supervisor is alive")
	}
	if _, err := os.Stat(RunDir()); err == nil {
		t.Errorf("left: %v", tree(RunDir()))
	}
	if err := Down(ctx, "shop"); err == nil || !strings.Contains(err.Error(), "not running") {
		t.Errorf("down of nothing gives %v", err)
	}
	if _, err := c.Lab(ctx); err == nil || !strings.Contains(err.Error(), "not running") {
		t.Errorf("a client of nothing gives %v", err)
	}
}

func probes(t *testing.T, c *client.Client) {
	for _, tt := range []struct {
		from, to string
		verdict  emu.Verdict
		seenAs   string
		answered string
		rule     string // a part of its text
	}{
		{from: "web1", to: "db:1433", verdict: emu.Open, seenAs: "web1", answered: "db"},
		{from: "web1", to: "web2:80", verdict: emu.Open, seenAs: "web1", answered: "web2"},
		{from: "web1", to: "web2:81", verdict: emu.Blocked, rule: "inbound is blocked"},
		{from: "laptop", to: "shopdata.cloudapp.net:1433", verdict: emu.Blocked, rule: "endpoint"},
		{from: "laptop", to: "nobody.cloudapp.net:80", verdict: emu.Unresolved},
		{from: "laptop", to: "10.0.2.4:1433", verdict: emu.Blocked, rule: ""},
	} {
		p, err := c.Probe(t.Context(), api.ProbeRequest{From: tt.from, To: tt.to})
		if err != nil {
			t.Errorf("%s -> %s: %v", tt.from, tt.to, err)
			continue
		}
		if p.Verdict != tt.verdict || p.SeenAs != tt.seenAs || p.AnsweredBy != tt.answered || !p.Agrees ||
			tt.rule != "" && (p.By == nil || !strings.Contains(p.By.Text, tt.rule)) {
			t.Errorf("%s -> %s: %+v (by %+v), want %+v", tt.from, tt.to, p, p.By, tt)
		}
	}
	p, err := c.Probe(t.Context(), api.ProbeRequest{From: "laptop", To: "shopweb.cloudapp.net:80"})
	if err != nil || p.Verdict != emu.Open || p.SeenAs != "laptop" ||
		!slices.Contains([]string{"web1", "web2"}, p.AnsweredBy) ||
		p.RTTMicros <= 0 {
		t.Errorf("through the VIP: %+v, %v", p, err)
	}
	for _, r := range []api.ProbeRequest{
		{From: "nobody", To: "db:1433"}, {From: "web1", To: "nobody:80"}, {From: "web1", To: "db"}, {From: "web1", To: "db:0"}, {},
	} {
		_, err := c.Probe(t.Context(), r)
		var refused *api.Error
		if !errors.As(err, &refused) || refused.Code != "ResourceNotFound" && refused.Code != "BadRequest" ||
			refused.HTTPStatus < 400 {
			t.Errorf("%+v gives %#v", r, err)
		}
	}
	var misspelt *api.Error
	if _, err := c.Probe(
		t.Context(),
		api.ProbeRequest{From: "wbe1", To: "db:1433"},
	); !errors.As(err, &misspelt) ||
		!strings.Contains(misspelt.Hint, "web1") {
		t.Errorf("a misspelt name gives %#v", err)
	}
}

func expectations(t *testing.T, c *client.Client, path string) {
	var names []string
	result, err := c.Test(t.Context(), api.TestRequest{}, func(c expect.Case) { names = append(names, c.Name) })
	if err != nil {
		t.Fatal(err)
	}
	want := []string{
		"laptop -> shopweb.cloudapp.net:80",
		"web1 -> db:1433",
		"laptop -> shopdata.cloudapp.net:1433",
		"db -> web2:80",
		"exposure shopdata.cloudapp.net:80/tcp",
		"exposure shopdata.cloudapp.net:1433/tcp",
		"exposure shopweb.cloudapp.net:80/tcp",
		"exposure shopweb.cloudapp.net:1433/tcp",
	}
	if !slices.Equal(names, want) {
		t.Errorf("cases %q", names)
	}
	if result.Failed != 0 || result.Passed != len(names) || result.Lab != "shop" {
		t.Errorf("result %+v", result)
	}

	wrong := strings.NewReplacer(
		`{from: web1, to: "db:1433", verdict: open}`, `{from: web1, to: "db:1433", verdict: blocked}`,
		`verdict: blocked}`+"\n", `verdict: refused}`+"\n",
		`seenAs: db, answeredBy: [web2]`, `seenAs: shopdata.cloudapp.net`,
		"  - shopweb.cloudapp.net:80/tcp", "  - shopdata.cloudapp.net:1433/tcp",
	).Replace(shop)
	result, err = c.Test(t.Context(), api.TestRequest{File: fileOf(labfile.Input{Path: write(t, "shop", wrong)})}, nil)
	if err != nil {
		t.Fatal(err)
	}
	var failed []string
	for _, c := range result.Cases {
		if !c.Passed {
			failed = append(failed, c.Name+": "+c.Message)
		}
	}
	if len(failed) != 5 || result.Failed != 5 {
		t.Errorf("failed: %q", failed)
	}
	if _, err := c.Test(
		t.Context(),
		api.TestRequest{File: fileOf(labfile.Input{Path: write(t, "other", shop)})},
		nil,
	); err == nil ||
		!strings.Contains(err.Error(), "other") {
		t.Errorf("expectations of another lab give %v", err)
	}
}

func commands(t *testing.T, c *client.Client) {
	out, in, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer out.Close()
	null, err := os.Open(os.DevNull)
	if err != nil {
		t.Fatal(err)
	}
	defer null.Close()
	exit, err := c.Exec(
		t.Context(),
		api.ExecRequest{Instance: "db", Argv: []string{"sh", "-c", "hostname; exit 3"}},
		null,
		in,
		in,
	)
	in.Close()
	text := new(bytes.Buffer)
	text.ReadFrom(out) //nolint:errcheck // what is missing is seen
	if exit != 3 || err != nil || text.String() != "db\n" {
		t.Errorf("exit %d, %v, %q", exit, err, text)
	}
	if exit, err := c.Exec(
		t.Context(),
		api.ExecRequest{Instance: "db", Argv: []string{"no-such-command"}},
		null,
		null,
		null,
	); exit != 127 ||
		err == nil {
		t.Errorf("a command that isn't there: exit %d, %v", exit, err)
	}
	if _, err := c.Exec(
		t.Context(),
		api.ExecRequest{Instance: "nobody", Argv: []string{"true"}},
		null,
		null,
		null,
	); err == nil {
		t.Error("a command runs nowhere")
	}
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	ended := make(chan error, 1)
	go func() {
		_, err := c.Exec(ctx, api.ExecRequest{Instance: "db", Argv: []string{"sleep", "4242"}}, null, null, null)
		ended <- err
	}()
	runs := func() bool {
		t.Helper()
		exit, err := c.Exec(
			t.Context(),
			api.ExecRequest{Instance: "db", Argv: []string{"sh", "-c", "ps -e -o args | grep -q '^sleep 4242'"}},
			null,
			null,
			null,
		)
		if err != nil {
			t.Fatal(err)
		}
		return exit == 0
	}
	kerneltest.Eventually(t, "the command runs", runs)
	cancel()
	if err := <-ended; err == nil {
		t.Error("a command that was given up succeeds")
	}
	kerneltest.Eventually(t, "the command ends with its client", func() bool { return !runs() })
}

func TestPrograms(t *testing.T) {
	setUp(t)
	c := up(t, write(t, "shop", withProgram(shop, "echo about to serve; ")))
	var text bytes.Buffer
	kerneltest.Eventually(
		t,
		"the program's output is in its log",
		func() bool { // a program may listen before its output was read
			text.Reset()
			if err := c.Logs(t.Context(), api.LogsRequest{Instance: "web1"}, &text); err != nil {
				t.Fatal(err)
			}
			return strings.Contains(text.String(), "about to serve")
		},
	)
	if err := c.Logs(t.Context(), api.LogsRequest{Instance: "db"}, &text); err == nil {
		t.Error("a built-in listener has output")
	}
	ctx, cancel := context.WithTimeout(t.Context(), 200*time.Millisecond)
	defer cancel()
	if err := c.Logs(ctx, api.LogsRequest{Instance: "web1", Follow: true}, &text); err == nil {
		t.Error("following ended before it was given up")
	}
	if p := runningProgram(t, c); p.PID == 0 || p.Exits != 0 {
		t.Errorf("the program: %+v", p)
	}
}

// runningProgram tells how the only program of web1 does once it is known to run: that it listens may be known before.
func runningProgram(t *testing.T, c *client.Client) (p process.ProgramStatus) {
	t.Helper()
	kerneltest.Eventually(t, "the program of web1 runs", func() bool {
		info, err := c.Lab(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		s := info.CloudServices[1].Instances[0].Services
		if len(s) != 1 || s[0].Program == nil {
			t.Fatalf("services %+v", s)
		}
		p = *s[0].Program
		return p.State == process.Running
	})
	return p
}

func TestHTTPExpectation(t *testing.T) {
	setUp(t)
	text := withProgram(shop, "")
	path := write(t, "shop", text)
	c := up(t, path)
	for page, passes := range map[string]bool{
		`{path: /, status: 200, contains: hello from web1}`: true,
		`{path: /, status: 404}`:                            false,
		`{path: /, contains: goodbye}`:                      false,
	} {
		file := filepath.Join(
			filepath.Dir(path),
			"expectations.yaml",
		) // beside it: programs run in the folder of their file
		text := strings.Replace(
			text,
			"expect:\n",
			"expect:\n  - {from: web2, to: \"web1:80\", verdict: open, http: "+page+"}\n",
			1,
		)
		if err := os.WriteFile(file, []byte(strings.ReplaceAll(text, "NAME", "shop")), 0o600); err != nil {
			t.Fatal(err)
		}
		result, err := c.Test(t.Context(), api.TestRequest{File: fileOf(labfile.Input{Path: file})}, nil)
		if err != nil {
			t.Fatal(err)
		}
		if result.Cases[0].Passed != passes {
			t.Errorf("%s: %+v", page, result.Cases[0])
		}
	}
}

func TestUpRefusesWrongFiles(t *testing.T) {
	setUp(t)
	for name, text := range map[string]string{
		"not YAML":       "lab: [",
		"unknown subnet": strings.Replace(shop, "subnet: BackEnd", "subnet: Elsewhere", 1),
	} {
		if _, err := Up(t.Context(), UpRequest{File: labfile.Input{Path: write(t, "shop", text)}}); err == nil {
			t.Errorf("%s: the lab runs", name)
		}
		if _, err := os.Stat(RunDir()); err == nil {
			t.Errorf("%s: left: %v", name, tree(RunDir()))
		}
	}
	if _, err := Up(t.Context(), UpRequest{File: labfile.Input{Path: "/nonexistent/lab.yaml"}}); err == nil {
		t.Error("a file that isn't there runs")
	}
}

// A lab that can't be completed says why and leaves nothing.
func TestUpFails(t *testing.T) {
	setUp(t)
	text := strings.ReplaceAll(shop, "SERVICE", `{port: 80, run: "echo no way; exit 1"}`)
	path := write(t, "shop", text)
	for timeout := 300 * time.Millisecond; ; timeout *= 2 {
		_, err := Up(t.Context(), UpRequest{File: labfile.Input{Path: path}, ListenTimeout: timeout})
		if err == nil || !strings.Contains(err.Error(), "nothing listens on port 80") {
			t.Fatalf("a program that doesn't start gives %v", err)
		}
		if _, err := os.Stat(RunDir()); err == nil {
			t.Fatalf("left: %v", tree(RunDir()))
		}
		if strings.Contains(err.Error(), "no way") {
			break
		}
		if timeout > kerneltest.Patience { // until then it may just not have come to its words
			t.Fatalf("what the program said isn't in %v", err)
		}
	}
}

func TestSameLabTwice(t *testing.T) {
	setUp(t)
	path := write(t, "shop", shop)
	r, err := Up(t.Context(), UpRequest{File: labfile.Input{Path: path}})
	if err != nil {
		t.Fatal(err)
	}
	_, err = Up(t.Context(), UpRequest{File: labfile.Input{Path: path}})
	var e *api.Error
	if !errors.As(err, &e) || e.Message != "lab shop is already running (supervisor process "+strconv.Itoa(r.PID)+")" ||
		e.Hint != "lab down shop" {
		t.Errorf("the second up gives %#v", err)
	}
	if _, err := Find(""); err != nil {
		t.Errorf("the only lab isn't found: %v", err)
	}
}

func TestTwoUpsAtOnce(t *testing.T) {
	setUp(t)
	path := write(t, "shop", shop)
	errs := make(chan error, 4)
	for range cap(errs) {
		go func() {
			_, err := Up(t.Context(), UpRequest{File: labfile.Input{Path: path}})
			errs <- err
		}()
	}
	won := 0
	for range cap(errs) {
		err := <-errs
		if err == nil {
			won++
		} else if !strings.Contains(err.Error(), "already running (supervisor process ") {
			t.Error(err)
		}
	}
	if won != 1 {
		t.Errorf("%d of %d won", won, cap(errs))
	}
}

// Two labs with the same addresses don't see each other.
func TestTwoLabsSideBySide(t *testing.T) {
	setUp(t)
	a, b := up(t, write(t, "one", shop)), up(t, write(t, "two", shop))
	for _, c := range []*client.Client{a, b} {
		result, err := c.Test(t.Context(), api.TestRequest{}, nil)
		if err != nil || result.Failed > 0 {
			t.Errorf("%s: %+v, %v", c.Name, result, err)
		}
	}
	if _, err := Find(""); err == nil || !strings.Contains(err.Error(), "one, two") {
		t.Errorf("one of two is found: %v", err)
	}
	t.Setenv("LAB", "two")
	if c, err := Find(""); err != nil || c.Name != "two" {
		t.Errorf("$LAB: %+v, %v", c, err)
	}
	if err := Down(t.Context(), "one"); err != nil {
		t.Fatal(err)
	}
	if result, err := b.Test(t.Context(), api.TestRequest{}, nil); err != nil || result.Failed > 0 {
		t.Errorf("after the end of one: %+v, %v", result, err)
	}
}

func TestResultsAreAsDocumented(t *testing.T) {
	text, err := json.Marshal(api.ProbeResult{})
	if err != nil {
		t.Fatal(err)
	}
	for _, key := range []string{"from", "to", "port", "protocol", "verdict", "by", "seenAs", "answeredBy", "rttMicros"} {
		if !bytes.Contains(text, []byte(`"`+key+`":`)) {
			t.Errorf("a probe's result has no %s: %s", key, text)
		}
	}
	text, err = json.Marshal(expect.Result{Cases: []expect.Case{{By: &emu.RuleReference{}, Message: "m"}}})
	if err != nil {
		t.Fatal(err)
	}
	for _, key := range []string{"lab", "passed", "failed", "cases", "name", "expected", "verdict", "by", "message"} {
		if !bytes.Contains(text, []byte(`"`+key+`":`)) {
			t.Errorf("a test's result has no %s: %s", key, text)
		}
	}
}
