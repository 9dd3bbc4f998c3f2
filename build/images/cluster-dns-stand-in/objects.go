package main

import (
	"net/netip"
	"strings"
)

// Key names an object of the API by namespace and name.
type Key struct {
	Namespace string `json:"namespace"`
	Name      string `json:"name"`
}

// Metadata is what is needed of an object's metadata.
type Metadata struct {
	Key
	ResourceVersion string `json:"resourceVersion"`
}

// Object is what is kept of the cluster: it has a key, and addresses by which it is found again.
type Object interface {
	key() Key
	addresses() []netip.Addr
}

// Namespace is what is needed of a v1 Namespace.
type Namespace struct {
	Metadata Metadata `json:"metadata"`
}

func (namespace Namespace) key() Key { return namespace.Metadata.Key }

func (namespace Namespace) addresses() []netip.Addr { return nil }

// Service is what is needed of a v1 Service.
type Service struct {
	Metadata Metadata `json:"metadata"`
	Spec     struct {
		Type                     string   `json:"type"`
		ClusterIP                string   `json:"clusterIP"`
		ClusterIPs               []string `json:"clusterIPs"`
		ExternalName             string   `json:"externalName"`
		PublishNotReadyAddresses bool     `json:"publishNotReadyAddresses"`
		Ports                    []Port   `json:"ports"`
	} `json:"spec"`
}

// Port is one port of a Service or of an Endpoints.
type Port struct {
	Name     string `json:"name"`
	Protocol string `json:"protocol"`
	Port     uint16 `json:"port"`
}

func (service Service) key() Key { return service.Metadata.Key }

// addresses gives the cluster addresses of a service: none for a headless one and for an external name.
// Before 1.20 there is clusterIP alone.
func (service Service) addresses() []netip.Addr {
	if service.isAlias() {
		return nil
	}
	texts := service.Spec.ClusterIPs
	if len(texts) == 0 {
		texts = []string{service.Spec.ClusterIP}
	}
	return parsed(texts)
}

func (service Service) isHeadless() bool {
	return !service.isAlias() && service.Spec.ClusterIP == "None"
}

// isAlias tells whether a service is a name for one outside. It may keep the cluster address of what it was before.
func (service Service) isAlias() bool { return service.Spec.Type == "ExternalName" }

// Endpoints is what is needed of a v1 Endpoints. Of a dual-stack service it holds the addresses of the first family.
type Endpoints struct {
	Metadata Metadata `json:"metadata"`
	Subsets  []Subset `json:"subsets"`
}

// Subset is addresses that have the same ports.
type Subset struct {
	Addresses         []EndpointAddress `json:"addresses"`
	NotReadyAddresses []EndpointAddress `json:"notReadyAddresses"`
	Ports             []Port            `json:"ports"`
}

// EndpointAddress is one address of an Endpoints.
type EndpointAddress struct {
	IP       string `json:"ip"`
	Hostname string `json:"hostname"`
}

// label is the endpoint's name below its service: its hostname, or its address with dashes.
func (address EndpointAddress) label() string {
	if address.Hostname != "" {
		return strings.ToLower(address.Hostname)
	}
	return strings.ToLower(strings.ReplaceAll(strings.ReplaceAll(address.IP, ".", "-"), ":", "-"))
}

func (endpoints Endpoints) key() Key { return endpoints.Metadata.Key }

func (endpoints Endpoints) addresses() []netip.Addr {
	var texts []string
	for _, subset := range endpoints.Subsets {
		for _, list := range [][]EndpointAddress{subset.Addresses, subset.NotReadyAddresses} {
			for _, address := range list {
				texts = append(texts, address.IP)
			}
		}
	}
	return parsed(texts)
}

// Endpoint is where a service leads to: one of its endpoints, or without a label its cluster address.
type Endpoint struct {
	label   string
	address netip.Addr
	ports   []Port
}

// under is an endpoint's whole name when that of its service is name.
func (endpoint Endpoint) under(name string) string {
	if endpoint.label == "" {
		return name
	}
	return endpoint.label + "." + name
}

func (endpoint Endpoint) serves(number uint16) bool {
	for _, port := range endpoint.ports {
		if port.Port == number {
			return true
		}
	}
	return false
}

// of gives the endpoints that a service has records of: the ready ones, and the others where it wants them.
func (endpoints Endpoints) of(service Service) []Endpoint {
	var all []Endpoint
	for _, subset := range endpoints.Subsets {
		lists := [][]EndpointAddress{subset.Addresses}
		if service.Spec.PublishNotReadyAddresses {
			lists = append(lists, subset.NotReadyAddresses)
		}
		for _, list := range lists {
			for _, one := range list {
				if address, err := netip.ParseAddr(one.IP); err == nil {
					all = append(all, Endpoint{one.label(), address, subset.Ports})
				}
			}
		}
	}
	return all
}

// parsed gives the addresses among some texts; "None" is none.
func parsed(texts []string) []netip.Addr {
	var addresses []netip.Addr
	for _, text := range texts {
		if address, err := netip.ParseAddr(text); err == nil {
			addresses = append(addresses, address)
		}
	}
	return addresses
}
