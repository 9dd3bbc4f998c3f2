module kubev6/probe

go 1.19
