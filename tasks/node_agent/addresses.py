"""Addresses of a node's interfaces, and the one by which we are here."""

import os
import time
from typing import List, Tuple

from tasks.node_agent.commands import run
from tasks.node_agent.ip import addresses_of
from tasks.node_agent.protocol import Failed, Json

DAD_SECONDS = 10


def addresses_on(interface: str, family: str) -> List[List[str]]:
    """``[interface, address/length, state]`` of every address of an interface, of the family ``-4`` or ``-6``."""
    return addresses_of(run(["ip", family, "-o", "addr", "show", "dev", interface]))


def own_connection() -> Tuple[str, str]:
    """The IPv4 addresses of the controller and of this node that the SSH connection uses; empty when it uses IPv6."""
    peer, here = connected()
    return ("", "") if ":" in peer else (peer, here)


def own_ipv6_connection() -> Tuple[str, str]:
    """The same for a connection that uses IPv6."""
    peer, here = connected()
    return (peer, here) if ":" in peer else ("", "")


def connected() -> Tuple[str, str]:
    """The addresses of the controller and of this node that the SSH connection uses, without scopes."""
    words = os.environ.get("SSH_CONNECTION", "").split()
    if len(words) != 4:
        return "", ""
    peer, here = (word.replace("::ffff:", "").split("%")[0] for word in (words[0], words[2]))
    return peer, here


def need_interface(name: str) -> None:
    if not os.path.exists("/sys/class/net/" + name):
        there = ", ".join(sorted(os.listdir("/sys/class/net")))
        raise Failed("no interface {}; there are {}".format(name, there), "name the right one in the cluster file")


def set_link_up(change: Json) -> None:
    need_interface(change["subject"])
    run(["ip", "link", "set", change["subject"], "up"])


def add_address(change: Json) -> None:
    interface, address = change["interface"], change["address"]
    need_interface(interface)
    run(["ip", "link", "set", interface, "up"])
    for _, present, state in addresses_on(interface, "-6"):
        if present == address and state == "failed":
            run(["ip", "-6", "addr", "del", address, "dev", interface])
    run(["ip", "-6", "addr", "replace", address, "dev", interface])
    await_address(interface, address)


def await_address(interface: str, address: str) -> None:
    """Wait until duplicate address detection (RFC 4862, 5.4) lets the address be used."""
    deadline = time.monotonic() + DAD_SECONDS
    while True:
        state = next((state for _, present, state in addresses_on(interface, "-6") if present == address), "")
        if state == "failed":
            todo = "give one of the two another address"
            raise Failed("another machine on {} has {} already".format(interface, address), todo)
        if state == "":
            return
        if time.monotonic() > deadline:
            raise Failed(
                "{} on {} is still tentative after {} s".format(address, interface, DAD_SECONDS), transient=True
            )
        time.sleep(0.05)


def remove_address(change: Json) -> None:
    run(["ip", "-6", "addr", "del", change["address"], "dev", change["interface"]])


def remove_ipv4(change: Json) -> None:
    interface = change["subject"]
    here = own_connection()[1]
    if here and any(address.split("/")[0] == here for _, address, _ in addresses_on(interface, "-4")):
        todo = "reach the node over another interface, or by IPv6"
        raise Failed("{} on {} carries this very connection".format(here, interface), todo)
    run(["ip", "-4", "addr", "flush", "dev", interface])
