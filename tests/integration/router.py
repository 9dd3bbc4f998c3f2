"""A router that advertises itself and a prefix, for tests of what a machine makes of that."""

from __future__ import annotations

_PROGRAM = """
import socket, struct, sys, time
prefix = socket.inet_pton(socket.AF_INET6, PREFIX)
router = struct.pack("!BBHBBHII", 134, 0, 0, 64, 0, 1800, 0, 0)
information = struct.pack("!BBBBIII", 3, 4, 64, 0xC0, 86400, 14400, 0) + prefix
sender = socket.socket(socket.AF_INET6, socket.SOCK_RAW, socket.IPPROTO_ICMPV6)
sender.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_MULTICAST_HOPS, 255)
while True:
    try:
        sender.sendto(router + information, ("ff02::1", 0, 0, socket.if_nametoindex(INTERFACE)))
    except OSError:
        pass
    time.sleep(0.2)
"""


def router_program(prefix: str, interface: str) -> str:
    """A Python program that advertises until it is ended (RFC 4861, 4.2 and 4.6.2), five times a second.

    Args:
        prefix: Of 64 bits, for addresses that machines make themselves.
        interface: The router's own, on which it does so.
    """
    return f"PREFIX, INTERFACE = {prefix!r}, {interface!r}{_PROGRAM}"
