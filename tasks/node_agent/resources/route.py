"""IPv6 routes of the main table."""

from typing import Any, List

from tasks.node_agent.commands import run
from tasks.node_agent.ip import routes_of
from tasks.node_agent.protocol import Json
from tasks.node_agent.record import Record
from tasks.node_agent.resources.kind import Kind, Stays
from tasks.node_agent.resources.link import need_interface
from tasks.node_agent.ssh_connection import own_ipv6_connection

SHOW = ["ip", "-6", "-o", "route", "show", "table", "main"]


def undo_route(words: str, before: Any) -> List[str]:
    """Take away a route of ours that is still there.

    Raises:
        Stays: The SSH connection comes by it.
    """
    from ipaddress import IPv6Address, IPv6Network  # here, because facts are asked for far more often

    noted = noted_route(words, before)
    # The kernel keeps routes by destination and metric.
    place = (noted["destination"], noted["metric"])
    if place not in [(route["destination"], route["metric"]) for route in route_facts(routes_of(run(SHOW)))]:
        return []
    peer = own_ipv6_connection()[0]
    if peer and IPv6Address(peer) in IPv6Network(noted["destination"]):
        raise Stays("route {}".format(words))
    run(["ip", "-6", "route", "del"] + arguments(noted))
    return ["route {}".format(words)]


class Routes(Kind):
    """Noted with all their parts, by what a change calls them."""

    name = "route"
    undoes = (("routes", undo_route),)

    def questions(self, query: Any) -> List[List[str]]:
        return [SHOW]

    def facts(self, query: Any, records: List[Record], answers: List[str]) -> List[Json]:
        return route_facts(routes_of(answers[0]))

    def added(self, record: Record) -> List[Json]:
        return [noted_route(*each) for each in record.stage.get("routes", {}).items()]

    def note(self, change: Json, record: Record) -> None:
        if change["action"] != "remove":
            record.note_ahead("routes", change["subject"], change["resource"])

    def make(self, change: Json, record: Record) -> None:
        route = change["resource"]
        if change["action"] == "remove":
            run(["ip", "-6", "route", "del"] + arguments(route))
            record.forget("routes", change["subject"])
            record.save()
        else:
            need_interface(route["interface"])
            run(["ip", "-6", "route", "replace"] + arguments(route))


def arguments(route: Json) -> List[str]:
    """A route as ``ip route`` takes it."""
    via = ["via", route["via"]] if route["via"] else []
    return [route["destination"]] + via + ["dev", route["interface"], "metric", str(route["metric"])]


def noted_route(words: str, noted: Any) -> Json:
    """A route of the record. The version before this one wrote nothing but its arguments, as one text."""
    if noted:
        return dict(noted)
    destination, rest = words.split()[0], words.split()[1:]
    values = dict(zip(rest[::2], rest[1::2]))  # noqa: B905 - strict is newer than 3.5
    return {
        "destination": destination,
        "via": values.get("via", ""),
        "interface": values["dev"],
        "metric": int(values["metric"]),
    }


def route_facts(routes: List[Json]) -> List[Json]:
    """IPv6 routes without what the kernel makes for an address."""
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
