package main

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"strconv"
	"sync"
	"syscall"
)

const (
	small = 1 << 20  // bodies up to here are documents: kept, and compared with their checksum
	chunk = 1 << 20  // bytes moved at a time
	most  = 64 << 30 // no body is longer
)

// body is what a request brought, or an object holds: bytes, a file, or only its length.
type body struct {
	size  int64
	bytes []byte
	file  *os.File
}

// bodies takes bodies in; large ones go to unlinked files of a folder, if there is one.
type bodies struct {
	folder string
	limit  int64
	mutex  sync.Mutex
	kept   int64
}

func (all *bodies) take(connection net.Conn, reader *bufio.Reader, request *http.Request) (body, error) {
	if request.ContentLength < 0 {
		return all.takeChunks(request)
	}
	size := request.ContentLength
	switch {
	case size > most:
		return body{}, fmt.Errorf("a body of %d bytes", size)
	case size <= small:
		content := make([]byte, size)
		_, err := io.ReadFull(reader, content)
		return body{size: size, bytes: content}, err
	case all.folder != "":
		return all.keep(reader, size)
	}
	return body{size: size}, discard(connection, reader, size)
}

// takeChunks takes a body of unknown length: what boto3 sends with a checksum behind it, framed
// once more by itself. Only its length counts here.
func (all *bodies) takeChunks(request *http.Request) (body, error) {
	size, err := strconv.ParseInt(request.Header.Get("X-Amz-Decoded-Content-Length"), 10, 64)
	if err != nil || size > most || all.folder != "" {
		return body{}, errors.New("a body of unknown length is not kept here")
	}
	_, err = io.CopyBuffer(io.Discard, struct{ io.Reader }{request.Body}, make([]byte, chunk))
	return body{size: size}, err
}

func (all *bodies) keep(reader *bufio.Reader, size int64) (body, error) {
	all.mutex.Lock()
	all.kept += size
	full := all.kept > all.limit
	all.mutex.Unlock()
	if full {
		return body{}, fmt.Errorf("more than %d bytes to keep", all.limit)
	}
	file, err := os.CreateTemp(all.folder, "body-")
	if err != nil {
		return body{}, err
	}
	if err := os.Remove(file.Name()); err != nil {
		return body{}, err
	}
	_, err = io.CopyBuffer(struct{ io.Writer }{file}, io.LimitReader(reader, size), make([]byte, chunk))
	return body{size: size, file: file}, err
}

// forget gives back what a replaced or deleted body took.
func (all *bodies) forget(gone body) {
	if gone.file == nil {
		return
	}
	gone.file.Close()
	all.mutex.Lock()
	all.kept -= gone.size
	all.mutex.Unlock()
}

// discard drops size bytes. TCP drops them in the kernel (MSG_TRUNC) without copying them.
func discard(connection net.Conn, reader *bufio.Reader, size int64) error {
	buffered := min(size, int64(reader.Buffered()))
	if _, err := reader.Discard(int(buffered)); err != nil {
		return err
	}
	size -= buffered
	plain, isPlain := connection.(*net.TCPConn)
	if !isPlain {
		_, err := io.CopyBuffer(io.Discard, io.LimitReader(struct{ io.Reader }{reader}, size), make([]byte, chunk))
		return err
	}
	raw, err := plain.SyscallConn()
	if err != nil {
		return err
	}
	room := make([]byte, chunk)
	var failed error
	err = raw.Read(func(descriptor uintptr) bool {
		for size > 0 {
			count, _, err := syscall.Recvfrom(int(descriptor), room[:min(size, chunk)], syscall.MSG_TRUNC)
			if err == syscall.EAGAIN {
				return false
			}
			if err == nil && count == 0 {
				err = io.ErrUnexpectedEOF
			}
			if err != nil {
				failed = err
				return true
			}
			size -= int64(count)
		}
		return true
	})
	return errors.Join(err, failed)
}

// send writes bytes [start, end) of a body; what was thrown away comes back as zeros.
func (content body) send(connection net.Conn, start, end int64) error {
	if content.bytes != nil || content.size == 0 {
		_, err := connection.Write(content.bytes[start:end])
		return err
	}
	if plain, isPlain := connection.(*net.TCPConn); isPlain && content.file != nil {
		return sendFile(plain, content.file, start, end)
	}
	room := make([]byte, min(256<<10, end-start))
	for start < end {
		piece := room[:min(int64(len(room)), end-start)]
		if content.file != nil {
			if _, err := content.file.ReadAt(piece, start); err != nil {
				return err
			}
		}
		if _, err := connection.Write(piece); err != nil {
			return err
		}
		start += int64(len(piece))
	}
	return nil
}

func sendFile(connection *net.TCPConn, file *os.File, start, end int64) error {
	raw, err := connection.SyscallConn()
	if err != nil {
		return err
	}
	var failed error
	err = raw.Write(func(descriptor uintptr) bool {
		for start < end {
			count, err := syscall.Sendfile(int(descriptor), int(file.Fd()), &start, int(min(end-start, chunk)))
			if err == syscall.EAGAIN {
				return false
			}
			if err == nil && count == 0 {
				err = io.ErrUnexpectedEOF
			}
			if err != nil && err != syscall.EINTR {
				failed = err
				return true
			}
		}
		return true
	})
	return errors.Join(err, failed)
}

