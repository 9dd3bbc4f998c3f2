"""The whole state of machines, and what of it a reset has not put back."""

from __future__ import annotations

import json
import re
from collections.abc import Collection, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from tasks.lab import lab
from tasks.ssh.connection import connect

PROGRAM = Path(__file__).with_name("machine_state.py").read_bytes()
STAYS = re.compile(
    r"file /(opt/containerd|var/lib/containerd|var/lib/docker-registry/docker)\b"
    r"|file /(run|usr/lib/modules$)|packet filter (\*|:\S+ ACCEPT)"
    r"|setting /proc/sys/net/(netfilter/nf_conntrack_tcp_timeout_|ipv4/conf/all/route_localnet)"
    r"|setting /proc/sys/net/(ipv4/conf/eth1/promote_secondaries|ipv6/conf/eth1/accept_ra)$"
)
"""What docs/own-machines.md says that a reset leaves."""
OF_THE_RUNNING = re.compile(
    r"setting /proc/sys/(net/netfilter/nf_conntrack_count|\S+/flush)|file (/var)?/disk\b"
    r"|packet filter -A DOCKER_(OUTPUT|POSTROUTING) "
)
"""What changes on a machine that runs or starts, such as the ports of the engine's resolver, and what is there twice
(:mod:`tests.faults.disk`)."""
States = Mapping[str, Mapping[str, str]]
"""By the machine's name, and by what it is of."""


def states(name: str, machines: Collection[str] = ()) -> States:
    """The states of machines of a lab.

    Args:
        name: The lab's name.
        machines: Which ones; none for all.
    """

    def of(machine: str) -> dict[str, str]:
        with connect(endpoints[machine]) as ssh:
            answer = ssh.run(["python3", "-"], step="state", stdin=PROGRAM, timeout=300).stdout
            found: dict[str, str] = json.loads(answer)
            return found

    endpoints = lab.endpoints(name)
    asked = list(machines or endpoints)
    with ThreadPoolExecutor() as pool:
        return dict(zip(asked, pool.map(of, asked), strict=True))


def left(before: States, after: States) -> list[str]:
    """What differs that has to be the same."""
    return [
        f"{name}: {key}: {before[name].get(key)} -> {after[name].get(key)}"
        for name in before
        for key in sorted(before[name].keys() | after[name].keys())
        if before[name].get(key) != after[name].get(key) and not STAYS.match(key) and not OF_THE_RUNNING.match(key)
    ]
