"""The certificates of a cluster renewed: its control plane's first, then of kubelets that did not renew theirs.

Nothing here knows Prefect. kubeadm renews without an API server, so a cluster whose certificates have ended is renewed
as every other one. No key leaves its machine but the administrator's, which the user has from the deploy on.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack
from dataclasses import asdict, dataclass

from configs.errors import KubeV6Error, NodeError, combined
from configs.manifest import Manifest
from configs.membership import identity
from configs.plan.versions import certificate_renewal
from configs.schema.cluster import API_PORT, Cluster
from tasks import scope
from tasks.events import ChangeMade, ChecksJudged, emit
from tasks.kubernetes import certificates, kubeadm
from tasks.kubernetes.certificates import AUTHORITIES, KUBELET_CLIENT, KUBELET_SERVER, REGISTRY, Dated
from tasks.kubernetes.checks import Check
from tasks.kubernetes.join_tokens import JoinTokens
from tasks.kubernetes.verify import verify
from tasks.node.change import Change
from tasks.scope import Threads
from tasks.secrets import hide
from tasks.ssh.connection import Connection
from tasks.ssh.program import program
from tasks.steps import step

STEP = "renew certificates"
CONTROL_PLANE_SECONDS = 1500
"""For two kubeadm at the most before, and twice the start of everything when it fails."""
KUBELET_SECONDS = 900
AT_ONCE = 8
"""So many kubelets get other certificates side by side: each is approved by one controller manager."""
SETTLED_SECONDS = 90
"""Within which everybody who watches an API server asks it again when it was away (client-go's reflectors wait up to a
minute); a proof begun before that may find kube-proxy with the Services of before."""
Connect = Callable[[str], AbstractContextManager[Connection]]
ByNode = Mapping[str, Sequence[Dated]]


@dataclass(frozen=True, slots=True)
class _Answer:
    """What the programs on the machines print: nothing, or what was ``seen`` that kept it from being done."""

    seen: str = ""
    todo: str = ""
    detail: str = ""


def find(cluster: Cluster, connection: Connect) -> tuple[ByNode, tuple[KubeV6Error, ...]]:
    """The certificates of every machine; each is asked once, and all at the same time.

    Args:
        cluster: The topology.
        connection: Gives a connection to a machine.

    Returns:
        The certificates by the machine's name, and why others could not be asked.
    """
    names = [node.name for node in cluster.nodes]

    def ask(name: str) -> tuple[Dated, ...] | KubeV6Error:
        try:
            with connection(name) as ssh:
                return certificates.ask(ssh, cluster)
        except KubeV6Error as error:
            return error

    with Threads(len(names)) as pool:
        asked = dict(zip(names, pool.map(ask, names), strict=True))
    found = {name: each for name, each in asked.items() if not isinstance(each, KubeV6Error)}
    return found, tuple(each for each in asked.values() if isinstance(each, KubeV6Error))


def chosen(cluster: Cluster, found: ByNode) -> tuple[Dated, ...]:
    """The certificates that a renewal renews: all of kubeadm's, and of the kubelets' those that it has to.

    Args:
        cluster: The topology.
        found: Those that there are, by node.

    Raises:
        KubeV6Error: The control plane has none, or an authority has ended, by which all are to be signed.
    """
    controlling = [node.name for node in cluster.control_planes]
    for name in controlling:
        if not any(each.name == "apiserver" for each in found.get(name, ())):
            raise NodeError(name, STEP, "there is no API server", todo="`kubev6 deploy` makes one")
        certificates.refuse(name, [each for each in found[name] if each.name in AUTHORITIES and each.state == "ended"])
    kubeadms = (each for name in controlling for each in found[name] if each.name != KUBELET_SERVER)
    ended = [each for each in kubeadms if _is_renewed(each) and each.state == "ended"]
    if ended and len(controlling) > 1:
        raise NodeError(
            ended[0].node,
            STEP,
            f"its certificate {ended[0].name} has ended, and several control planes are renewed one after the other, "
            "each by the help of the others",
            todo="run `kubeadm certs renew all` on all of them, and start the kubelets and containers there again",
        )
    names = (node.name for node in cluster.kubernetes_nodes)
    return tuple(each for name in names for each in found.get(name, ()) if _is_renewed(each))


def _is_renewed(each: Dated) -> bool:
    if each.name in (KUBELET_CLIENT, KUBELET_SERVER):
        return each.state != "good"
    return each.name not in (*AUTHORITIES, REGISTRY)


def renew(cluster: Cluster, manifest: Manifest, found: ByNode, connection: Connect) -> None:
    """Renew certificates, and start what goes by them again. What fails on a machine leaves that as it was.

    Args:
        cluster: The topology.
        manifest: The release that it runs.
        found: The certificates that there are, by node.
        connection: Gives a connection to a machine.

    Raises:
        KubeV6Error: It could not be done.
    """
    renewed = chosen(cluster, found)
    names = {node.name: {each.name for each in renewed if each.node == node.name} for node in cluster.kubernetes_nodes}
    for node in cluster.control_planes:  # one after the other, as etcd needs most of its members
        with connection(node.name) as ssh:
            _control_plane(ssh, cluster, manifest, names[node.name])
            _tell(ssh, cluster, found[node.name])
            kubeadm.fetch_kubeconfig(ssh, cluster)
    controlling = {node.name for node in cluster.control_planes}
    waiting = [name for name, of_it in names.items() if of_it and name not in controlling]
    errors: list[BaseException] = []
    with ExitStack() as stack:
        token = ""
        if any(KUBELET_CLIENT in names[name] for name in waiting):
            tokens = scope.find(JoinTokens) or JoinTokens()
            token = stack.enter_context(tokens.credentials(cluster)).token

        def one(name: str) -> None:
            try:
                with connection(name) as ssh:
                    _kubelet(ssh, cluster, names[name], token)
                    _tell(ssh, cluster, found[name])
            except KubeV6Error as error:
                errors.append(error)

        with Threads(AT_ONCE) as pool:
            list(pool.map(one, waiting))
    if errors:
        raise combined(errors)


def prove(cluster: Cluster, manifest: Manifest, connection: Connect) -> tuple[Check, ...]:
    """Prove a cluster whose control plane was started again, as often as it may take until all have heard of it.

    Args:
        cluster: The topology.
        manifest: The release that it runs.
        connection: Gives a connection to a machine.

    Raises:
        KubeV6Error: It cannot be asked.
    """
    until = time.monotonic() + SETTLED_SECONDS
    while True:
        checks = verify(cluster, manifest, connection)
        if all(check.ok for check in checks) or time.monotonic() >= until:
            emit(ChecksJudged(checks=checks))
            return checks


def _control_plane(ssh: Connection, cluster: Cluster, manifest: Manifest, names: set[str]) -> None:
    way = certificate_renewal(manifest.version)
    order = {
        "cluster": asdict(identity(cluster)),
        "commands": [words.split() for words in way.commands],
        "again": way.again,
        "kubelet": way.kubelet.split() if KUBELET_CLIENT in names else [],
        "serving": KUBELET_SERVER in names,
        # Of several it is to come back itself, and not one of the others to answer for it.
        "server": f"https://[{cluster.node(ssh.node).address}]:{API_PORT}" if cluster.endpoint else "",
    }
    _run(ssh, "renew_control_plane", order, CONTROL_PLANE_SECONDS)


def _kubelet(ssh: Connection, cluster: Cluster, names: set[str], token: str) -> None:
    order = {
        "cluster": asdict(identity(cluster)),
        "token": token if KUBELET_CLIENT in names else "",
        "serving": KUBELET_SERVER in names,
    }
    _run(ssh, "renew_kubelet", order, KUBELET_SECONDS)


def _run(ssh: Connection, name: str, order: object, seconds: float) -> None:
    with step(ssh.node, STEP) as shown:
        answer: _Answer = ssh.run_python(
            program(name), order, step=STEP, timeout=seconds, kind=_Answer, progress=shown.progress
        )
        if answer.seen:
            raise NodeError(ssh.node, STEP, hide(answer.seen), todo=answer.todo, detail=hide(answer.detail))


def _tell(ssh: Connection, cluster: Cluster, before: Sequence[Dated]) -> None:
    """Say which certificates are others than before: what has come of it, not what was to."""
    then = {each.name: each.certificate for each in before}
    for each in certificates.ask(ssh, cluster):
        former = then.get(each.name)
        if each.certificate and each.certificate != former:
            until = f"until {former.ends:%Y-%m-%d}" if former else ""
            change = Change(
                "certificate", each.name, "renew", until, f"until {each.certificate.ends:%Y-%m-%d}", node=ssh.node
            )
            emit(ChangeMade(change=change))
