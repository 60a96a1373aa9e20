package kernel

import (
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"strconv"
	"strings"
	"sync"

	"golang.org/x/sys/unix"

	"vnetlab/emu"
)

// sysctl is one value below /proc/sys/net.
type sysctl struct{ key, value string }

// A namespace starts with a copy of some of the host's values, so those that matter are written even where they are the
// default of the kernel.
var (
	hostSysctls = []sysctl{
		{"ipv6/conf/all/disable_ipv6", "1"}, // sets default too
		{"ipv4/ip_forward", "0"},
		// Who is asked for its address answers.
		{"ipv4/conf/all/arp_ignore", "0"},
		{"ipv4/conf/default/arp_ignore", "0"},
		unlimitedICMP,
	}
	routerSysctls = []sysctl{
		{"ipv6/conf/all/disable_ipv6", "1"},
		{"ipv4/ip_forward", "1"},
		// Routes of a lab need not be symmetric.
		{"ipv4/conf/all/rp_filter", "0"},
		{"ipv4/conf/default/rp_filter", "0"},
		// It answers those who ask for its address, and for no other.
		{"ipv4/conf/all/arp_ignore", "0"},
		{"ipv4/conf/default/arp_ignore", "0"},
		{"ipv4/conf/all/proxy_arp", "0"},
		{"ipv4/conf/default/proxy_arp", "0"},
		// A gateway must not redirect hosts to a shorter way: every packet passes its rules.
		{"ipv4/conf/all/send_redirects", "0"},
		{"ipv4/conf/default/send_redirects", "0"},
		// The end of an address is not the end of the others of its subnet.
		{"ipv4/conf/all/promote_secondaries", "1"},
		// Packets within a subnet are bridged, and the rules of the router are not for them.
		{"bridge/bridge-nf-call-iptables", "0"},
		// A connection that was forgotten is over: its later packets don't start it again in the middle.
		{"netfilter/nf_conntrack_tcp_loose", "0"},
		unlimitedICMP,
	}
)

// What the kernel makes the same in each namespace, whatever the host has: nobody writes it, but a change of it decides
// who reaches whom, or how long.
var (
	untouchedSysctls = []sysctl{{"ipv4/ip_default_ttl", "64"}, {"ipv4/icmp_echo_ignore_all", "0"}}
	untouchedRouter  = append(slices.Clip(untouchedSysctls),
		sysctl{"netfilter/nf_conntrack_tcp_be_liberal", "0"},
		sysctl{"netfilter/nf_conntrack_icmp_timeout", "30"},
		sysctl{"netfilter/nf_conntrack_udp_timeout", "30"},
		sysctl{"netfilter/nf_conntrack_udp_timeout_stream", "120"},
		sysctl{"netfilter/nf_conntrack_tcp_timeout_syn_sent", "120"},
		sysctl{"netfilter/nf_conntrack_tcp_timeout_syn_recv", "60"},
		sysctl{"netfilter/nf_conntrack_tcp_timeout_fin_wait", "120"},
		sysctl{"netfilter/nf_conntrack_tcp_timeout_close_wait", "60"},
		sysctl{"netfilter/nf_conntrack_tcp_timeout_last_ack", "30"},
		sysctl{"netfilter/nf_conntrack_tcp_timeout_time_wait", "120"},
	)
)

// unlimitedICMP lifts the kernel's limits of ICMP errors, one in a second to each target: a closed UDP port must refuse
// every sender, however many there are.
var unlimitedICMP = sysctl{"ipv4/icmp_ratemask", "0"}

// sysctls returns the values of a namespace.
func sysctls(n *emu.Namespace) []sysctl {
	switch {
	case n.Kind == emu.Host:
		return hostSysctls
	case n.EstablishedTimeout != 0:
		return append(slices.Clip(routerSysctls), sysctl{establishedTimeout, strconv.Itoa(n.EstablishedTimeout)})
	}
	return routerSysctls
}

// comparedSysctls are the values of a namespace that are read back.
func comparedSysctls(n *emu.Namespace) []sysctl {
	if n.Kind == emu.Host {
		return append(slices.Clip(sysctls(n)), untouchedSysctls...)
	}
	return append(slices.Clip(sysctls(n)), untouchedRouter...)
}

const establishedTimeout = "netfilter/nf_conntrack_tcp_timeout_established"

// sysctlFiles writes the values of new namespaces, and reads them back. The kernel remembers the files that were
// opened in each namespace under one folder, and looks through those of all namespaces for each that it hasn't seen:
// with a thousand of them that takes longer than all else. So the files are opened in instances of procfs that know
// few namespaces.
type sysctlFiles struct {
	mu   sync.Mutex
	idle []*procInstance
}

// procInstance is an instance of procfs, and for how many namespaces it was used.
type procInstance struct {
	fd   int
	used int
}

// perInstance is for how many namespaces an instance is used.
const perInstance = 16

// write writes the values of the namespace the calling thread is in. What the kernel doesn't have needs no switching
// off.
func (w *sysctlFiles) write(all []sysctl) (err error) {
	p := w.take()
	defer func() { err = errors.Join(err, w.put(p)) }()
	return p.writeAll(all)
}

func (w *sysctlFiles) take() *procInstance {
	w.mu.Lock()
	defer w.mu.Unlock()
	if n := len(w.idle); n > 0 {
		p := w.idle[n-1]
		w.idle = w.idle[:n-1]
		return p
	}
	fd, err := newProcFS()
	if err != nil {
		fd = unix.AT_FDCWD // the instance of the machine serves as well
	}
	return &procInstance{fd: fd}
}

func (w *sysctlFiles) put(p *procInstance) error {
	p.used++
	if p.used == perInstance {
		return p.close()
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.idle = append(w.idle, p)
	return nil
}

func (w *sysctlFiles) close() error {
	var errs []error
	for _, p := range w.idle {
		errs = append(errs, p.close())
	}
	w.idle = nil
	return errors.Join(errs...)
}

// newProcFS returns an instance of procfs that is mounted nowhere.
func newProcFS() (int, error) {
	config, err := unix.Fsopen("proc", unix.FSOPEN_CLOEXEC)
	if err != nil {
		return -1, err
	}
	defer unix.Close(config) //nolint:errcheck // nothing was written
	if err := unix.FsconfigCreate(config); err != nil {
		return -1, err
	}
	return unix.Fsmount(config, unix.FSMOUNT_CLOEXEC, 0)
}

func (p *procInstance) writeAll(all []sysctl) error {
	for _, s := range all {
		if err := p.write(s); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return fmt.Errorf("sysctl net/%s=%s: %w", s.key, s.value, err)
		}
	}
	return nil
}

func (p *procInstance) write(s sysctl) error {
	fd, err := p.open(s, unix.O_WRONLY)
	if err != nil {
		return err
	}
	_, err = unix.Write(fd, []byte(s.value))
	return errors.Join(err, unix.Close(fd))
}

func (p *procInstance) open(s sysctl, mode int) (int, error) {
	path := "sys/net/" + s.key
	if p.fd == unix.AT_FDCWD {
		path = "/proc/" + path
	}
	return unix.Openat(p.fd, path, mode|unix.O_CLOEXEC, 0)
}

// read reads the values of the namespace the calling thread is in. What the kernel doesn't have is as it is wanted.
func (w *sysctlFiles) read(all []sysctl, each func(key, value string)) (err error) {
	p := w.take()
	defer func() { err = errors.Join(err, w.put(p)) }()
	var in [64]byte
	for _, s := range all {
		fd, err := p.open(s, unix.O_RDONLY)
		if errors.Is(err, fs.ErrNotExist) {
			each(s.key, s.value)
			continue
		}
		if err != nil {
			return fmt.Errorf("sysctl net/%s: %w", s.key, err)
		}
		n, err := unix.Read(fd, in[:])
		if err = errors.Join(err, unix.Close(fd)); err != nil {
			return fmt.Errorf("sysctl net/%s: %w", s.key, err)
		}
		each(s.key, strings.TrimSpace(string(in[:n])))
	}
	return nil
}

func (p *procInstance) close() error {
	if p.fd == unix.AT_FDCWD {
		return nil
	}
	return unix.Close(p.fd)
}
