package process

import (
	"bufio"
	"context"
	"errors"
	"io"
	"iter"
	"slices"
	"sync"
	"time"

	"vnetlab/emu"
)

// Bounds of what a program's log keeps.
const (
	logSize     = 256 << 10 // bytes of text; older lines go
	maxLogLine  = 8 << 10   // a longer line is cut in several
	lineCharges = 48        // what a line costs beside its text
)

// Line is one line of a program's output.
type Line = emu.LogLine

// Log keeps the last lines of one program, over all its restarts.
type Log struct {
	mu      sync.Mutex
	lines   []Line
	first   int // number of lines[0], counted from the beginning
	size    int
	changed chan struct{} // closed and replaced with each change
	closed  bool
}

func newLog() *Log { return &Log{changed: make(chan struct{})} }

func (l *Log) add(line Line) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.lines = append(l.lines, line)
	l.size += len(line.Text) + lineCharges
	drop := 0
	for l.size > logSize {
		l.size -= len(l.lines[drop].Text) + lineCharges
		drop++
	}
	clear(l.lines[:drop])
	l.lines = l.lines[drop:] // not moved: a full log drops a line with each that it takes
	l.first += drop
	l.wake()
}

func (l *Log) note(text string) { l.add(Line{Time: time.Now(), Text: text, Note: true}) }

// close marks the log as complete.
func (l *Log) close() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.closed = true
	l.wake()
}

func (l *Log) wake() {
	close(l.changed)
	l.changed = make(chan struct{})
}

// copy adds the lines of r until its end.
func (l *Log) copy(r io.Reader) {
	b := bufio.NewReaderSize(r, maxLogLine)
	for {
		text, err := b.ReadSlice('\n')
		if len(text) > 0 {
			l.add(Line{Time: time.Now(), Text: string(trimNewline(text))})
		}
		if err != nil && !errors.Is(err, bufio.ErrBufferFull) {
			return
		}
	}
}

func trimNewline(text []byte) []byte {
	if n := len(text); n > 0 && text[n-1] == '\n' {
		text = text[:n-1]
	}
	if n := len(text); n > 0 && text[n-1] == '\r' {
		text = text[:n-1]
	}
	return text
}

// Last returns the last lines that are kept, at most n.
func (l *Log) Last(n int) []Line {
	l.mu.Lock()
	defer l.mu.Unlock()
	return slices.Clone(l.lines[max(0, len(l.lines)-n):])
}

// Lines returns the last lines that are kept, at most n, or all with n below 0. With follow it goes on with each line
// as it is written, until ctx or the instance ends. A reader that is too slow gets a note instead of the lines it
// missed.
func (l *Log) Lines(ctx context.Context, n int, follow bool) iter.Seq[Line] {
	return func(yield func(Line) bool) {
		next := 0
		if n >= 0 {
			l.mu.Lock()
			next = l.first + max(0, len(l.lines)-n)
			l.mu.Unlock()
		}
		for first := true; ; first = false {
			lines, missed, changed, closed := l.after(next)
			if missed > 0 && !first &&
				!yield(
					Line{
						Time: time.Now(),
						Text: "some lines are lost: they came faster than they were read",
						Note: true,
					},
				) {
				return
			}
			for _, line := range lines {
				if ctx.Err() != nil || !yield(line) {
					return
				}
			}
			next += missed + len(lines)
			if !follow || closed {
				return
			}
			select {
			case <-changed:
			case <-ctx.Done():
				return
			}
		}
	}
}

// after returns the lines from number next on, and how many of them are gone.
func (l *Log) after(next int) (lines []Line, missed int, changed <-chan struct{}, closed bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	missed = max(0, l.first-next)
	return slices.Clone(l.lines[next+missed-l.first:]), missed, l.changed, l.closed
}
