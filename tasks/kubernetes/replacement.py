"""A machine that takes the place of a dead one, under its name: whether it may. Changes nothing.

What the cluster and etcd still know by that name goes when the new machine joins, as with every join.
"""

from __future__ import annotations

from collections.abc import Sequence

from configs.errors import ConfigError, KubeV6Error, NodeError
from configs.schema.cluster import Cluster
from tasks.kubernetes import control_planes, etcd
from tasks.kubernetes.etcd import Member, Told
from tasks.kubernetes.kubeadm import KUBECTL
from tasks.kubernetes.kubeadm_commands import KUBELET_CONFIG
from tasks.shell import quote
from tasks.ssh.channel import last_line
from tasks.ssh.connection import Connection
from tasks.ssh.pool import connection
from tasks.steps import step

STEP = "replace"
ANSWER_SECONDS = 10
"""How long a kubelet may take to answer its API server, and that to answer here."""
API_SECONDS = 30
"""How long the API may be away, as it is for seconds when the machine dies that holds its address."""
NO_API = 9
"""How it shows that the API was away for longer."""


def refuse(cluster: Cluster, name: str) -> None:
    """Refuse what is no dead member of a cluster, or cannot be replaced now.

    Args:
        cluster: The topology.
        name: The node.

    Raises:
        ConfigError: There is no such node, or it is none that another machine can join in the place of.
        NodeError: It is alive; or etcd has, or would have on the way, no majority of members that answer.
        KubeV6Error: No control plane answers.
    """
    controlling = [node.name for node in cluster.control_planes]
    if name not in {node.name for node in cluster.nodes}:
        known = ", ".join(node.name for node in cluster.kubernetes_nodes)
        raise ConfigError(f"cluster {cluster.name} has no node {name!r}", todo=f"there are {known}")
    if not cluster.node(name).in_kubernetes:
        raise ConfigError(
            f"{name} is the support node, and no member of Kubernetes that would have to leave it",
            todo="put another machine in its place, take its host key into your known_hosts, and `kubev6 deploy`",
        )
    if controlling == [name]:
        raise ConfigError(
            f"{name} is the only control plane, and what the cluster knows is lost with it",
            todo="put another one in its place, and `kubev6 restore` a backup; without one, `kubev6 reset` the other "
            "machines and `kubev6 deploy`",
        )
    with step(name, "who answers"), control_planes.connected(cluster, but=name) as ssh:
        told = etcd.ask(ssh) if name in controlling else Told([], "")
        _refuse_etcd(name, ssh.node, told)
        if _kubelet_answers(ssh, name):
            raise _alive(name, "its kubelet answers")


def refuse_former_machine(cluster: Cluster, name: str) -> None:
    """Refuse a machine that is the one which was there: that is mended, and not replaced.

    Args:
        cluster: The topology.
        name: The node.

    Raises:
        NodeError: It is, or no machine is reached there.
    """
    with connection(cluster, name) as ssh:
        if ssh.run(f"[ -s {KUBELET_CONFIG} ]", step=STEP, check=False).status == 0:
            raise NodeError(
                name,
                STEP,
                f"the machine there is no new one: it has {KUBELET_CONFIG}",
                todo="`kubev6 deploy` goes on with it as it is; one that is installed again has nothing of that",
            )


def no_majority(members: Sequence[Member], name: str) -> str:
    """Why etcd has no majority, or would have none while another machine joins; empty when it has. Pure.

    Args:
        members: All that etcd has.
        name: The node whose member is dead, if it still has one.
    """
    others = [each for each in members if each.name != name]
    answering = sum(not each.seen for each in others)
    silent = [each.name or each.url or "one that was never started" for each in others if each.seen]
    size = len(others) + 1  # with the new one, which answers only in the end
    if answering > size // 2 or (not silent and len(others) == len(members)):
        return ""
    lost = ", ".join([*silent, name])
    return f"{answering} of {size} members of etcd would answer, and {size // 2 + 1} are wanted (silent: {lost})"


def _refuse_etcd(name: str, asked: str, told: Told) -> None:
    if told.seen:
        todo = f"see what runs there (kubev6 ssh {asked}); with most control planes lost, `kubev6 restore` a backup"
        raise NodeError(asked, STEP, f"its etcd does not answer: {told.seen}", todo=todo)
    if any(each.name == name and not each.seen for each in told.members):
        raise _alive(name, "its member of etcd answers")
    if why := no_majority(told.members, name):
        todo = "bring the others up first; with most of the control planes lost, `kubev6 restore` a backup"
        raise NodeError(name, STEP, why, todo=todo)


def _alive(name: str, seen: str) -> KubeV6Error:
    return NodeError(
        name,
        STEP,
        f"it is alive: {seen}",
        todo=f"`kubev6 deploy` mends what it lacks; for another machine in its place, `kubev6 reset {name}` or switch "
        "it off first",
    )


def _kubelet_answers(control_plane: Connection, name: str) -> bool:
    """Whether the kubelet answers by which the cluster knows a node; what the API server heard of it may be old.

    Raises:
        NodeError: No API server answers that could ask it.
    """
    get = [*KUBECTL.split(), f"--request-timeout={ANSWER_SECONDS}s", "get", "--raw"]
    version, healthy = quote([*get, "/version"]), quote([*get, f"/api/v1/nodes/{name}/proxy/healthz"])
    asked = control_plane.run(
        f"end=$(( $(date +%s) + {API_SECONDS} )); until {version} >/dev/null; do "
        f"[ $(date +%s) -lt $end ] || exit {NO_API}; sleep 1; done; exec {healthy}",
        step=STEP,
        timeout=API_SECONDS + 3 * ANSWER_SECONDS,
        check=False,
    )
    if asked.status == NO_API:
        seen = f"its API server does not answer: {last_line(asked.stderr)}"
        raise NodeError(control_plane.node, STEP, seen, todo="bring it up first; nothing was changed")
    return asked.stdout.strip() == "ok"
