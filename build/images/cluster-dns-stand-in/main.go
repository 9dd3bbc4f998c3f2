// cluster-dns-stand-in answers the names of a cluster where CoreDNS's own image cannot be had.
//
// It watches Namespaces, Services and Endpoints, and answers as CoreDNS's plugin kubernetes does when kubeadm sets it
// up: A, AAAA, SRV, CNAME and PTR records of services, of their endpoints and of external names, and pods by their
// addresses. Everything else is asked of other servers, whose answers it keeps for as long as they say. It has none
// of CoreDNS's other plugins: no configuration file, no metrics, no stub domains.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"log"
	"net"
	"net/netip"
	"os/signal"
	"strings"
	"syscall"
	"time"

	"github.com/miekg/dns"
)

// goodbye is how long questions are still answered after the end was ordered: until then the nodes know of it.
const goodbye = 5 * time.Second

// servers is addresses of other servers, as arguments of the command line name them.
type servers []string

func (list *servers) String() string { return strings.Join(*list, ",") }

// Set takes an address, or an address and a port.
func (list *servers) Set(word string) error {
	if address, err := netip.ParseAddr(word); err == nil {
		*list = append(*list, net.JoinHostPort(address.String(), "53"))
		return nil
	}
	if _, err := netip.ParseAddrPort(word); err != nil {
		return errors.New("not an address, such as fd00::64, nor one with a port, such as [fd00::64]:5353")
	}
	*list = append(*list, word)
	return nil
}

// domainName is the cluster's domain, with the dot at its end.
func domainName(word string) (string, error) {
	name := dns.CanonicalName(word)
	if _, valid := dns.IsDomainName(name); !valid || name == "." {
		return "", fmt.Errorf("-domain %q: not a name of a domain, such as cluster.local", word)
	}
	return name, nil
}

// ownAddresses is where other machines reach this one.
func ownAddresses() ([]netip.Addr, error) {
	all, err := net.InterfaceAddrs()
	if err != nil {
		return nil, err
	}
	var own []netip.Addr
	for _, one := range all {
		if prefix, err := netip.ParsePrefix(one.String()); err == nil && prefix.Addr().IsGlobalUnicast() {
			own = append(own, prefix.Addr())
		}
	}
	return own, nil
}

func run() error {
	domain := flag.String("domain", "cluster.local", "the cluster's domain")
	var upstream servers
	flag.Var(&upstream, "upstream", "address of a server for all other names; may be repeated")
	flag.Parse()
	name, err := domainName(*domain)
	if err != nil {
		return err
	}
	api, err := inCluster()
	if err != nil {
		return err
	}
	own, err := ownAddresses()
	if err != nil {
		return err
	}
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, syscall.SIGINT)
	defer stop()

	records, failed := newRecords(), make(chan error, 4)
	go keep(ctx, api, "namespaces", records.namespaces)
	go keep(ctx, api, "services", records.services)
	go keep(ctx, api, "endpoints", records.endpoints)
	responder := &Responder{&Zone{name, records, own}, newForwarder(upstream)}
	listening, err := listen(":53", responder, failed)
	if err != nil {
		return err
	}
	serveHealth(records.complete, failed)
	go func() {
		for _, listed := range records.listed() {
			<-listed
		}
		log.Printf("records are complete: %d services", records.services.size())
	}()

	select {
	case err := <-failed:
		return err
	case <-ctx.Done():
	}
	time.Sleep(goodbye)
	for _, one := range listening {
		_ = one.Shutdown()
	}
	return nil
}

func main() {
	log.SetFlags(log.LstdFlags | log.Lmsgprefix)
	log.SetPrefix("cluster-dns-stand-in: ")
	if err := run(); err != nil {
		log.Fatal(err)
	}
}
