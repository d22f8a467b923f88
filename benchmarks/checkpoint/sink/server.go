package main

import (
	"bufio"
	"encoding/base64"
	"encoding/binary"
	"encoding/xml"
	"fmt"
	"hash/crc64"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"
)

const (
	idle   = 10 * time.Minute // no connection is silent for longer
	digest = "X-Amz-Checksum-Crc64nvme"
)

var nvme = crc64.MakeTable(0x9a6c9329ac4bc9b5)

type server struct {
	bucket *bucket
	bodies *bodies
}

// answer is what goes back: a document, or [start, end) of an object's content.
type answer struct {
	code       int
	headers    map[string]string
	document   any
	object     *object
	start, end int64
}

func refused(code int, name string) answer {
	return answer{code: code, document: fault{Code: name, Message: name}}
}

func (server *server) serve(connection net.Conn) {
	defer connection.Close()
	reader := bufio.NewReaderSize(connection, 64<<10)
	for {
		connection.SetDeadline(time.Now().Add(idle))
		request, err := http.ReadRequest(reader)
		if err != nil {
			return
		}
		if strings.EqualFold(request.Header.Get("Expect"), "100-continue") {
			if _, err := connection.Write([]byte("HTTP/1.1 100 Continue\r\n\r\n")); err != nil {
				return
			}
		}
		body, err := server.bodies.take(connection, reader, request)
		if err != nil {
			server.bodies.forget(body)
			reply(connection, request, refused(507, "InsufficientStorage"))
			return
		}
		if reply(connection, request, server.answer(request, body)) != nil || request.Close {
			return
		}
	}
}

// answer knows the calls by method and query, as S3 does.
func (server *server) answer(request *http.Request, body body) answer {
	_, key, _ := strings.Cut(strings.TrimPrefix(request.URL.Path, "/"), "/")
	query := request.URL.Query()
	switch {
	case key == "" && query.Has("uploads"):
		return server.bucket.listUploads(query.Get("prefix"))
	case key == "" && request.Method == http.MethodGet:
		return server.bucket.list(query)
	case key == "":
		return answer{code: 200}
	case request.Method == http.MethodPut && query.Has("uploadId"):
		return server.putPart(request.Header, query, body)
	case request.Method == http.MethodPut:
		return server.put(key, request.Header, body)
	case request.Method == http.MethodPost && query.Has("uploads"):
		return server.bucket.begin(key)
	case request.Method == http.MethodPost:
		gone, said := server.bucket.finish(key, query.Get("uploadId"), request.Header.Get(digest))
		server.forget(gone)
		return said
	case request.Method == http.MethodDelete && query.Has("uploadId"):
		server.forget(server.bucket.abort(query.Get("uploadId")))
		return answer{code: 204}
	case request.Method == http.MethodDelete:
		server.forget(server.bucket.remove(key))
		return answer{code: 204}
	case query.Has("uploadId"):
		return server.bucket.listParts(query.Get("uploadId"))
	}
	return server.bucket.get(key, request.Header.Get("Range"))
}

func (server *server) put(key string, header http.Header, body body) answer {
	if body.bytes != nil && !matches(body.bytes, header.Get(digest)) {
		return refused(400, "BadDigest")
	}
	gone, stored := server.bucket.put(key, newObject(header.Get(digest), body), header.Get("If-None-Match") == "*")
	server.forget(gone)
	if !stored {
		return refused(412, "PreconditionFailed")
	}
	return answer{code: 200, headers: map[string]string{"ETag": `"sink"`}}
}

func (server *server) putPart(header http.Header, query url.Values, body body) answer {
	number, _ := strconv.Atoi(query.Get("partNumber"))
	if body.bytes != nil && !matches(body.bytes, header.Get(digest)) {
		return refused(400, "BadDigest")
	}
	if !server.bucket.putPart(query.Get("uploadId"), number, newObject(header.Get(digest), body)) {
		return refused(404, "NoSuchUpload")
	}
	return answer{code: 200, headers: map[string]string{"ETag": fmt.Sprintf(`"part-%d"`, number)}}
}

func (server *server) forget(gone *object) {
	if gone == nil {
		return
	}
	for _, segment := range gone.segments {
		server.bodies.forget(segment)
	}
}

func matches(content []byte, told string) bool {
	sum := binary.BigEndian.AppendUint64(nil, crc64.Checksum(content, nvme))
	return told == "" || told == base64.StdEncoding.EncodeToString(sum)
}

func reply(connection net.Conn, request *http.Request, said answer) error {
	var document []byte
	if said.document != nil {
		content, err := xml.Marshal(said.document)
		if err != nil {
			return err
		}
		document = append([]byte(xml.Header), content...)
	}
	length := int64(len(document))
	if said.object != nil {
		length = said.end - said.start
	}
	var head strings.Builder
	fmt.Fprintf(&head, "HTTP/1.1 %d %s\r\nDate: %s\r\nServer: sink\r\n", said.code, http.StatusText(said.code),
		time.Now().UTC().Format(http.TimeFormat))
	for name, value := range said.headers {
		fmt.Fprintf(&head, "%s: %s\r\n", name, value)
	}
	if said.code != 204 {
		fmt.Fprintf(&head, "Content-Length: %d\r\n", length)
	}
	head.WriteString("\r\n")
	if request.Method == http.MethodHead {
		_, err := connection.Write([]byte(head.String()))
		return err
	}
	if _, err := connection.Write(append([]byte(head.String()), document...)); err != nil {
		return err
	}
	if said.object == nil {
		return nil
	}
	return said.object.send(connection, said.start, said.end)
}
