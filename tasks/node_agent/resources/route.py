"""IPv6 routes of the main table."""

from typing import Any, List, Tuple

from tasks.node_agent.commands import run
from tasks.node_agent.ip import routes_of, words_of_routes
from tasks.node_agent.protocol import Failed, Json
from tasks.node_agent.record import Record
from tasks.node_agent.resources.kind import Kind, Stays
from tasks.node_agent.resources.link import interface_there, need_interface
from tasks.node_agent.ssh_connection import own_ipv6_connection

SHOW = ["ip", "-6", "-o", "route", "show", "table", "main"]


def undo_route(words: str, before: Any) -> List[str]:
    """Take away a route of ours that is still there.

    Raises:
        Stays: The SSH connection comes by it.
    """
    from ipaddress import IPv6Address, IPv6Network  # here, because facts are asked for far more often

    noted = noted_route(words, before)
    if noted not in route_facts(routes_of(run(SHOW))):
        return []
    peer = own_ipv6_connection()[0]
    if peer and IPv6Address(peer) in IPv6Network(noted["destination"]):
        raise Stays("route {}".format(words))
    run(["ip", "-6", "route", "del"] + arguments(noted))
    return ["route {}".format(words)]


def undo_replaced_route(_: str, before: Any) -> List[str]:
    """Make the routes again that one of ours took the place of; not where another one is in that place."""
    done = []
    for words in before:
        if not interface_there(interface_of(words)):
            continue
        try:
            run(["ip", "-6", "route", "add"] + words.split())
        except Failed as error:
            if "File exists" not in error.seen:
                raise
        else:
            done.append("route {}".format(words))
    return done


class Routes(Kind):
    """Noted with all their parts, by what a change calls them; so is what each takes the place of."""

    name = "route"
    undoes = (("routes", undo_route), ("replaced_routes", undo_replaced_route))

    def questions(self, query: Any) -> List[List[str]]:
        return [SHOW]

    def facts(self, query: Any, records: List[Record], answers: List[str]) -> List[Json]:
        return route_facts(routes_of(answers[0]))

    def added(self, record: Record) -> List[Json]:
        return [noted_route(*each) for each in record.stage.get("routes", {}).items()]

    def note(self, change: Json, record: Record) -> None:
        if change["action"] != "remove":
            record.note_ahead("routes", change["subject"], change["resource"])
        if change["action"] == "replace":
            record.note_ahead("replaced_routes", change["subject"], replaced(change["resource"], record))

    def make(self, change: Json, record: Record) -> None:
        route = change["resource"]
        if change["action"] == "remove":
            run(["ip", "-6", "route", "del"] + arguments(route))
            undo_replaced_route(change["subject"], record.stage.get("replaced_routes", {}).get(change["subject"], []))
            forget(change["subject"], record)
        else:
            need_interface(route["interface"])
            run(["ip", "-6", "route", "replace"] + arguments(route))
            for words, noted in list(record.stage.get("routes", {}).items()):
                if words != change["subject"] and place_of(noted_route(words, noted)) == place_of(route):
                    forget(words, record)


def forget(subject: str, record: Record) -> None:
    """Drop the notes of a route of ours that is gone."""
    for notes, _ in Routes.undoes:
        record.forget(notes, subject)
    record.save()


def replaced(route: Json, record: Record) -> List[str]:
    """The routes of others that one takes the place of, as ``ip route`` takes them to make them again.

    In the place of an earlier one of ours are those that this one replaced. What routers advertise comes again by
    itself.
    """
    found = []  # type: List[str]
    ours = []
    for stage in record.all["stages"].values():
        for words, noted in stage.get("routes", {}).items():
            if place_of(noted_route(words, noted)) == place_of(route):
                ours.append(noted_route(words, noted))
                found += stage.get("replaced_routes", {}).get(words, [])
    for line in run(SHOW).splitlines():
        there = [each for each in route_facts(routes_of(line)) if place_of(each) == place_of(route)]
        if there and there[0] not in ours:
            found += words_of_routes(line)
    return found


def place_of(route: Json) -> Tuple[str, int]:
    """What no two routes of a table have in common: the kernel keeps them by destination and metric."""
    return route["destination"], route["metric"]


def interface_of(words: str) -> str:
    """The interface of a route, the first of one with several."""
    return words.partition(" dev ")[2].split()[0]


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
