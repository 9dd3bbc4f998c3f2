"""Modules of the kernel."""

import os
from typing import Any, List

from tasks.node_agent.commands import run
from tasks.node_agent.files import text_of
from tasks.node_agent.protocol import Json
from tasks.node_agent.record import Record
from tasks.node_agent.resources.kind import Kind

EVIDENCE = {
    "br_netfilter": "/proc/sys/net/bridge",
    "ip_vs": "/proc/sys/net/ipv4/vs",
    "nf_conntrack": "/proc/sys/net/netfilter/nf_conntrack_max",
    "tun": "/sys/class/misc/tun",
}
"""Where a module that is built into the kernel shows itself, when the machine has no list of built-in modules."""
FILESYSTEMS = {"overlay"}


def leave_loaded(_name: str, _before: Any) -> List[str]:
    """Others may use it by now."""
    return []


class Modules(Kind):
    """Noted by name, those that were not there."""

    name = "module"
    undoes = (("modules", leave_loaded),)

    def facts(self, query: List[str], records: List[Record], answers: List[str]) -> List[str]:
        """Those that are loaded or built in."""
        return [name for name in query if module_present(name)]

    def note(self, change: Json, record: Record) -> None:
        if not module_present(change["subject"]):
            record.note("modules", change["subject"], None)

    def make(self, change: Json, record: Record) -> None:
        name = change["subject"]
        if not module_present(name):
            todo = "install the kernel's modules, or load {} on the host when this node is a container".format(name)
            run(["modprobe", name], todo=todo)


def module_present(name: str) -> bool:
    """Whether a module is loaded, or built into the kernel (``modules.builtin``, kbuild.rst)."""
    plain = name.replace("-", "_")
    if os.path.isdir("/sys/module/" + plain):
        return True
    if plain in EVIDENCE and os.path.exists(EVIDENCE[plain]):
        return True
    if plain in FILESYSTEMS and plain in text_of("/proc/filesystems").split():
        return True
    built_in = text_of("/lib/modules/{}/modules.builtin".format(os.uname().release))
    return any(line.rsplit("/", 1)[-1].split(".ko")[0].replace("-", "_") == plain for line in built_in.splitlines())
