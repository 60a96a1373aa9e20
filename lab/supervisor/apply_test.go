package supervisor

import (
	"errors"
	"os"
	"slices"
	"strings"
	"testing"

	"vnetlab/emu"
	"vnetlab/lab/api"
	"vnetlab/lab/labfile"
)

// TestApply makes a running lab what a changed file says.
func TestApply(t *testing.T) {
	setUp(t)
	path := write(t, "shop", withProgram(shop, ""))
	c := up(t, path)
	program := runningProgram(t, c)

	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	changed := strings.NewReplacer(
		"      - name: web2\n",
		"      - name: web3\n",
		"allow tcp 1433 from 10.0.1.0/24",
		"allow tcp 1433 from 10.0.1.4",
		"internetHosts:\n",
		"internetHosts:\n  - {name: phone}\n",
		`{from: db, to: "web2:80", verdict: open, seenAs: db, answeredBy: [web2]}`,
		`{from: db, to: "web3:80", verdict: open}`,
	).Replace("# a line more\n" + string(text))
	if err := os.WriteFile(path, []byte(changed), 0o600); err != nil {
		t.Fatal(err)
	}
	before := showText(t, c)
	wanted := []string{
		"delete virtual machine web2 of shopweb",
		"create virtual machine web3 in shopweb",
		"create internet host phone",
	}
	dry, err := c.Apply(t.Context(), api.ApplyRequest{File: labfile.Input{Path: path}.File(), DryRun: true})
	for _, w := range wanted {
		if err != nil || !slices.Contains(dry.Operations, w) {
			t.Errorf("%q is not among %q, %v", w, dry.Operations, err)
		}
	}
	if showText(t, c) != before {
		t.Error("a dry run changes the lab")
	}
	done, err := c.Apply(t.Context(), api.ApplyRequest{File: labfile.Input{Path: path}.File()})
	if err != nil || !slices.Equal(done.Operations, dry.Operations) || len(done.Warnings) > 0 {
		t.Fatalf("%+v, %v", done, err)
	}
	asWanted(t, c)
	isSeen(t, c, "phone", "shopweb.cloudapp.net:80", emu.Open)
	isSeen(t, c, "web3", "db:1433", emu.Blocked)
	isSeen(t, c, "web1", "db:1433", emu.Open)
	if result, err := c.Test(t.Context(), api.TestRequest{}, nil); err != nil || result.Failed > 0 {
		t.Errorf("what the file expects: %+v, %v", result, err)
	}
	if now := runningProgram(t, c); now != program {
		t.Errorf("the program was %+v and is %+v", program, now)
	}
	if again, err := c.Apply(
		t.Context(),
		api.ApplyRequest{File: labfile.Input{Path: path}.File()},
	); err != nil ||
		len(again.Operations) > 0 {
		t.Errorf("once more: %+v, %v", again, err)
	}

	// What the platform refuses is refused before anything happens.
	before = showText(t, c)
	moved := strings.Replace(changed, "lab: shop", "lab: shop", 1)
	moved = strings.Replace(
		moved,
		"  - name: shopdata\n    affinityGroup: west\n    virtualNetwork: Net\n",
		"  - name: shopdata\n    location: West US\n",
		1,
	)
	moved = strings.Replace(moved, "      - name: db\n        subnet: BackEnd\n", "      - name: db\n", 1)
	moved = strings.Replace(moved, "  - {name: phone}\n", "", 1)
	if err := os.WriteFile(path, []byte(moved), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, dryRun := range []bool{true, false} {
		_, err := c.Apply(t.Context(), api.ApplyRequest{File: labfile.Input{Path: path}.File(), DryRun: dryRun})
		var refused *api.Error
		if !errors.As(err, &refused) || refused.Code == "" || refused.Line == 0 {
			t.Errorf("a service that moves: %#v", err)
		}
	}
	if now := showText(t, c); now != before {
		t.Errorf("after the refusal the lab is %s\nbefore it was %s", now, before)
	}
	asWanted(t, c)
	for _, file := range []string{"lab.yaml", path + ".no", write(t, "other", shop)} {
		if _, err := c.Apply(t.Context(), api.ApplyRequest{File: labfile.Input{Path: file}.File()}); err == nil {
			t.Errorf("%s is applied", file)
		}
	}
}
