package descriptors

import (
	"errors"
	"io"
	"os"
	"slices"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

func TestSendFiles(t *testing.T) {
	a, theirs, err := Pair()
	if err != nil {
		t.Fatal(err)
	}
	b, err := Conn(theirs)
	if err != nil {
		t.Fatal(err)
	}
	defer b.Close()
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	long := strings.Repeat("long ", 100_000)
	go func() {
		defer a.Close()
		for _, err := range []error{
			Send(a, "first"),
			Send(a, "second", w, r),
			Send(a, long, w),
			Send(a, "last"),
		} {
			if err != nil {
				t.Error(err)
			}
		}
		if err := Send(a, strings.Repeat(".", maxMessage)); err == nil {
			t.Error("a message too large was sent")
		}
		w.Close()
		if _, err := a.Write([]byte{0, 0}); err != nil { // half a message
			t.Error(err)
		}
	}()
	for _, want := range []struct {
		text  string
		files int
	}{{"first", 0}, {"second", 2}, {long, 1}, {"last", 0}} {
		var got string
		files, err := Receive(b, &got)
		if err != nil || got != want.text || len(files) != want.files {
			t.Fatalf("%d bytes, %d files, %v", len(got), len(files), err)
		}
		if len(files) == 0 {
			continue
		}
		if _, err := io.WriteString(files[0], "through"); err != nil {
			t.Error(err)
		}
		buf := make([]byte, 10)
		if n, _ := r.Read(buf); string(buf[:n]) != "through" {
			t.Errorf("%q", buf[:n])
		}
		Close(files)
	}
	var got string
	if _, err := Receive(b, &got); !errors.Is(err, io.ErrUnexpectedEOF) {
		t.Error(err)
	}
	if _, err := Receive(b, &got); !errors.Is(err, io.EOF) {
		t.Error(err)
	}
	if _, err := r.Read(make([]byte, 1)); err != io.EOF {
		t.Errorf("a copy of the pipe is still open: %v", err)
	}
	r.Close()
}

// A message has a bounded number of files, however many parts it comes in.
func TestTooManyFiles(t *testing.T) {
	a, theirs, err := Pair()
	if err != nil {
		t.Fatal(err)
	}
	defer a.Close()
	b, err := Conn(theirs)
	if err != nil {
		t.Fatal(err)
	}
	defer b.Close()
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	rights := unix.UnixRights(slices.Repeat([]int{int(w.Fd())}, maxFiles)...)
	for _, part := range []string{"\x00\x00\x00\x08", "1234", "5678"} {
		if _, _, err := a.WriteMsgUnix([]byte(part), rights, nil); err != nil {
			t.Fatal(err)
		}
	}
	var text string
	if files, err := Receive(b, &text); err == nil || !strings.Contains(err.Error(), "more files") || files != nil {
		t.Errorf("%d files, %v", len(files), err)
	}
	b.Close() // and with it what was not received
	w.Close()
	if _, err := r.Read(make([]byte, 1)); err != io.EOF {
		t.Errorf("a copy of the pipe is still open: %v", err)
	}
}
