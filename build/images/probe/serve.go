package main

import (
	"bytes"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
)

// largest is the most that is read of a request, a datagram or an answer.
const largest = 64 << 10

// serve answers until one of its two sockets fails: what is sent with as many bytes, which begin with the name.
func serve(address string) error {
	name, err := os.Hostname()
	if err != nil {
		return err
	}
	packets, err := net.ListenPacket("udp", address)
	if err != nil {
		return err
	}
	failed := make(chan error, 2)
	go func() { failed <- answerDatagrams(packets, name) }()
	go func() { failed <- http.ListenAndServe(address, pages(name)) }()
	return <-failed
}

// pages has the name, and under /from who asks: address and port as the pod sees them.
func pages(name string) http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(io.LimitReader(r.Body, largest))
		if err != nil {
			return // who asked is gone
		}
		w.Write(filled(name, len(body)))
	})
	mux.HandleFunc("/from", func(w http.ResponseWriter, r *http.Request) { fmt.Fprintln(w, r.RemoteAddr) })
	return mux
}

func answerDatagrams(packets net.PacketConn, name string) error {
	buffer := make([]byte, largest)
	for {
		length, from, err := packets.ReadFrom(buffer)
		if err != nil {
			return err
		}
		packets.WriteTo(filled(name, length), from) // one that cannot be sent is asked for again
	}
}

// filled is the name with line ends behind it, up to so many bytes.
func filled(name string, length int) []byte {
	if length <= len(name) {
		return []byte(name + "\n")
	}
	return append([]byte(name), bytes.Repeat([]byte("\n"), length-len(name))...)
}
