"""What `pyinfra` runs: the state of a machine, which its inventory has as data. Nothing changes where all is so."""

from io import StringIO

from pyinfra import host
from pyinfra.facts.files import Sha256File
from pyinfra.facts.server import Command
from pyinfra.operations import apt, files, server, systemd

if host.data.packages:
    apt.packages(name="Packages", packages=host.data.packages)
for each in host.data.files:
    files.put(name=each["path"], src=StringIO(each["content"]), dest=each["path"], mode=each["mode"])
for each in host.data.blocks:
    files.block(
        name=f"Block in {each['path']}",
        path=each["path"],
        content=each["content"].rstrip("\n"),
        marker="# {mark} kubev6",
        try_prevent_shell_expansion=True,
    )
for key, value in host.data.sysctls.items():
    server.sysctl(name=key, key=key, value=value)
host.get_fact(Command, command=host.data.network_check)
for each in host.data.binaries:
    if host.get_fact(Sha256File, path=each["path"]) != each["sha256"]:
        raise SystemExit(f"{each['path']} is another executable")
for unit in host.data.services:
    systemd.service(name=unit, service=unit, running=True, enabled=True)
