"""Runs on a node: asks the link who has an address, as every machine does before it takes one (RFC 4861, RFC 4862)."""

import errno
import json
import socket
import struct
import sys
import time
from typing import Tuple

from tasks.node_agent.commands import run
from tasks.node_agent.files import text_of
from tasks.node_agent.ip import addresses_of
from tasks.node_agent.protocol import Failed

SOLICITATION, ADVERTISEMENT = 135, 136
SECONDS = 0.3
TRIES = 2
OWN_SECONDS = 4
"""How long a machine that has just started may take to have an address of its own to ask from (RFC 4862, 5.4)."""


def solicitation(target: bytes, link: bytes) -> bytes:
    """The question who has an address; the kernel adds the checksum."""
    return struct.pack("!BBHI", SOLICITATION, 0, 0, 0) + target + struct.pack("!BB", 1, 1) + link


def answers(message: bytes, target: bytes) -> str:
    """The link-layer address by which a message answers for the target; empty when it does not."""
    if len(message) < 24 or message[0] != ADVERTISEMENT or message[8:24] != target:
        return ""
    option = message[24:32]
    known = len(option) == 8 and option[:2] == b"\x02\x01"
    return ":".join("{:02x}".format(byte) for byte in option[2:]) if known else "a machine that does not tell its own"


def send(asked: socket.socket, message: bytes, to: Tuple[str, int, int, int]) -> None:
    """Send a message; an address to send it from is waited for, as the kernel asks first whether it is free itself.

    Raises:
        OSError: It cannot be sent.
    """
    until = time.monotonic() + OWN_SECONDS
    while True:
        try:
            asked.sendto(message, to)
            return
        except OSError as error:
            if error.errno != errno.EADDRNOTAVAIL or time.monotonic() > until:
                raise
            time.sleep(0.1)


def solicit(interface: str, address: str) -> str:
    """The link-layer address of who has an address on a link; empty when nobody answers.

    Raises:
        OSError: It cannot be asked there.
    """
    target = socket.inet_pton(socket.AF_INET6, address)
    link = bytes.fromhex(text_of("/sys/class/net/{}/address".format(interface)).strip().replace(":", ""))
    group = socket.inet_ntop(socket.AF_INET6, socket.inet_pton(socket.AF_INET6, "ff02::1:ff00:0")[:13] + target[13:])
    with socket.socket(socket.AF_INET6, socket.SOCK_RAW, socket.IPPROTO_ICMPV6) as asked:
        asked.setsockopt(socket.SOL_SOCKET, socket.SO_BINDTODEVICE, interface.encode() + b"\0")
        asked.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_MULTICAST_HOPS, 255)
        for _ in range(TRIES):
            send(asked, solicitation(target, link), (group, 0, 0, socket.if_nametoindex(interface)))
            until = time.monotonic() + SECONDS
            while time.monotonic() < until:
                asked.settimeout(max(0.01, until - time.monotonic()))
                try:
                    found = answers(asked.recv(2048), target)
                except socket.timeout:
                    break
                if found:
                    return found
    return ""


def main(interface: str, address: str) -> None:
    """Print as JSON whether this machine has an address itself, who else does, and why that is not known if so."""
    held, by, seen = False, "", ""
    try:
        own = addresses_of(run(["ip", "-o", "-6", "addr", "show", "dev", interface]))
        held = any(each.split("/")[0] == address for _, each, _ in own)
        by = "" if held else solicit(interface, address)
    except (OSError, ValueError, Failed) as error:
        seen = str(getattr(error, "seen", error))
    json.dump({"held": held, "by": by, "seen": seen}, sys.stdout)


if "PAYLOAD" in globals():
    main(**PAYLOAD)  # type: ignore[name-defined]
