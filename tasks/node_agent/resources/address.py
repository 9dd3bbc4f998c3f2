"""IPv6 addresses of interfaces."""

import time
from typing import Any, List

from tasks.node_agent.commands import run
from tasks.node_agent.ip import addresses_of
from tasks.node_agent.protocol import Failed, Json
from tasks.node_agent.record import Record
from tasks.node_agent.resources.kind import Kind, Stays
from tasks.node_agent.resources.link import interface_there, set_up
from tasks.node_agent.ssh_connection import own_ipv6_connection

DAD_SECONDS = 30
"""It begins when the link has a carrier, which a bond by LACP and some switches' ports give late; and the way of SSH is
put back after a minute in which nobody has confirmed it (:mod:`tasks.node.confirmation`)."""


def undo_address(words: str, before: Any) -> List[str]:
    """Take away an address of ours that is still there.

    Raises:
        Stays: The SSH connection uses it.
    """
    from ipaddress import IPv6Address  # here, because facts are asked for far more often

    noted = noted_address(words, before)
    interface, address = noted["interface"], noted["address"]
    if not interface_there(interface):
        return []
    if not any(present == address for _, present, _ in addresses_on(interface, "-6")):
        return []
    here = own_ipv6_connection()[1]
    if here and IPv6Address(here) == IPv6Address(address.split("/")[0]):
        raise Stays("address {}".format(words))
    remove(noted)
    return ["address {}".format(words)]


class Addresses(Kind):
    """Noted with interface and address, by what a change calls them."""

    name = "address"
    undoes = (("addresses", undo_address),)

    def questions(self, query: Any) -> List[List[str]]:
        return [["ip", "-o", "addr"]]

    def facts(self, query: Any, records: List[Record], answers: List[str]) -> List[Json]:
        """With what became of them; ``failed``: another machine on the link has it too."""
        return [
            {"interface": interface, "address": address, "state": state}
            for interface, address, state in addresses_of(answers[0])
            if ":" in address
        ]

    def added(self, record: Record) -> List[Json]:
        return [noted_address(*each) for each in record.stage.get("addresses", {}).items()]

    def note(self, change: Json, record: Record) -> None:
        if change["action"] == "add":
            record.note_ahead("addresses", change["subject"], change["resource"])

    def make(self, change: Json, record: Record) -> None:
        if change["action"] == "add":
            add(change["resource"])
        else:
            remove(change["resource"])
            record.forget("addresses", change["subject"])
            record.save()


def noted_address(words: str, noted: Any) -> Json:
    """An address of the record. The version before this one wrote its words alone: ``fd00::1/64 dev eth1``."""
    if noted:
        return dict(noted)
    address, _, interface = words.split()
    return {"interface": interface, "address": address}


def addresses_on(interface: str, family: str) -> List[List[str]]:
    """``[interface, address/length, state]`` of every address of an interface, of the family ``-4`` or ``-6``."""
    return addresses_of(run(["ip", family, "-o", "addr", "show", "dev", interface]))


def add(wanted: Json) -> None:
    """Give an interface an address, and wait until it can be used."""
    interface, address = wanted["interface"], wanted["address"]
    set_up(interface)
    for _, present, state in addresses_on(interface, "-6"):
        if present == address and state == "failed":
            remove(wanted)
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
            seen = "{} on {} is still tentative after {} s".format(address, interface, DAD_SECONDS)
            raise Failed(seen, "see by 'ip link show {}' whether it has a carrier".format(interface), transient=True)
        time.sleep(0.05)


def remove(address: Json) -> None:
    """Take an address away from its interface."""
    run(["ip", "-6", "addr", "del", address["address"], "dev", address["interface"]])
