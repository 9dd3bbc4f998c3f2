// probe is what the proof of a cluster runs in pods.
//
//	probe serve   answers on port 8080, by HTTP and by UDP, with the pod's name
//	probe ask     reads questions from standard input and writes the answers to standard output
//
// It resolves names by the pod's own resolv.conf and connects as any program in a pod would.
package main

import (
	"fmt"
	"os"
)

func main() {
	command := ""
	if len(os.Args) == 2 {
		command = os.Args[1]
	}
	var err error
	switch command {
	case "serve":
		err = serve(":8080")
	case "ask":
		err = ask(os.Stdin, os.Stdout)
	default:
		err = fmt.Errorf("usage: probe serve|ask")
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "probe:", err)
		os.Exit(1)
	}
}
