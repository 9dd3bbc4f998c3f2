"""NetworkManager's profiles (nm-settings-keyfile(5))."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from configs.plan.interfaces import Claim
from tasks.node.network_files.links import Link, blocks, may_match, number, settings

CARDS = ("ethernet", "802-3-ethernet")
"""The types of profiles that may be brought up on any card."""


def claims(text: str, links: tuple[Link, ...]) -> Iterator[Claim]:
    """The profiles that are about an interface: those that name it, and those that it may be given by itself."""
    for path, lines in blocks(text):
        said = {(section, key): value for section, key, value in settings(lines)}
        named = said.get(("connection", "interface-name"), "")
        priority = said.get(("connection", "autoconnect-priority"), "")
        conditions: dict[str, list[str]] = {}
        for section in CARDS:
            if address := said.get((section, "mac-address")):
                conditions["PermanentMACAddress"] = [_hexadecimal(address)]
        for key, of_networkd in (("interface-name", "Name"), ("driver", "Driver")):
            words = [word for each in said.get(("match", key), "").split(";") if (word := each.strip())]
            # All but one of several names may be any name.
            if words and not any(word.startswith("|!") for word in words):
                conditions[of_networkd] = [word.lstrip("|&") for word in words]
        for key in ("path", "kernel-command-line"):
            if patterns := said.get(("match", key)):
                conditions[key] = [patterns]
        for link in (replace(each, names=(each.name,)) for each in links):  # its other names are nothing to it
            if named:
                if named in link.names:
                    yield Claim(path, link.name)
            elif (
                said.get(("connection", "type"), CARDS[0]) in CARDS
                and said.get(("connection", "autoconnect"), "true") not in ("false", "0")
                and may_match(conditions, link)
            ):
                by = "; ".join(f"{key}={' '.join(words)}" for key, words in conditions.items()) or "no interface-name"
                yield Claim(path, link.name, by=by, priority=number(priority))


def _hexadecimal(address: str) -> str:
    """A link-layer address, which older profiles hold as decimal numbers with semicolons."""
    numbers = address.strip(";").split(";")
    return ":".join(f"{int(each):02x}" for each in numbers) if all(map(str.isdecimal, numbers)) else address
