package supervisor

import (
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"runtime"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"vnetlab/lab/labfile"
)

// prepare runs the command by which a lab with real programs gets what those need, on the host. It ends with ctx and
// with this process.
func prepare(ctx context.Context, loaded *labfile.Loaded, output io.Writer) error {
	if output == nil {
		output = os.Stderr
	}
	// Pdeathsig comes with the end of the thread that started the command.
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	cmd := exec.CommandContext(ctx, "sh", "-c", loaded.Prepare)
	cmd.Dir, cmd.Stdout, cmd.Stderr = loaded.Dir, output, output
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: unix.SIGKILL}
	cmd.Cancel = func() error { return unix.Kill(-cmd.Process.Pid, unix.SIGKILL) }
	cmd.WaitDelay = 10 * time.Second // for the rest of its output, if that isn't read as fast as it was written
	if err := cmd.Run(); err != nil {
		if ctx.Err() != nil {
			return fmt.Errorf(
				"starting lab %s was interrupted while it was being prepared: %w",
				loaded.Lab.Name,
				ctx.Err(),
			)
		}
		return fmt.Errorf("prepare %q of lab %s: %w", loaded.Prepare, loaded.Lab.Name, err)
	}
	return nil
}
