"""Routes of a node: IPv6 ones, and the IPv4 default route that must not be."""

import os
from typing import List

from tasks.node_agent.addresses import need_interface, own_connection
from tasks.node_agent.commands import run
from tasks.node_agent.files import text_of, write_atomically
from tasks.node_agent.ip import routes_of
from tasks.node_agent.protocol import Json
from tasks.node_agent.record import HOME, Record


def route_facts(routes: List[Json]) -> List[Json]:
    """IPv6 routes in few words; what the kernel makes for an address is left out."""
    found = []
    for route in routes:
        if route.get("protocol") in ("kernel", "ra") or "dev" not in route or route.get("type", "unicast") != "unicast":
            continue
        destination = "::/0" if route["dst"] == "default" else route["dst"]
        if "/" not in destination:
            destination += "/128"
        found.append(
            {
                "destination": destination,
                "via": route.get("gateway", ""),
                "interface": route["dev"],
                "metric": route.get("metric", 1024),
            }
        )
    return found


def ipv4_route_words(route: Json) -> str:
    """An IPv4 route as ``ip route`` takes it."""
    words = [route["dst"]]
    for key, word in (("gateway", "via"), ("dev", "dev"), ("metric", "metric")):
        if key in route:
            words += [word, str(route[key])]
    return " ".join(words)


def add_route(change: Json) -> None:
    need_interface(change["interface"])
    run(["ip", "-6", "route", "replace"] + change["subject"].split())


def remove_route(change: Json) -> None:
    run(["ip", "-6", "route", "del"] + change["subject"].split())


def remove_ipv4_default_route(change: Json, record: Record) -> None:
    words = change["subject"].split()
    peer = own_connection()[0]
    if peer:
        matching = routes_of(run(["ip", "-4", "-o", "route", "show", "match", peer]))
        if all(route["dst"] == "default" for route in matching):
            keep = ["{}/32".format(peer)] + words[1:]
            record.note("keep_routes", " ".join(keep), None)
            record.save()
            run(["ip", "-4", "route", "replace"] + keep)
            # Read by the unit that removes the default route whenever it comes back.
            kept = os.path.join(HOME, "keep-ipv4")
            others = [line for line in text_of(kept).splitlines() if line.split()[0] != keep[0]]
            write_atomically(kept, "".join(line + "\n" for line in others + [" ".join(keep)]).encode(), 0o644)
    run(["ip", "-4", "route", "del"] + words)
