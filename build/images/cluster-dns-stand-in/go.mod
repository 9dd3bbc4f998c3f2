module kubev6/cluster-dns-stand-in

go 1.19
