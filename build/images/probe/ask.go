package main

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"syscall"
	"time"
)

// errand is what "probe ask" reads: a question that fails is asked again until Patience is over, because a Service
// that was made a moment ago is not on every node yet.
type errand struct {
	Patience  float64    `json:"patience"` // seconds for all questions together
	First     float64    `json:"first"`    // seconds for the first attempt; each one after it has twice the time
	Timeout   float64    `json:"timeout"`  // seconds for an attempt at most
	CA        string     `json:"ca"`       // PEM text: who vouches for https servers
	Questions []question `json:"questions"`
}

type question struct {
	ID       string `json:"id"`
	Kind     string `json:"kind"`     // what is done, see attempt
	Argument string `json:"argument"` // a URL, a name, or an address with its port
	Size     int    `json:"size"`     // bytes that are sent, of which as many have to come back; 0 to send nothing
	Times    int    `json:"times"`    // how often a page is fetched; the answer has each that came, once
}

// answer is [status, output, seconds]; the status is 0 when the asking itself went well.
type answer [3]any

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
			found := insist(asked, client, seconds(todo.First), seconds(todo.Timeout), deadline)
			lock.Lock()
			answers[asked.ID] = found
			lock.Unlock()
		}(asked)
	}
	all.Wait()
	return json.NewEncoder(out).Encode(answers)
}

func insist(asked question, client *http.Client, first, timeout time.Duration, deadline time.Time) answer {
	for allowed := min(first, timeout); ; allowed = min(2*allowed, timeout) {
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
	switch asked.Kind {
	case "fetch":
		return fetchAll(ctx, asked, client)
	case "resolve":
		return resolve(ctx, asked.Argument)
	case "datagram":
		return exchange(ctx, asked.Argument, asked.Size)
	case "refused":
		return refused(ctx, asked.Argument)
	}
	return "", fmt.Errorf("this probe does not know the question %q", asked.Kind)
}

func resolve(ctx context.Context, name string) (string, error) {
	addresses, err := net.DefaultResolver.LookupIP(ctx, "ip6", name)
	if err != nil {
		return "", err
	}
	lines := make([]string, len(addresses))
	for i, address := range addresses {
		lines[i] = address.String()
	}
	return strings.Join(lines, "\n"), nil
}

// fetchAll is a page, or the different ones that came when it was fetched several times.
func fetchAll(ctx context.Context, asked question, client *http.Client) (string, error) {
	var pages []string
	seen := make(map[string]bool)
	for i := 0; i == 0 || i < asked.Times; i++ {
		page, err := fetch(ctx, asked, client)
		if err != nil {
			return "", err
		}
		if !seen[page] {
			seen[page] = true
			pages = append(pages, page)
		}
	}
	return strings.Join(pages, ""), nil
}

func fetch(ctx context.Context, asked question, client *http.Client) (string, error) {
	method, body := http.MethodGet, io.Reader(nil)
	if asked.Size > 0 {
		method, body = http.MethodPost, bytes.NewReader(make([]byte, asked.Size))
	}
	request, err := http.NewRequestWithContext(ctx, method, asked.Argument, body)
	if err != nil {
		return "", err
	}
	response, err := client.Do(request)
	if err != nil {
		return "", err
	}
	defer response.Body.Close()
	page, err := io.ReadAll(io.LimitReader(response.Body, largest))
	if err == nil && response.StatusCode != http.StatusOK {
		err = fmt.Errorf("%s", response.Status)
	}
	if err == nil && asked.Size > 0 {
		return whole(page, asked.Size)
	}
	return string(page), err
}

// exchange sends one datagram, from a port of its own, and waits for the one that answers it.
func exchange(ctx context.Context, address string, size int) (string, error) {
	connection, err := (&net.Dialer{}).DialContext(ctx, "udp", address)
	if err != nil {
		return "", err
	}
	defer connection.Close()
	if until, ok := ctx.Deadline(); ok {
		connection.SetDeadline(until)
	}
	if _, err = connection.Write(make([]byte, size)); err != nil {
		return "", err
	}
	buffer := make([]byte, largest)
	length, err := connection.Read(buffer)
	if err != nil {
		return "", err
	}
	return whole(buffer[:length], size)
}

func whole(came []byte, size int) (string, error) {
	if len(came) != size {
		return "", fmt.Errorf("%d bytes were sent, and %d came back", size, len(came))
	}
	return strings.TrimSpace(string(came)), nil
}

// refused is well when connections are refused at once: nobody stands behind the address, and who asks is told.
func refused(ctx context.Context, address string) (string, error) {
	connection, err := (&net.Dialer{}).DialContext(ctx, "tcp", address)
	if errors.Is(err, syscall.ECONNREFUSED) {
		return "refused", nil
	}
	if err != nil {
		return "", err
	}
	connection.Close()
	return "", fmt.Errorf("somebody still answers")
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
