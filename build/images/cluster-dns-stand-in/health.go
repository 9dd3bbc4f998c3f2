package main

import (
	"fmt"
	"net/http"
	"time"
)

// serveHealth answers /health as long as the program lives, and /ready with what ready says, on the ports on which
// CoreDNS has them.
func serveHealth(ready func() bool, failed chan<- error) {
	for _, address := range []string{":8080", ":8181"} {
		server := &http.Server{Addr: address, Handler: health(ready), ReadHeaderTimeout: 5 * time.Second}
		go func() { failed <- server.ListenAndServe() }()
	}
}

func health(ready func() bool) http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("/health", func(answer http.ResponseWriter, _ *http.Request) { fmt.Fprintln(answer, "OK") })
	mux.HandleFunc("/ready", func(answer http.ResponseWriter, _ *http.Request) {
		if !ready() {
			http.Error(answer, "namespaces, services and endpoints were not all listed yet", http.StatusServiceUnavailable)
			return
		}
		fmt.Fprintln(answer, "OK")
	})
	return mux
}
