// An S3 server that costs its client's machine next to nothing: what is measured is the client.
//
// It knows the calls that checkpoints need. Small bodies are compared with their CRC64NVME and
// kept. Large ones are counted and thrown away, over plain http without even being copied out of
// the kernel; with -keep they are kept in memory instead, up to -limit bytes, and served by
// sendfile. It authenticates nobody: it listens on loopback, for one benchmark.
package main

import (
	"crypto/tls"
	"flag"
	"log"
	"net"
)

func main() {
	address := flag.String("address", "127.0.0.1:0", "where to listen")
	certificate := flag.String("cert", "", "PEM certificate: speak TLS")
	key := flag.String("key", "", "its key")
	keep := flag.String("keep", "", "a folder in memory: keep large bodies there, in unlinked files")
	limit := flag.Int64("limit", 8<<30, "bytes that may be kept")
	flag.Parse()
	listener, err := net.Listen("tcp", *address)
	if err != nil {
		log.Fatal(err)
	}
	if *certificate != "" {
		pair, err := tls.LoadX509KeyPair(*certificate, *key)
		if err != nil {
			log.Fatal(err)
		}
		settings := &tls.Config{Certificates: []tls.Certificate{pair}, MinVersion: tls.VersionTLS12}
		listener = tls.NewListener(listener, settings)
	}
	server := &server{bucket: newBucket(), bodies: &bodies{folder: *keep, limit: *limit}}
	for {
		connection, err := listener.Accept()
		if err != nil {
			log.Fatal(err)
		}
		go server.serve(connection)
	}
}
