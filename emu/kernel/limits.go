package kernel

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// limits are those of the machine that all labs on it share. A small lab works with any.
func limits() []Feature {
	return []Feature{
		limit("neighbor table", "ipv4/neigh/default/gc_thresh3", 4096,
			"when about as many instances talk to each other as the limit says, "+
				"their packets wait for room in the table, and probes time out",
			"sysctl -w net.ipv4.neigh.default.gc_thresh3=16384"),
		limit("connections", "netfilter/nf_conntrack_max", 16384,
			"a router or an instance with as many connections as the limit says drops new ones",
			"sysctl -w net.netfilter.nf_conntrack_max=262144"),
		optional(try("open files", "larger labs can't start: an instance takes about three descriptors",
			"ulimit -Hn 1048576, or LimitNOFILE= of the service", openFiles)),
	}
}

func limit(name, key string, enough int, cost, remedy string) Feature {
	return optional(try(name, cost, remedy, func() (string, error) {
		text, err := os.ReadFile("/proc/sys/net/" + key)
		if errors.Is(err, fs.ErrNotExist) {
			return "not limited yet", nil // the part of the kernel that knows the limit isn't loaded
		}
		if err != nil {
			return "", err
		}
		value, err := strconv.Atoi(strings.TrimSpace(string(text)))
		if err != nil {
			return "", err
		}
		if value < enough {
			return "", fmt.Errorf("%d entries", value)
		}
		return fmt.Sprintf("%d entries", value), nil
	}))
}

func openFiles() (string, error) {
	var l unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_NOFILE, &l); err != nil {
		return "", os.NewSyscallError("getrlimit", err)
	}
	if l.Max < 4096 {
		return "", fmt.Errorf("%d", l.Max)
	}
	return fmt.Sprint(l.Max), nil
}
