"""Interfaces that are switched on."""

import os
from typing import List

from tasks.node_agent.commands import run
from tasks.node_agent.ip import links_of
from tasks.node_agent.protocol import Failed, Json
from tasks.node_agent.record import Record
from tasks.node_agent.resources.kind import Kind


class Links(Kind):
    """Not noted: an interface that is on stays on."""

    name = "link"

    def questions(self, query: List[str]) -> List[List[str]]:
        return [["ip", "-o", "link"]]

    def facts(self, query: List[str], records: List[Record], answers: List[str]) -> List[str]:
        """Names of those that are switched on."""
        return [name for name, up in links_of(answers[0]) if up]

    def make(self, change: Json, record: Record) -> None:
        set_up(change["subject"])


def set_up(interface: str) -> None:
    """Switch an interface on."""
    need_interface(interface)
    run(["ip", "link", "set", interface, "up"])


def interface_there(name: str) -> bool:
    """Whether there is such an interface."""
    return os.path.exists("/sys/class/net/" + name)


def need_interface(name: str) -> None:
    """See that an interface is there.

    Raises:
        Failed: It is not; says which are.
    """
    if not interface_there(name):
        there = ", ".join(sorted(os.listdir("/sys/class/net")))
        raise Failed("no interface {}; there are {}".format(name, there), "name the right one in the cluster file")
