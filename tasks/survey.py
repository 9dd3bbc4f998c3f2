"""What has to be asked of a machine before its state can be planned."""

from __future__ import annotations

from ipaddress import ip_address

from tasks.ssh import Connection


def resolvers(connection: Connection) -> tuple[str, ...]:
    """The resolvers that the support node uses itself, for DNS64 to forward to.

    systemd-resolved's stub answers on the node's own loopback only for itself, so where it is in use the list behind
    it is read instead.

    Args:
        connection: To the support node.
    """
    behind = "grep -qs 'nameserver 127.0.0.53' /etc/resolv.conf && file=/run/systemd/resolve/resolv.conf"
    return parse_resolvers(connection.run(f"{behind}; cat ${{file:-/etc/resolv.conf}}", step="resolvers").stdout)


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
