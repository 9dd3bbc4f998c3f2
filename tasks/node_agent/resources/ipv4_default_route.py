"""IPv4 default routes where there shall be none. The path that the SSH connection takes is kept by a host route."""

import os
from typing import Any, List

from tasks.node_agent.commands import run
from tasks.node_agent.files import text_of, write_atomically
from tasks.node_agent.ip import TYPES, routes_of, words_of_routes
from tasks.node_agent.protocol import Json
from tasks.node_agent.record import HOME, Record
from tasks.node_agent.resources.kind import Kind, Stays
from tasks.node_agent.ssh_connection import own_connection

SHOW = ["ip", "-4", "-o", "route", "show", "default"]


def undo_default_route(arguments: str, _: Any) -> List[str]:
    """The kernel keeps routes by destination and metric: one that is in the place already is the machine's own."""
    if metric_of(arguments) in [metric_of(words) for words in words_of_routes(run(SHOW))]:
        return []
    run(["ip", "-4", "route", "add"] + arguments.split())
    return ["IPv4 route {}".format(arguments)]


def undo_kept_route(arguments: str, _: Any) -> List[str]:
    """Only when the default route is there again, which the connection may need from now on."""
    destination = arguments.split()[0].split("/")[0]
    if destination == own_connection()[0] and not run(SHOW).strip():
        raise Stays("IPv4 route {}".format(arguments))
    if not run(["ip", "-4", "route", "show", destination + "/32"]).strip():
        return []
    run(["ip", "-4", "route", "del"] + arguments.split())
    return ["IPv4 route {}".format(arguments)]


class Ipv4DefaultRoutes(Kind):
    """Noted by the arguments that ``ip route`` takes for each; so are the routes that keep the connection."""

    name = "ipv4-default-route"
    undoes = (("ipv4_default_routes", undo_default_route), ("keep_routes", undo_kept_route))

    def questions(self, query: Any) -> List[List[str]]:
        return [SHOW]

    def facts(self, query: Any, records: List[Record], answers: List[str]) -> List[str]:
        """The arguments that ``ip route`` takes for each."""
        return words_of_routes(answers[0])

    def note(self, change: Json, record: Record) -> None:
        record.note_ahead("ipv4_default_routes", change["subject"], None)

    def make(self, change: Json, record: Record) -> None:
        arguments = change["subject"].split()
        keep_own_path(arguments, record)
        run(["ip", "-4", "route", "del"] + place_of(arguments))


def keep_own_path(default: List[str], record: Record) -> None:
    """Where only a default route leads to the controller, a route to it alone takes the default's place."""
    peer = own_connection()[0]
    if not peer or default[0] in TYPES:
        return
    matching = routes_of(run(["ip", "-4", "-o", "route", "show", "match", peer]))
    if all(route["dst"] == "default" for route in matching):
        keep = ["{}/32".format(peer)] + way_of(default)
        record.note("keep_routes", " ".join(keep), None)
        record.save()
        run(["ip", "-4", "route", "replace"] + keep)
        # Read by the unit that removes the default route whenever it comes back.
        kept = os.path.join(HOME, "keep-ipv4")
        others = [line for line in text_of(kept).splitlines() if line.split()[0] != keep[0]]
        write_atomically(kept, "".join(line + "\n" for line in others + [" ".join(keep)]).encode(), 0o644)


def way_of(default: List[str]) -> List[str]:
    """The words of a default route but for its destination, and for who made it: the one in its place is ours."""
    words = default[1:]
    if "proto" in words:
        at = words.index("proto")
        del words[at : at + 2]
    return words


def place_of(default: List[str]) -> List[str]:
    """What the kernel tells a default route by. Of its next hop it takes none for one that is an object (nexthop)."""
    found = default[: default.index("default") + 1]
    for word, value in zip(default, default[1:]):  # noqa: B905, RUF007 - newer than 3.5
        found += [word, value] if word in ("tos", "metric") else []
    return found


def metric_of(arguments: str) -> str:
    """What tells a route from others to the same destination; 0 is that of one without."""
    words = arguments.split()
    return words[words.index("metric") + 1] if "metric" in words else "0"
