// etcd as kubeadm calls it. Kubernetes' trees from 1.34 on vendor the whole server, which their tests run, but not the
// program; this is one, compiled inside the tree so that it is the etcd which that tree was tested with.
package main

import (
	"errors"
	"flag"
	"fmt"
	"net/url"
	"os"
	"os/signal"
	"slices"
	"strings"
	"syscall"

	"go.etcd.io/etcd/api/v3/version"
	"go.etcd.io/etcd/pkg/v3/flags"
	"go.etcd.io/etcd/server/v3/embed"
)

// What embed.Config.AddFlags declares as lists it leaves to the program to read, and so what etcd 3.5 called experimental.
// What kubeadm of these versions does not set is refused, so that nothing is taken and has no effect.
var unread = []string{
	"client-cert-allowed-hostname", "cors", "discovery-endpoints", "host-whitelist", "max-concurrent-streams",
	"peer-cert-allowed-cn", "peer-cert-allowed-hostname",
}

func main() {
	err := run(os.Args[1:])
	if errors.Is(err, flag.ErrHelp) {
		return
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "etcd:", err)
		os.Exit(1)
	}
}

func run(arguments []string) error {
	config, options := embed.NewConfig(), flag.NewFlagSet("etcd", flag.ContinueOnError)
	config.AddFlags(options)
	options.StringVar(&config.ClusterState, "initial-cluster-state", config.ClusterState, "'new' or 'existing'")
	tellVersion := options.Bool("version", false, "print the version and end")
	if err := options.Parse(arguments); err != nil {
		return err
	}
	if options.NArg() > 0 {
		return fmt.Errorf("%q is no option", options.Arg(0))
	}
	if *tellVersion {
		fmt.Println("etcd Version:", version.Version)
		return nil
	}
	given := map[string]bool{}
	options.Visit(func(option *flag.Flag) { given[option.Name] = true })
	for name := range given {
		if slices.Contains(unread, name) || strings.HasPrefix(name, "experimental-") {
			return fmt.Errorf("this build of etcd does not know the option --%s", name)
		}
	}
	for _, variable := range os.Environ() {
		if strings.HasPrefix(variable, "ETCD_") {
			return fmt.Errorf("this build of etcd takes options alone, and not %s", variable)
		}
	}
	for name, urls := range map[string]*[]url.URL{
		"listen-peer-urls":            &config.ListenPeerUrls,
		"listen-client-urls":          &config.ListenClientUrls,
		"listen-client-http-urls":     &config.ListenClientHttpUrls,
		"listen-metrics-urls":         &config.ListenMetricsUrls,
		"initial-advertise-peer-urls": &config.AdvertisePeerUrls,
		"advertise-client-urls":       &config.AdvertiseClientUrls,
	} {
		*urls = flags.UniqueURLsFromFlag(options, name)
	}
	config.CipherSuites = flags.StringsFromFlag(options, "cipher-suites")
	config.LogOutputs = flags.UniqueStringsFromFlag(options, "log-outputs")
	if !given["initial-cluster"] {
		config.InitialCluster = config.InitialClusterFromName(config.Name)
	}
	return serve(config)
}

// serve runs until it is told to end, or cannot go on.
func serve(config *embed.Config) error {
	asked := make(chan os.Signal, 1)
	signal.Notify(asked, syscall.SIGINT, syscall.SIGTERM)
	server, err := embed.StartEtcd(config)
	if err != nil {
		return err
	}
	defer server.Close()
	select {
	case <-server.Server.StopNotify():
		return errors.New("its server has ended")
	case err := <-server.Err():
		return err
	case <-asked:
		return nil
	}
}
