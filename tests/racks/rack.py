"""A rack in a network of this process's own: bridges in the place of switches, a router, and the way in for SSH."""

from __future__ import annotations

import ctypes
import fcntl
import os
import select
import struct
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Literal

Addressing = Literal["dhcp4", "dhcp6", "both", "slaac", "static"]
"""By what the interface that SSH comes in by has its address."""

SITE, FABRIC, UPLINK = "site0", "fabric0", "uplink0"
"""The bridges: the one that SSH comes by, the cluster's own network, and the cluster file's uplink."""
GATEWAY = "fe80::1"
"""The router's link-local address, on each of its networks."""
SITE_PREFIX, UPLINK_PREFIX = "2001:db8:5::", "2001:db8:7::"
SITE4, MACHINE4 = "198.51.100.1", "198.51.100.10"
RESOLVER = f"{SITE_PREFIX}53"
"""What the router tells of by router advertisements and DHCPv6, and no pod may ask."""
RESOLVER4 = "198.51.100.53"
VLAN = 10
SUPPORT = "fd00:d0c::64"
"""Who answers on the fabric."""
MACS = tuple(f"52:54:00:00:00:0{number}" for number in range(1, 5))
"""Of the machine's four cards: for SSH, two of the fabric, and the uplink."""
OWN_ID = "5054:ff:fe00:1"
"""The interface identifier that the first of them makes (RFC 4291, appendix A)."""
NEW_NETWORK = 0x40000000
TAP, NO_HEADER, SET_UP = 0x0002, 0x1000, 0x400454CA
"""if_tun.h: IFF_TAP, IFF_NO_PI, TUNSETIFF."""


def ip(*words: str) -> None:
    """Run ip(8)."""
    subprocess.run(["ip", *words], check=True, timeout=30)


@contextmanager
def own_network() -> Iterator[None]:
    """This thread, and what it starts, in a network of its own, which is gone with the last of them. Needs root."""
    libc = ctypes.CDLL(None, use_errno=True)
    with Path("/proc/thread-self/ns/net").open() as before:
        if libc.unshare(NEW_NETWORK):
            raise OSError(ctypes.get_errno(), "unshare")
        try:
            ip("link", "set", "lo", "up")
            yield
        finally:
            libc.setns(before.fileno(), NEW_NETWORK)


def lay() -> None:
    """The bridges, with the router's addresses. On the fabric's the support node's is asked for, to see who answers."""
    # A neighbour that says it is no router takes its default route with it (RFC 4861, 7.2.5).
    Path("/proc/sys/net/ipv6/conf/all/forwarding").write_text("1")
    for bridge in (SITE, FABRIC, UPLINK):
        ip("link", "add", bridge, "type", "bridge")
        ip("link", "set", bridge, "addrgenmode", "none")  # one link-local address, which the router is known by
        ip("link", "set", bridge, "up")
    for bridge, addresses in (
        (SITE, (f"{GATEWAY}/64", f"{SITE4}/24", f"{SITE_PREFIX}1/64")),
        (UPLINK, (f"{GATEWAY}/64", f"{UPLINK_PREFIX}1/64")),
        (FABRIC, (f"{SUPPORT}/64",)),
    ):
        for address in addresses:
            ip("addr", "add", address, "dev", bridge, *(["nodad"] if ":" in address else []))


def address_of(addressing: Addressing) -> str:
    """Where the machine is reached by SSH."""
    of = {"dhcp4": MACHINE4, "slaac": f"{SITE_PREFIX[:-1]}0:{OWN_ID}", "static": f"{SITE_PREFIX}20"}
    return of.get(addressing, f"{SITE_PREFIX}10")


@contextmanager
def router(addressing: Addressing, directory: Path) -> Iterator[None]:
    """Router advertisements and DHCP, as long as the block lasts."""
    ranges = {
        "dhcp4": [f"{MACHINE4},{MACHINE4},1h"],
        "dhcp6": [f"{SITE_PREFIX}10,{SITE_PREFIX}10,64,1h"],
        "slaac": [f"{SITE_PREFIX},ra-only,64,1h"],
        "static": [f"{SITE_PREFIX},ra-only,64,1h"],
    }
    ranges["both"] = ranges["dhcp4"] + ranges["dhcp6"]
    settings = [
        *("port=0", "log-dhcp", "leasefile-ro", "enable-ra", "bind-dynamic", "no-ping", "dhcp-authoritative"),
        *(f"dhcp-range={each}" for each in [*ranges[addressing], f"{UPLINK_PREFIX},ra-only,64,1h"]),
        f"dhcp-option=option:router,{SITE4}",
        f"dhcp-option=option:dns-server,{RESOLVER4}",
        f"dhcp-option=option6:dns-server,[{RESOLVER}]",
        "dhcp-option=option6:domain-search,site.example",
    ]
    (directory / "dnsmasq.conf").write_text("".join(f"{line}\n" for line in settings))
    words = [
        "setpriv",
        "--pdeathsig",
        "KILL",
        "dnsmasq",
        "--keep-in-foreground",
        f"--conf-file={directory}/dnsmasq.conf",
        "--pid-file=",
    ]
    with (directory / "dnsmasq.log").open("wb") as log:
        process = subprocess.Popen([*words, "--user=root", "--log-facility=-"], stdout=log, stderr=log)
        try:
            yield
        finally:
            process.terminate()
            process.wait(10)


@contextmanager
def access_port() -> Iterator[None]:
    """The support node's address behind a port of the switch that is in the VLAN, as long as the block lasts.

    What comes from there is tagged, and what goes there is not (IEEE 802.1Q); this kernel may know nothing of that.
    """
    trunk, access = _tap("trunk0"), _tap("access0")
    ip("link", "set", "trunk0", "master", FABRIC, "up")
    ip("addr", "del", f"{SUPPORT}/64", "dev", FABRIC)
    ip("addr", "add", f"{SUPPORT}/64", "dev", "access0", "nodad")
    ip("link", "set", "access0", "up")
    ended, end = os.pipe()
    thread = threading.Thread(target=_switch, args=(trunk, access, ended))
    thread.start()
    try:
        yield
    finally:
        os.close(end)
        thread.join()
        for each in (trunk, access, ended):
            os.close(each)  # with which the interface goes
        ip("addr", "add", f"{SUPPORT}/64", "dev", FABRIC, "nodad")


def _tap(name: str) -> int:
    tap = os.open("/dev/net/tun", os.O_RDWR)
    fcntl.ioctl(tap, SET_UP, struct.pack("16sH22x", name.encode(), TAP | NO_HEADER))
    return tap


def _switch(trunk: int, access: int, ended: int) -> None:
    tag = struct.pack("!HH", 0x8100, VLAN)
    while True:
        readable, _, _ = select.select([trunk, access, ended], [], [])
        if ended in readable:
            return
        for each in readable:
            frame = os.read(each, 65536)
            with suppress(OSError):  # the other one is not up yet
                if each == access:
                    os.write(trunk, frame[:12] + tag + frame[12:])
                elif frame[12:16] == tag:
                    os.write(access, frame[:12] + frame[16:])
