package main

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"net/url"
	"strings"
	"testing"
)

func TestFollowListsThenWatchesAndAsksForANewListWhenHistoryIsGone(t *testing.T) {
	var watched url.Values
	server := httptest.NewServer(http.HandlerFunc(func(answer http.ResponseWriter, request *http.Request) {
		if request.Header.Get("Authorization") != "Bearer secret" {
			answer.WriteHeader(http.StatusUnauthorized)
			return
		}
		if request.URL.Query().Get("watch") == "" {
			fmt.Fprint(answer, `{"metadata": {"resourceVersion": "7"}, "items": [
				{"metadata": {"namespace": "default", "name": "kubernetes"}, "spec": {"clusterIP": "fd00:1234::1"}}]}`)
			return
		}
		watched = request.URL.Query()
		object := `{"metadata": {"namespace": "a", "name": "b", "resourceVersion": "%d"}}`
		fmt.Fprintf(answer, `{"type": "ADDED", "object": `+object+`}`, 8)
		fmt.Fprintf(answer, `{"type": "DELETED", "object": `+object+`}`, 9)
		fmt.Fprint(answer, `{"type": "BOOKMARK", "object": {"metadata": {"resourceVersion": "12"}}}`)
		fmt.Fprint(answer, `{"type": "ERROR", "object": {"code": 410, "message": "too old"}}`)
	}))
	defer server.Close()
	api := &API{base: server.URL, token: func() (string, error) { return "secret", nil }, client: server.Client()}

	var heard []string
	err := follow(context.Background(), api, "/api/v1/services",
		func(all []Service) {
			heard = append(heard, fmt.Sprintf("list %s %s", all[0].Metadata.Name, all[0].Spec.ClusterIP))
		},
		func(one Service, gone bool) { heard = append(heard, fmt.Sprintf("%s %v", one.Metadata.Name, gone)) })

	if !errors.Is(err, errExpired) {
		t.Errorf("got error %v", err)
	}
	if got, want := strings.Join(heard, ", "), "list kubernetes fd00:1234::1, b false, b true"; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
	if watched.Get("resourceVersion") != "7" {
		t.Errorf("watched from %s", watched.Get("resourceVersion"))
	}
}

func TestServerErrorsAreReported(t *testing.T) {
	server := httptest.NewServer(http.HandlerFunc(func(answer http.ResponseWriter, _ *http.Request) {
		http.Error(answer, "no list for you", http.StatusForbidden)
	}))
	defer server.Close()
	api := &API{base: server.URL, token: func() (string, error) { return "", nil }, client: server.Client()}
	err := follow(context.Background(), api, "/api/v1/services", func([]Service) {}, func(Service, bool) {})
	if err == nil || !strings.Contains(err.Error(), "403 Forbidden: no list for you") {
		t.Errorf("got %v", err)
	}
}

func TestKeepingStartsOverAndForgetsWhatIsGone(t *testing.T) {
	lists := make(chan string, 2)
	lists <- `{"metadata": {"resourceVersion": "7"}, "items": [
		{"metadata": {"namespace": "a", "name": "old"}, "spec": {"clusterIP": "fd00:1234::1"}}]}`
	lists <- `{"metadata": {"resourceVersion": "9"}, "items": [
		{"metadata": {"namespace": "a", "name": "new"}, "spec": {"clusterIP": "fd00:1234::2"}}]}`
	relisted := make(chan struct{})
	server := httptest.NewServer(http.HandlerFunc(func(answer http.ResponseWriter, request *http.Request) {
		if request.URL.Query().Get("watch") == "" {
			fmt.Fprint(answer, <-lists)
			return
		}
		if request.URL.Query().Get("resourceVersion") == "7" {
			fmt.Fprint(answer, `{"type": "ERROR", "object": {"code": 410, "message": "too old"}}`)
			return
		}
		close(relisted)
		<-request.Context().Done()
	}))
	defer server.Close()
	api := &API{base: server.URL, token: func() (string, error) { return "", nil }, client: server.Client()}
	kept := newKept[Service]()
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()

	go keep(ctx, api, "services", kept)
	<-relisted

	if _, known := kept.get(Key{"a", "old"}); known || kept.size() != 1 {
		t.Error("what is not in the second list is known still")
	}
	if found := kept.at(netip.MustParseAddr("fd00:1234::2")); len(found) != 1 || found[0].Metadata.Name != "new" {
		t.Errorf("at the address of the new one: %v", found)
	}
}
