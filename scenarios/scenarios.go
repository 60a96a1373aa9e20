// Package scenarios holds the ready labs: a folder each, with the lab file, what it refers to, and README.md, the
// lesson.
//
// The binary carries them. To run one, [Materialise] puts its files into a folder.
package scenarios

import (
	"bufio"
	"bytes"
	"crypto/sha256"
	"embed"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// Each file is named: a pattern would take in web/node_modules as well.
//
//go:embed sql-public/README.md sql-public/lab.yaml
//go:embed sql-vnet/README.md sql-vnet/lab.yaml
//go:embed sql-vnet/NetworkConfig.netcfg sql-vnet/ServiceDefinition.csdef sql-vnet/ServiceConfiguration.cscfg
//go:embed sql-vnet/prepare.sh sql-vnet/postgres.sh sql-vnet/schema.sql sql-vnet/web.sh
//go:embed sql-vnet/web/package.json sql-vnet/web/package-lock.json sql-vnet/web/server.js sql-vnet/web/server.test.js
//go:embed cassandra-public/README.md cassandra-public/lab.yaml
//go:embed cassandra-vnet/README.md cassandra-vnet/lab.yaml
var files embed.FS

// names in the order in which a workshop takes them.
var names = []string{"sql-public", "sql-vnet", "cassandra-public", "cassandra-vnet"}

// LabFile is the name of the lab file in the folder of a scenario.
const LabFile = "lab.yaml"

// cacheVariable names a folder to use as the cache, in the environment.
const cacheVariable = "VNETLAB_CACHE"

// Scenario is one ready lab.
type Scenario struct {
	Name    string `json:"name"`
	Title   string `json:"title"`
	Summary string `json:"summary"` // a sentence or two
}

// List gives the scenarios in the order in which a workshop takes them.
func List() []Scenario {
	var list []Scenario
	for _, name := range names {
		title, summary := heading(name)
		list = append(list, Scenario{Name: name, Title: title, Summary: summary})
	}
	return list
}

// heading reads the title and the first paragraph of a scenario's README.md.
func heading(name string) (title, summary string) {
	readme, _ := files.ReadFile(name + "/README.md") // embedded: a test reads each
	var paragraph []string
	for lines := bufio.NewScanner(bytes.NewReader(readme)); lines.Scan(); {
		line := strings.TrimSpace(lines.Text())
		switch {
		case title == "":
			title = strings.TrimSpace(strings.TrimPrefix(line, "#"))
		case line != "":
			paragraph = append(paragraph, line)
		case len(paragraph) > 0:
			return title, strings.Join(paragraph, " ")
		}
	}
	return title, strings.Join(paragraph, " ")
}

// Materialise puts the files of a scenario into a folder of the cache and returns the folder. Its name holds a hash
// of the files, so that equal files share a folder, with what was installed there, and another version of them gets
// another.
//
// The cache is $VNETLAB_CACHE, for root /var/cache/vnetlab, for anybody else the user's cache folder.
func Materialise(name string) (dir string, err error) {
	if !slices.Contains(names, name) {
		return "", fmt.Errorf("no scenario %q; there are %s", name, strings.Join(names, ", "))
	}
	hash, err := contentHash(name)
	if err != nil {
		return "", err
	}
	cache, err := cacheDir()
	if err != nil {
		return "", err
	}
	parent := filepath.Join(cache, "scenarios")
	dir = filepath.Join(parent, name+"-"+hash)
	// A file that was changed in the cache is put back: the folder says which files it holds.
	if _, err := os.Stat(dir); err == nil {
		return dir, cacheError(writeFiles(name, dir))
	}
	if err := os.MkdirAll(parent, 0o755); err != nil {
		return "", cacheError(err)
	}
	tmp, err := os.MkdirTemp(parent, ".new-")
	if err != nil {
		return "", cacheError(err)
	}
	defer os.RemoveAll(tmp)
	if err := writeFiles(name, tmp); err != nil {
		return "", cacheError(err)
	}
	err = os.Rename(tmp, dir)
	if errors.Is(err, fs.ErrExist) { // another process was faster, with the same files
		return dir, nil
	}
	return dir, cacheError(err)
}

// cacheError says which way out there is when the cache can't be written.
func cacheError(err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("unpack the scenario: %w; set %s to a folder that can be written", err, cacheVariable)
}

// writeFiles writes the files of a scenario into a folder, except those that are there already.
func writeFiles(name, dir string) error {
	return walk(name, func(path string, content []byte, mode fs.FileMode) error {
		target := filepath.Join(dir, filepath.FromSlash(path))
		if same(target, content, mode) {
			return nil
		}
		folder := filepath.Dir(target)
		if err := os.MkdirAll(folder, 0o755); err != nil {
			return err
		}
		// Programs of a scenario may drop root's rights and must still find their files, whatever the umask.
		if err := os.Chmod(folder, 0o755); err != nil {
			return err
		}
		// Beside the target, then renamed over it: whoever reads the file meanwhile sees the whole of one or the other.
		f, err := os.CreateTemp(folder, ".new-")
		if err != nil {
			return err
		}
		defer os.Remove(f.Name())
		_, err = f.Write(content)
		err = errors.Join(err, f.Chmod(mode), f.Close())
		if err != nil {
			return err
		}
		return os.Rename(f.Name(), target)
	})
}

// same says whether a file has this content and may be run, if it should.
func same(path string, content []byte, mode fs.FileMode) bool {
	info, err := os.Lstat(path)
	if err != nil || info.Mode() != mode {
		return false
	}
	there, err := os.ReadFile(path)
	return err == nil && bytes.Equal(there, content)
}

// contentHash is over the paths, modes and contents of the files of a scenario.
func contentHash(name string) (string, error) {
	h := sha256.New()
	err := walk(name, func(path string, content []byte, mode fs.FileMode) error {
		fmt.Fprintf(h, "%s %o %d\n", path, mode, len(content))
		h.Write(content)
		return nil
	})
	return hex.EncodeToString(h.Sum(nil))[:16], err
}

// walk visits the files of a scenario in the order of their paths, which are relative to its folder.
func walk(name string, visit func(path string, content []byte, mode fs.FileMode) error) error {
	return fs.WalkDir(files, name, func(path string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		content, err := files.ReadFile(path)
		if err != nil {
			return err
		}
		mode := fs.FileMode(0o644)
		if strings.HasSuffix(path, ".sh") { // embed keeps no modes
			mode = 0o755
		}
		return visit(strings.TrimPrefix(path, name+"/"), content, mode)
	})
}

func cacheDir() (string, error) {
	if dir := os.Getenv(cacheVariable); dir != "" {
		return filepath.Abs(dir)
	}
	if os.Geteuid() == 0 {
		return "/var/cache/vnetlab", nil
	}
	dir, err := os.UserCacheDir()
	if err != nil {
		return "", cacheError(err)
	}
	return filepath.Join(dir, "vnetlab"), nil
}
