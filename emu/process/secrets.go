package process

import (
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"time"

	"golang.org/x/sys/unix"
)

// ownFolders are empty in each instance: they are its own, or hold what belongs to people and to programs of the host.
// Below /mnt and /media are the drives of people; under WSL all of Windows.
var ownFolders = []hidden{
	{"/dev", 0o755},
	{"/home", 0o755},
	{"/media", 0o755},
	{"/mnt", 0o755},
	{"/proc", 0o555},
	{"/root", 0o700},
	{"/run", 0o755},
	{"/sys", 0o555},
	{"/tmp", 0o1777},
	{"/var/tmp", 0o1777},
}

// An instance runs as root, for which the modes of the host's files are no obstacle. So what the host keeps from some
// of its users is kept from instances: folders in the closedIn folders that others may not enter are empty, and files
// anywhere below the unreadableIn folders that others may not read aren't there. The lists after these name secrets
// elsewhere, and those that are often readable by mistake.
var (
	closedIn = []string{
		"/",
		"/etc",
		"/opt",
		"/srv",
		"/usr/local/etc",
		"/var",
		"/var/cache",
		"/var/lib",
		"/var/log",
		"/var/spool",
	}
	unreadableIn = []string{"/etc", "/usr/local/etc"}
	// readByRoot are files without secrets that programs of root need. The passwords of the others are taken out.
	readByRoot = []string{"/etc/sudoers", "/etc/shadow", "/etc/gshadow"}
)

// restricted are the parts of the host that not all of its users may look into.
type restricted struct{ Folders, Files []string }

// restrictedParts finds what the host keeps from some of its users. To look at thousands of files takes a while, so
// that instances that start within one second of each other share the answer.
var restrictedParts = func() func() restricted {
	const fresh = time.Second
	var (
		mu    sync.Mutex
		last  restricted
		found time.Time
	)
	return func() restricted {
		mu.Lock()
		defer mu.Unlock()
		if found.IsZero() || time.Since(found) > fresh {
			last, found = restricted{closedFolders(), unreadableFiles()}, time.Now()
		}
		return last
	}
}()

func closedFolders() (all []string) {
	for _, parent := range closedIn {
		entries, _ := os.ReadDir(parent) // one that isn't there has none
		for _, e := range entries {
			if !e.IsDir() {
				continue
			}
			if info, err := e.Info(); err == nil && info.Mode().Perm()&0o007 == 0 {
				all = append(all, filepath.Join(parent, e.Name()))
			}
		}
	}
	return all
}

func unreadableFiles() (all []string) {
	for _, folder := range unreadableIn {
		_ = filepath.WalkDir(folder, func(path string, e fs.DirEntry, err error) error {
			if err != nil || !e.Type().IsRegular() || slices.Contains(readByRoot, path) {
				return nil //nolint:nilerr // what can't be looked at is skipped
			}
			if info, err := e.Info(); err == nil && info.Mode().Perm()&0o004 == 0 {
				all = append(all, path)
			}
			return nil
		})
	}
	return all
}

// secretFolders hold keys, passwords, and the files of other machines and of databases. Those that the host has are
// empty in an instance.
var secretFolders = []string{
	"/boot",
	"/etc/NetworkManager/system-connections",
	"/etc/credstore*",
	"/etc/ipsec.d/private",
	"/etc/kubernetes",
	"/etc/letsencrypt",
	"/etc/netplan",
	"/etc/openvpn",
	"/etc/pki/*/private",
	"/etc/rancher",
	"/etc/ssl/private",
	"/etc/swanctl/private",
	"/etc/wireguard",
	"/etc/wpa_supplicant",
	"/var/backups",
	"/var/crash",
	"/var/kerberos",
	"/var/lib/NetworkManager",
	"/var/lib/acme",
	"/var/lib/apport/coredump",
	"/var/lib/bluetooth",
	"/var/lib/caddy",
	"/var/lib/cassandra",
	"/var/lib/cloud",
	"/var/lib/consul",
	"/var/lib/containerd",
	"/var/lib/containers",
	"/var/lib/dkms/mok*",
	"/var/lib/docker",
	"/var/lib/etcd",
	"/var/lib/gitlab-runner",
	"/var/lib/grafana",
	"/var/lib/incus",
	"/var/lib/iwd",
	"/var/lib/jenkins",
	"/var/lib/krb5kdc",
	"/var/lib/kubelet",
	"/var/lib/ldap",
	"/var/lib/libvirt",
	"/var/lib/lxc",
	"/var/lib/lxd",
	"/var/lib/machines",
	"/var/lib/mongo*",
	"/var/lib/mysql*",
	"/var/lib/pgsql",
	"/var/lib/postgresql",
	"/var/lib/private",
	"/var/lib/rancher",
	"/var/lib/redis",
	"/var/lib/samba/private",
	"/var/lib/shim-signed/mok",
	"/var/lib/snapd/save",
	"/var/lib/sss",
	"/var/lib/systemd/coredump",
	"/var/lib/tailscale",
	"/var/lib/ubuntu-advantage/private",
	"/var/lib/vault",
	"/var/lib/waagent",
	"/var/lib/zerotier-one",
	"/var/log/anaconda",
	"/var/log/audit",
	"/var/log/installer",
	"/var/log/journal",
	"/var/mail",
	"/var/spool/at",
	"/var/spool/cron",
	"/var/spool/cups",
	"/var/spool/exim4",
	"/var/spool/mail",
	"/var/spool/postfix",
	"/var/vmail",
}

// secretFiles hold keys and passwords, or may: what a log quotes. None is there in an instance.
var secretFiles = []string{
	"/etc/*shadow-",
	"/etc/docker/key.json",
	"/etc/ipsec.secrets",
	"/etc/krb5.keytab",
	"/etc/ppp/*-secrets",
	"/etc/security/opasswd",
	"/etc/ssh/ssh_host_*_key",
	"/var/cache/debconf/passwords.dat*",
	"/var/lib/dkms/mok.key",
	"/var/lib/snapd/state.json",
	"/var/lib/systemd/credential.secret",
	"/var/lib/systemd/random-seed",
	"/var/log/auth.log*",
	"/var/log/btmp*",
	"/var/log/cloud-init*",
	"/var/log/mail*",
	"/var/log/messages*",
	"/var/log/secure*",
	"/var/log/syslog*",
}

// personalSecrets are in the folders of people, which a lab file may name.
var personalSecrets = []string{
	".*_history", ".aws", ".azure", ".boto", ".cargo/credentials*", ".config/BraveSoftware", ".config/chromium",
	".config/containers", ".config/doctl", ".config/gcloud", ".config/gh", ".config/google-chrome", ".config/hub",
	".config/op", ".config/rclone", ".config/sops", ".docker", ".gem/credentials", ".git-credentials", ".gnupg",
	".kube", ".local/share/fish", ".local/share/keyrings", ".m2/settings*.xml", ".mozilla", ".my.cnf", ".mylogin.cnf",
	".netrc", ".npmrc", ".oci", ".password-store", ".pgpass", ".pki", ".pypirc", ".s3cfg", ".ssh", ".terraform.d",
	".thunderbird", ".vault-token", ".viminfo",
}

// hiddenFolders lists the folders of the host that are empty in an instance, by their paths without symbolic links.
// Closed are those that [restrictedParts] found.
func hiddenFolders(closed []string) []hidden {
	all := slices.Clone(ownFolders)
	for _, h := range ownFolders {
		if real, err := filepath.EvalSymlinks(h.path); err == nil && real != h.path {
			all = append(all, hidden{real, h.mode})
		}
	}
	hide := func(path string) {
		if !slices.ContainsFunc(all, func(h hidden) bool { return within(path, h.path) }) {
			all = append(all, hidden{path, 0})
		}
	}
	for _, path := range closed {
		hide(path)
	}
	for _, pattern := range secretFolders {
		found, _ := filepath.Glob(pattern) // the patterns are well-formed
		for _, path := range found {
			real, err := filepath.EvalSymlinks(path)
			if err != nil {
				continue
			}
			if info, err := os.Stat(real); err == nil && info.IsDir() {
				hide(real)
			}
		}
	}
	return all
}

// hideFiles removes the files with secrets from the new root, those that [restrictedParts] found among them.
func hideFiles(layers []*layer, unreadable []string) error {
	for _, pattern := range secretFiles {
		found, _ := filepath.Glob(newRoot + pattern)
		for _, target := range found {
			info, err := os.Lstat(target)
			if err != nil {
				continue
			}
			if err := hideFile(layers, target, info); err != nil {
				return err
			}
		}
	}
	for _, path := range unreadable {
		info, err := os.Lstat(newRoot + path)
		if err != nil {
			continue // it is in a hidden folder, or has gone
		}
		if err := hideFile(layers, newRoot+path, info); err != nil {
			return err
		}
	}
	return nil
}

// hideFile removes a file from the new root or, where it can't be removed, covers it. A symbolic link stays: what it
// leads to is hidden itself, or not at all.
func hideFile(layers []*layer, target string, info fs.FileInfo) error {
	switch {
	case !info.Mode().IsRegular():
		return nil
	case layerOf(layers, target[len(newRoot):]).storage != "":
		return os.Remove(target)
	}
	return cover(target, info)
}

// coverPersonal hides the secrets of people in folders that a lab file names, unless it names the secrets themselves.
func coverPersonal(all []named) error {
	isNamed := func(path string) bool {
		return slices.ContainsFunc(all, func(n named) bool { return within(path, n.Path) })
	}
	for _, home := range []string{"/root/", "/home/*/"} {
		for _, name := range personalSecrets {
			found, _ := filepath.Glob(newRoot + home + name)
			for _, target := range found {
				path := target[len(newRoot):]
				info, err := os.Lstat(target)
				if err != nil || info.Mode().Type() == os.ModeSymlink || !isNamed(filepath.Dir(path)) {
					continue
				}
				if slices.ContainsFunc(all, func(n named) bool { return within(n.Path, path) }) {
					continue
				}
				if err := cover(target, info); err != nil {
					return err
				}
			}
		}
	}
	return nil
}

// cover mounts something empty over a file or folder.
func cover(target string, info fs.FileInfo) error {
	if info.IsDir() {
		return mountTemporary(target, coverSize, uint32(info.Mode().Perm()), unix.MS_RDONLY)
	}
	return bind(newRoot+"/dev/null", target, unix.MOUNT_ATTR_RDONLY)
}
