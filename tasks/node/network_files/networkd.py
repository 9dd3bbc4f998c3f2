"""networkd's files. The first in the order of their names that matches an interface is applied (systemd.network(5))."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import replace
from posixpath import basename, dirname

from configs.plan.interfaces import Claim
from tasks.node.network_files.links import Conditions, Link, blocks, may_match, reason, settings

KEPT = {
    "Network": (
        *(
            "VLAN",
            "MACVLAN",
            "MACVTAP",
            "IPVLAN",
            "IPVTAP",
            "VXLAN",
            "Tunnel",
            "L2TP",
            "MACsec",
            "Xfrm",
            "IPoIB",
            "VRF",
        ),
        *("BatmanAdvanced", "ConfigureWithoutCarrier", "IgnoreCarrierLoss"),
    ),
    "Link": ("MTUBytes", "MACAddress"),
    "BridgeVLAN": ("VLAN", "EgressUntagged", "PVID"),
}
"""What hangs on an interface, the size of its packets, the address that it is given, and what a bridge lets in, which
may stand in one section as well as in several (systemd.network(5)); by section."""
ASKS = {
    "DHCP": ("yes", "true", "1", "on", "both", "ipv4", "ipv6", "v4", "v6"),
    "IPv6AcceptRA": ("yes", "true", "1", "on"),
}
"""What makes networkd take addresses, routes and resolvers of others."""
KNOWN = ("Name", "OriginalName", "MACAddress", "PermanentMACAddress", "Driver", "Type", "Kind")
"""Conditions of which it is known whether they hold."""
Settings = list[tuple[str, str, str]]


def claims(text: str, links: tuple[Link, ...]) -> Iterator[Claim]:
    """The files that are about an interface."""
    for path, found in _files(text):
        conditions = _conditions(found)
        for link in links:
            if may_match(conditions, link):
                yield Claim(path, link.name, by=reason(conditions, link))


def renames(text: str, links: tuple[Link, ...]) -> Iterator[Claim]:
    """The ``.link`` files by which an interface has another name from the next start on (systemd.link(5)).

    The first that matches counts. One that matches by what is not known here, such as a place on the bus, has been
    applied at the last start if it is about an interface at all, and so is left out.
    """
    there = {name for link in links for name in link.names}
    for link in links:
        for path, found in _files(text):
            conditions = _conditions(found)
            if "OriginalName" in conditions:  # which is none of those that it goes by too
                conditions = {**conditions, "Name": conditions["OriginalName"]}
            known = all(key in KNOWN for key in conditions)
            if not known or not may_match(conditions, replace(link, names=(link.name,))):
                continue
            said = {key: value for section, key, value in found if section == "Link"}
            name = said.get("Name", "")
            if name and not said.get("NamePolicy") and name not in there:
                yield Claim(path, link.name, by=f"Name={name}")
            break


def asking(text: str) -> tuple[str, ...]:
    """The names of the files that take addresses or resolvers of others, but for those that the system brings."""
    return tuple(
        basename(path)
        for path, found in _files(text)
        # What the system brings is for containers of its own.
        if not path.startswith("/usr/")
        and "kubev6" not in path
        and any(section == "Network" and value.lower() in ASKS.get(key, ()) for section, key, value in found)
    )


def kept(text: str, links: tuple[Link, ...], interface: str) -> tuple[str, ...]:
    """What of the file that is applied to an interface, were ours not there, has to stay."""
    link = next(each for each in links if each.name == interface)
    for path, found in _files(text):
        if "kubev6" in path or not may_match(_conditions(found), link):
            continue
        lines = list[str]()
        for section, keys in KEPT.items():
            wanted = [f"{key}={value}" for where, key, value in found if where == section and key in keys]
            lines += [f"[{section}]", *wanted] if wanted else []
        return tuple(lines)
    return ()


def _files(text: str) -> list[tuple[str, Settings]]:
    """Files that say anything with what they and their drop-ins say, in the order in which networkd goes by them.

    One in /etc stands for those of its name elsewhere, and the machine tells of it first.
    """
    found: dict[str, tuple[str, Settings]] = {}
    drop_ins: dict[tuple[str, str], Settings] = {}
    for path, lines in blocks(text):
        said = list(settings(_joined(lines)))
        if path.endswith(".conf"):
            drop_ins.setdefault((basename(dirname(path)).removesuffix(".d"), basename(path)), said)
        else:
            found.setdefault(basename(path), (path, said))
    for (name, _), said in sorted(drop_ins.items()):
        if name in found:
            found[name][1].extend(said)
    return [found[name] for name in sorted(found) if found[name][1]]


def _joined(lines: list[str]) -> Iterator[str]:
    """The lines, with those that end in a backslash and what they go on in as one (systemd.syntax(7)).

    Comments between the two are left out, and no comment goes on.
    """
    begun = ""
    for line in "\n".join(lines).replace("\r", "\n").split("\n"):  # either ends a line there
        if line.lstrip()[:1] in ("#", ";"):
            continue
        if line.endswith("\\"):
            begun += f"{line[:-1]} "
        else:
            yield begun + line
            begun = ""
    yield begun


def _conditions(said: Settings) -> Conditions:
    found: dict[str, list[str]] = {}
    for section, key, value in said:
        if section != "Match":
            continue
        words = re.sub("[\"']", "", value).split()
        if words and words[0].startswith("!"):  # is about all words of the line
            words = [f"!{word.removeprefix('!')}" for word in words]
        found[key] = [*found.get(key, []), *words] if words else []
    return {key: patterns for key, patterns in found.items() if patterns}
