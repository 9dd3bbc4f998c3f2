"""The record backwards: a node made what it was before us.

Everything is tried, and what cannot be undone stays in the record and is told. The network comes last, and nothing of
it that carries the SSH connection is taken away.
"""

import os
from ipaddress import IPv6Address, IPv6Network
from typing import Any, Callable, List, Tuple

from tasks.node_agent.addresses import addresses_on, own_connection, own_ipv6_connection
from tasks.node_agent.binaries import restore_binary
from tasks.node_agent.commands import run
from tasks.node_agent.files import text_of
from tasks.node_agent.hosts import HOSTS, OFF, with_ipv4, write_hosts
from tasks.node_agent.ip import routes_of
from tasks.node_agent.kernel import sysctl_value, write_sysctl
from tasks.node_agent.protocol import Failed
from tasks.node_agent.record import Record
from tasks.node_agent.routes import ipv4_route_words, route_facts
from tasks.node_agent.selinux import set_selinux
from tasks.node_agent.services import RUNNING, SERVICE_SECONDS, restore_service
from tasks.node_agent.stage_files import restore_file
from tasks.node_agent.swap import swap_on

Undo = Callable[[str, Any], List[str]]
"""Undoes one note of the record, given its subject and what was there before; returns what was done."""


class Stays(Failed):
    """What is not undone, for good: the connection by which we are here needs it."""

    def __init__(self, what: str) -> None:
        super().__init__("{} stays until the next start: this very connection comes by it".format(what))


def undo(record: Record, attempt: Callable[[Callable[[], List[str]]], None]) -> None:
    """Undo every note of the record.

    Args:
        record: The record; what has been undone is taken out of it.
        attempt: Runs a step, and remembers what it did or why it could not.
    """
    ran = [unit for _, unit, before in record.notes("services") if before.get("active") in RUNNING]
    files_undone = any(True for _ in record.notes("files"))
    for kind, one in BEFORE_THE_NETWORK:
        undo_all(record, kind, one, attempt)
    if files_undone:
        attempt(reload_units)
        attempt(lambda: restart(ran))
    for kind, one in NETWORK:
        undo_all(record, kind, one, attempt)
    for kind in ("packages", "modules"):  # stay: others may use them by now
        for stage, subject, _ in list(record.notes(kind)):
            record.take_out(stage, kind, subject)


def undo_all(record: Record, kind: str, one: Undo, attempt: Callable[[Callable[[], List[str]]], None]) -> None:
    """Undo all notes of a kind, the last stage's first."""
    notes = list(record.notes(kind))
    if kind == "directories":
        notes.sort(key=lambda note: note[1], reverse=True)  # what is inside another comes first
    for stage, subject, before in notes:

        def step(stage: str = stage, subject: str = subject, before: Any = before) -> List[str]:
            try:
                done = one(subject, before)
            except Stays:
                record.take_out(stage, kind, subject)
                raise
            record.take_out(stage, kind, subject)
            return done

        attempt(step)
    # Once for all: each can be undone a second time when this run dies before.
    record.save()


def undo_service(unit: str, before: Any) -> List[str]:
    return restore_service(unit, before)


def undo_binary(path: str, kept: Any) -> List[str]:
    return ["binary {}".format(path)] if restore_binary(path, kept) else []


def undo_old_binary(path: str, _: Any) -> List[str]:
    return remove(path)


def undo_file(path: str, entry: Any) -> List[str]:
    there = os.path.lexists(path)
    restore_file(path, entry)
    return ["file {}".format(path)] if there or entry.get("before") else []


def undo_deleted_file(path: str, entry: Any) -> List[str]:
    if os.path.lexists(path) or not entry.get("before"):
        return []
    restore_file(path, entry)
    return ["file {}".format(path)]


def undo_directory(path: str, _: Any) -> List[str]:
    try:
        os.rmdir(path)
    except OSError:
        return []  # gone, or somebody keeps something in it
    return ["directory {}".format(path)]


def undo_swap(_: str, devices: Any) -> List[str]:
    swap_on(devices)
    return ["swap"]


def undo_selinux(_: str, before: Any) -> List[str]:
    set_selinux(before)
    return ["SELinux"]


def undo_ipv4_name(name: str, _: Any) -> List[str]:
    """All names of ours at once: one line may hold several."""
    text = text_of(HOSTS)
    if OFF not in text:
        return []
    write_hosts(with_ipv4(text))
    return ["IPv4 address of {}".format(name)]


def undo_sysctl(key: str, before: Any) -> List[str]:
    if before is None or sysctl_value(key) in (None, before):
        return []
    write_sysctl(key, before)
    return ["sysctl {}".format(key)]


def undo_ipv4_default_route(words: str, _: Any) -> List[str]:
    there = routes_of(run(["ip", "-4", "-o", "route", "show", "default"]))
    if words in [ipv4_route_words(route) for route in there]:
        return []
    run(["ip", "-4", "route", "add"] + words.split())
    return ["IPv4 route {}".format(words)]


def undo_keep_route(words: str, _: Any) -> List[str]:
    """Only when the default route is there again, which the connection may need from now on."""
    destination = words.split()[0].split("/")[0]
    if destination == own_connection()[0] and not run(["ip", "-4", "route", "show", "default"]).strip():
        raise Stays("IPv4 route {}".format(words))
    if not run(["ip", "-4", "route", "show", destination + "/32"]).strip():
        return []
    run(["ip", "-4", "route", "del"] + words.split())
    return ["IPv4 route {}".format(words)]


def undo_ipv4_address(interface: str, before: Any) -> List[str]:
    if not os.path.exists("/sys/class/net/" + interface):
        return []
    for address in str(before).split(", "):
        run(["ip", "-4", "addr", "replace", address, "dev", interface])
    return ["IPv4 addresses of {}".format(interface)]


def undo_route(words: str, _: Any) -> List[str]:
    there = route_facts(routes_of(run(["ip", "-6", "-o", "route", "show", "table", "main"])))
    destination, metric = words.split()[0], words.split()[-1]
    if not any(route["destination"] == destination and str(route["metric"]) == metric for route in there):
        return []
    peer = own_ipv6_connection()[0]
    if peer and IPv6Address(peer) in IPv6Network(destination):
        raise Stays("route {}".format(words))
    run(["ip", "-6", "route", "del"] + words.split())
    return ["route {}".format(words)]


def undo_address(words: str, _: Any) -> List[str]:
    address, _, interface = words.split()
    if not os.path.exists("/sys/class/net/" + interface):
        return []
    if not any(present == address for _, present, _ in addresses_on(interface, "-6")):
        return []
    here = own_ipv6_connection()[1]
    if here and IPv6Address(here) == IPv6Address(address.split("/")[0]):
        raise Stays("address {}".format(words))
    run(["ip", "-6", "addr", "del", address, "dev", interface])
    return ["address {}".format(words)]


def reload_units() -> List[str]:
    run(["systemctl", "daemon-reload"], timeout=SERVICE_SECONDS)
    return []


def remove(path: str) -> List[str]:
    if not os.path.lexists(path):
        return []
    os.unlink(path)
    return ["file {}".format(path)]


def restart(units: List[str]) -> List[str]:
    """Let what ran before us read its own configuration again."""
    for unit in units:
        run(["systemctl", "restart", unit], timeout=SERVICE_SECONDS)
    return ["service {} restarted".format(unit) for unit in units]


BEFORE_THE_NETWORK: Tuple[Tuple[str, Undo], ...] = (
    ("services", undo_service),
    ("binaries", undo_binary),
    ("old_binaries", undo_old_binary),
    ("swap", undo_swap),
    ("selinux", undo_selinux),
    ("ipv4_names", undo_ipv4_name),
    ("files", undo_file),
    ("deleted_files", undo_deleted_file),
    ("directories", undo_directory),
    ("sysctls", undo_sysctl),
)
NETWORK: Tuple[Tuple[str, Undo], ...] = (
    ("ipv4_default_routes", undo_ipv4_default_route),
    ("keep_routes", undo_keep_route),
    ("ipv4_addresses", undo_ipv4_address),
    ("routes", undo_route),
    ("addresses", undo_address),
)
