"""The network scripts of the RHEL family (sysconfig.txt of initscripts), which NetworkManager reads too."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator, Mapping
from posixpath import basename

from configs.plan.interfaces import Claim
from tasks.node.network_files.links import Link, blocks, may_match, number, settings

KEPT = (
    *(
        "TYPE",
        "DEVICETYPE",
        "VLAN",
        "VLAN_ID",
        "PHYSDEV",
        "REORDER_HDR",
        "GVRP",
        "MVRP",
        "BONDING_MASTER",
        "BONDING_OPTS",
    ),
    *("STP", "DELAY", "BRIDGING_OPTS", "TEAM_CONFIG", "MTU", "HWADDR", "MACADDR", "ETHTOOL_OPTS"),
)
"""What makes an interface, and what its link is."""
ALIAS = re.compile(r":.*|-range.*")
"""What a script of more IPv4 addresses has behind the name of the interface that brings them up (ifup-aliases)."""


def claims(text: str, links: tuple[Link, ...], *, any_without: bool) -> Iterator[Claim]:
    """The scripts that are about an interface.

    Args:
        text: What a machine tells of them.
        links: Its interfaces.
        any_without: Whether one that names none is about every interface, as NetworkManager takes it, or about the one
            that its own name ends in.
    """
    for path, lines in blocks(text):
        said = _assignments(lines)
        name = said.get("DEVICE") or ("" if any_without or "HWADDR" in said else basename(path).removeprefix("ifcfg-"))
        name = ALIAS.sub("", name)
        for link in links:
            if "$" in name or "`" in name:  # what the shell makes of it is not known here
                yield Claim(path, link.name, by=f"DEVICE={name}")
            elif name and name in link.names:
                yield Claim(path, link.name)
            elif not name and said.get("ONBOOT", "yes").lower() in ("yes", "true", "1", "y", "t"):
                address = said.get("HWADDR", "")
                known = bool(address) and "$" not in address and "`" not in address
                if may_match({"PermanentMACAddress": [address]} if known else {}, link):
                    by = f"HWADDR={address}" if address else "no DEVICE"
                    yield Claim(path, link.name, by=by, priority=number(said.get("AUTOCONNECT_PRIORITY", "")))


def with_resolvers(text: str) -> Iterator[str]:
    """The scripts whose resolvers ifup puts in the place of those in resolv.conf (ifup-post).

    Versions differ in whether one of the two settings that keep it from that is enough.
    """
    for path, lines in blocks(text):
        said = _assignments(lines)
        off = all(said.get(name, "").lower() in ("no", "false", "0", "n", "f") for name in ("PEERDNS", "RESOLV_MODS"))
        if not off and any(value and re.fullmatch(r"DNS\d+", name) for name, value in said.items()):
            yield path


def kept(text: str, links: tuple[Link, ...], interface: str) -> tuple[str, ...]:  # noqa: ARG001 - one shape for all
    """What of the script that ours replaces has to stay."""
    for path, lines in blocks(text):
        if basename(path) == f"ifcfg-{interface}":
            return tuple(line.strip() for line in lines if line.strip().partition("=")[0] in KEPT)
    return ()


def _assignments(lines: list[str]) -> Mapping[str, str]:
    return {key.removeprefix("export").strip(): _word(value) for _, key, value in settings(lines)}


def _word(value: str) -> str:
    """What the shell makes of a value: without quotes, comment or what follows in the line."""
    try:
        words = shlex.split(value, comments=True)
    except ValueError:
        return value
    return words[0].partition(";")[0] if words else ""
