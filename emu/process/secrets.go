package process

import (
	"os"
	"path/filepath"
	"slices"

	"golang.org/x/sys/unix"
)

// ownFolders are empty in each instance: they are its own, or places of people and of what runs on the host.
var ownFolders = []hidden{
	{"/dev", 0o755},
	{"/home", 0o755},
	{"/proc", 0o555},
	{"/root", 0o700},
	{"/run", 0o755},
	{"/sys", 0o555},
	{"/tmp", 0o1777},
	{"/var/tmp", 0o1777},
}

// secretFolders hold keys, passwords and the files of other machines. Those that the host has are empty in an instance.
var secretFolders = []string{
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
	"/var/lib/NetworkManager",
	"/var/lib/cloud",
	"/var/lib/containerd",
	"/var/lib/containers",
	"/var/lib/docker",
	"/var/lib/kubelet",
	"/var/lib/libvirt",
	"/var/lib/lxc",
	"/var/lib/lxd",
	"/var/lib/machines",
	"/var/lib/private",
	"/var/lib/rancher",
	"/var/lib/systemd/coredump",
	"/var/mail",
	"/var/spool/at",
	"/var/spool/cron",
	"/var/spool/mail",
}

// secretFiles hold keys and passwords. None is there in an instance.
var secretFiles = []string{
	"/etc/*shadow-",
	"/etc/docker/key.json",
	"/etc/ipsec.secrets",
	"/etc/krb5.keytab",
	"/etc/ppp/*-secrets",
	"/etc/security/opasswd",
	"/etc/ssh/ssh_host_*_key",
	"/var/lib/systemd/credential.secret",
	"/var/lib/systemd/random-seed",
}

// personalSecrets are in the folders of people, which a lab file may name.
var personalSecrets = []string{
	".aws", ".azure", ".bash_history", ".config/gcloud", ".docker", ".git-credentials", ".gnupg", ".kube", ".local/share/keyrings",
	".netrc", ".npmrc", ".password-store", ".pgpass", ".pypirc", ".ssh", ".vault-token",
}

// hiddenFolders lists the folders of the host that are empty in an instance, by their paths without symbolic links.
func hiddenFolders() []hidden {
	all := slices.Clone(ownFolders)
	for _, h := range ownFolders {
		if real, err := filepath.EvalSymlinks(h.path); err == nil && real != h.path {
			all = append(all, hidden{real, h.mode})
		}
	}
	for _, pattern := range secretFolders {
		found, _ := filepath.Glob(pattern) // the patterns are well-formed
		for _, path := range found {
			real, err := filepath.EvalSymlinks(path)
			if err != nil || slices.ContainsFunc(all, func(h hidden) bool { return within(real, h.path) }) {
				continue
			}
			if info, err := os.Stat(real); err == nil && info.IsDir() {
				all = append(all, hidden{real, 0})
			}
		}
	}
	return all
}

// hideFiles takes the files with secrets away.
func hideFiles(layers []*layer) error {
	for _, pattern := range secretFiles {
		found, _ := filepath.Glob(newRoot + pattern)
		for _, target := range found {
			info, err := os.Lstat(target)
			if err != nil || !info.Mode().IsRegular() {
				continue // what a link leads to is hidden by itself, or not at all
			}
			if layerOf(layers, target[len(newRoot):]).storage != "" {
				err = os.Remove(target)
			} else {
				err = cover(target, info)
			}
			if err != nil {
				return err
			}
		}
	}
	return nil
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

// cover lays something empty over a file or folder.
func cover(target string, info os.FileInfo) error {
	if info.IsDir() {
		return mountTemporary(target, coverSize, uint32(info.Mode().Perm()), unix.MS_RDONLY)
	}
	return bind(newRoot+"/dev/null", target, unix.MOUNT_ATTR_RDONLY)
}
