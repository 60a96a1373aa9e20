package main

import (
	"cmp"
	"runtime"
	"runtime/debug"

	"github.com/spf13/cobra"
)

// release is the version of a release, set when one is built: -ldflags "-X main.release=v1.2.3".
var release string

// versionInfo identifies the build.
type versionInfo struct {
	Version  string `json:"version"`
	Revision string `json:"revision,omitempty"` // of the source tree
	Modified bool   `json:"modified,omitempty"` // the source tree had changes beyond the revision
	Go       string `json:"go"`
	Platform string `json:"platform"`
}

func buildVersion() versionInfo {
	v := versionInfo{Version: "unknown", Go: runtime.Version(), Platform: runtime.GOOS + "/" + runtime.GOARCH}
	info, ok := debug.ReadBuildInfo()
	if !ok {
		v.Version = cmp.Or(release, v.Version)
		return v
	}
	v.Version = cmp.Or(release, info.Main.Version, v.Version)
	for _, s := range info.Settings {
		switch s.Key {
		case "vcs.revision":
			v.Revision = s.Value
		case "vcs.modified":
			v.Modified = s.Value == "true"
		}
	}
	return v
}

func (a *app) version() *cobra.Command {
	cmd := &cobra.Command{
		Use:               "version",
		Short:             "Print the version",
		Args:              want(0, 0, ""),
		ValidArgsFunction: cobra.NoFileCompletions,
		RunE: func(*cobra.Command, []string) error {
			v := buildVersion()
			if a.format == jsonFormat {
				return a.stdout.json(v)
			}
			a.stdout.printf("lab %s (%s, %s)\n", v.Version, v.Go, v.Platform)
			return nil
		},
	}
	return a.answers(cmd)
}
