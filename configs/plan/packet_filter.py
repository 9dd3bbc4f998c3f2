"""Packet filters of a machine, and whether a packet passes them. Pure.

What a rule asks for and is not understood here may be so or not: then it is taken to accept, and not to drop.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from ipaddress import IPv4Network, IPv6Network, ip_network
from typing import Literal

Network = IPv4Network | IPv6Network
Verdict = Literal["accept", "drop", ""]
"""What becomes of a packet; empty when a chain has no say in it."""
Matches = bool | None
"""Whether a packet is what a rule asks for; None when that is not known."""

UFW_WITHOUT_IPV6 = "ufw with IPV6=no"
"""How ufw is called where it lets no IPv6 pass, whatever its rules say."""
INSIDE = ("docker", "br-", "virbr", "lo")
"""How the interfaces are called by which nothing leaves a machine: those of container engines and libvirt."""


@dataclass(frozen=True, slots=True)
class Packet:
    """The first packet of a connection.

    Attributes:
        hook: ``input``, ``forward`` or ``output``.
        protocol: ``tcp``, ``udp`` or ``icmpv6``; empty for any.
        port: Where it goes to; 0 for any.
        come: The interface by which it comes in; empty when it comes from the machine itself.
        goes: The interface by which it goes out; empty when it is for the machine itself.
        source: The addresses from which it may come.
    """

    hook: str
    protocol: str = ""
    port: int = 0
    come: str = ""
    goes: str = ""
    source: Network = field(default_factory=lambda: IPv6Network("::/0"))

    def __str__(self) -> str:
        what = " ".join(filter(None, (self.protocol, str(self.port or "")))) or "everything"
        way = " ".join(
            filter(None, (f"in by {self.come}" if self.come else "", f"out by {self.goes}" if self.goes else ""))
        )
        return f"{what} {way}"


@dataclass(frozen=True, slots=True)
class Condition:
    """A thing that a rule asks of a packet.

    Attributes:
        about: ``come``, ``goes``, ``source``, ``protocol``, ``port``, ``new`` (whether the first packet of a
            connection is meant), or anything else for what is not understood.
        values: What it may be.
        negated: Whether it must be none of these.
    """

    about: str
    values: tuple[str, ...] = ()
    negated: bool = False

    def matches(self, packet: Packet) -> Matches:
        """Whether a packet is like that."""
        found: Matches
        match self.about:
            case "come" | "goes":
                name = packet.come if self.about == "come" else packet.goes
                # Where a packet is forwarded to may not be known; but it leaves the machine.
                inside = all(value.startswith(INSIDE) for value in self.values)
                found = any(fnmatchcase(name, value) for value in self.values) if name or inside else None
            case "protocol":
                found = (packet.protocol in self.values) if packet.protocol else None
            case "port":
                found = any(_in_range(packet.port, value) for value in self.values) if packet.port else None
            case "source":
                found = _within(packet.source, self.values)
            case "new":
                found = "new" in self.values
            case _:
                return None
        return None if found is None else found != self.negated


@dataclass(frozen=True, slots=True)
class Rule:
    """A rule of a chain.

    Attributes:
        conditions: What it asks for.
        verdict: ``accept``, ``drop``, ``return`` or ``jump``; empty when it only counts or logs.
        chain: Where it jumps to.
    """

    conditions: tuple[Condition, ...]
    verdict: str
    chain: str = ""


@dataclass(frozen=True, slots=True)
class PacketFilter:
    """A table of rules.

    Attributes:
        name: As a person knows it, such as ``ip6tables``.
        bases: The chain, and its policy, at which packets of a hook begin: hook, chain and policy.
        chains: The rules by chain.
        family: 6, or 4 for IPv4.
    """

    name: str
    bases: tuple[tuple[str, str, Verdict], ...]
    chains: tuple[tuple[str, tuple[Rule, ...]], ...]
    family: int = 6

    def drops(self, packet: Packet) -> bool:
        """Whether a packet does not pass."""
        for hook, chain, policy in self.bases:
            if hook == packet.hook and (self._verdict(chain, packet, ()) or policy) == "drop":
                return True
        return False

    def _verdict(self, chain: str, packet: Packet, above: tuple[str, ...]) -> Verdict:
        for rule in dict(self.chains).get(chain, ()):
            asked = [condition.matches(packet) for condition in rule.conditions]
            if False in asked:
                continue
            sure = None not in asked
            if rule.verdict == "return" and sure:
                return ""
            verdict: Verdict = "accept" if rule.verdict == "accept" else "drop" if rule.verdict == "drop" else ""
            if rule.verdict == "jump" and rule.chain not in above:
                verdict = self._verdict(rule.chain, packet, (*above, chain))
            if verdict == "accept" or (verdict == "drop" and sure):
                return verdict
        return ""


def _in_range(port: int, value: str) -> bool:
    first, _, last = value.replace(":", "-").partition("-")
    return first.isdigit() and (last or first).isdigit() and int(first) <= port <= int(last or first)


def _within(source: Network, values: tuple[str, ...]) -> Matches:
    """Whether all of some addresses are in one of these networks; None when only some are."""
    partly = False
    for value in values:
        try:
            network = ip_network(value, strict=False)
        except ValueError:
            partly = True  # a set, or a name
            continue
        if network.version != source.version:
            continue
        if network.supernet_of(source):  # type: ignore[arg-type]
            return True
        partly = partly or network.overlaps(source)
    return None if partly else False
