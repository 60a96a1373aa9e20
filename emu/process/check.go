package process

import (
	"context"
	"errors"
	"fmt"
	"os"
	"runtime"
	"strings"

	"golang.org/x/sys/unix"

	"vnetlab/emu"
	"vnetlab/emu/kernel"
)

// Check tries each feature that instances are bounded by. What it makes for that goes with a mount namespace of its
// own.
func Check(_ context.Context) []kernel.Feature {
	all := []kernel.Feature{
		tried("overlayfs", false, "instances see this machine's files read-only, with "+writableWithout+
			" of their own, and reach the sockets that its programs have elsewhere", "modprobe overlay", tryOverlay),
		tried("system call filters", true, "instances can't run programs", "boot a kernel with CONFIG_SECCOMP_FILTER",
			func() (string, error) { return "", trySeccomp() }),
	}
	for _, c := range []struct{ name, cost string }{
		{pidsController, "the processes of instances have no limit: a fork bomb in one is one on this machine"},
		{memoryController, "the memory of instances has no limit, but for the files that they write"},
	} {
		all = append(all, tried("control group "+c.name, false, c.cost, remedies[c.name],
			func() (string, error) { return tryGroup(c.name) }))
	}
	return all
}

// writableWithout are the folders that can be written where there are no overlays.
const writableWithout = "/tmp, /run, /root, /home and /var/tmp"

var remedies = map[string]string{
	pidsController: "mount cgroup2 on /sys/fs/cgroup, and echo +pids >/sys/fs/cgroup/cgroup.subtree_control; " +
		"in a container, see that /sys/fs/cgroup can be written",
	memoryController: "likewise with +memory; a kernel that is booted with cgroup_disable=memory has none",
}

func tried(name string, required bool, cost, remedy string, try func() (string, error)) kernel.Feature {
	detail, err := "", kernel.ErrUntried
	if os.Geteuid() == 0 {
		detail, err = try()
	}
	if err != nil {
		detail = strings.Join(strings.Fields(err.Error()), " ")
	}
	return kernel.Feature{
		Name:     name,
		OK:       err == nil,
		Required: required,
		Detail:   detail,
		Cost:     cost,
		Remedy:   remedy,
		Untried:  errors.Is(err, kernel.ErrUntried),
	}
}

// tryOverlay makes an overlay of the root, as each instance does. The thread that it is done on ends with its mount
// namespace.
func tryOverlay() (string, error) {
	done := make(chan error)
	go func() {
		runtime.LockOSThread()
		done <- func() error {
			if err := unix.Unshare(unix.CLONE_NEWNS | unix.CLONE_FS); err != nil {
				return os.NewSyscallError("unshare", err)
			}
			if err := mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, ""); err != nil {
				return err
			}
			if err := mountTemporary(staging, emu.MiB, 0o700, 0); err != nil {
				return err
			}
			if err := errors.Join(os.Mkdir(newRoot, 0o755), os.Mkdir(storage, 0o700)); err != nil {
				return err
			}
			l := layer{path: "/", hidden: ownFolders}
			return l.overlay(newRoot, storage, unix.MOUNT_ATTR_NODEV)
		}()
	}()
	return "", <-done
}

// trySeccomp checks whether the kernel takes filters: a bad pointer as the filter fails differently if it does.
func trySeccomp() error {
	if _, err := systemCallFilter(); err != nil {
		return err
	}
	err := unix.Prctl(unix.PR_SET_SECCOMP, unix.SECCOMP_MODE_FILTER, 0, 0, 0)
	if errors.Is(err, unix.EFAULT) {
		return nil
	}
	return fmt.Errorf("filter: %w", err)
}

func tryGroup(controller string) (string, error) {
	found, err := hierarchies()
	for _, h := range found {
		for _, c := range h.controllers {
			if c != controller {
				continue
			}
			folder := h.path + "/" + groupsFolder + "/doctor-" + groupsOfProcess() + "/" + c
			probe := groupFolder{hierarchy{h.path, h.unified, []string{c}}, folder}
			err := probe.make(EffectiveLimits(emu.Limits{}))
			(&group{folders: []groupFolder{probe}}).remove()
			return h.path, err
		}
	}
	return "", err
}
