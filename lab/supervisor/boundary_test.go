package supervisor

import (
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"vnetlab/emu"
	"vnetlab/emu/kerneltest"
	"vnetlab/emu/process"
	"vnetlab/lab/api"
	"vnetlab/lab/client"
	"vnetlab/lab/labfile"
)

// inside runs a shell command in an instance, and returns its output and its exit status.
func inside(t *testing.T, c *client.Client, instance, command string) (string, int) {
	t.Helper()
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	text := make(chan string)
	go func() {
		all, _ := io.ReadAll(r)
		text <- string(all)
	}()
	null, err := os.Open(os.DevNull)
	if err != nil {
		t.Fatal(err)
	}
	defer null.Close()
	exit, err := c.Exec(
		t.Context(),
		api.ExecRequest{Instance: instance, Argv: []string{"sh", "-c", command}},
		null,
		w,
		w,
	)
	w.Close()
	out := <-text
	if err != nil {
		t.Errorf("%s in %s: %v", command, instance, err)
	}
	return out, exit
}

// controlGroups lists those that labs of a name have on this machine.
func controlGroups(t *testing.T, lab string) []string {
	t.Helper()
	var all []string
	for _, pattern := range []string{"/sys/fs/cgroup/vnetlab/", "/sys/fs/cgroup/*/vnetlab/"} {
		found, err := filepath.Glob(pattern + lab + "-*/*")
		if err != nil {
			t.Fatal(err)
		}
		for _, f := range found {
			if info, err := os.Stat(f); err == nil && info.IsDir() {
				all = append(all, f)
			}
		}
	}
	return all
}

// An attacker in one lab reaches nothing of another one, nor of the machine, and leaves nothing behind.
func TestLabsAreApart(t *testing.T) {
	setUp(t)
	victim := up(t, write(t, "boundary-victim", withProgram(shop, "")))
	path := write(t, "boundary-attacker", shop)
	attacker := up(t, path)
	runningProgram(t, victim)
	out, exit := inside(t, victim, "web1", "echo secret >/var/lib/secret; cat /var/lib/secret")
	if out != "secret\n" || exit != 0 {
		t.Errorf("exit %d, %s", exit, out)
	}
	for _, command := range []string{
		"ls " + RunDir(), "cat " + filepath.Join(RunDir(), "boundary-victim", socketFile), "ls /run/netns/*",
		"cat /var/lib/secret", "ps -e -o args | grep -v grep | grep server", "umount /run", "umount /proc",
		"nsenter -t 1 -m true", "nsenter -t 1 -n true", "unshare -n true", "unshare -Ur true",
		"mknod /tmp/disk b 254 0 && head -c 1 /tmp/disk", "echo b >/proc/sysrq-trigger", "sysctl -w kernel.domainname=x",
		"modprobe dummy", "date -s 12:00", "dmesg", "mount -t cgroup2 none /mnt",
		"touch " + filepath.Dir(path) + "/touched", "ls -d /root/.[a-z]*", "grep -q '[$]' /etc/shadow",
	} {
		if out, exit := inside(t, attacker, "laptop", command); exit == 0 {
			t.Errorf("%s succeeds: %s", command, out)
		}
	}
	out, exit = inside(t, attacker, "laptop", "touch /etc/attacked /usr/bin/attacked && "+
		"iptables -A OUTPUT -p tcp --dport 9 -j DROP && ip addr add 192.0.2.1/32 dev lo")
	if exit != 0 {
		t.Errorf("the administrator of an instance can't work: %s", out)
	}
	if len(process.Unbounded()) == 0 && len(controlGroups(t, "boundary-attacker")) == 0 {
		t.Error("the instance has no control group")
	}
	for _, name := range []string{"boundary-attacker", "boundary-victim"} {
		if err := Down(t.Context(), name); err != nil {
			t.Fatal(err)
		}
		if left := controlGroups(t, name); len(left) != 0 {
			t.Errorf("left: %v", left)
		}
	}
	for _, f := range []string{"/etc/attacked", "/usr/bin/attacked", "/var/lib/secret"} {
		if _, err := os.Stat(f); err == nil {
			t.Errorf("the host has %s", f)
		}
	}
}

// What a lab file says of a boundary holds, and a change of it starts what runs there anew, and nothing else.
func TestBoundaryOfALab(t *testing.T) {
	setUp(t)
	path := write(t, "boundary", withProgram(shop, ""))
	data := filepath.Join(filepath.Dir(path), "data")
	if err := os.Mkdir(data, 0o755); err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	edit := func(pairs ...string) {
		t.Helper()
		if err := os.WriteFile(path, []byte(strings.NewReplacer(pairs...).Replace(string(text))), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	c := up(t, path)
	program := runningProgram(t, c)
	inside(t, c, "db", "touch /var/lib/of-now")
	if _, exit := inside(t, c, "db", "touch "+data+"/file"); exit == 0 {
		t.Error("the folder of the lab file can be written")
	}

	const database = "      - name: db\n"
	changes := []string{database, database + "        limits: {pids: 100, disk: 8MiB}\n" +
		"        mounts: [{path: data, writable: true}]\n"}
	edit(changes...)
	done, err := c.Apply(t.Context(), api.ApplyRequest{File: labfile.Input{Path: path}.File()})
	want := "set what db may use of the machine: 100 processes, 8 MiB of disk, " + data + " writable"
	if err != nil || len(done.Operations) != 1 || done.Operations[0] != want {
		t.Fatalf("%q, %v", done.Operations, err)
	}
	out, exit := inside(
		t,
		c,
		"db",
		"test ! -e /var/lib/of-now && echo hello >"+data+"/file && df --output=size -k / | tail -n 1",
	)
	if strings.TrimSpace(out) != "8192" || exit != 0 {
		t.Errorf("within the new boundary: exit %d, %s", exit, out)
	}
	if written, _ := os.ReadFile(data + "/file"); string(written) != "hello\n" {
		t.Errorf("the host has %q", written)
	}
	if now := runningProgram(t, c); now.Exits != program.Exits || !now.Since.Equal(program.Since) {
		t.Errorf("web1 has been started anew: %+v, %+v", program, now)
	}
	info, err := c.Lab(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	b := info.CloudServices[0].Instances[0].Boundary
	if b.Limits.PIDs != 100 || b.Limits.Disk != 8*emu.MiB || b.Limits.Memory == 0 || len(b.Mounts) != 1 {
		t.Errorf("db is shown with %+v", b)
	}

	// That of all instances: web1's program starts within it.
	edit(append(changes, "lab: boundary\n", "lab: boundary\nlimits: {pids: 200}\n")...)
	if _, err := c.Apply(t.Context(), api.ApplyRequest{File: labfile.Input{Path: path}.File()}); err != nil {
		t.Fatal(err)
	}
	kerneltest.Eventually(t, "the program of web1 was started anew", func() bool {
		return runningProgram(t, c).Since.After(program.Since)
	})
	if again, err := c.Apply(
		t.Context(),
		api.ApplyRequest{File: labfile.Input{Path: path}.File()},
	); err != nil ||
		len(again.Operations) > 0 {
		t.Errorf("once more: %+v, %v", again, err)
	}
	isSeen(t, c, "laptop", "shopweb.cloudapp.net:80", emu.Open)

	edit(append(changes, "        subnet: BackEnd\n", "        subnet: BackEnd\n        privileged: true\n")...)
	if _, err := c.Apply(t.Context(), api.ApplyRequest{File: labfile.Input{Path: path}.File()}); err != nil {
		t.Fatal(err)
	}
	if out, exit := inside(t, c, "db", "mount -t tmpfs none /mnt"); exit != 0 {
		t.Errorf("a privileged instance: %s", out)
	}
	asWanted(t, c)
}
