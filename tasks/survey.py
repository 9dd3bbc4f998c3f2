"""What has to be asked of a machine before its state can be planned."""

from __future__ import annotations

from ipaddress import ip_address

from configs.systems import Machine
from tasks.ssh import Connection

ASK = """
cat /etc/os-release 2>/dev/null || cat /usr/lib/os-release
grep -qs 'nameserver 127.0.0.53' /etc/resolv.conf && file=/run/systemd/resolve/resolv.conf
cat "${file:-/etc/resolv.conf}"
"""
"""systemd-resolved's stub answers on the node's own loopback only for itself, so where it is in use the list behind it
is read instead."""


def machine(connection: Connection) -> Machine:
    """What a machine says of itself that its state depends on, in one round trip.

    Args:
        connection: To the machine.
    """
    said = connection.run(ASK, step="survey").stdout
    release = parse_os_release(said)
    return Machine(release.get("ID", ""), release.get("VERSION_ID", ""), resolvers=parse_resolvers(said))


def parse_os_release(text: str) -> dict[str, str]:
    """The assignments of os-release(5), without their quotes; other lines are left out."""
    lines = (line.partition("=") for line in text.splitlines())
    return {key: value.strip().strip("\"'") for key, equals, value in lines if equals and key.isidentifier()}


def parse_resolvers(text: str) -> tuple[str, ...]:
    """The addresses of the ``nameserver`` lines of a resolv.conf (resolv.conf(5)), without scopes, in order."""
    found = []
    for line in text.splitlines():
        words = line.split()
        if len(words) >= 2 and words[0] == "nameserver":
            try:
                found.append(str(ip_address(words[1].split("%")[0])))
            except ValueError:
                continue
    return tuple(dict.fromkeys(found))
