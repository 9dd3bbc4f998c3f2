// probe is what the proof of a cluster runs in pods.
//
//	probe serve   answers every request on port 8080 with the pod's name
//	probe ask     reads questions from standard input and writes the answers to standard output
//
// It resolves names by the pod's own resolv.conf and connects as any program in a pod would.
package main

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"strings"
	"sync"
	"time"
)

// errand is what "probe ask" reads: a question that fails is asked again until Patience is over, because a Service
// that was made a moment ago is not on every node yet.
type errand struct {
	Patience  float64    `json:"patience"` // seconds for all questions together
	Timeout   float64    `json:"timeout"`  // seconds for one attempt
	CA        string     `json:"ca"`       // PEM text: who vouches for https servers
	Questions []question `json:"questions"`
}

type question struct {
	ID       string `json:"id"`
	Kind     string `json:"kind"`     // "fetch" or "resolve"
	Argument string `json:"argument"` // a URL, or a name
}

// answer is [status, output, seconds]; the status is 0 when the asking itself went well.
type answer [3]any

func main() {
	command := ""
	if len(os.Args) == 2 {
		command = os.Args[1]
	}
	var err error
	switch command {
	case "serve":
		err = serve()
	case "ask":
		err = ask(os.Stdin, os.Stdout)
	default:
		err = fmt.Errorf("usage: probe serve|ask")
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "probe:", err)
		os.Exit(1)
	}
}

func serve() error {
	name, err := os.Hostname()
	if err != nil {
		return err
	}
	http.HandleFunc("/", func(w http.ResponseWriter, _ *http.Request) { fmt.Fprintln(w, name) })
	return http.ListenAndServe(":8080", nil)
}

func ask(in io.Reader, out io.Writer) error {
	var todo errand
	if err := json.NewDecoder(in).Decode(&todo); err != nil {
		return err
	}
	authorities := x509.NewCertPool()
	authorities.AppendCertsFromPEM([]byte(todo.CA))
	// Every attempt gets a connection of its own: a kept one would prove nothing.
	client := &http.Client{Transport: &http.Transport{
		DisableKeepAlives: true,
		TLSClientConfig:   &tls.Config{RootCAs: authorities},
	}}
	deadline := time.Now().Add(seconds(todo.Patience))

	answers := make(map[string]answer)
	var lock sync.Mutex
	var all sync.WaitGroup
	for _, asked := range todo.Questions {
		all.Add(1)
		go func(asked question) {
			defer all.Done()
			found := insist(asked, client, seconds(todo.Timeout), deadline)
			lock.Lock()
			answers[asked.ID] = found
			lock.Unlock()
		}(asked)
	}
	all.Wait()
	return json.NewEncoder(out).Encode(answers)
}

func insist(asked question, client *http.Client, timeout time.Duration, deadline time.Time) answer {
	// A packet to a Service that has not arrived here yet is lost, and sent again only after a second (RFC 6298, 2.1). So
	// first attempts are short, and each one longer than the one before.
	for allowed := min(250*time.Millisecond, timeout); ; allowed = min(2*allowed, timeout) {
		started := time.Now()
		ctx, cancel := context.WithTimeout(context.Background(), allowed)
		output, err := attempt(ctx, asked, client)
		cancel()
		if err == nil {
			return answer{0, output, time.Since(started).Seconds()}
		}
		if time.Now().After(deadline) {
			return answer{1, err.Error(), time.Since(started).Seconds()}
		}
		time.Sleep(100 * time.Millisecond)
	}
}

func attempt(ctx context.Context, asked question, client *http.Client) (string, error) {
	if asked.Kind == "resolve" {
		addresses, err := net.DefaultResolver.LookupIP(ctx, "ip6", asked.Argument)
		if err != nil {
			return "", err
		}
		lines := make([]string, len(addresses))
		for i, address := range addresses {
			lines[i] = address.String()
		}
		return strings.Join(lines, "\n"), nil
	}
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, asked.Argument, nil)
	if err != nil {
		return "", err
	}
	response, err := client.Do(request)
	if err != nil {
		return "", err
	}
	defer response.Body.Close()
	page, err := io.ReadAll(io.LimitReader(response.Body, 64<<10))
	if err == nil && response.StatusCode != http.StatusOK {
		err = fmt.Errorf("%s", response.Status)
	}
	return string(page), err
}

func seconds(number float64) time.Duration {
	return time.Duration(number * float64(time.Second))
}

func min(a, b time.Duration) time.Duration {
	if a < b {
		return a
	}
	return b
}
