package main

import (
	"net/netip"

	"github.com/miekg/dns"
)

const (
	// ttl is in seconds, and what CoreDNS's plugin gives when it is told no other.
	ttl = 5
	// schemaVersion is that of the specification, and its TTL the one in the specification's example.
	schemaVersion, schemaTTL = "1.1.0", 28800
)

// Answer is what the cluster's own records say to a question.
type Answer struct {
	code                     int
	answer, authority, extra []dns.RR
	// follow is where a CNAME leads, when that is to be answered too.
	follow string
}

// answer answers a question for a name of the domain.
func (zone *Zone) answer(question dns.Question) Answer {
	node, exists := zone.find(question.Name)
	if !exists {
		return Answer{code: dns.RcodeNameError, authority: []dns.RR{zone.authority()}}
	}
	if node.alias != "" {
		made := Answer{answer: []dns.RR{&dns.CNAME{
			Hdr: header(question.Name, dns.TypeCNAME, ttl), Target: node.alias,
		}}}
		if question.Qtype != dns.TypeCNAME {
			made.follow = node.alias
		}
		return made
	}
	var made Answer
	switch question.Qtype {
	case dns.TypeA, dns.TypeAAAA:
		made.answer = addressesOf(question.Name, node.addresses, question.Qtype)
	case dns.TypeSRV:
		made.answer, made.extra = servicesOf(question.Name, node.ports)
	case dns.TypeTXT:
		if node.text != "" {
			head := header(question.Name, dns.TypeTXT, schemaTTL)
			made.answer = []dns.RR{&dns.TXT{Hdr: head, Txt: []string{node.text}}}
		}
	case dns.TypeSOA:
		if node.apex {
			made.answer = []dns.RR{zone.authority()}
		}
	case dns.TypeNS:
		if node.apex {
			server := "ns.dns." + zone.domain
			made.answer = []dns.RR{&dns.NS{Hdr: header(question.Name, dns.TypeNS, ttl), Ns: server}}
			made.extra = bothOf(server, zone.servers())
		}
	}
	if len(made.answer) == 0 {
		made.authority = []dns.RR{zone.authority()}
	}
	return made
}

// reverse answers a question for the names of an address, and tells whether the address has any in the cluster.
func (zone *Zone) reverse(question dns.Question) (Answer, bool) {
	address, isOne := reversed(question.Name)
	if !isOne || question.Qtype != dns.TypePTR {
		return Answer{}, false
	}
	var made Answer
	for _, name := range zone.owners(address) {
		made.answer = append(made.answer, &dns.PTR{Hdr: header(question.Name, dns.TypePTR, ttl), Ptr: name})
	}
	return made, len(made.answer) > 0
}

// authority is the SOA record of the domain.
func (zone *Zone) authority() dns.RR {
	return &dns.SOA{
		Hdr:     header(zone.domain, dns.TypeSOA, ttl),
		Ns:      "ns.dns." + zone.domain,
		Mbox:    "hostmaster." + zone.domain,
		Serial:  zone.records.serial(),
		Refresh: 7200,
		Retry:   1800,
		Expire:  86400,
		Minttl:  ttl,
	}
}

// servicesOf gives SRV records, and the addresses of what they lead to. None is preferred to another.
func servicesOf(name string, targets []Target) (records, extra []dns.RR) {
	seen := map[string][]netip.Addr{}
	for _, target := range targets {
		weight := 100 / len(targets)
		if weight == 0 {
			weight = 1
		}
		records = append(records, &dns.SRV{
			Hdr: header(name, dns.TypeSRV, ttl), Weight: uint16(weight), Port: target.port, Target: target.name,
		})
		known := seen[target.name]
		all := with(known, target.addresses...)
		extra = append(extra, bothOf(target.name, all[len(known):])...)
		seen[target.name] = all
	}
	return records, extra
}

// bothOf gives the records of addresses of either family.
func bothOf(name string, addresses []netip.Addr) []dns.RR {
	return append(addressesOf(name, addresses, dns.TypeA), addressesOf(name, addresses, dns.TypeAAAA)...)
}

// addressesOf gives the records of addresses of one family.
func addressesOf(name string, addresses []netip.Addr, family uint16) []dns.RR {
	var records []dns.RR
	for _, address := range addresses {
		switch {
		case address.Is4() && family == dns.TypeA:
			records = append(records, &dns.A{Hdr: header(name, family, ttl), A: address.AsSlice()})
		case !address.Is4() && family == dns.TypeAAAA:
			records = append(records, &dns.AAAA{Hdr: header(name, family, ttl), AAAA: address.AsSlice()})
		}
	}
	return records
}

func header(name string, kind uint16, seconds uint32) dns.RR_Header {
	return dns.RR_Header{Name: name, Rrtype: kind, Class: dns.ClassINET, Ttl: seconds}
}
