package labfile

import (
	"os"
	"path/filepath"
	"testing"
)

// FuzzDecode holds that the decoder neither panics nor loses the place of an error, and that what it accepts
// can be applied.
func FuzzDecode(f *testing.F) {
	for _, pattern := range []string{"testdata/bad/*.yaml", "testdata/good/*.yaml"} {
		files, err := filepath.Glob(pattern)
		if err != nil {
			f.Fatal(err)
		}
		for _, file := range files {
			data, err := os.ReadFile(file)
			if err != nil {
				f.Fatal(err)
			}
			f.Add(data)
		}
	}
	for _, c := range corpus() {
		f.Add([]byte(c.text))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		l := &loader{path: "lab.yaml", dir: "/nowhere", sources: sources{}}
		text, wrong := clean(l.path, data)
		l.sources.add(l.path, text)
		if wrong != nil {
			l.problems = Errors{*wrong}
		} else {
			file, d := decode(l.path, text)
			l.file, l.broken, l.problems = file, d.broken, d.problems
			if len(l.problems) == 0 && file.Lab.Text == "" {
				t.Error("accepted a file without a name")
			}
			if !l.broken[file.Origin] {
				l.apply()
			}
		}
		if err := l.err(); err != nil {
			_ = err.Error()
		}
		for _, p := range l.problems {
			if p.Origin.File == "" || p.Origin.Line < 1 || p.Origin.Column < 1 || p.Message == "" {
				t.Errorf("problem without a place: %#v", p)
			}
		}
	})
}
