package kernel

import (
	"context"
	"vnetlab/emu"
)

func Diff(ctx context.Context, want *emu.Network, s *State) ([]string, error) { return nil, nil }
