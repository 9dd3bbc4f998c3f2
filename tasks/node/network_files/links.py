"""Interfaces as files match them: by name, address, driver and kind."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from itertools import pairwise

from configs.plan.interfaces import ETHERNET_MTU

KINDS = (
    *(
        "bond",
        "bridge",
        "dummy",
        "geneve",
        "gre",
        "gretap",
        "ip6gre",
        "ip6tnl",
        "ipvlan",
        "macsec",
        "macvlan",
        "macvtap",
    ),
    *("sit", "team", "tun", "vlan", "vrf", "vxlan", "wireguard"),
)
"""What makes an interface that is no card (ip-link(8))."""
NAMED = {"bond": r"bond\d+", "bridge": r"br\d+", "team": r"team\d+", "vlan": r".+\.\d+|vlan\d+"}
"""The names by which the tools themselves take an interface for one that they make (interfaces(5), sysconfig.txt)."""

CARD = "card"
"""In the place of a kind, of which a card has none: no pattern is about it."""
Conditions = Mapping[str, Sequence[str]]
"""Patterns by a key of systemd.network(5), section Match; of those with ``!`` in front none may match."""


@dataclass(frozen=True, slots=True)
class Link:
    """An interface.

    Attributes:
        names: Its name, and the others that it goes by too.
        mac: Its address, in hexadecimal digits alone; empty when the machine does not tell.
        permanent_mac: The one that its hardware has.
        driver: Its driver; empty when the machine does not tell.
        type: As networkd calls it, such as ``ether``; empty when the machine does not tell.
        kind: What makes it; empty of a card, None when the machine does not tell.
        port_of: The bond, bridge or team that it is a port of.
        mtu: Bytes of the largest packet that it sends.
    """

    names: tuple[str, ...]
    mac: str = ""
    permanent_mac: str = ""
    driver: str = ""
    type: str = ""
    kind: str | None = None
    port_of: str = ""
    mtu: int = ETHERNET_MTU

    @property
    def name(self) -> str:
        """Its name."""
        return self.names[0]


def links_of(text: str, drivers: str = "") -> tuple[Link, ...]:
    """The interfaces of a machine, but for its loopback and the ends of its pods'.

    Args:
        text: What ``ip -o -d link`` prints.
        drivers: Lines of an interface's name and its driver's.
    """
    driver_of = dict(words for line in drivers.splitlines() if len(words := line.split()) == 2)
    found = (_link(line, driver_of) for line in text.splitlines())
    return tuple(link for link in found if link and link.name != "lo" and not link.name.startswith("veth"))


def _link(line: str, driver_of: Mapping[str, str]) -> Link | None:
    if not (match := re.match(r"\d+: ([^:@\s]+)", line)):
        return None
    name, words = match[1], line.split()
    behind = dict(pairwise(words))
    # The kind stands at the beginning of a line of its own.
    firsts = [part.split()[0] for part in line.split("\\")[1:] if part.strip()]
    link_type = next((word.removeprefix("link/") for word in words if word.startswith("link/")), "")
    kind = next((first for first in firsts if first in KINDS), "" if link_type else None)
    type_ = kind if kind in ("bond", "bridge", "vlan") else link_type
    kind = kind or next((each for each, pattern in NAMED.items() if re.fullmatch(pattern, name)), kind)
    mac = behind.get("link/ether", "")
    port = any(first.endswith("_slave") and first != "vrf_slave" for first in firsts)
    return Link(
        (name, *re.findall(r"\baltname (\S+)", line)),
        digits(mac),
        digits(behind.get("permaddr", mac)),
        driver_of.get(name, ""),
        type_,
        kind,
        behind.get("master", "") if port else "",
        int(found) if (found := behind.get("mtu", "")).isdecimal() else ETHERNET_MTU,
    )


def digits(mac: str) -> str:
    """A link-layer address, however it is written, in hexadecimal digits alone."""
    return re.sub(r"[^0-9a-f]", "", mac.lower())


def may_match(conditions: Conditions, link: Link) -> bool:
    """Whether no condition is known not to hold for an interface.

    What a machine does not tell, such as a path on its bus or a word on its kernel's command line, may hold.
    """
    for key, patterns in conditions.items():
        known, as_it_is = _known(key, link)
        if all(known) and not any(_holds(patterns, each, as_it_is) for each in known):
            return False
    return True


def _known(key: str, link: Link) -> tuple[tuple[str, ...], bool]:
    """The values of an interface that a condition is about, and whether patterns match them as they are written."""
    match key:
        case "Name":
            return link.names, True
        case "MACAddress":
            return (link.mac,), False
        case "PermanentMACAddress":
            return (link.permanent_mac,), False
        case "Driver":
            return (link.driver,), True
        case "Type":
            return (link.type,), True
        case "Kind" if link.kind is not None:
            return (link.kind or CARD,), True
    return ("",), True


def _holds(patterns: Sequence[str], value: str, as_it_is: bool) -> bool:
    """As net_condition_test_strv() of systemd does it; lists of addresses hold no patterns."""
    if not as_it_is:
        return value in map(digits, patterns)
    wanted = [pattern for pattern in patterns if not pattern.startswith("!")]
    if value == CARD:
        return not wanted
    if any(fnmatchcase(value, pattern[1:]) for pattern in patterns if pattern.startswith("!")):
        return False
    return not wanted or any(fnmatchcase(value, pattern) for pattern in wanted)


def reason(conditions: Conditions, link: Link) -> str:
    """By which condition an interface is meant; empty when by its name and nothing else."""
    for key, patterns in conditions.items():
        if key == "Name" and set(patterns) & set(link.names):
            continue
        return f"{key}={' '.join(patterns)}"
    return "" if conditions else "a [Match] that names no interface"


def blocks(text: str) -> Iterator[tuple[str, list[str]]]:
    """Path and lines of each file. A line ends where the tools see its end, and at no other character of Unicode."""
    path, lines = "", list[str]()
    for line in re.split(r"\r?\n", text):
        if line.startswith(" "):
            lines.append(line[1:])
        elif line.strip():
            if path:
                yield path, lines
            path, lines = line, []
    if path:
        yield path, lines


def settings(lines: Iterable[str]) -> Iterator[tuple[str, str, str]]:
    """Section, key and value of each assignment of a file in the form of systemd's and NetworkManager's."""
    section = ""
    for line in map(str.strip, lines):
        if line.startswith("["):
            section = line.strip("[]")
        elif "=" in line and line[0] not in "#;":
            key, _, value = line.partition("=")
            yield section, key.strip(), value.strip()


def number(text: str) -> int:
    """A number that a file holds; 0 where it holds none."""
    return int(text) if re.fullmatch(r"-?[0-9]{1,9}", text) else 0
