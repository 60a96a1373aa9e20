package process

import (
	"cmp"

	"golang.org/x/sys/unix"

	"vnetlab/emu"
)

// DefaultPIDs is how many processes and threads an instance may have unless its boundary says otherwise.
const DefaultPIDs = 1024

// Default memory is half of the machine's, within these.
const (
	leastMemory = 256 * emu.MiB
	mostMemory  = 2 * emu.GiB
)

// EffectiveLimits returns limits with the defaults in the place of zeros. All files that an instance can write are
// less than its memory, where they are kept: a full disk is an error for the writer, not the end of the instance.
func EffectiveLimits(l emu.Limits) emu.Limits {
	l.PIDs = cmp.Or(l.PIDs, DefaultPIDs)
	l.Memory = cmp.Or(l.Memory, min(max(machineMemory()/2, leastMemory), mostMemory))
	l.Disk = cmp.Or(l.Disk, l.Memory/2)
	l.Temporary = cmp.Or(l.Temporary, l.Memory/8)
	return l
}

// machineMemory is how much the machine has.
func machineMemory() emu.Bytes {
	var info unix.Sysinfo_t
	if unix.Sysinfo(&info) != nil {
		return 0
	}
	return emu.Bytes(info.Totalram) * emu.Bytes(info.Unit)
}
