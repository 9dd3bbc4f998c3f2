"""What carries a node's connections, as it is at one moment, and made so again: links, addresses and routes."""

import re
from typing import Dict, List, Set, Tuple

from tasks.node_agent.commands import run
from tasks.node_agent.ip import TYPES, links_of, words_of_addresses, words_of_routes
from tasks.node_agent.protocol import Failed, Json

FAMILIES = ("-4", "-6")


def network_state() -> Json:
    """Which links are up, and every address and route as ``ip`` takes it to make it again."""
    return {
        "up": [name for name, up in links_of(run(["ip", "-o", "link"])) if up],
        "addresses": {family: addresses(family) for family in FAMILIES},
        "routes": {family: routes(family) for family in FAMILIES},
    }


def addresses(family: str) -> List[str]:
    """Those of a family."""
    return words_of_addresses(run(["ip", family, "-o", "addr"]))


def routes(family: str) -> List[str]:
    """Those of a family in all tables, without what the kernel makes for an address of its own.

    One that expires does so when it is made again, too.
    """
    found = []
    for line in run(["ip", family, "-o", "route", "show", "table", "all"]).splitlines():
        words = "".join(words_of_routes(line))
        if words and words.split()[0] not in TYPES[1:5] and "table local" not in words:
            expires = re.search(r"expires (\d+)", line)
            found.append(words + (" expires " + expires.group(1) if expires else ""))
    return found


def restore(before: Json, ours: Set[str]) -> List[str]:
    """Make links, addresses and routes what they were; those of others that are new stay.

    Args:
        before: What :func:`network_state` told.
        ours: The addresses with their lengths, and the destinations of routes, that are to go where they are new.

    Returns:
        Why something could not be made again, one line each.
    """
    there = network_state()
    left = []  # type: List[str]
    for name in set(before["up"]) - set(there["up"]):
        left += attempts([["ip", "link", "set", name, "up"]])
    for kind, what in (("addresses", "addr"), ("routes", "route")):
        for family in FAMILIES:
            now, was = by_what_lasts(there[kind][family]), by_what_lasts(before[kind][family])
            gone = [was[words] for words in was if words not in now]
            taken = {place_of(words) for words in gone}
            new = [
                words for words in now if words not in was and (words.split()[0] in ours or place_of(words) in taken)
            ]
            left += attempts([["ip", family, what, "del"] + words.split() for words in new])
            # A gateway is only taken when it can be reached, so what needs others comes after them.
            left += attempts(attempted([["ip", family, what, "add"] + words.split() for words in gone]))
    return left


def attempted(commands: List[List[str]]) -> List[List[str]]:
    """Run commands; those that failed."""
    return [command for command in commands if attempts([command])]


def attempts(commands: List[List[str]]) -> List[str]:
    """Run commands, each whatever becomes of the others; why those failed that did, unless it is done already."""
    left = []
    for command in commands:
        try:
            run(command)
        except Failed as error:
            if "File exists" not in error.seen:
                left.append(error.seen)
    return left


def by_what_lasts(words: List[str]) -> Dict[str, str]:
    """Addresses or routes, by their words without how long they are still good for."""
    return {lasting(each): each for each in words}


def place_of(words: str) -> Tuple[str, ...]:
    """What of a route, or an address, no two can have in common: destination, table and metric."""
    parts = words.split()
    named = [parts[parts.index(word) + 1] if word in parts else "" for word in ("table", "metric", "tos")]
    return (parts[0], *named)


def lasting(words: str) -> str:
    """The words of an address or a route without how long it is still good for."""
    return re.sub(r" (expires|valid_lft|preferred_lft) \S+", "", words)
