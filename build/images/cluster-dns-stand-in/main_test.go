package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
)

func service(namespace, name, address string) Service {
	one := Service{Metadata: Metadata{Key: Key{namespace, name}}}
	one.Spec.ClusterIP = address
	return one
}

func TestHostsFile(t *testing.T) {
	endpointsOf := func(key Key, text string) map[Key]Endpoints {
		one := Endpoints{Metadata: Metadata{Key: key}}
		if err := json.Unmarshal([]byte(text), &one); err != nil {
			t.Fatal(err)
		}
		return map[Key]Endpoints{key: one}
	}
	database := Key{"shop", "database"}
	patient := service("shop", "database", "None")
	patient.Spec.PublishNotReadyAddresses = true
	dual := service("default", "kubernetes", "fd00:1234::1")
	dual.Spec.ClusterIPs = []string{"fd00:1234::1", "10.96.0.1"}
	parts := `{"subsets": [{"addresses": [{"ip": "fd00:101::7", "hostname": "database-0"}, {"ip": "fd00:102::9"}],
		"notReadyAddresses": [{"ip": "fd00:102::a"}]}]}`

	for _, example := range []struct {
		title     string
		service   Service
		endpoints map[Key]Endpoints
		want      []string
	}{
		{"a service has its cluster address", service("default", "kubernetes", "fd00:1234::1"), nil,
			[]string{"fd00:1234::1 kubernetes.default.svc.cluster.local"}},
		{"a dual-stack service has both", dual, nil, []string{
			"10.96.0.1 kubernetes.default.svc.cluster.local", "fd00:1234::1 kubernetes.default.svc.cluster.local"}},
		{"a headless one has its ready endpoints, by hostname too", service("shop", "database", "None"),
			endpointsOf(database, parts), []string{
				"fd00:101::7 database-0.database.shop.svc.cluster.local", "fd00:101::7 database.shop.svc.cluster.local",
				"fd00:102::9 database.shop.svc.cluster.local"}},
		{"and those that are not ready where it wants them", patient,
			endpointsOf(database, `{"subsets": [{"notReadyAddresses": [{"ip": "fd00:102::a"}]}]}`),
			[]string{"fd00:102::a database.shop.svc.cluster.local"}},
		{"a service without an address has no record", service("shop", "outside", ""), nil, nil},
	} {
		got := hostsFile("cluster.local", map[Key]Service{example.service.Metadata.Key: example.service}, example.endpoints)
		want := ""
		if len(example.want) > 0 {
			want = strings.Join(example.want, "\n") + "\n"
		}
		if got != want {
			t.Errorf("%s:\ngot\n%swant\n%s", example.title, got, want)
		}
	}
}

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
