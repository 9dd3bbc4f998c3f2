package main

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"net/url"
	"os"
	"strings"
	"time"
)

const account = "/var/run/secrets/kubernetes.io/serviceaccount"

// errExpired says that the server no longer has the history that a watch asked for: list again.
var errExpired = errors.New("resource version expired")

// API is the cluster's API server, spoken to as the pod's service account.
type API struct {
	base   string
	token  func() (string, error)
	client *http.Client
}

// inCluster finds the API server as every pod finds it.
func inCluster() (*API, error) {
	host, port := os.Getenv("KUBERNETES_SERVICE_HOST"), os.Getenv("KUBERNETES_SERVICE_PORT")
	if host == "" || port == "" {
		return nil, errors.New("KUBERNETES_SERVICE_HOST and KUBERNETES_SERVICE_PORT are not set: not in a pod")
	}
	authority, err := os.ReadFile(account + "/ca.crt")
	if err != nil {
		return nil, err
	}
	roots := x509.NewCertPool()
	if !roots.AppendCertsFromPEM(authority) {
		return nil, errors.New(account + "/ca.crt holds no certificate")
	}
	return &API{
		base: "https://" + net.JoinHostPort(host, port),
		// Read each time: the kubelet renews it.
		token: func() (string, error) {
			token, err := os.ReadFile(account + "/token")
			return strings.TrimSpace(string(token)), err
		},
		client: &http.Client{Transport: &http.Transport{
			TLSClientConfig:       &tls.Config{RootCAs: roots, MinVersion: tls.VersionTLS12},
			DialContext:           (&net.Dialer{Timeout: 10 * time.Second, KeepAlive: 15 * time.Second}).DialContext,
			TLSHandshakeTimeout:   10 * time.Second,
			ResponseHeaderTimeout: 30 * time.Second,
		}},
	}, nil
}

func (api *API) get(ctx context.Context, path string, query url.Values) (io.ReadCloser, error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, api.base+path+"?"+query.Encode(), nil)
	if err != nil {
		return nil, err
	}
	token, err := api.token()
	if err != nil {
		return nil, err
	}
	request.Header.Set("Authorization", "Bearer "+token)
	response, err := api.client.Do(request)
	if err != nil {
		return nil, err
	}
	if response.StatusCode == http.StatusOK {
		return response.Body, nil
	}
	defer response.Body.Close()
	if response.StatusCode == http.StatusGone {
		return nil, errExpired
	}
	said, _ := io.ReadAll(io.LimitReader(response.Body, 300))
	return nil, fmt.Errorf("GET %s: %s: %s", path, response.Status, strings.TrimSpace(string(said)))
}

// follow lists the objects at path and then watches them until the server ends the watch or something fails.
// replace gets a whole list, change one object and whether it is gone. The error is never nil.
func follow[T any](ctx context.Context, api *API, path string, replace func([]T), change func(T, bool)) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	body, err := api.get(ctx, path, url.Values{})
	if err != nil {
		return err
	}
	var list struct {
		Metadata Metadata `json:"metadata"`
		Items    []T      `json:"items"`
	}
	err = json.NewDecoder(body).Decode(&list)
	body.Close()
	if err != nil {
		return fmt.Errorf("GET %s: %w", path, err)
	}
	replace(list.Items)
	version := list.Metadata.ResourceVersion
	for {
		if version, err = watch(ctx, api, path, version, change); err != nil {
			return err
		}
	}
}

// keep follows one kind of object for ever, starting over with growing pauses when something fails.
func keep[T Object](ctx context.Context, api *API, kind string, kept *Kept[T]) {
	pause := time.Second
	for ctx.Err() == nil {
		err := follow(ctx, api, "/api/v1/"+kind,
			func(all []T) {
				pause = time.Second
				kept.replace(all)
			},
			kept.change)
		if errors.Is(err, errExpired) || ctx.Err() != nil {
			continue
		}
		log.Printf("%s: %v; again in %s", kind, err, pause)
		select {
		case <-ctx.Done():
		case <-time.After(pause):
		}
		if pause *= 2; pause > 30*time.Second {
			pause = 30 * time.Second
		}
	}
}

// watch hears changes from version on until the server ends it, and returns the last version heard.
func watch[T any](
	ctx context.Context, api *API, path, version string, change func(T, bool),
) (string, error) {
	// The server ends a watch after this time; one that outlives it by far hangs on a dead connection.
	const seconds = 240
	ctx, cancel := context.WithTimeout(ctx, (seconds+30)*time.Second)
	defer cancel()
	body, err := api.get(ctx, path, url.Values{
		"watch":               {"true"},
		"allowWatchBookmarks": {"true"},
		"resourceVersion":     {version},
		"timeoutSeconds":      {fmt.Sprint(seconds)},
	})
	if err != nil {
		return version, err
	}
	defer body.Close()
	decoder := json.NewDecoder(body)
	for {
		var event struct {
			Type   string          `json:"type"`
			Object json.RawMessage `json:"object"`
		}
		if err := decoder.Decode(&event); errors.Is(err, io.EOF) {
			return version, nil
		} else if err != nil {
			return version, fmt.Errorf("watch %s: %w", path, err)
		}
		var head struct {
			Metadata Metadata `json:"metadata"`
			Code     int      `json:"code"`
			Message  string   `json:"message"`
		}
		if err := json.Unmarshal(event.Object, &head); err != nil {
			return version, err
		}
		switch event.Type {
		case "ERROR":
			if head.Code == http.StatusGone {
				return version, errExpired
			}
			return version, fmt.Errorf("watch %s: %s", path, head.Message)
		case "ADDED", "MODIFIED", "DELETED":
			var object T
			if err := json.Unmarshal(event.Object, &object); err != nil {
				return version, err
			}
			change(object, event.Type == "DELETED")
		}
		version = head.Metadata.ResourceVersion
	}
}
