package process

import (
	"fmt"
	"net"
	"os"

	"golang.org/x/sys/unix"

	"vnetlab/internal/descriptors"
)

// OpenPTY makes a pseudo-terminal of the machine. The slave is for the program, the master for the side that acts as
// the terminal.
func OpenPTY() (master, slave *os.File, err error) {
	fd, err := unix.Open("/dev/ptmx", unix.O_RDWR|unix.O_NOCTTY|unix.O_CLOEXEC|unix.O_NONBLOCK, 0)
	if err != nil {
		return nil, nil, fmt.Errorf("open /dev/ptmx: %w", err)
	}
	master = os.NewFile(uintptr(fd), "/dev/ptmx")
	if err := unix.IoctlSetPointerInt(fd, unix.TIOCSPTLCK, 0); err != nil {
		master.Close()
		return nil, nil, fmt.Errorf("unlock the pseudo-terminal: %w", err)
	}
	// TIOCGPTPEER opens the slave of this master, whatever is mounted on /dev/pts.
	peer, _, errno := unix.Syscall(
		unix.SYS_IOCTL,
		uintptr(fd),
		unix.TIOCGPTPEER,
		unix.O_RDWR|unix.O_NOCTTY|unix.O_CLOEXEC,
	)
	if errno != 0 {
		master.Close()
		return nil, nil, fmt.Errorf("open the pseudo-terminal: %w", errno)
	}
	return master, os.NewFile(peer, "pty"), nil
}

// OpenTerminal makes a pseudo-terminal of the instance: its /dev/pts has the slave, so that programs find the terminal
// that they run on.
func (in *Instance) OpenTerminal() (master, slave *os.File, err error) {
	init, err := in.ensureInit()
	if err != nil {
		return nil, nil, err
	}
	control, err := init.request(startRequest{OpenTerminal: true})
	if err != nil {
		return nil, nil, err
	}
	defer control.Close()
	var rep report
	files, err := descriptors.Receive(control, &rep)
	switch {
	case err != nil:
		return nil, nil, (&running{in: in, init: init}).lost(err)
	case rep.Error != "":
		descriptors.Close(files)
		return nil, nil, fmt.Errorf("%s: %s", in.name, rep.Error)
	case len(files) != 2:
		descriptors.Close(files)
		return nil, nil, fmt.Errorf("%s: no terminal came from its init", in.name)
	}
	return files[0], files[1], nil
}

// serveTerminal opens a pseudo-terminal in the instance and sends it.
func serveTerminal(control *net.UnixConn) {
	defer control.Close()
	master, slave, err := OpenPTY()
	if err != nil {
		_ = descriptors.Send(control, report{Error: err.Error()})
		return
	}
	defer master.Close()
	defer slave.Close()
	_ = descriptors.Send(control, report{}, master, slave)
}
