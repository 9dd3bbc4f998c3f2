package main

import (
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"syscall"
	"testing"

	"github.com/miekg/dns"
)

// responderOfTest answers for the small cluster; what it does not know a server on loopback does.
func responderOfTest(t *testing.T, handle func(answer, request *dns.Msg, tcp bool) bool) (*Responder, *upstream) {
	server := serve(t, handle)
	return &Responder{zoneOfTest(t), newForwarder([]string{server.address})}, server
}

// ask asks over UDP or TCP at an address.
func ask(t *testing.T, network, address string, request *dns.Msg) *dns.Msg {
	t.Helper()
	answer, _, err := (&dns.Client{Net: network, UDPSize: dns.MaxMsgSize}).Exchange(request, address)
	if err != nil {
		t.Fatal(err)
	}
	return answer
}

// listening has a handler answer until the test ends. A port that is free for UDP and not for TCP is given back.
func listening(t *testing.T, address string, handler dns.Handler) string {
	t.Helper()
	failed := make(chan error, 2)
	servers, err := listen(address, handler, failed)
	for attempt := 0; errors.Is(err, syscall.EADDRINUSE) && attempt < 20; attempt++ {
		servers, err = listen(address, handler, failed)
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		for _, one := range servers {
			if one.PacketConn != nil {
				one.PacketConn.Close()
			} else {
				one.Listener.Close()
			}
		}
	})
	return servers[0].PacketConn.LocalAddr().String()
}

func request(t *testing.T, line string) *dns.Msg {
	made := new(dns.Msg)
	made.Id, made.RecursionDesired, made.Question = dns.Id(), true, []dns.Question{asked(t, line)}
	return made
}

func TestChainsOfNames(t *testing.T) {
	responder, server := responderOfTest(t, func(answer, request *dns.Msg, tcp bool) bool {
		if strings.HasPrefix(request.Question[0].Name, "broken.") {
			return says(dns.RcodeServerFailure)(answer, request, tcp)
		}
		if strings.HasPrefix(request.Question[0].Name, "nowhere.") {
			return says(dns.RcodeNameError)(answer, request, tcp)
		}
		return addresses(answer, request, tcp)
	})
	for name, target := range map[string]string{
		"twice": "inside.shop.svc.cluster.local", "round": "about.shop.svc.cluster.local",
		"about": "round.shop.svc.cluster.local", "lost": "nowhere.shop.svc.cluster.local",
		"gone": "nowhere.example.com", "broken": "broken.example.com",
	} {
		responder.zone.records.services.change(listOf[Service](t, `[{"metadata": {"namespace": "shop", "name": "`+name+`"},
			"spec": {"type": "ExternalName", "externalName": "`+target+`"}}]`)[0], false)
	}
	const inside = "inside.shop.svc.cluster.local. 5 CNAME kubernetes.default.svc.cluster.local."
	for _, example := range []struct {
		question string
		code     int
		want     string
	}{
		{"inside.shop.svc.cluster.local AAAA", dns.RcodeSuccess,
			"@ 5 CNAME kubernetes.default.svc.cluster.local.; kubernetes.default.svc.cluster.local. 5 AAAA fd00:1234::1"},
		{"inside.shop.svc.cluster.local A", dns.RcodeSuccess, "@ 5 CNAME kubernetes.default.svc.cluster.local."},
		{"inside.shop.svc.cluster.local CNAME", dns.RcodeSuccess, "@ 5 CNAME kubernetes.default.svc.cluster.local."},
		{"twice.shop.svc.cluster.local AAAA", dns.RcodeSuccess, "@ 5 CNAME inside.shop.svc.cluster.local.; " + inside +
			"; kubernetes.default.svc.cluster.local. 5 AAAA fd00:1234::1"},
		{"outside.shop.svc.cluster.local AAAA", dns.RcodeSuccess,
			"@ 5 CNAME www.Example.com.; www.example.com. 60 AAAA 2001:db8::64"},
		{"outside.shop.svc.cluster.local CNAME", dns.RcodeSuccess, "@ 5 CNAME www.Example.com."},
		{"lost.shop.svc.cluster.local AAAA", dns.RcodeNameError, "@ 5 CNAME nowhere.shop.svc.cluster.local."},
		{"gone.shop.svc.cluster.local AAAA", dns.RcodeNameError, "@ 5 CNAME nowhere.example.com."},
		{"broken.shop.svc.cluster.local AAAA", dns.RcodeServerFailure, "@ 5 CNAME broken.example.com."},
		{"www.example.com AAAA", dns.RcodeSuccess, "@ 60 AAAA 2001:db8::64"},
		{"nowhere.cluster.local AAAA", dns.RcodeNameError, ""},
	} {
		got := responder.reply(request(t, example.question))
		if got.Rcode != example.code {
			t.Errorf("%s: %s", example.question, dns.RcodeToString[got.Rcode])
		}
		name, _, _ := strings.Cut(example.question, " ")
		expect(t, example.question, lines(got.Answer, name), split(example.want))
		if local := strings.Contains(example.question, "cluster.local"); got.Authoritative != local {
			t.Errorf("%s: authoritative: %v", example.question, got.Authoritative)
		}
		if !got.RecursionAvailable {
			t.Errorf("%s: says that it does not ask others", example.question)
		}
	}
	if got := responder.reply(request(t, "round.shop.svc.cluster.local AAAA")); got.Rcode != dns.RcodeServerFailure {
		t.Errorf("names that lead to each other: %v", got)
	}
	before := server.asked.Load()
	for _, local := range []string{"svc.cluster.local. A", "x.cluster.local. A", "cluster.local. MX"} {
		responder.reply(request(t, local))
	}
	if server.asked.Load() != before {
		t.Error("names of the cluster are asked of others")
	}
}

func TestAddressesOfOthersAreAskedOfOthers(t *testing.T) {
	responder, server := responderOfTest(t, func(answer, request *dns.Msg, _ bool) bool {
		record, _ := dns.NewRR(request.Question[0].Name + " 60 PTR outside.example.com.")
		answer.Answer = []dns.RR{record}
		return true
	})
	for address, want := range map[string]string{
		"fd00:1234::a": "@ 5 PTR kube-dns.kube-system.svc.cluster.local.",
		"2001:db8::1":  "@ 60 PTR outside.example.com.",
	} {
		name, _ := dns.ReverseAddr(address)
		expect(t, address, lines(responder.reply(request(t, name+" PTR")).Answer, name), split(want))
	}
	if server.asked.Load() != 1 {
		t.Errorf("the server was asked %d times", server.asked.Load())
	}
}

func TestNobodyIsToldThatANameDoesNotExistBeforeAllAreKnown(t *testing.T) {
	responder, _ := responderOfTest(t, addresses)
	responder.zone.records = newRecords()
	responder.zone.records.services.replace(nil)
	health := httptest.NewServer(health(responder.zone.records.complete))
	defer health.Close()
	look := func() string {
		ready, err := http.Get(health.URL + "/ready")
		if err != nil {
			t.Fatal(err)
		}
		ready.Body.Close()
		inside := responder.reply(request(t, "kubernetes.default.svc.cluster.local AAAA"))
		outside := responder.reply(request(t, "www.example.com AAAA"))
		return fmt.Sprint(ready.StatusCode, dns.RcodeToString[inside.Rcode], dns.RcodeToString[outside.Rcode])
	}
	if got := look(); got != "503SERVFAILNOERROR" {
		t.Error(got)
	}
	responder.zone.records.namespaces.replace(nil)
	responder.zone.records.endpoints.replace(nil)
	if got := look(); got != "200NXDOMAINNOERROR" {
		t.Error(got)
	}
}

func TestWhatIsNotAnswered(t *testing.T) {
	responder, _ := responderOfTest(t, addresses)
	for _, example := range []struct {
		title  string
		change func(*dns.Msg)
		want   int
	}{
		{"another class", func(made *dns.Msg) { made.Question[0].Qclass = dns.ClassCHAOS }, dns.RcodeRefused},
		{"the whole zone", func(made *dns.Msg) { made.Question[0].Qtype = dns.TypeAXFR }, dns.RcodeRefused},
		{"a notification", func(made *dns.Msg) { made.Opcode = dns.OpcodeNotify }, dns.RcodeNotImplemented},
		{"a later EDNS", func(made *dns.Msg) { made.SetEdns0(1232, false).IsEdns0().SetVersion(1) }, dns.RcodeBadVers},
	} {
		made := request(t, "kubernetes.default.svc.cluster.local AAAA")
		example.change(made)
		if got := responder.reply(made); got.Rcode != example.want || len(got.Answer) > 0 {
			t.Errorf("%s: %v", example.title, got)
		}
	}
}

// large adds a headless service of so many endpoints.
func large(t *testing.T, responder *Responder, endpoints int) {
	var list []string
	for number := 1; number <= endpoints; number++ {
		list = append(list, fmt.Sprintf(`{"ip": "fd00:101::%x"}`, number))
	}
	head := `[{"metadata": {"namespace": "shop", "name": "large"}, `
	responder.zone.records.services.change(listOf[Service](t, head+`"spec": {"clusterIP": "None"}}]`)[0], false)
	responder.zone.records.endpoints.change(listOf[Endpoints](t,
		head+`"subsets": [{"addresses": [`+strings.Join(list, ", ")+`]}]}]`)[0], false)
}

func TestSizes(t *testing.T) {
	responder, _ := responderOfTest(t, addresses)
	large(t, responder, 300)
	address := listening(t, "127.0.0.1:0", responder)
	for _, example := range []struct {
		title, network string
		size           uint16 // 0 without EDNS
		longest        int
		truncated      bool
	}{
		{"as of old", "udp", 0, 512, true},
		{"with EDNS", "udp", 1000, 1000, true},
		{"less than there is", "udp", 100, 512, true},
		{"more than passes every link", "udp", 4096, 1232, true},
		{"over TCP", "tcp", 0, 65535, false},
	} {
		made := request(t, "large.shop.svc.cluster.local AAAA")
		if example.size > 0 {
			made.SetEdns0(example.size, false)
		}
		got := ask(t, example.network, address, made)
		got.Compress = true
		if got.Len() > example.longest || got.Truncated != example.truncated || got.Rcode != dns.RcodeSuccess {
			t.Errorf("%s: %d bytes, truncated: %v", example.title, got.Len(), got.Truncated)
		}
		if options := got.IsEdns0(); (options != nil) != (example.size > 0) {
			t.Errorf("%s: EDNS in the answer: %v", example.title, options)
		}
		if !example.truncated && len(got.Answer) != 300 {
			t.Errorf("%s: %d of 300 addresses", example.title, len(got.Answer))
		}
	}
}

func TestAddressesTakeTurns(t *testing.T) {
	responder, _ := responderOfTest(t, addresses)
	first := map[string]int{}
	for number := 0; number < 200; number++ {
		answer := responder.reply(request(t, "database.shop.svc.cluster.local AAAA")).Answer
		if len(answer) != 2 {
			t.Fatalf("got %v", answer)
		}
		first[answer[0].String()]++
	}
	if len(first) != 2 {
		t.Errorf("first is always %v", first)
	}
	chain := responder.reply(request(t, "outside.shop.svc.cluster.local AAAA")).Answer
	if chain[0].Header().Rrtype != dns.TypeCNAME {
		t.Errorf("the name that leads on does not come first: %v", chain)
	}
}

func TestAnAnswerComesFromTheAddressThatWasAsked(t *testing.T) {
	responder, _ := responderOfTest(t, addresses)
	_, port, _ := net.SplitHostPort(listening(t, ":0", responder))
	hosts := []netip.Addr{netip.MustParseAddr("127.0.0.1"), netip.MustParseAddr("127.0.0.2")}
	all, err := net.InterfaceAddrs()
	if err != nil {
		t.Fatal(err)
	}
	for _, one := range all {
		if prefix := netip.MustParsePrefix(one.String()); !prefix.Addr().IsLinkLocalUnicast() {
			hosts = append(hosts, prefix.Addr())
		}
	}
	for _, from := range hosts {
		for _, to := range hosts {
			if from.Is4() != to.Is4() {
				continue
			}
			// This socket takes only what comes from there.
			local := net.UDPAddrFromAddrPort(netip.AddrPortFrom(from, 0))
			client := &dns.Client{Dialer: &net.Dialer{LocalAddr: local}}
			answer, _, err := client.Exchange(
				request(t, "kubernetes.default.svc.cluster.local AAAA"), net.JoinHostPort(to.String(), port))
			if err != nil || len(answer.Answer) != 1 {
				t.Errorf("from %s to %s: %v, %v", from, to, answer, err)
			}
		}
	}
}

func TestANameIsAnsweredAsItWasWritten(t *testing.T) {
	responder, _ := responderOfTest(t, addresses)
	answer := responder.reply(request(t, "KuberNETES.default.svc.cluster.local AAAA"))
	if got := answer.Answer[0].Header().Name; got != "KuberNETES.default.svc.cluster.local." {
		t.Error(got)
	}
}
