// Package descriptors sends messages with open files over unix sockets: between a client and a lab, and between a lab
// and the init of an instance.
package descriptors

import (
	"bytes"
	"encoding/binary"
	"encoding/gob"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"runtime"

	"golang.org/x/sys/unix"
)

// What one message may carry.
const (
	maxMessage = 1 << 20 // bytes
	maxFiles   = 16
)

// Send sends one message over a connected stream socket, and open files with it (SCM_RIGHTS). The message is a gob,
// which keeps every byte of paths and arguments, after its length in four bytes. The files remain the caller's: the
// receiver gets its own descriptors. Two goroutines must not send on one connection at once.
func Send(conn *net.UnixConn, msg any, files ...*os.File) error {
	var encoded bytes.Buffer
	if err := gob.NewEncoder(&encoded).Encode(msg); err != nil {
		return err
	}
	body := encoded.Bytes()
	if len(body) > maxMessage || len(files) > maxFiles {
		return fmt.Errorf("message of %d bytes and %d files is too large", len(body), len(files))
	}
	frame := append(binary.BigEndian.AppendUint32(nil, uint32(len(body))), body...)
	var rights []byte
	if len(files) > 0 {
		fds := make([]int, len(files))
		for i, f := range files {
			fds[i] = int(f.Fd())
		}
		rights = unix.UnixRights(fds...)
	}
	n, _, err := conn.WriteMsgUnix(frame, rights, nil)
	runtime.KeepAlive(files)
	if err == nil && n < len(frame) { // a stream may take a part: the files went with its first byte
		_, err = conn.Write(frame[n:])
	}
	return err
}

// Receive reads one message that [Send] sent, and no byte more. The files are the caller's to close. The error is
// io.EOF when the other side closed the connection between two messages.
func Receive(conn *net.UnixConn, msg any) (files []*os.File, err error) {
	defer func() {
		if err != nil {
			Close(files)
			files = nil
		}
	}()
	var head [4]byte
	if err := readMessage(conn, head[:], &files); err != nil {
		return files, err
	}
	size := binary.BigEndian.Uint32(head[:])
	if size > maxMessage {
		return files, fmt.Errorf("message of %d bytes is too large", size)
	}
	body := make([]byte, size)
	if err := readMessage(conn, body, &files); err != nil {
		if errors.Is(err, io.EOF) {
			err = io.ErrUnexpectedEOF
		}
		return files, err
	}
	return files, gob.NewDecoder(bytes.NewReader(body)).Decode(msg)
}

// readMessage fills buf and keeps the files that come along.
func readMessage(conn *net.UnixConn, buf []byte, files *[]*os.File) error {
	rights := make([]byte, unix.CmsgSpace(maxFiles*4))
	for n := 0; n < len(buf); {
		k, oob, flags, _, err := conn.ReadMsgUnix(buf[n:], rights)
		if oob > 0 {
			received, rightsErr := filesOf(rights[:oob])
			*files = append(*files, received...)
			err = errors.Join(err, rightsErr)
		}
		switch {
		case err == nil && (flags&unix.MSG_CTRUNC != 0 || len(*files) > maxFiles):
			return errors.New("more files came with a message than can be taken")
		case errors.Is(err, io.EOF) || err == nil && k == 0:
			if n > 0 {
				return io.ErrUnexpectedEOF
			}
			return io.EOF
		case err != nil:
			return err
		}
		n += k
	}
	return nil
}

func filesOf(rights []byte) ([]*os.File, error) {
	messages, err := unix.ParseSocketControlMessage(rights)
	if err != nil {
		return nil, err
	}
	var files []*os.File
	for _, m := range messages {
		fds, err := unix.ParseUnixRights(&m)
		if err != nil {
			continue // another kind of control message
		}
		for _, fd := range fds {
			files = append(files, os.NewFile(uintptr(fd), "received"))
		}
	}
	return files, nil
}

// Close closes files.
func Close(files []*os.File) {
	for _, f := range files {
		f.Close()
	}
}

// Pair makes two connected stream sockets: one for use here, one to hand away.
func Pair() (*net.UnixConn, *os.File, error) {
	fds, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return nil, nil, os.NewSyscallError("socketpair", err)
	}
	theirs := os.NewFile(uintptr(fds[1]), "socket")
	conn, err := Conn(os.NewFile(uintptr(fds[0]), "socket"))
	if err != nil {
		theirs.Close()
		return nil, nil, err
	}
	return conn, theirs, nil
}

// Conn makes a connection of a socket's file, and closes the file.
func Conn(f *os.File) (*net.UnixConn, error) {
	defer f.Close()
	c, err := net.FileConn(f)
	if err != nil {
		return nil, err
	}
	conn, ok := c.(*net.UnixConn)
	if !ok {
		c.Close()
		return nil, fmt.Errorf("%s is not a unix socket", f.Name())
	}
	return conn, nil
}
