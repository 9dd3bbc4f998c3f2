"""NAT64 and DNS64 that were there before kubev6, which checks them and leaves them alone.

They are asked from the support node once its fabric address and its routes stand: it reaches them as every node will,
and resolves IPv4 addresses by itself, so one of the two can be judged without the other.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from ipaddress import IPv4Address, IPv6Address
from typing import Any
from urllib.parse import urlsplit

from configs.errors import NodeError
from configs.plan.translation import ANY_ULA, embed, embedded, may_stand_for
from configs.schema.cluster import Cluster
from tasks.ssh.connection import Connection
from tasks.ssh.program import program
from tasks.steps import step

log = logging.getLogger("kubev6.survey")

STEP = "existing servers"
SECONDS = 60

Answer = tuple[str, Sequence[str]]
"""Why asking failed, or nothing, and what was answered."""


def check(connection: Connection, cluster: Cluster) -> tuple[str, ...]:
    """Check the existing servers that a topology names; without any there is nothing to do.

    Args:
        connection: To the support node, which has its address on the fabric.
        cluster: The topology.

    Returns:
        What was found, one text for each of them.

    Raises:
        NodeError: One does not do what the cluster needs of it.
    """
    existing = cluster.existing_servers
    if not existing:
        return ()
    name = urlsplit(cluster.verify.outside).hostname or ""
    with step(connection.node, STEP) as shown:
        said = []
        if "DNS64" in existing:
            question = {"kind": "aaaa", "server": str(cluster.resolver), "name": name}
            answer, with_signatures = _ask(connection, question, question | {"dnssec": True})
            _refuse(connection, dns64_problem(cluster, name, answer))
            if warning := dnssec_warning(cluster, name, with_signatures):
                log.warning("%s", warning)
            said.append(f"DNS64 {cluster.resolver} answers")
        if "NAT64" in existing and cluster.translator == cluster.support.address:
            # What a machine itself sends need not pass its own translator: Jool's never does.
            said.append("NAT64 is on this machine, where only others see whether it works: the proof will tell")
        elif "NAT64" in existing:
            target = _target(connection, cluster, name)
            (answer,) = _ask(connection, {"kind": "connect", "address": str(target), "port": _port(cluster)})
            _refuse(connection, nat64_problem(cluster, target, answer))
            said.append(f"NAT64 {cluster.translator} passes connections")
        shown.ended_as("; ".join(said))
        return tuple(said)


def dns64_problem(cluster: Cluster, name: str, answer: Answer) -> tuple[str, str] | None:
    """What is wrong with the answer of an existing DNS64. Pure.

    Args:
        cluster: The topology.
        name: The name with an IPv4 address only that it was asked for.
        answer: Its answer, IPv6 addresses.

    Returns:
        What was seen and what to do; None when nothing is wrong.
    """
    error, values = answer
    server, prefix = f"DNS64 {cluster.resolver}", cluster.nat64.prefix
    if error:
        todo = f"see that it runs there, lets {cluster.fabric.subnet} and the pods ask, and can resolve that name"
        return f"{server} gives no answer for {name}: {error}", todo
    inside = [address for address in map(IPv6Address, values) if address in prefix]
    if not inside:
        seen = ", ".join(values) or "no IPv6 address"
        todo = f"let it synthesise for {prefix}, or name the prefix that it has as nat64.prefix"
        return f"{server} gives {name} {seen}, and not an address in {prefix}", todo
    return _carries(cluster, name, inside[0])


def dnssec_warning(cluster: Cluster, name: str, answer: Answer) -> str:
    """What to say of a DNS64 that answers rightly until it is asked for signatures too. Pure.

    Some do not synthesise then, for names in signed zones (BIND without ``break-dnssec``); CoreDNS 1.7.1 to 1.10.0, of
    Kubernetes 1.21 to 1.26, always asks so (coredns#4085).

    Args:
        cluster: The topology.
        name: The name with an IPv4 address only that it was asked for.
        answer: Its answer to a question with the bit DO; an error is not judged, as one may ask again without it.

    Returns:
        What was seen and what to do; empty when there is nothing to say.
    """
    error, values = answer
    if error or any(IPv6Address(value) in cluster.nat64.prefix for value in values):
        return ""
    return (
        f"DNS64 {cluster.resolver} gives {name} no address in {cluster.nat64.prefix} when it is asked for signatures "
        "too (the bit DO), as resolvers that validate and CoreDNS of Kubernetes 1.21 to 1.26 do: let it synthesise "
        "also then (BIND: 'break-dnssec yes;' in its block dns64)"
    )


def nat64_problem(cluster: Cluster, target: IPv6Address, answer: Answer) -> tuple[str, str] | None:
    """What is wrong with what an existing NAT64 did with a connection. Pure.

    Args:
        cluster: The topology.
        target: Where the connection went, an address inside the prefix.
        answer: The error that it ended with, if any.

    Returns:
        What was seen and what to do; None when nothing is wrong.
    """
    error, _ = answer
    if not error:
        return None
    ipv4 = embedded(cluster.nat64.prefix, target)
    return (
        f"NAT64 {cluster.translator} passes no connection to [{target}]:{_port(cluster)}, that is {ipv4}: {error}",
        f"see that it translates {cluster.nat64.prefix}, and reaches that address and {cluster.fabric.subnet} itself",
    )


def _carries(cluster: Cluster, name: str, address: IPv6Address) -> tuple[str, str] | None:
    prefix = cluster.nat64.prefix
    ipv4 = embedded(prefix, address)
    if may_stand_for(prefix, ipv4):
        return None
    return f"{name} is {ipv4}, which {prefix} must not carry because it is not global (RFC 6052, 3.1)", ANY_ULA


def _refuse(connection: Connection, problem: tuple[str, str] | None) -> None:
    if problem:
        seen, todo = problem
        raise NodeError(connection.node, STEP, seen, todo=todo)


def _target(connection: Connection, cluster: Cluster, name: str) -> IPv6Address:
    """The address inside the prefix that stands for what the proof fetches, told by the support node's own resolver."""
    ((error, values),) = _ask(connection, {"kind": "a", "name": name})
    if error or not values:
        seen = f"{name} cannot be resolved to an IPv4 address there: {error or 'it has none'}"
        raise NodeError(connection.node, STEP, seen, todo="name a page with an IPv4 address as verify.outside")
    target = embed(cluster.nat64.prefix, IPv4Address(values[0]))
    _refuse(connection, _carries(cluster, name, target))
    return target


def _port(cluster: Cluster) -> int:
    return urlsplit(cluster.verify.outside).port or 80


def _ask(connection: Connection, *questions: dict[str, Any]) -> list[Answer]:
    answers: list[Answer] = connection.run_python(
        program("existing_servers"), {"questions": questions}, step=STEP, timeout=SECONDS, kind=list[Answer]
    )
    return answers
