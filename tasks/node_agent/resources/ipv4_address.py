"""IPv4 addresses of interfaces that shall have none."""

from typing import Any, Dict, List

from tasks.node_agent.commands import run
from tasks.node_agent.ip import addresses_of, words_of_addresses
from tasks.node_agent.protocol import Failed, Json
from tasks.node_agent.record import Record
from tasks.node_agent.resources.address import addresses_on
from tasks.node_agent.resources.kind import Kind
from tasks.node_agent.resources.link import interface_there
from tasks.node_agent.ssh_connection import own_connection


def undo_ipv4_address(interface: str, before: Any) -> List[str]:
    """Give an interface its addresses back, with broadcast address, scope and label.

    Versions before this one wrote the addresses alone, and before that as one text, with commas.
    """
    if not interface_there(interface):
        return []
    for address in before.split(", ") if isinstance(before, str) else before:
        words = address.split()
        run(["ip", "-4", "addr", "replace"] + words + ([] if "dev" in words else ["dev", interface]))
    return ["IPv4 addresses of {}".format(interface)]


class Ipv4Addresses(Kind):
    """Noted by interface: a list of addresses as ``ip addr`` takes them."""

    name = "ipv4-address"
    undoes = (("ipv4_addresses", undo_ipv4_address),)

    def questions(self, query: List[str]) -> List[List[str]]:
        return [["ip", "-o", "addr"]]

    def facts(self, query: List[str], records: List[Record], answers: List[str]) -> Dict[str, List[str]]:
        """By interface, for those that have any."""
        found: Dict[str, List[str]] = {}
        for interface, address, _ in addresses_of(answers[0]):
            if interface in query and ":" not in address:
                found.setdefault(interface, []).append(address)
        return found

    def note(self, change: Json, record: Record) -> None:
        interface = change["subject"]
        there = run(["ip", "-4", "-o", "addr", "show", "dev", interface])
        record.note_ahead("ipv4_addresses", interface, words_of_addresses(there))

    def make(self, change: Json, record: Record) -> None:
        interface = change["subject"]
        here = own_connection()[1]
        if here and any(address.split("/")[0] == here for _, address, _ in addresses_on(interface, "-4")):
            todo = "reach the node over another interface, or by IPv6"
            raise Failed("{} on {} carries this very connection".format(here, interface), todo)
        run(["ip", "-4", "addr", "flush", "dev", interface])
