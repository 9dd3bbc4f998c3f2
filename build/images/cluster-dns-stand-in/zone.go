package main

import (
	"fmt"
	"net/netip"
	"strings"

	"github.com/miekg/dns"
)

// Zone is the cluster's domain: which names there are in it, after the Kubernetes DNS specification and as CoreDNS's
// plugin kubernetes has them with "pods insecure".
type Zone struct {
	domain  string // in lower case, with the dot at its end
	records *Records
	// own is where this server is reached.
	own []netip.Addr
}

// Node is what there is at a name. One with nothing in it exists all the same: something is below it.
type Node struct {
	addresses []netip.Addr
	ports     []Target
	alias     string
	text      string
	apex      bool
}

// Place is what a SRV record leads to.
type Place struct {
	name string
	port uint16
}

// Target is a place, and where it is reached.
type Target struct {
	Place
	addresses []netip.Addr
}

// holds tells whether a name is in the domain.
func (zone *Zone) holds(name string) bool {
	return dns.IsSubDomain(zone.domain, name)
}

// find looks up a name of the domain, and tells whether it exists.
func (zone *Zone) find(name string) (Node, bool) {
	labels := dns.SplitDomainName(strings.TrimSuffix(dns.CanonicalName(name), zone.domain))
	switch strings.Join(labels, ".") {
	case "":
		return Node{apex: true}, true
	case "dns-version":
		return Node{text: schemaVersion}, true
	case "ns.dns":
		return Node{addresses: zone.servers()}, true
	case "dns", "svc", "pod":
		return Node{}, true
	}
	last := len(labels) - 1
	if labels[last] != "svc" && labels[last] != "pod" {
		return Node{}, false
	}
	if last == 1 {
		_, exists := zone.records.namespaces.get(Key{Name: labels[0]})
		return Node{}, exists
	}
	key, below := Key{labels[last-1], labels[last-2]}, labels[:last-2]
	if labels[last] == "pod" {
		return zone.pod(key, below)
	}
	if service, exists := zone.records.services.get(key); exists {
		return zone.service(service, below)
	}
	return Node{}, false
}

// pod finds a pod by its address, such as 10-0-0-1 or fd00-101--8. Every address has a name in every namespace that
// exists: CoreDNS, too, does not look for the pod as kubeadm sets it up.
func (zone *Zone) pod(key Key, below []string) (Node, bool) {
	if _, exists := zone.records.namespaces.get(Key{Name: key.Namespace}); !exists || len(below) > 0 {
		return Node{}, false
	}
	separator := ":"
	if strings.Count(key.Name, "-") == 3 && !strings.Contains(key.Name, "--") {
		separator = "."
	}
	address, err := netip.ParseAddr(strings.ReplaceAll(key.Name, "-", separator))
	if err != nil || address.Zone() != "" {
		return Node{}, false
	}
	return Node{addresses: []netip.Addr{address}}, true
}

// Part is what is asked for of a service: all of it, one endpoint, a port and its protocol, or the protocol alone, at
// which there is no record, but what is below it.
type Part struct {
	label, port, protocol string
}

// partOf reads the labels below a service's name, and tells whether they can be any.
func partOf(labels []string) (Part, bool) {
	marked := func(at int) bool { return strings.HasPrefix(labels[at], "_") && len(labels[at]) > 1 }
	switch {
	case len(labels) == 0:
		return Part{}, true
	case len(labels) == 1 && marked(0):
		return Part{protocol: labels[0][1:]}, true
	case len(labels) == 1:
		return Part{label: labels[0]}, true
	case len(labels) == 2 && marked(0) && marked(1):
		return Part{port: labels[0][1:], protocol: labels[1][1:]}, true
	}
	return Part{}, false
}

// of gives those ports that are asked for. One without a name cannot be asked for.
func (part Part) of(ports []Port) []Port {
	if part.protocol == "" {
		return ports
	}
	var wanted []Port
	for _, port := range ports {
		named := port.Name != "" && (part.port == "" || strings.EqualFold(port.Name, part.port))
		if named && strings.EqualFold(port.Protocol, part.protocol) {
			wanted = append(wanted, port)
		}
	}
	return wanted
}

// service finds what is at a service's name or below it.
func (zone *Zone) service(service Service, below []string) (Node, bool) {
	part, valid := partOf(below)
	if !valid {
		return Node{}, false
	}
	if service.isAlias() {
		return alias(service.Spec.ExternalName, part)
	}
	var targets []Endpoint
	if service.isHeadless() || part.label != "" {
		targets = zone.records.endpointsOf(service)
	} else {
		for _, address := range service.addresses() {
			targets = append(targets, Endpoint{"", address, service.Spec.Ports})
		}
	}
	name, exists := zone.nameOf(service.key()), false
	gathered := gathering{known: map[netip.Addr]bool{}, at: map[Place]int{}}
	for _, target := range targets {
		ports := part.of(target.ports)
		if (part.label != "" && target.label != part.label) || (part.protocol != "" && len(ports) == 0) {
			continue
		}
		exists = true
		if part.port != "" || part.protocol == "" {
			gathered.add(target.under(name), target.address, ports)
		}
	}
	return gathered.node, exists
}

// alias finds what an ExternalName leads to: a name. Nothing is below it, and an address is none.
func alias(name string, part Part) (Node, bool) {
	target := dns.Fqdn(name)
	_, noAddress := netip.ParseAddr(name)
	_, valid := dns.IsDomainName(target)
	return Node{alias: target}, part == Part{} && noAddress != nil && valid && target != "."
}

// gathering is a node of which more and more is found, each address and each port of a name once.
type gathering struct {
	node  Node
	known map[netip.Addr]bool
	at    map[Place]int
}

func (gathered *gathering) add(name string, address netip.Addr, ports []Port) {
	if !gathered.known[address] {
		gathered.known[address] = true
		gathered.node.addresses = append(gathered.node.addresses, address)
	}
	for _, port := range ports {
		place := Place{name, port.Port}
		at, known := gathered.at[place]
		if !known {
			at = len(gathered.node.ports)
			gathered.at[place] = at
			gathered.node.ports = append(gathered.node.ports, Target{Place: place})
		}
		target := &gathered.node.ports[at]
		target.addresses = with(target.addresses, address)
	}
}

// owners gives the names that an address has in the cluster: that of the service whose cluster address it is, or those
// of endpoints of services.
func (zone *Zone) owners(address netip.Addr) []string {
	for _, service := range zone.records.services.at(address) {
		return []string{zone.nameOf(service.key())}
	}
	var names []string
	seen := map[string]bool{}
	for _, endpoints := range zone.records.endpoints.at(address) {
		service, known := zone.records.services.get(endpoints.key())
		if !known || service.isAlias() {
			continue
		}
		for _, endpoint := range endpoints.of(service) {
			name := endpoint.under(zone.nameOf(service.key()))
			if endpoint.address == address && !seen[name] {
				names, seen[name] = append(names, name), true
			}
		}
	}
	return names
}

// servers gives the addresses of cluster DNS: of the services that lead to port 53 here, or this server's own.
func (zone *Zone) servers() []netip.Addr {
	var found []netip.Addr
	for _, own := range zone.own {
		for _, endpoints := range zone.records.endpoints.at(own) {
			service, _ := zone.records.services.get(endpoints.key())
			for _, endpoint := range endpoints.of(service) {
				if endpoint.address == own && endpoint.serves(53) {
					found = with(found, service.addresses()...)
				}
			}
		}
	}
	if len(found) == 0 {
		return zone.own
	}
	return found
}

func (zone *Zone) nameOf(key Key) string {
	return fmt.Sprintf("%s.%s.svc.%s", key.Name, key.Namespace, zone.domain)
}

// with gives a list that holds some addresses, each once.
func with(list []netip.Addr, addresses ...netip.Addr) []netip.Addr {
next:
	for _, address := range addresses {
		for _, one := range list {
			if one == address {
				continue next
			}
		}
		list = append(list, address)
	}
	return list
}

// reversed gives the address that a name below in-addr.arpa or ip6.arpa stands for.
func reversed(name string) (netip.Addr, bool) {
	labels := dns.SplitDomainName(dns.CanonicalName(name))
	count := len(labels) - 2
	text := ""
	switch {
	case count == 4 && strings.Join(labels[count:], ".") == "in-addr.arpa":
		for at := count - 1; at >= 0; at-- {
			text += "." + labels[at]
		}
	case count == 32 && strings.Join(labels[count:], ".") == "ip6.arpa":
		for at := count - 1; at >= 0; at-- {
			if len(labels[at]) != 1 {
				return netip.Addr{}, false
			}
			if at%4 == 3 {
				text += ":"
			}
			text += labels[at]
		}
	default:
		return netip.Addr{}, false
	}
	address, err := netip.ParseAddr(text[1:])
	return address, err == nil
}
