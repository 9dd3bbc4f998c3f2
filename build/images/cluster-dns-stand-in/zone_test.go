package main

import (
	"encoding/json"
	"net/netip"
	"sort"
	"strings"
	"testing"

	"github.com/miekg/dns"
)

const (
	namespacesOfTest = `[
	{"metadata": {"name": "default"}},
	{"metadata": {"name": "kube-system"}},
	{"metadata": {"name": "shop"}}]`
	servicesOfTest = `[
	{"metadata": {"namespace": "default", "name": "kubernetes"}, "spec": {"clusterIP": "fd00:1234::1",
		"ports": [{"name": "https", "protocol": "TCP", "port": 443}]}},
	{"metadata": {"namespace": "kube-system", "name": "kube-dns"}, "spec": {"clusterIP": "fd00:1234::a",
		"ports": [{"name": "dns", "protocol": "UDP", "port": 53}, {"name": "dns-tcp", "protocol": "TCP", "port": 53}]}},
	{"metadata": {"namespace": "shop", "name": "both"}, "spec": {"clusterIP": "fd00:1234::2",
		"clusterIPs": ["fd00:1234::2", "10.96.0.2"], "ports": [{"protocol": "TCP", "port": 80}]}},
	{"metadata": {"namespace": "shop", "name": "database"}, "spec": {"clusterIP": "None", "clusterIPs": ["None"],
		"ports": [{"name": "sql", "protocol": "TCP", "port": 5432}]}},
	{"metadata": {"namespace": "shop", "name": "patient"}, "spec": {"clusterIP": "None",
		"publishNotReadyAddresses": true}},
	{"metadata": {"namespace": "shop", "name": "starting"}, "spec": {"clusterIP": "None"}},
	{"metadata": {"namespace": "shop", "name": "four"}, "spec": {"clusterIP": "None"}},
	{"metadata": {"namespace": "shop", "name": "outside"}, "spec": {"type": "ExternalName",
		"externalName": "www.Example.com"}},
	{"metadata": {"namespace": "shop", "name": "inside"}, "spec": {"type": "ExternalName", "clusterIP": "fd00:1234::9",
		"externalName": "kubernetes.default.svc.cluster.local."}},
	{"metadata": {"namespace": "shop", "name": "address"}, "spec": {"type": "ExternalName", "externalName": "10.0.0.1"}},
	{"metadata": {"namespace": "shop", "name": "pending"}, "spec": {"clusterIP": ""}}]`
	endpointsOfTest = `[
	{"metadata": {"namespace": "default", "name": "kubernetes"}, "subsets": [{"addresses": [{"ip": "fd00::100"}],
		"ports": [{"name": "https", "protocol": "TCP", "port": 6443}]}]},
	{"metadata": {"namespace": "kube-system", "name": "kube-dns"}, "subsets": [{"addresses": [{"ip": "fd00:101::5"}],
		"ports": [{"name": "dns", "protocol": "UDP", "port": 53}, {"name": "dns-tcp", "protocol": "TCP", "port": 53}]}]},
	{"metadata": {"namespace": "shop", "name": "database"}, "subsets": [
		{"addresses": [{"ip": "fd00:101::7", "hostname": "database-0"}, {"ip": "fd00:102::8a"}],
		"notReadyAddresses": [{"ip": "fd00:102::b", "hostname": "database-2"}],
		"ports": [{"name": "sql", "protocol": "TCP", "port": 5432}, {"name": "metrics", "protocol": "TCP", "port": 9187}]}]},
	{"metadata": {"namespace": "shop", "name": "patient"}, "subsets": [
		{"notReadyAddresses": [{"ip": "fd00:102::b", "hostname": "Patient-0"}]}]},
	{"metadata": {"namespace": "shop", "name": "starting"}, "subsets": [{"notReadyAddresses": [{"ip": "fd00:102::c"}]}]},
	{"metadata": {"namespace": "shop", "name": "four"}, "subsets": [{"addresses": [{"ip": "10.244.1.7"}]}]},
	{"metadata": {"namespace": "shop", "name": "no-service"}, "subsets": [{"addresses": [{"ip": "fd00:102::d"}]}]}]`
)

// zoneOfTest is the zone of a small cluster.
func zoneOfTest(t *testing.T) *Zone {
	t.Helper()
	records := newRecords()
	records.namespaces.replace(listOf[Namespace](t, namespacesOfTest))
	records.services.replace(listOf[Service](t, servicesOfTest))
	records.endpoints.replace(listOf[Endpoints](t, endpointsOfTest))
	return &Zone{"cluster.local.", records, []netip.Addr{netip.MustParseAddr("fd00:101::5")}}
}

func listOf[T any](t *testing.T, text string) []T {
	t.Helper()
	var list []T
	if err := json.Unmarshal([]byte(text), &list); err != nil {
		t.Fatal(err)
	}
	return list
}

// asked is the question that a line such as "kubernetes.default.svc.cluster.local AAAA" asks.
func asked(t *testing.T, line string) dns.Question {
	t.Helper()
	name, kind, _ := strings.Cut(line, " ")
	number, known := dns.StringToType[kind]
	if !known {
		t.Fatalf("%s: no such type", line)
	}
	return dns.Question{Name: dns.Fqdn(name), Qtype: number, Qclass: dns.ClassINET}
}

// lines writes records as in a zone file, without what the question says anyway; sorted, as their order is free.
func lines(records []dns.RR, name string) []string {
	var written []string
	for _, record := range records {
		if soa, is := record.(*dns.SOA); is {
			soa.Serial = 1
		}
		words := strings.Fields(record.String())
		if words[0] == dns.Fqdn(name) {
			words[0] = "@"
		}
		written = append(written, strings.Join(append(words[:2], words[3:]...), " "))
	}
	sort.Strings(written)
	return written
}

func expect(t *testing.T, what string, got, want []string) {
	t.Helper()
	if strings.Join(got, "\n") != strings.Join(want, "\n") {
		t.Errorf("%s:\n got %s\nwant %s", what, strings.Join(got, "\n     "), strings.Join(want, "\n     "))
	}
}

// The tables are what the stand-in promises: a question, and what there is in the answer. No answer at all to a name
// that exists is NODATA; "-" says that the name does not exist.
func TestNamesOfTheCluster(t *testing.T) {
	zone := zoneOfTest(t)
	const nodata, nxdomain = "", "-"
	for _, example := range []struct {
		question string
		want     string // lines with ;
		extra    string
	}{
		// Services with cluster addresses.
		{"kubernetes.default.svc AAAA", "@ 5 AAAA fd00:1234::1", ""},
		{"kubernetes.default.svc A", nodata, ""},
		{"kubernetes.default.svc MX", nodata, ""},
		{"KuberNetes.DEFAULT.svc AAAA", "@ 5 AAAA fd00:1234::1", ""},
		{"both.shop.svc AAAA", "@ 5 AAAA fd00:1234::2", ""},
		{"both.shop.svc A", "@ 5 A 10.96.0.2", ""},
		{"pending.shop.svc AAAA", nxdomain, ""},
		{"nowhere.default.svc AAAA", nxdomain, ""},
		{"kubernetes.shop.svc AAAA", nxdomain, ""},

		// Headless ones: the endpoints that are ready, and all where it wants them.
		{"database.shop.svc AAAA", "@ 5 AAAA fd00:101::7; @ 5 AAAA fd00:102::8a", ""},
		{"database.shop.svc A", nodata, ""},
		{"patient.shop.svc AAAA", "@ 5 AAAA fd00:102::b", ""},
		{"starting.shop.svc AAAA", nxdomain, ""},
		{"four.shop.svc A", "@ 5 A 10.244.1.7", ""},

		// Endpoints, by hostname or else by address; of services with a cluster address too.
		{"database-0.database.shop.svc AAAA", "@ 5 AAAA fd00:101::7", ""},
		{"fd00-102--8a.database.shop.svc AAAA", "@ 5 AAAA fd00:102::8a", ""},
		{"fd00-102--8a.database.shop.svc A", nodata, ""},
		{"fd00-101--7.database.shop.svc AAAA", nxdomain, ""},
		{"database-2.database.shop.svc AAAA", nxdomain, ""},
		{"patient-0.patient.shop.svc AAAA", "@ 5 AAAA fd00:102::b", ""},
		{"10-244-1-7.four.shop.svc A", "@ 5 A 10.244.1.7", ""},
		{"fd00--100.kubernetes.default.svc AAAA", "@ 5 AAAA fd00::100", ""},
		{"x.database-0.database.shop.svc AAAA", nxdomain, ""},

		// Ports.
		{"_https._tcp.kubernetes.default.svc SRV", "@ 5 SRV 0 100 443 kubernetes.default.svc.cluster.local.",
			"kubernetes.default.svc.cluster.local. 5 AAAA fd00:1234::1"},
		{"_HTTPS._TCP.kubernetes.default.svc SRV", "@ 5 SRV 0 100 443 kubernetes.default.svc.cluster.local.",
			"kubernetes.default.svc.cluster.local. 5 AAAA fd00:1234::1"},
		{"_https._udp.kubernetes.default.svc SRV", nxdomain, ""},
		{"_http._tcp.kubernetes.default.svc SRV", nxdomain, ""},
		{"https.tcp.kubernetes.default.svc SRV", nxdomain, ""},
		{"_tcp.kubernetes.default.svc SRV", nodata, ""},
		{"_udp.kubernetes.default.svc SRV", nxdomain, ""},
		{"_._tcp.both.shop.svc SRV", nxdomain, ""},
		{"_tcp.both.shop.svc SRV", nxdomain, ""},
		{"both.shop.svc SRV", "@ 5 SRV 0 100 80 both.shop.svc.cluster.local.",
			"@ 5 A 10.96.0.2; @ 5 AAAA fd00:1234::2"},
		{"_sql._tcp.database.shop.svc SRV", "@ 5 SRV 0 50 5432 database-0.database.shop.svc.cluster.local.; " +
			"@ 5 SRV 0 50 5432 fd00-102--8a.database.shop.svc.cluster.local.",
			"database-0.database.shop.svc.cluster.local. 5 AAAA fd00:101::7; " +
				"fd00-102--8a.database.shop.svc.cluster.local. 5 AAAA fd00:102::8a"},
		{"database-0.database.shop.svc SRV", "@ 5 SRV 0 50 5432 database-0.database.shop.svc.cluster.local.; " +
			"@ 5 SRV 0 50 9187 database-0.database.shop.svc.cluster.local.",
			"@ 5 AAAA fd00:101::7"},
		{"_sql._tcp.database.shop.svc AAAA", "@ 5 AAAA fd00:101::7; @ 5 AAAA fd00:102::8a", ""},
		{"_sql._tcp.starting.shop.svc SRV", nxdomain, ""},
		{"patient.shop.svc SRV", nodata, ""},

		// Names for what is outside.
		{"outside.shop.svc CNAME", "@ 5 CNAME www.Example.com.", ""},
		{"outside.shop.svc AAAA", "@ 5 CNAME www.Example.com.", ""},
		{"address.shop.svc AAAA", nxdomain, ""},
		{"x.outside.shop.svc AAAA", nxdomain, ""},
		{"_http._tcp.outside.shop.svc SRV", nxdomain, ""},

		// Pods: any address in a namespace that exists.
		{"10-0-0-1.shop.pod A", "@ 5 A 10.0.0.1", ""},
		{"10-0-0-1.shop.pod AAAA", nodata, ""},
		{"fd00-101--8.shop.pod AAAA", "@ 5 AAAA fd00:101::8", ""},
		{"fd00-101--8.shop.pod A", nodata, ""},
		{"--1.shop.pod AAAA", "@ 5 AAAA ::1", ""},
		{"fe80--1%eth0.shop.pod AAAA", nxdomain, ""},
		{"10-0-0-256.shop.pod A", nxdomain, ""},
		{"database-0.shop.pod AAAA", nxdomain, ""},
		{"10-0-0-1.nowhere.pod A", nxdomain, ""},
		{"x.10-0-0-1.shop.pod A", nxdomain, ""},

		// What has nothing but names below it.
		{"svc AAAA", nodata, ""},
		{"pod AAAA", nodata, ""},
		{"shop.svc AAAA", nodata, ""},
		{"shop.pod AAAA", nodata, ""},
		{"nowhere.svc AAAA", nxdomain, ""},
		{"nowhere.pod AAAA", nxdomain, ""},
		{"www.example.com AAAA", nxdomain, ""},

		// The domain itself.
		{" AAAA", nodata, ""},
		{" SOA", "@ 5 SOA ns.dns.cluster.local. hostmaster.cluster.local. 1 7200 1800 86400 5", ""},
		{" NS", "@ 5 NS ns.dns.cluster.local.", "ns.dns.cluster.local. 5 AAAA fd00:1234::a"},
		{"dns AAAA", nodata, ""},
		{"ns.dns AAAA", "@ 5 AAAA fd00:1234::a", ""},
		{"x.dns AAAA", nxdomain, ""},
		{"dns-version TXT", `@ 28800 TXT "1.1.0"`, ""},
		{"dns-version A", nodata, ""},
		{"shop.svc SOA", nodata, ""},
		{"shop.svc NS", nodata, ""},
	} {
		name, kind, _ := strings.Cut(example.question, " ")
		name = strings.TrimPrefix(name+".cluster.local", ".")
		got := zone.answer(asked(t, name+" "+kind))
		code, want := dns.RcodeSuccess, example.want
		if want == nxdomain {
			code, want = dns.RcodeNameError, ""
		}
		if got.code != code {
			t.Errorf("%s: got %s", example.question, dns.RcodeToString[got.code])
		}
		expect(t, example.question, lines(got.answer, name), split(want))
		expect(t, example.question+", besides", lines(got.extra, name), split(example.extra))
		authority := split("cluster.local. 5 SOA ns.dns.cluster.local. hostmaster.cluster.local. 1 7200 1800 86400 5")
		if want != "" {
			authority = nil
		}
		expect(t, example.question+", authority", lines(got.authority, ""), authority)
	}
}

func split(text string) []string {
	if text == "" {
		return nil
	}
	return strings.Split(text, "; ")
}

func TestNamesOfAddresses(t *testing.T) {
	zone := zoneOfTest(t)
	for _, example := range []struct{ address, want string }{
		{"fd00:1234::1", "kubernetes.default.svc.cluster.local."},
		{"10.96.0.2", "both.shop.svc.cluster.local."},
		{"fd00:101::7", "database-0.database.shop.svc.cluster.local."},
		{"fd00:102::8a", "fd00-102--8a.database.shop.svc.cluster.local."},
		{"fd00:102::b", "patient-0.patient.shop.svc.cluster.local."}, // and of database it is not ready
		{"10.244.1.7", "10-244-1-7.four.shop.svc.cluster.local."},
		{"fd00:102::c", ""},
		{"fd00:102::d", ""},
		{"fd00:1234::9", ""},
		{"2001:db8::1", ""},
	} {
		name, err := dns.ReverseAddr(example.address)
		if err != nil {
			t.Fatal(err)
		}
		for _, name := range []string{name, strings.ToUpper(name)} {
			got, ours := zone.reverse(asked(t, name+" PTR"))
			want := ""
			if example.want != "" {
				want = "@ 5 PTR " + example.want
			}
			expect(t, name, lines(got.answer, name), split(want))
			if ours != (example.want != "") {
				t.Errorf("%s: taken as the cluster's own: %v", name, ours)
			}
		}
	}
	for _, question := range []string{
		"1.0.0.10.in-addr.arpa AAAA", "1.0.10.in-addr.arpa PTR", "256.0.0.10.in-addr.arpa PTR", "in-addr.arpa PTR",
		strings.Repeat("0.", 31) + "ip6.arpa PTR", strings.Repeat("0.", 31) + "10.ip6.arpa PTR",
		strings.Repeat("g.", 32) + "ip6.arpa PTR", ". PTR",
	} {
		if _, ours := zone.reverse(asked(t, question)); ours {
			t.Errorf("%s is taken as the cluster's own", question)
		}
	}
}

func TestWhatChangesIsAnsweredAtOnce(t *testing.T) {
	zone := zoneOfTest(t)
	web := func(address string) Service {
		const head = `[{"metadata": {"namespace": "shop", "name": "web"}, "spec": {"clusterIP": "`
		return listOf[Service](t, head+address+`"}}]`)[0]
	}
	const name = "web.shop.svc.cluster.local."
	for _, step := range []struct{ address, before string }{
		{"fd00:1234::77", ""}, {"fd00:1234::78", "fd00:1234::77"}, {"", "fd00:1234::78"},
	} {
		zone.records.services.change(web(step.address), step.address == "")
		want, owners := "", ""
		if step.address != "" {
			want, owners = "@ 5 AAAA "+step.address, name
		}
		expect(t, step.address, lines(zone.answer(asked(t, name+" AAAA")).answer, name), split(want))
		if step.address != "" {
			expect(t, step.address, zone.owners(netip.MustParseAddr(step.address)), split(owners))
		}
		if step.before != "" {
			expect(t, step.before, zone.owners(netip.MustParseAddr(step.before)), nil)
		}
	}
}
