package emulator

import (
	"context"

	"vnetlab/emu/kernel"
)

// Diff tells where the kernel differs from what is wanted, a line each.
func (e *Emulator) Diff(ctx context.Context) ([]string, error) {
	return kernel.Diff(ctx, e.network, e.state)
}
