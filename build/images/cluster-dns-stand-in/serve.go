package main

import (
	"math/rand"
	"net"

	"github.com/miekg/dns"
	"golang.org/x/net/netutil"
)

const (
	// longestChain is how many names an answer may lead through.
	longestChain = 8
	// connections is how many there may be over TCP at once.
	connections = 500
)

// Responder answers questions: names of the cluster from what is known of it, all others from other servers.
type Responder struct {
	zone      *Zone
	forwarder *Forwarder
}

// ServeDNS answers a request.
func (responder *Responder) ServeDNS(out dns.ResponseWriter, request *dns.Msg) {
	reply, size := responder.reply(request), dns.MaxMsgSize
	if _, isUDP := out.RemoteAddr().(*net.UDPAddr); isUDP {
		size = dns.MinMsgSize
		if options := request.IsEdns0(); options != nil && options.UDPSize() > dns.MinMsgSize {
			size = int(options.UDPSize())
		}
		if size > udpSize {
			size = udpSize
		}
	}
	reply.Truncate(size)
	_ = out.WriteMsg(reply) // who asked may have gone
}

// reply is the whole answer to a request, whatever its size.
func (responder *Responder) reply(request *dns.Msg) *dns.Msg {
	reply := new(dns.Msg)
	options := request.IsEdns0()
	reply.SetReply(request)
	reply.RecursionAvailable = true
	switch question := request.Question[0]; {
	case request.Opcode != dns.OpcodeQuery:
		reply.Rcode = dns.RcodeNotImplemented
	case options != nil && options.Version() != 0:
		reply.Rcode = dns.RcodeBadVers
	case question.Qclass != dns.ClassINET || question.Qtype == dns.TypeAXFR || question.Qtype == dns.TypeIXFR:
		reply.Rcode = dns.RcodeRefused
	default:
		dnssec := options != nil && options.Do()
		responder.resolve(reply, question, dnssec, request.CheckingDisabled)
		reply.AuthenticatedData = reply.AuthenticatedData && (dnssec || request.AuthenticatedData)
		shuffle(reply.Answer)
		shuffle(reply.Extra)
	}
	if options != nil {
		reply.SetEdns0(udpSize, options.Do())
	}
	return reply
}

// resolve fills a reply, from one name to the next where a CNAME leads on.
func (responder *Responder) resolve(reply *dns.Msg, question dns.Question, dnssec, unchecked bool) {
	for step := 0; step < longestChain; step++ {
		made, ours := responder.local(question)
		if !ours {
			responder.forward(reply, question, dnssec, unchecked)
			return
		}
		reply.Authoritative = true
		reply.Rcode = made.code
		reply.Answer = append(reply.Answer, made.answer...)
		reply.Ns, reply.Extra = made.authority, made.extra
		if made.follow == "" {
			return
		}
		question.Name = made.follow
	}
	reply.Rcode = dns.RcodeServerFailure
}

// local answers what the cluster's own records say, and tells whether the question is one for them. As long as these
// are not complete, nobody is told that a name does not exist.
func (responder *Responder) local(question dns.Question) (Answer, bool) {
	if !responder.zone.holds(question.Name) {
		return responder.zone.reverse(question)
	}
	if !responder.zone.records.complete() {
		return Answer{code: dns.RcodeServerFailure}, true
	}
	return responder.zone.answer(question), true
}

// forward adds what another server answers.
func (responder *Responder) forward(reply *dns.Msg, question dns.Question, dnssec, unchecked bool) {
	answer := responder.forwarder.resolve(question, dnssec, unchecked)
	if answer == nil || answer.Rcode > 15 { // a code above is about EDNS with that server
		reply.Rcode = dns.RcodeServerFailure
		return
	}
	reply.Rcode = answer.Rcode
	reply.AuthenticatedData = answer.AuthenticatedData && len(reply.Answer) == 0
	reply.Answer = append(reply.Answer, answer.Answer...)
	reply.Ns, reply.Extra = answer.Ns, nil
	for _, record := range answer.Extra {
		if record.Header().Rrtype != dns.TypeOPT {
			reply.Extra = append(reply.Extra, record)
		}
	}
}

// shuffle changes the order of addresses among each other, so that not everybody takes the same one first. All other
// records stay where they are.
func shuffle(records []dns.RR) {
	var places []int
	for at, record := range records {
		if kind := record.Header().Rrtype; kind == dns.TypeA || kind == dns.TypeAAAA {
			places = append(places, at)
		}
	}
	rand.Shuffle(len(places), func(i, j int) {
		records[places[i]], records[places[j]] = records[places[j]], records[places[i]]
	})
}

// listen answers on an address, such as ":53" for every address of both families, over UDP and TCP. An answer over UDP
// comes from the address that was asked: the library takes it from the request.
func listen(address string, handler dns.Handler, failed chan<- error) ([]*dns.Server, error) {
	datagrams, err := net.ListenPacket("udp", address)
	if err != nil {
		return nil, err
	}
	streams, err := net.Listen("tcp", datagrams.LocalAddr().String())
	if err != nil {
		datagrams.Close()
		return nil, err
	}
	servers := []*dns.Server{
		{PacketConn: datagrams, Handler: handler, UDPSize: 4096},
		{Listener: netutil.LimitListener(streams, connections), Handler: handler},
	}
	for _, one := range servers {
		go func(one *dns.Server) { failed <- one.ActivateAndServe() }(one)
	}
	return servers, nil
}
