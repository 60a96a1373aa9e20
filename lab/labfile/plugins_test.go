package labfile

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"vnetlab/lab"
)

// listening lists what listens in an instance.
func listening(services []lab.Service) (all []string) {
	for _, s := range services {
		text := fmt.Sprintf("%d/%s", s.Port, s.Protocol)
		if s.RemoteDesktop != "" {
			text += " remote desktop " + string(s.RemoteDesktop)
		}
		if s.Command != "" {
			text += " " + s.Command
		}
		all = append(all, text)
	}
	return all
}

func TestLoadRemoteDesktop(t *testing.T) {
	loaded := load(t, "testdata/good/desktop.yaml", Options{})
	web := instance(t, loaded.Lab, "Web_IN_1")
	for name, want := range map[string][]string{
		// 20000 is taken
		"Web_IN_1": {
			"80/tcp", "20000/tcp", "3389/tcp remote desktop server", "20001/tcp remote desktop forwarder",
			"8172/tcp",
		},
		// The setting turns the desktop off, not its endpoint.
		"Worker_IN_0": nil,
		// A service of the lab file takes the place of the desktop.
		"Cache_IN_0": {"3389/tcp ./xrdp"},
	} {
		i := instance(t, loaded.Lab, name)
		if diff := cmp.Diff(want, listening(i.Services)); diff != "" {
			t.Errorf("%s: -want +got\n%s", name, diff)
		}
		if e := i.InternalEndpoints[0]; e.Name != lab.RemoteAccessEndpoint || e.Ports.First != 3389 {
			t.Errorf("%s has the internal endpoint %+v", name, e)
		}
	}
	if e := web.Endpoints[1]; e.PublicPort != 3389 || e.LocalPort != 20001 || len(e.ACL) != 1 ||
		e.Origin.String() != "testdata/good/desktop/Office.csdef:5:50" {
		t.Errorf("the forwarder's endpoint is %+v", e)
	}
	var desktops []string
	for _, d := range loaded.Lab.Deployment(web).Desktops() {
		desktops = append(desktops, strings.SplitN(d.Name, "#", 3)[1])
	}
	if diff := cmp.Diff([]string{"Web_IN_0", "Web_IN_1", "Worker_IN_0", "Cache_IN_0"}, desktops); diff != "" {
		t.Errorf("desktops: -want +got\n%s", diff)
	}
	if got := loaded.Lab.PublicNames()[2].Name; got != "Desk.1.office.cloudapp.net" {
		t.Errorf("the second instance is called %s", got)
	}
	var notes []string
	for _, n := range loaded.Notes {
		if n.Differs {
			notes = append(notes, strings.TrimPrefix(n.String(), "testdata/good/desktop/"))
		}
	}
	if diff := cmp.Diff([]string{
		`Office.csdef:5:89: import "WebDeploy" of role "Web": a built-in listener replaces Web Deploy behind the ` +
			`public port 8172`,
		`Office.csdef:9:50: import "Caching" of role "Cache": the cache isn't there, nor its internal endpoints ` +
			`cacheArbitrationPort, ` +
			`cacheClusterPort, cacheReplicationPort, cacheServicePortInternal and cacheSocketPort`,
		`Office.cscfg:3:3: role "Web" has no setting Microsoft.WindowsAzure.Plugins.RemoteForwarder.Enabled: it is ` +
			`taken for true`,
	}, notes); diff != "" {
		t.Errorf("notes: -want +got\n%s", diff)
	}
}

func TestReadDeploymentWithRemoteDesktop(t *testing.T) {
	request, notes, err := ReadDeployment("office", "testdata/good/desktop/Office.csdef",
		"testdata/good/desktop/Office.cscfg", lab.Production)
	if err != nil {
		t.Fatal(err)
	}
	if !slices.ContainsFunc(notes, func(n Note) bool { return n.Differs && strings.Contains(n.Text, "WebDeploy") }) {
		t.Errorf("notes %v", notes)
	}
	for n, want := range [][]string{
		{"3389/tcp remote desktop server", "20000/tcp remote desktop forwarder", "8172/tcp", "80/tcp"},
		nil, // it is turned off
		{"3389/tcp remote desktop server"},
	} {
		if diff := cmp.Diff(want, listening(request.Roles[n].Services)); diff != "" {
			t.Errorf("role %s: -want +got\n%s", request.Roles[n].Name, diff)
		}
	}
}

// TestRemoteDesktopSettings holds what turns remote desktop on.
func TestRemoteDesktopSettings(t *testing.T) {
	configuration, err := os.ReadFile("testdata/good/desktop/Office.cscfg")
	if err != nil {
		t.Fatal(err)
	}
	const setting = "Microsoft.WindowsAzure.Plugins.RemoteAccess.Enabled of role \"Worker\" is "
	for value, c := range map[string]struct {
		on   bool
		note string
	}{
		"true": {true, ""}, "TRUE": {true, ""}, "false": {false, ""}, "False": {false, ""},
		"": {false, setting + `"", which doesn't turn it on`}, "1": {false, setting + `"1", which doesn't turn it on`},
	} {
		changed := filepath.Join(t.TempDir(), "s.cscfg")
		if err := os.WriteFile(changed, []byte(strings.Replace(string(configuration), `"false"`,
			fmt.Sprintf("%q", value), 1)), 0o600); err != nil {
			t.Fatal(err)
		}
		l := &loader{sources: sources{}}
		request, ok := l.packageOf(&Deployment{
			Definition:    Reference{Text: "testdata/good/desktop/Office.csdef"},
			Configuration: Reference{Text: changed},
		})
		if !ok || (len(request.Roles[1].Services) == 1) != c.on {
			t.Errorf("%q: %v, %v", value, ok, l.err())
		}
		note := ""
		for _, n := range l.notes {
			if strings.Contains(n.Text, "Worker") && n.Differs {
				note += n.Text
			}
		}
		if note != c.note {
			t.Errorf("%q: note %q, want %q", value, note, c.note)
		}
	}
}
