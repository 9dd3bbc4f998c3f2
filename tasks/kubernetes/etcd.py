"""The members of etcd, one on every control plane: what each says and holds, and how one leaves."""

from __future__ import annotations

from dataclasses import dataclass

from configs.errors import NodeError
from configs.schema.cluster import Cluster
from tasks.kubernetes.checks import Check
from tasks.ssh.connection import Connection
from tasks.ssh.program import program

SECONDS = 120


@dataclass(frozen=True, slots=True)
class Member:
    """What a member of etcd says of itself; see :mod:`tasks.node_agent.etcd_members`.

    Attributes:
        name: That of its node.
        url: Where it listens.
        leads: Whether it is the leader.
        leader: The id of the leader that it follows; empty or zero without one.
        revision: The newest that it has.
        keys: How many keys it holds.
        digest: Of their names and revisions.
        seen: Why it does not say so; empty if it does.
    """

    name: str
    url: str
    leads: bool
    leader: str
    revision: int
    keys: int
    digest: str
    seen: str


@dataclass(frozen=True, slots=True)
class Told:
    """What a control plane tells of etcd: its members, or why there are none to tell of."""

    members: list[Member]
    seen: str


@dataclass(frozen=True, slots=True)
class _Left:
    left: list[str]
    seen: str


def ask(connection: Connection) -> Told:
    """What all members say and hold, at the newest revision that all of them have.

    Args:
        connection: To a control plane.
    """
    told: Told = connection.run_python(program("etcd_members"), {}, step="proof", timeout=SECONDS, kind=Told)
    return told


def judge(cluster: Cluster, source: str, told: Told) -> tuple[Check, ...]:
    """What of that is as it should be. Pure.

    Args:
        cluster: The topology.
        source: The control plane that was asked.
        told: What it told.
    """
    wanted = {node.name for node in cluster.control_planes}
    members = told.members
    silent = [f"{each.name or each.url}: {each.seen}" for each in members if each.seen]
    names = {each.name for each in members}
    wrong = [
        *([told.seen] if told.seen else []),
        *silent,
        *(f"{name} is no member" for name in sorted(wanted - names)),
        *(f"{name} is a member, and no control plane of the file" for name in sorted(names - wanted - {""})),
    ]
    leaders = [each.name for each in members if each.leads]
    one_leader = len(leaders) == 1 and len({each.leader for each in members}) == 1
    held = {(each.keys, each.digest) for each in members}
    same = len(held) == 1 and bool(members) and not silent
    counts = ", ".join(f"{each.keys} on {each.name}" for each in members)
    keys = f"{members[0].keys} keys, the same on {len(members)}" if same else f"not the same: {counts or 'none'}"
    return (
        Check("etcd members", source, cluster.name, not wrong, "; ".join(wrong) or ", ".join(sorted(names))),
        Check("etcd leader", source, cluster.name, one_leader, " and ".join(leaders) or "none"),
        Check("etcd keys", source, cluster.name, same, keys),
    )


def leave(connection: Connection, name: str, address: str = "") -> bool:
    """Take the member of a node out of etcd.

    Args:
        connection: To another control plane.
        name: The node.
        address: Its address on the fabric, by which a member is known that was never started.

    Returns:
        Whether there was one.

    Raises:
        NodeError: etcd refuses, as it does when most of its members do not answer.
    """
    asked = {"name": name, "address": address}
    told: _Left = connection.run_python(program("etcd_leave"), asked, step="etcd", timeout=SECONDS, kind=_Left)
    if told.seen:
        raise NodeError(
            name,
            "etcd",
            f"its member does not leave: {told.seen}",
            todo="see that most of the control planes run, and do it again",
        )
    return bool(told.left)
