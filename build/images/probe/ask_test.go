package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
)

// asked is what one question comes to that is asked once.
func asked(t *testing.T, one question) (status int, output string) {
	t.Helper()
	one.ID = "1"
	todo, err := json.Marshal(errand{Patience: -1, First: 2, Timeout: 2, Questions: []question{one}})
	if err != nil {
		t.Fatal(err)
	}
	var out bytes.Buffer
	if err := ask(bytes.NewReader(todo), &out); err != nil {
		t.Fatal(err)
	}
	var answers map[string][3]any
	if err := json.Unmarshal(out.Bytes(), &answers); err != nil {
		t.Fatal(err)
	}
	return int(answers["1"][0].(float64)), strings.TrimSpace(answers["1"][1].(string))
}

// datagrams is the address of a server that answers each datagram with what the function makes of its length.
func datagrams(t *testing.T, reply func(length int) []byte) string {
	t.Helper()
	packets, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { packets.Close() })
	go func() {
		buffer := make([]byte, largest)
		for {
			length, from, err := packets.ReadFrom(buffer)
			if err != nil {
				return
			}
			packets.WriteTo(reply(length), from)
		}
	}()
	return packets.LocalAddr().String()
}

func TestPagesSayTheNameInAsManyBytesAsCame(t *testing.T) {
	server := httptest.NewServer(pages("kube-worker-1"))
	defer server.Close()
	for _, size := range []int{0, 1000, 20000} {
		status, output := asked(t, question{Kind: "fetch", Argument: server.URL, Size: size})
		if status != 0 || output != "kube-worker-1" {
			t.Errorf("%d bytes: %d %q", size, status, output)
		}
	}
}

func TestAPageThatLacksBytesIsNoAnswer(t *testing.T) {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Write(filled("kube-worker-1", 1280))
	}))
	defer server.Close()
	status, output := asked(t, question{Kind: "fetch", Argument: server.URL, Size: 20000})
	if status != 1 || output != "20000 bytes were sent, and 1280 came back" {
		t.Errorf("%d %q", status, output)
	}
}

func TestWhoAsksIsSeenByAddressAndPort(t *testing.T) {
	server := httptest.NewServer(pages("kube-worker-1"))
	defer server.Close()
	_, output := asked(t, question{Kind: "fetch", Argument: server.URL + "/from"})
	host, _, err := net.SplitHostPort(output)
	if err != nil || host != "127.0.0.1" {
		t.Errorf("%q", output)
	}
}

func TestAllThatAnswerAreTold(t *testing.T) {
	requests := 0
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		requests++
		fmt.Fprintln(w, []string{"one", "two"}[requests%2])
	}))
	defer server.Close()
	if _, output := asked(t, question{Kind: "fetch", Argument: server.URL, Times: 5}); output != "two\none" {
		t.Errorf("%q", output)
	}
	if requests != 5 {
		t.Errorf("%d requests", requests)
	}
}

func TestADatagramComesBackWholeOrIsNoAnswer(t *testing.T) {
	packets, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer packets.Close()
	go answerDatagrams(packets, "kube-worker-1")
	well := packets.LocalAddr().String()
	short := datagrams(t, func(length int) []byte { return filled("kube-worker-1", length-1) })
	for _, each := range []struct {
		address string
		size    int
		status  int
		output  string
	}{
		{well, 100, 0, "kube-worker-1"},
		{well, 20000, 0, "kube-worker-1"},
		{short, 20000, 1, "20000 bytes were sent, and 19999 came back"},
	} {
		status, output := asked(t, question{Kind: "datagram", Argument: each.address, Size: each.size})
		if status != each.status || output != each.output {
			t.Errorf("%v: %d %q", each, status, output)
		}
	}
}

func TestOnlyARefusalSaysThatNobodyIsThere(t *testing.T) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	address := listener.Addr().String()
	if status, output := asked(t, question{Kind: "refused", Argument: address}); status != 1 || output != "somebody still answers" {
		t.Errorf("%d %q", status, output)
	}
	listener.Close()
	if status, output := asked(t, question{Kind: "refused", Argument: address}); status != 0 || output != "refused" {
		t.Errorf("%d %q", status, output)
	}
}

func TestAQuestionOfALaterTimeIsNotTakenForAnother(t *testing.T) {
	status, output := asked(t, question{Kind: "greet", Argument: "http://[::1]/"})
	if status != 1 || !strings.Contains(output, `"greet"`) {
		t.Errorf("%d %q", status, output)
	}
}
