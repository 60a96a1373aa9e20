package emulator

import (
	"context"

	"vnetlab/emu/kernel"
)

// Diff tells where the kernel differs from what is wanted, whoever made the difference.
func (e *Emulator) Diff(ctx context.Context) ([]kernel.Difference, error) {
	e.change.Lock()
	defer e.change.Unlock()
	return kernel.Diff(ctx, e.made, e.state)
}
