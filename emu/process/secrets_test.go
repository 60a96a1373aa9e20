package process

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"vnetlab/emu"
)

// Secrets of this machine, by their kinds: those of a list, what a folder or a file keeps from other users, and what
// lies in the folders of people. The machine of the test has each of them; an instance has none, whether or not its
// root can be written.
func TestSecretsOfTheHost(t *testing.T) {
	for _, test := range []struct {
		name     string
		overlays bool
	}{{"overlays", true}, {"read-only root", false}} {
		t.Run(test.name, func(t *testing.T) {
			if !ownMachine(t) {
				return
			}
			withoutOverlays = !test.overlays
			home := prepareSecrets(t)
			in := newInstanceWithin(t, emu.Boundary{Mounts: []emu.Mount{{Path: home, Writable: true}}}, Options{})
			found := shell(
				t,
				in,
				"grep -rs -l SECRET /boot /etc /home /media /mnt /opt /root /srv /usr/local/etc /var; true",
			)
			if found != "/etc/readable\n/home/me/lab.yaml\n" {
				t.Errorf("an instance reads\n%s", found)
			}
			for _, kept := range []string{"/etc/sudoers", "/etc/shadow", "/var/lib/mysql", "/var/log/own", "/mnt"} {
				if got := shell(t, in, "test -e "+kept+" || echo missing"); got != "" {
					t.Errorf("%s is %s", kept, got)
				}
			}
		})
	}
}

// prepareSecrets makes folders of this process's own mount namespace that have secrets, and a home folder among them.
func prepareSecrets(t *testing.T) (home string) {
	t.Helper()
	const prepare = `set -e
		mount -t tmpfs none /mnt
		cp -a /etc/alternatives /etc/passwd /mnt
		mount -t tmpfs none /etc
		cp -a /mnt/* /etc
		for d in /boot /home /media /opt /root /srv /usr/local/etc /var; do
			mkdir -p $d
			mount -t tmpfs none $d
		done
		mkdir -p /var/log/own
		mount -t tmpfs -o mode=700 none /var/log/own`
	if text, err := exec.Command("sh", "-c", prepare).CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, text)
	}
	for path, mode := range map[string]os.FileMode{
		// Of a list, and readable by mistake.
		"/boot/grub/grub.cfg":                0o644,
		"/etc/shadow-":                       0o644,
		"/etc/wireguard/wg0.conf":            0o644,
		"/var/backups/shadow.bak":            0o644,
		"/var/cache/debconf/passwords.dat":   0o644,
		"/var/lib/mysql/data":                0o644,
		"/var/lib/waagent/key.prv":           0o644,
		"/var/lib/shim-signed/mok/MOK.priv":  0o644,
		"/var/log/auth.log.1":                0o644,
		"/var/log/installer/user-data":       0o644,
		"/var/spool/cron/crontabs/me":        0o644,
		"/var/lib/systemd/credential.secret": 0o644,
		// Not for every user, in files and folders that no list knows.
		"/etc/unknown.conf":                0o600,
		"/etc/unknown/sub/group.conf":      0o640,
		"/usr/local/etc/agent/token":       0o600,
		"/etc/closed/file":                 0o644,
		"/var/lib/closed/deeper/file":      0o644,
		"/opt/closed/file":                 0o644,
		"/srv/closed/file":                 0o644,
		"/var/log/own/file":                0o644,
		"/mnt/c/Users/me/.ssh/id_rsa":      0o777,
		"/media/me/disk/file":              0o644,
		"/root/.ssh/id_rsa":                0o600,
		"/home/other/file":                 0o644,
		"/home/me/.ssh/id_rsa":             0o600,
		"/home/me/.bash_history":           0o600,
		"/home/me/.config/gh/hosts.yml":    0o600,
		"/home/me/.cargo/credentials.toml": 0o600,
		// No secrets.
		"/etc/readable":     0o644,
		"/home/me/lab.yaml": 0o644,
	} {
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte("SECRET\n"), mode); err != nil {
			t.Fatal(err)
		}
		if strings.Contains(path, "/closed/") {
			folder, _, _ := strings.Cut(path, "/closed/")
			if err := os.Chmod(folder+"/closed", 0o750); err != nil {
				t.Fatal(err)
			}
		}
	}
	for path, text := range map[string]string{
		"/etc/sudoers": "root ALL=(ALL:ALL) ALL\n", "/etc/shadow": "root:SECRET:19000:0:99999:7:::\n",
	} {
		if err := os.WriteFile(path, []byte(text), 0o640); err != nil {
			t.Fatal(err)
		}
	}
	return "/home/me"
}
