package main

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"vnetlab/lab/spelling"
	"vnetlab/scenarios"
)

// labFile gives the path of the lab file that an argument means: a file, or else a scenario by its name.
func labFile(arg string) (string, error) {
	info, err := os.Stat(arg)
	switch {
	case err == nil && info.IsDir() && !isScenario(arg):
		inside := filepath.Join(arg, scenarios.LabFile)
		if _, err := os.Stat(inside); err == nil {
			return "", usage("%s is a folder", arg).orHint("name the lab file: " + inside)
		}
		return "", usage("%s is a folder and not a lab file", arg)
	case err == nil && !info.IsDir():
		return arg, nil
	case err != nil && !errors.Is(err, fs.ErrNotExist):
		return "", usage("%v", err)
	}
	if isScenario(arg) {
		dir, err := scenarios.Materialise(arg)
		if err != nil {
			return "", err
		}
		return filepath.Join(dir, scenarios.LabFile), nil
	}
	names := scenarioNames()
	return "", usage("there is no file and no scenario %q", arg).
		orHint(spelling.DidYouMean(arg, names), "the scenarios are "+strings.Join(names, ", "))
}

func scenarioNames() []string {
	var names []string
	for _, s := range scenarios.List() {
		names = append(names, s.Name)
	}
	return names
}

func isScenario(name string) bool {
	for _, s := range scenarios.List() {
		if s.Name == name {
			return true
		}
	}
	return false
}
