package main

import (
	"sync"
	"time"

	"github.com/miekg/dns"
)

const (
	// cacheSize and cacheLargest bound what the cache takes: entries, and bytes of one.
	cacheSize, cacheLargest = 4096, 4096
	// longestNo is how long it is at most believed that a name does not exist, as kubeadm has CoreDNS do it.
	longestNo = 30 * time.Second
	// longestYes is how long an answer is kept at most.
	longestYes = time.Hour
)

// cacheKey is what answers depend on.
type cacheKey struct {
	name              string // in lower case
	kind              uint16
	dnssec, unchecked bool
}

type cached struct {
	packed       []byte
	since, until time.Time
}

// Cache keeps answers of other servers for as long as these say.
type Cache struct {
	mutex   sync.Mutex
	entries map[cacheKey]cached
}

func newCache() *Cache { return &Cache{entries: map[cacheKey]cached{}} }

// get gives an answer that is still good, its TTLs less by the time that it was kept.
func (cache *Cache) get(key cacheKey, now time.Time) *dns.Msg {
	cache.mutex.Lock()
	entry, known := cache.entries[key]
	if known && !now.Before(entry.until) {
		delete(cache.entries, key)
		known = false
	}
	cache.mutex.Unlock()
	answer := new(dns.Msg)
	if !known || answer.Unpack(entry.packed) != nil {
		return nil
	}
	passed := uint32(now.Sub(entry.since) / time.Second)
	for _, record := range recordsOf(answer) {
		record.Header().Ttl -= passed
	}
	return answer
}

// put keeps an answer. Where there is no more room, some other one has to go.
func (cache *Cache) put(key cacheKey, answer *dns.Msg, now time.Time) {
	lifetime := lifetimeOf(answer, key.kind)
	if lifetime <= 0 {
		return
	}
	packed, err := answer.Pack()
	if err != nil || len(packed) > cacheLargest {
		return
	}
	cache.mutex.Lock()
	defer cache.mutex.Unlock()
	if _, known := cache.entries[key]; !known && len(cache.entries) >= cacheSize {
		for other := range cache.entries {
			delete(cache.entries, other)
			break
		}
	}
	cache.entries[key] = cached{packed, now, now.Add(lifetime)}
}

// lifetimeOf is how long an answer to a question of some type is good: the least of its TTLs. For one that says no, it
// is also what its SOA record says (RFC 2308), and 0 when it has none.
func lifetimeOf(answer *dns.Msg, kind uint16) time.Duration {
	if answer.Rcode != dns.RcodeSuccess && answer.Rcode != dns.RcodeNameError {
		return 0
	}
	longest := longestYes
	isNo := true
	for _, record := range answer.Answer {
		if record.Header().Rrtype == kind || kind == dns.TypeANY {
			isNo = false
		}
	}
	if isNo {
		longest = 0
		for _, record := range answer.Ns {
			if soa, is := record.(*dns.SOA); is {
				longest = least(longestNo, time.Duration(soa.Minttl)*time.Second)
			}
		}
	}
	for _, record := range recordsOf(answer) {
		longest = least(longest, time.Duration(record.Header().Ttl)*time.Second)
	}
	return longest
}

func least(a, b time.Duration) time.Duration {
	if a < b {
		return a
	}
	return b
}

// recordsOf gives the records of an answer that have a TTL: all but EDNS's.
func recordsOf(answer *dns.Msg) []dns.RR {
	var records []dns.RR
	for _, section := range [][]dns.RR{answer.Answer, answer.Ns, answer.Extra} {
		for _, record := range section {
			if record.Header().Rrtype != dns.TypeOPT {
				records = append(records, record)
			}
		}
	}
	return records
}
