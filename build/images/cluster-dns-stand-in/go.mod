// It is compiled without modules, of what Debian's packages have (tasks/release/compile.py). Editors read this.
module kubev6/cluster-dns-stand-in

go 1.19

require (
	github.com/miekg/dns v1.1.50
	golang.org/x/net v0.7.0
	golang.org/x/sync v0.1.0
)
