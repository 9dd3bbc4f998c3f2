package main

import (
	"fmt"
	"net"
	"sort"
	"strings"
)

// Key names an object of the API by namespace and name.
type Key struct {
	Namespace string `json:"namespace"`
	Name      string `json:"name"`
}

// Service is what is needed of a v1 Service.
type Service struct {
	Metadata Metadata `json:"metadata"`
	Spec     struct {
		ClusterIP                string   `json:"clusterIP"`
		ClusterIPs               []string `json:"clusterIPs"`
		Type                     string   `json:"type"`
		PublishNotReadyAddresses bool     `json:"publishNotReadyAddresses"`
	} `json:"spec"`
}

// Endpoints is what is needed of a v1 Endpoints.
type Endpoints struct {
	Metadata Metadata `json:"metadata"`
	Subsets  []struct {
		Addresses         []EndpointAddress `json:"addresses"`
		NotReadyAddresses []EndpointAddress `json:"notReadyAddresses"`
	} `json:"subsets"`
}

// EndpointAddress is one address of an Endpoints.
type EndpointAddress struct {
	IP       string `json:"ip"`
	Hostname string `json:"hostname"`
}

// Metadata is what is needed of an object's metadata.
type Metadata struct {
	Key
	ResourceVersion string `json:"resourceVersion"`
}

// hostsFile writes the addresses of all services in the form of /etc/hosts: a service's cluster address, or the
// addresses of a headless service's endpoints, each of these also under its own hostname where it has one.
// The lines are sorted, so that the same services give the same file.
func hostsFile(domain string, services map[Key]Service, endpoints map[Key]Endpoints) string {
	lines := map[string]bool{}
	add := func(address, name string) {
		if net.ParseIP(address) != nil {
			lines[fmt.Sprintf("%s %s\n", address, strings.ToLower(name))] = true
		}
	}
	for key, service := range services {
		name := fmt.Sprintf("%s.%s.svc.%s", key.Name, key.Namespace, domain)
		addresses := service.Spec.ClusterIPs
		if len(addresses) == 0 {
			addresses = []string{service.Spec.ClusterIP}
		}
		if service.Spec.ClusterIP != "None" {
			for _, address := range addresses {
				add(address, name)
			}
			continue
		}
		for _, subset := range endpoints[key].Subsets {
			ready := subset.Addresses
			if service.Spec.PublishNotReadyAddresses {
				ready = append(append([]EndpointAddress{}, ready...), subset.NotReadyAddresses...)
			}
			for _, address := range ready {
				add(address.IP, name)
				if address.Hostname != "" {
					add(address.IP, address.Hostname+"."+name)
				}
			}
		}
	}
	sorted := make([]string, 0, len(lines))
	for line := range lines {
		sorted = append(sorted, line)
	}
	sort.Strings(sorted)
	return strings.Join(sorted, "")
}
