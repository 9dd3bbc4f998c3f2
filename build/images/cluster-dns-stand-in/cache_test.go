package main

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/miekg/dns"
)

// answerOf makes an answer of a code and of lines as in a zone file; those of SOA records are its authority.
func answerOf(t *testing.T, code int, records string) *dns.Msg {
	t.Helper()
	answer := new(dns.Msg)
	answer.SetQuestion("www.example.com.", dns.TypeAAAA)
	answer.Response, answer.Rcode = true, code
	for _, line := range split(records) {
		record, err := dns.NewRR(line)
		if err != nil {
			t.Fatal(err)
		}
		if record.Header().Rrtype == dns.TypeSOA {
			answer.Ns = append(answer.Ns, record)
		} else {
			answer.Answer = append(answer.Answer, record)
		}
	}
	return answer
}

func TestHowLongAnAnswerIsGood(t *testing.T) {
	const soa = "example.com. 600 SOA ns.example.com. root.example.com. 1 2 3 4 "
	for _, example := range []struct {
		code    int
		records string
		want    time.Duration
	}{
		{dns.RcodeSuccess, "www.example.com. 60 AAAA 2001:db8::1", time.Minute},
		{dns.RcodeSuccess, "www.example.com. 20 CNAME a.example.com.; a.example.com. 60 AAAA 2001:db8::1", 20 * time.Second},
		{dns.RcodeSuccess, "www.example.com. 86400 AAAA 2001:db8::1", time.Hour},
		{dns.RcodeSuccess, "www.example.com. 0 AAAA 2001:db8::1", 0},
		{dns.RcodeNameError, soa + "10", 10 * time.Second},
		{dns.RcodeNameError, soa + "900", 30 * time.Second},
		{dns.RcodeNameError, "", 0},
		{dns.RcodeSuccess, soa + "10", 10 * time.Second},
		{dns.RcodeSuccess, "www.example.com. 5 CNAME a.example.com.; " + soa + "10", 5 * time.Second},
		{dns.RcodeSuccess, "www.example.com. 60 CNAME a.example.com.", 0},
		{dns.RcodeSuccess, "", 0},
		{dns.RcodeServerFailure, soa + "10", 0},
		{dns.RcodeRefused, "", 0},
	} {
		if got := lifetimeOf(answerOf(t, example.code, example.records), dns.TypeAAAA); got != example.want {
			t.Errorf("%s %q: %s, want %s", dns.RcodeToString[example.code], example.records, got, example.want)
		}
	}
}

func TestAnAnswerIsKeptAsLongAsItIsGoodAndItsTTLGrowsLess(t *testing.T) {
	cache, now := newCache(), time.Now()
	key := cacheKey{name: "www.example.com.", kind: dns.TypeAAAA}
	cache.put(key, answerOf(t, dns.RcodeSuccess, "www.example.com. 60 AAAA 2001:db8::1"), now)

	if got := cache.get(key, now.Add(25*time.Second)); got == nil || got.Answer[0].Header().Ttl != 35 {
		t.Errorf("after 25 of 60 s: %v", got)
	}
	if cache.get(cacheKey{name: "www.example.com.", kind: dns.TypeA}, now) != nil {
		t.Error("another question got its answer")
	}
	if cache.get(key, now.Add(60*time.Second)) != nil || len(cache.entries) != 0 {
		t.Error("after 60 s it is there still")
	}
}

func TestTheCacheHasAnEnd(t *testing.T) {
	cache, now := newCache(), time.Now()
	answer := answerOf(t, dns.RcodeSuccess, "www.example.com. 60 AAAA 2001:db8::1")
	for number := 0; number < 2*cacheSize; number++ {
		cache.put(cacheKey{name: fmt.Sprintf("%d.example.com.", number), kind: dns.TypeAAAA}, answer, now)
	}
	large := answerOf(t, dns.RcodeSuccess, "www.example.com. 60 TXT "+strings.Repeat(" "+strings.Repeat("x", 200), 21))
	large.Question[0].Qtype = dns.TypeTXT
	cache.put(cacheKey{name: "large.", kind: dns.TypeTXT}, large, now)

	if len(cache.entries) != cacheSize {
		t.Errorf("%d entries", len(cache.entries))
	}
	if cache.get(cacheKey{name: "large.", kind: dns.TypeTXT}, now) != nil {
		t.Error("a large answer was kept")
	}
}
