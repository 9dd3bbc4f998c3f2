package main

import (
	"net"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/miekg/dns"
)

// upstream is a real server on loopback that counts what it is asked.
type upstream struct {
	address  string
	asked    atomic.Int32
	overTCP  atomic.Int32
	handling func(answer *dns.Msg, request *dns.Msg, tcp bool) bool
}

// serve starts one. What handle gives says whether it answers at all.
func serve(t *testing.T, handle func(answer, request *dns.Msg, tcp bool) bool) *upstream {
	t.Helper()
	made := &upstream{handling: handle}
	made.address = listening(t, "127.0.0.1:0", made)
	return made
}

func (made *upstream) ServeDNS(out dns.ResponseWriter, request *dns.Msg) {
	made.asked.Add(1)
	_, tcp := out.RemoteAddr().(*net.TCPAddr)
	if tcp {
		made.overTCP.Add(1)
	}
	answer := new(dns.Msg)
	answer.SetReply(request)
	if made.handling(answer, request, tcp) {
		out.WriteMsg(answer)
	}
}

// addresses answers every question with one address.
func addresses(answer, request *dns.Msg, _ bool) bool {
	record, _ := dns.NewRR(request.Question[0].Name + " 60 AAAA 2001:db8::64")
	answer.Answer = []dns.RR{record}
	return true
}

func says(code int) func(answer, request *dns.Msg, tcp bool) bool {
	return func(answer, _ *dns.Msg, _ bool) bool {
		answer.Rcode = code
		return true
	}
}

func never(_, _ *dns.Msg, _ bool) bool { return false }

var example = dns.Question{Name: "www.Example.com.", Qtype: dns.TypeAAAA, Qclass: dns.ClassINET}

func TestWhatWasAskedOnceIsInTheCache(t *testing.T) {
	server := serve(t, addresses)
	forwarder := newForwarder([]string{server.address})
	for _, name := range []string{"www.Example.com.", "www.example.com.", "WWW.EXAMPLE.COM."} {
		answer := forwarder.resolve(dns.Question{Name: name, Qtype: dns.TypeAAAA}, false, false)
		if answer == nil {
			t.Fatalf("%s: no answer", name)
		}
		expect(t, name, lines(answer.Answer, "www.example.com."), split("@ 60 AAAA 2001:db8::64"))
		answer.Answer[0].Header().Ttl = 1 // is everybody's own
	}
	if got := server.asked.Load(); got != 1 {
		t.Errorf("was asked %d times", got)
	}
	forwarder.resolve(example, true, false)
	forwarder.resolve(example, false, true)
	if got := server.asked.Load(); got != 3 {
		t.Errorf("with and without DNSSEC is one question: was asked %d times", got)
	}
}

func TestQuestionsThatAreAlikeAreAskedOnce(t *testing.T) {
	held := make(chan struct{})
	server := serve(t, func(answer, request *dns.Msg, tcp bool) bool {
		<-held
		return addresses(answer, request, tcp)
	})
	forwarder := newForwarder([]string{server.address})
	var all sync.WaitGroup
	var answered, begun atomic.Int32
	for number := 0; number < 20; number++ {
		all.Add(1)
		go func() {
			defer all.Done()
			begun.Add(1)
			if forwarder.resolve(example, false, false) != nil {
				answered.Add(1)
			}
		}()
	}
	for begun.Load() < 20 || server.asked.Load() == 0 {
		time.Sleep(time.Millisecond)
	}
	close(held)
	all.Wait()
	if answered.Load() != 20 || server.asked.Load() != 1 {
		t.Errorf("%d of 20 got an answer, the server was asked %d times", answered.Load(), server.asked.Load())
	}
}

func TestWhatDoesNotFitComesOverTCP(t *testing.T) {
	server := serve(t, func(answer, request *dns.Msg, tcp bool) bool {
		if answer.Truncated = !tcp; tcp {
			for number := 0; number < 200; number++ {
				addresses(answer, request, tcp)
			}
		}
		return true
	})
	answer := newForwarder([]string{server.address}).resolve(example, false, false)
	if answer == nil || answer.Truncated || len(answer.Answer) == 0 || server.overTCP.Load() != 1 {
		t.Errorf("got %v", answer)
	}
}

func TestOneThatDoesNotKnowEDNSIsAskedWithoutIt(t *testing.T) {
	server := serve(t, func(answer, request *dns.Msg, tcp bool) bool {
		if request.IsEdns0() != nil {
			return says(dns.RcodeFormatError)(answer, request, tcp)
		}
		return addresses(answer, request, tcp)
	})
	if answer := newForwarder([]string{server.address}).resolve(example, false, false); answer == nil ||
		answer.Rcode != dns.RcodeSuccess {
		t.Errorf("got %v", answer)
	}
}

func TestTheNextServerIsAsked(t *testing.T) {
	other := func(answer, request *dns.Msg, tcp bool) bool {
		answer.Question[0].Name = "www.example.org."
		return addresses(answer, request, tcp)
	}
	for _, first := range []struct {
		title  string
		handle func(answer, request *dns.Msg, tcp bool) bool
	}{
		{"says nothing", never},
		{"fails", says(dns.RcodeServerFailure)},
		{"refuses", says(dns.RcodeRefused)},
		{"answers another question", other},
	} {
		handle := first.handle
		t.Run(first.title, func(t *testing.T) {
			t.Parallel()
			bad, good := serve(t, handle), serve(t, addresses)
			forwarder := newForwarder([]string{bad.address, good.address})
			answer := forwarder.resolve(example, false, false)
			if answer == nil || answer.Rcode != dns.RcodeSuccess {
				t.Fatalf("got %v", answer)
			}
			forwarder.resolve(dns.Question{Name: "other.example.com.", Qtype: dns.TypeAAAA}, false, false)
			if bad.asked.Load() != 1 || good.asked.Load() != 2 {
				t.Errorf("then the bad one was asked %d times, the good one %d", bad.asked.Load(), good.asked.Load())
			}
		})
	}
}

func TestWhenNoServerKnows(t *testing.T) {
	failing := serve(t, says(dns.RcodeServerFailure))
	answer := newForwarder([]string{failing.address}).resolve(example, false, false)
	if answer == nil || answer.Rcode != dns.RcodeServerFailure || failing.asked.Load() != 1 {
		t.Errorf("what the server says is not what is answered: %v", answer)
	}

	silent := serve(t, never)
	begun := time.Now()
	if answer := newForwarder([]string{silent.address}).resolve(example, false, false); answer != nil {
		t.Errorf("got %v", answer)
	}
	if took := time.Since(begun); took > 5*time.Second || silent.asked.Load() != 2 {
		t.Errorf("took %s, and it was asked %d times", took, silent.asked.Load())
	}
	if newForwarder(nil).resolve(example, false, false) != nil {
		t.Error("without a server there is an answer")
	}
}

func TestTooManyQuestionsAtOnceAreNotAsked(t *testing.T) {
	server := serve(t, addresses)
	forwarder := newForwarder([]string{server.address})
	for number := 0; number < atOnce; number++ {
		forwarder.slots <- struct{}{}
	}
	if forwarder.resolve(example, false, false) != nil || server.asked.Load() != 0 {
		t.Error("one more was asked")
	}
	<-forwarder.slots
	if forwarder.resolve(example, false, false) == nil {
		t.Error("with room for one it was not asked")
	}
}

func TestServersOfTheCommandLine(t *testing.T) {
	for word, want := range map[string]string{
		"fd00::64": "[fd00::64]:53", "10.0.0.1": "10.0.0.1:53", "[fd00::64]:5353": "[fd00::64]:5353",
		"10.0.0.1:5353": "10.0.0.1:5353", "ns.example.com": "", "": "", "fd00::64#53": "", "10.0.0.1:x": "",
	} {
		var list servers
		if err := list.Set(word); (err != nil) != (want == "") || strings.Join(list, " ") != want {
			t.Errorf("%q: %v, %v", word, list, err)
		}
	}
	for word, want := range map[string]string{
		"cluster.local": "cluster.local.", "Cluster.Local.": "cluster.local.", ".": "", "": "", "a..b": "",
	} {
		if got, err := domainName(word); got != want || (err != nil) != (want == "") {
			t.Errorf("%q: %q, %v", word, got, err)
		}
	}
}
