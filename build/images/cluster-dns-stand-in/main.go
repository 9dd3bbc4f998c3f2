// cluster-dns-stand-in answers the names of a cluster's Services where CoreDNS's own image cannot be had.
//
// It watches Services and Endpoints, writes them as a hosts file and has dnsmasq answer from that. Everything
// outside the cluster domain is forwarded. It serves A, AAAA and PTR records of Services and of the endpoints of
// headless ones. It does not serve SRV records, ExternalName services or pod names.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"log"
	"net/http"
	"os"
	"os/exec"
	"os/signal"
	"strings"
	"sync"
	"syscall"
	"time"
)

// Records is what is known of the cluster.
type Records struct {
	sync.Mutex
	services  map[Key]Service
	endpoints map[Key]Endpoints
	synced    map[string]bool
	changed   chan struct{}
}

func newRecords() *Records {
	return &Records{
		services:  map[Key]Service{},
		endpoints: map[Key]Endpoints{},
		synced:    map[string]bool{},
		changed:   make(chan struct{}, 1),
	}
}

// update changes the records under their lock and says that they changed.
func (records *Records) update(change func()) {
	records.Lock()
	change()
	records.Unlock()
	select {
	case records.changed <- struct{}{}:
	default:
	}
}

// hosts gives the hosts file, and whether both kinds of object were listed at least once.
func (records *Records) hosts(domain string) (string, bool) {
	records.Lock()
	defer records.Unlock()
	complete := records.synced["services"] && records.synced["endpoints"]
	return hostsFile(domain, records.services, records.endpoints), complete
}

// keep follows one kind of object for ever, starting over with growing pauses when something fails.
func keep[T any](
	ctx context.Context, api *API, kind string, records *Records, store func() map[Key]T, empty func(), key func(T) Key,
) {
	pause := time.Second
	for ctx.Err() == nil {
		err := follow(ctx, api, "/api/v1/"+kind,
			func(all []T) {
				pause = time.Second
				records.update(func() {
					empty()
					for _, one := range all {
						store()[key(one)] = one
					}
					records.synced[kind] = true
				})
			},
			func(one T, gone bool) {
				records.update(func() {
					if gone {
						delete(store(), key(one))
					} else {
						store()[key(one)] = one
					}
				})
			})
		if errors.Is(err, errExpired) {
			continue
		}
		log.Printf("%s: %v; again in %s", kind, err, pause)
		select {
		case <-ctx.Done():
		case <-time.After(pause):
		}
		if pause *= 2; pause > 30*time.Second {
			pause = 30 * time.Second
		}
	}
}

// replaceFile writes a file that is at no time half there.
func replaceFile(path, content string) error {
	if err := os.WriteFile(path+".new", []byte(content), 0o644); err != nil {
		return err
	}
	return os.Rename(path+".new", path)
}

type words []string

func (list *words) String() string { return strings.Join(*list, ",") }

func (list *words) Set(word string) error {
	*list = append(*list, word)
	return nil
}

func dnsmasqArguments(domain, hosts string, port int, upstream []string) []string {
	arguments := []string{
		"--keep-in-foreground", "--log-facility=-", "--user=root", "--group=root", "--conf-file=/dev/null", "--pid-file=",
		fmt.Sprintf("--port=%d", port),
		"--no-resolv", "--no-hosts", "--no-negcache", "--cache-size=1000", "--dns-forward-max=1000",
		"--edns-packet-max=1232", "--local-ttl=5",
		"--addn-hosts=" + hosts,
		"--local=/" + domain + "/",
	}
	for _, server := range upstream {
		arguments = append(arguments, "--server="+server)
	}
	return arguments
}

func run() error {
	domain := flag.String("domain", "cluster.local", "the cluster's domain")
	hosts := flag.String("hosts", "/run/cluster-hosts", "the hosts file that dnsmasq reads")
	port := flag.Int("port", 53, "port of the DNS service")
	var upstream words
	flag.Var(&upstream, "upstream", "address of a server for all other names; may be repeated")
	flag.Parse()

	api, err := inCluster()
	if err != nil {
		return err
	}
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, syscall.SIGINT)
	defer stop()

	records := newRecords()
	if err := replaceFile(*hosts, ""); err != nil {
		return err
	}
	dnsmasq := exec.Command("dnsmasq", dnsmasqArguments(*domain, *hosts, *port, upstream)...)
	dnsmasq.Stdout, dnsmasq.Stderr = os.Stdout, os.Stderr
	dnsmasq.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if err := dnsmasq.Start(); err != nil {
		return err
	}
	died := make(chan error, 1)
	go func() { died <- dnsmasq.Wait() }()

	go keep(ctx, api, "services", records,
		func() map[Key]Service { return records.services },
		func() { records.services = map[Key]Service{} },
		func(one Service) Key { return one.Metadata.Key })
	go keep(ctx, api, "endpoints", records,
		func() map[Key]Endpoints { return records.endpoints },
		func() { records.endpoints = map[Key]Endpoints{} },
		func(one Endpoints) Key { return one.Metadata.Key })

	ready := make(chan struct{})
	serveHealth(ready, died)

	written, first := "", true
	for {
		select {
		case <-ctx.Done():
			_ = dnsmasq.Process.Signal(syscall.SIGTERM)
			<-died
			return nil
		case err := <-died:
			return fmt.Errorf("dnsmasq ended: %v", err)
		case <-records.changed:
		}
		// Changes come in bunches; one rewrite for each bunch is enough.
		time.Sleep(100 * time.Millisecond)
		content, complete := records.hosts(*domain)
		if !complete || (content == written && !first) {
			continue
		}
		if err := replaceFile(*hosts, content); err != nil {
			return err
		}
		if err := dnsmasq.Process.Signal(syscall.SIGHUP); err != nil {
			return err
		}
		if first {
			close(ready)
		}
		written, first = content, false
		log.Printf("%d records", strings.Count(content, "\n"))
	}
}

// serveHealth answers /health as long as the program lives and /ready once the records are complete, on the ports
// on which CoreDNS has them.
func serveHealth(ready <-chan struct{}, failed chan<- error) {
	mux := http.NewServeMux()
	mux.HandleFunc("/health", func(answer http.ResponseWriter, _ *http.Request) { fmt.Fprintln(answer, "OK") })
	mux.HandleFunc("/ready", func(answer http.ResponseWriter, _ *http.Request) {
		select {
		case <-ready:
			fmt.Fprintln(answer, "OK")
		default:
			http.Error(answer, "services and endpoints were not listed yet", http.StatusServiceUnavailable)
		}
	})
	for _, address := range []string{":8080", ":8181"} {
		server := &http.Server{Addr: address, Handler: mux, ReadHeaderTimeout: 5 * time.Second}
		go func() { failed <- server.ListenAndServe() }()
	}
}

func main() {
	log.SetFlags(log.LstdFlags | log.Lmsgprefix)
	log.SetPrefix("cluster-dns-stand-in: ")
	if err := run(); err != nil {
		log.Fatal(err)
	}
}
