package main

import (
	"context"
	"errors"
	"fmt"
	"log"
	"strings"
	"sync/atomic"
	"time"

	"github.com/miekg/dns"
	"golang.org/x/sync/singleflight"
)

const (
	// udpSize is the largest message that is sent over UDP, or asked for: it passes every link of IPv6 in one piece.
	udpSize = 1232
	// attempt is how long one server may take, and patience how long all may: most resolvers ask again after 5 s.
	attempt, patience = 2 * time.Second, 4500 * time.Millisecond
	// atOnce is how many questions may wait for other servers; to one more the answer is SERVFAIL.
	atOnce = 1000
)

// Forwarder asks other servers, and keeps what they answer.
type Forwarder struct {
	servers []*server
	// last is which of them answered last: it is asked first.
	last     atomic.Int32
	cache    *Cache
	underway singleflight.Group
	slots    chan struct{}
	udp, tcp *dns.Client
}

type server struct {
	address string
	silent  atomic.Bool
}

// newForwarder makes one for servers, each an address and a port.
func newForwarder(addresses []string) *Forwarder {
	forwarder := &Forwarder{
		cache: newCache(),
		slots: make(chan struct{}, atOnce),
		udp:   &dns.Client{Net: "udp", Timeout: attempt},
		tcp:   &dns.Client{Net: "tcp", Timeout: attempt},
	}
	for _, address := range addresses {
		forwarder.servers = append(forwarder.servers, &server{address: address})
	}
	return forwarder
}

// resolve gives an answer from the cache or from a server; nil when no server gave any. Questions that are alike are
// asked once.
func (forwarder *Forwarder) resolve(question dns.Question, dnssec, unchecked bool) *dns.Msg {
	key := cacheKey{dns.CanonicalName(question.Name), question.Qtype, dnssec, unchecked}
	if answer := forwarder.cache.get(key, time.Now()); answer != nil {
		return answer
	}
	select {
	case forwarder.slots <- struct{}{}:
		defer func() { <-forwarder.slots }()
	default:
		return nil
	}
	shared, _, _ := forwarder.underway.Do(fmt.Sprint(key), func() (any, error) {
		answer := forwarder.ask(queryOf(key))
		if answer != nil {
			forwarder.cache.put(key, answer, time.Now())
		}
		return answer, nil
	})
	if answer := shared.(*dns.Msg); answer != nil {
		return answer.Copy() // everybody who asked changes his own
	}
	return nil
}

// queryOf is the question that other servers are asked.
func queryOf(key cacheKey) *dns.Msg {
	query := new(dns.Msg)
	query.SetQuestion(key.name, key.kind)
	query.AuthenticatedData, query.CheckingDisabled = true, key.unchecked
	query.SetEdns0(udpSize, key.dnssec)
	return query
}

// ask asks the servers one after the other, twice if none says anything. One that cannot answer is passed over.
func (forwarder *Forwarder) ask(query *dns.Msg) *dns.Msg {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	first := int(forwarder.last.Load())
	for round := 0; round < 2; round++ {
		var refusal *dns.Msg
		for offset := range forwarder.servers {
			at := (first + offset) % len(forwarder.servers)
			answer, err := forwarder.exchange(ctx, query, forwarder.servers[at].address)
			forwarder.servers[at].note(err)
			if err != nil {
				continue
			}
			if answer.Rcode == dns.RcodeSuccess || answer.Rcode == dns.RcodeNameError {
				forwarder.last.Store(int32(at))
				return answer
			}
			refusal = answer
		}
		if refusal != nil {
			return refusal
		}
	}
	return nil
}

// exchange asks one server: over TCP what does not fit into UDP, and without EDNS one that does not know it.
func (forwarder *Forwarder) exchange(ctx context.Context, query *dns.Msg, address string) (*dns.Msg, error) {
	answer, _, err := forwarder.udp.ExchangeContext(ctx, query, address)
	if err == nil && answer.Rcode == dns.RcodeFormatError && query.IsEdns0() != nil {
		query = query.Copy()
		query.Extra = nil
		answer, _, err = forwarder.udp.ExchangeContext(ctx, query, address)
	}
	if err == nil && answer.Truncated {
		answer, _, err = forwarder.tcp.ExchangeContext(ctx, query, address)
	}
	if err != nil {
		return nil, err
	}
	asked := query.Question[0]
	if len(answer.Question) != 1 || answer.Question[0].Qtype != asked.Qtype ||
		!strings.EqualFold(answer.Question[0].Name, asked.Name) {
		return nil, errors.New("answers another question")
	}
	return answer, nil
}

// note writes into the log that a server does not answer any more, or does again.
func (server *server) note(err error) {
	if silent := err != nil; server.silent.Swap(silent) != silent {
		if silent {
			log.Printf("%s: %v", server.address, err)
		} else {
			log.Printf("%s answers again", server.address)
		}
	}
}
