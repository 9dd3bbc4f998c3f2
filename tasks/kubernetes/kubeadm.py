"""kubeadm init and join: the only imperatives, each guarded by a probe so that a retry is always safe."""

from __future__ import annotations

import logging
import math
import re
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from configs.errors import NodeError
from configs.manifest import Manifest
from configs.membership import api_server
from configs.plan.derived import pinned_images
from configs.plan.node import join_config
from configs.plan.versions import kubeadm_starts_kubelet
from configs.schema.cluster import Cluster, Node
from configs.schema.release import Release
from tasks.disk import writing_data
from tasks.kubernetes import kubeadm_commands
from tasks.kubernetes.certificate import public_key_hash
from tasks.node_agent.kubeadm_lock import LOCK
from tasks.node_agent.record import HOME
from tasks.paths import cluster_dir
from tasks.replace import write_whole
from tasks.secrets import hide, remember
from tasks.shell import quote
from tasks.ssh.connection import Connection
from tasks.ssh.program import program

log = logging.getLogger("kubev6.kubernetes")
ADMIN = "/etc/kubernetes/admin.conf"
KUBECTL = f"env HOME={HOME} kubectl --kubeconfig {ADMIN}"
"""What it keeps of the API's description is where all of ours is, and goes with a reset."""
"""On the control plane."""
CERTIFICATE_KEY = re.compile(r"^[0-9a-f]{64}$", re.MULTILINE)
TOKEN = re.compile(r"^[a-z0-9]{6}\.[a-z0-9]{16}$", re.MULTILINE)
UPLOADED = "kubeadm-certs"
"""The secret in which kubeadm lays certificates for control planes that join."""
JOIN_GROUP = "system:bootstrappers:kubeadm:default-node-token"
"""Of the tokens that nodes join with."""
INIT_SECONDS = 420
JOIN_SECONDS = 300
UPGRADE_SECONDS = 1200
"""kubeadm itself waits up to 5 minutes for each of four static pods to come up anew."""
ENDED = (124, 137)
"""How it shows that ``timeout`` has ended something, by SIGTERM or in the end by SIGKILL."""


@dataclass(frozen=True, slots=True)
class Listed:
    """What ``kubectl get -o json`` prints of several objects.

    Attributes:
        items: The objects.
    """

    items: list[dict[str, Any]]


@dataclass(frozen=True, slots=True)
class Probed:
    """What :mod:`tasks.node_agent.kubeadm_probe` says of a node; see there."""

    server: str
    member: bool


@dataclass(frozen=True, slots=True)
class JoinCredentials:
    """What lets a node join. Never logged, never stored, gone after minutes.

    Attributes:
        token: A bootstrap token.
        ca_hash: ``sha256:...`` of the certificate authority's public key (RFC 7469, 2.4).
        certificate_key: What opens the certificates of control planes, for one that joins as such; else empty.
    """

    token: str = field(repr=False)
    ca_hash: str
    certificate_key: str = field(default="", repr=False)


def is_member(connection: Connection, cluster: Cluster, node: Node) -> bool:
    """Whether ``node`` is a member of this cluster already.

    Args:
        connection: To that node.
        cluster: The topology.
        node: The node asked.

    Raises:
        NodeError: The node belongs to another cluster.
    """
    wanted = api_server(cluster)
    asked = {"node": node.name, "control_plane": "control-plane" in node.roles, "wanted": wanted}
    limit = INIT_SECONDS + 120
    seen: Probed = connection.run_python(
        program("kubeadm_probe"), asked, step="kubeadm probe", timeout=limit, kind=Probed
    )
    reset = f"take it out of there first (kubev6 reset {node.name}, or kubeadm reset on the node)"
    if seen.server and seen.server != wanted:
        raise NodeError(node.name, "kubeadm", f"belongs to the cluster at {seen.server}, not {wanted}", todo=reset)
    return seen.member


def init(connection: Connection, cluster: Cluster, manifest: Manifest) -> None:
    """Run ``kubeadm init`` on a control plane that :func:`is_member` says works not yet.

    Args:
        connection: To the control plane, whose kubernetes stage has been applied.
        cluster: The topology.
        manifest: The release.

    Raises:
        NodeError: It failed; the detail holds its output and the last lines of the kubelet.
    """
    _kubeadm(connection, "init", kubeadm_commands.init(cluster, manifest), INIT_SECONDS)
    # kubeadm made a token for joining that nobody has asked for.
    kubectl = f"{KUBECTL} -n kube-system"
    tokens = f"{kubectl} get secrets -o name | grep /bootstrap-token-"
    connection.run(f"{tokens} | xargs -r {kubectl} delete", step="kubeadm init")


def init_etcd(connection: Connection, cluster: Cluster, manifest: Manifest) -> None:
    """Begin a control plane whose authorities are there already, as far as its etcd: the kubelet runs that alone.

    Args:
        connection: To the machine, whose kubernetes stage has been applied.
        cluster: The topology.
        manifest: The release.

    Raises:
        NodeError: It failed; the detail holds its output and the last lines of the kubelet.
    """
    _kubeadm(connection, "init", kubeadm_commands.init_etcd(cluster, manifest), INIT_SECONDS)


def upgrade(connection: Connection, script: str) -> None:
    """Run ``kubeadm upgrade`` on a node; what it has done already it leaves alone.

    Args:
        connection: To the node, which has the new kubeadm.
        script: What :mod:`tasks.kubernetes.kubeadm_commands` says for it.

    Raises:
        NodeError: It failed; the detail holds its output and the last lines of the kubelet.
    """
    _kubeadm(connection, "upgrade", script, UPGRADE_SECONDS)


def join_credentials(connection: Connection) -> JoinCredentials:
    """A short-lived token and the hash of the cluster's certificate authority, made on the control plane.

    Args:
        connection: To the control plane.

    Raises:
        NodeError: kubeadm made none.
    """
    # Before 1.9 a token is of no group by itself, and whoever holds it may not ask for a certificate.
    create = f"kubeadm token create --kubeconfig {ADMIN} --ttl 10m --groups {JOIN_GROUP} --description 'kubev6 join'"
    # The token last: what fails before it shows its output.
    said = connection.run(f"cat {kubeadm_commands.CA_CERTIFICATE} && {create}", step="join token").stdout
    certificate, end, printed = said.partition("-----END CERTIFICATE-----")
    token = TOKEN.search(printed)
    if token is None:
        raise NodeError(connection.node, "join token", "kubeadm printed no token", todo="deploy again")
    remember(token[0])
    return JoinCredentials(token=token[0], ca_hash=public_key_hash(certificate.strip() + end))


@contextmanager
def uploaded_certificates(connection: Connection) -> Iterator[str]:
    """The certificates of control planes, encrypted, where one that joins finds them; for so long, and no longer.

    Args:
        connection: To a control plane.

    Yields:
        The key to them, which is stored nowhere.

    Raises:
        NodeError: kubeadm did not.
    """
    said = connection.run(kubeadm_commands.upload_certificates(), step="upload certificates", timeout=120).stdout
    key = CERTIFICATE_KEY.search(said)
    if key is None:
        raise NodeError(connection.node, "upload certificates", "kubeadm printed no key", todo="deploy again")
    remember(key[0])
    try:
        yield key[0]
    finally:
        # With them goes the token that kubeadm has made for their time to live, two hours.
        kubectl = f"{KUBECTL} -n kube-system"
        owners = "-o 'jsonpath={.metadata.ownerReferences[*].name}'"
        drop = (
            f"owner=$({kubectl} get secret {UPLOADED} --ignore-not-found {owners}) && "
            f"{kubectl} delete secret --ignore-not-found {UPLOADED} $owner"
        )
        if connection.run(drop, step="drop certificates", timeout=60, check=False).status != 0:
            log.warning("the certificates of control planes stay in %s, encrypted, for two hours", UPLOADED)


def clear_half_joined(connection: Connection) -> None:
    """Take away what a machine has of a control plane that is none (any more).

    Args:
        connection: To the machine, of which the cluster knows nothing any more.
    """
    connection.run(kubeadm_commands.HALF_JOINED, step="kubeadm join", check=False)


def drop_credentials(connection: Connection, credentials: JoinCredentials) -> None:
    """Make the token useless as soon as it is no longer needed.

    Args:
        connection: To the control plane.
        credentials: What :func:`join_credentials` returned.
    """
    identifier = credentials.token.split(".")[0]
    connection.run(f"kubeadm token delete --kubeconfig {ADMIN} {identifier}", step="drop join token")


def has_lost_kubeconfig(connection: Connection) -> bool:
    """Whether a node that is to join may be known already, but has nothing to show for it; what it has goes.

    Args:
        connection: To the node.
    """
    return bool(connection.run(kubeadm_commands.FORMER, step="kubeadm join").stdout.strip())


def join(
    connection: Connection,
    cluster: Cluster,
    release: Release,
    manifest: Manifest,
    node: Node,
    credentials: JoinCredentials,
) -> None:
    """Run ``kubeadm join`` on a node that :func:`is_member` says is none.

    The document with the token goes over the encrypted connection into a file that only root can read, and is removed
    whatever comes of it.

    Raises:
        NodeError: It failed; the detail holds its output and the last lines of the kubelet.
    """
    key = credentials.certificate_key
    document = join_config(
        cluster,
        release,
        manifest.version,
        node,
        credentials.token,
        credentials.ca_hash,
        key,
        kubeadm_commands.patches_of_join(cluster, manifest) if key else "",
    )
    patched = bool(key and pinned_images(cluster, manifest))
    script = kubeadm_commands.join(manifest, control_plane=bool(key), patched=patched)
    _kubeadm(connection, "join", script, JOIN_SECONDS, stdin=document.encode())
    if not kubeadm_starts_kubelet(manifest.version) and not is_member(connection, cluster, node):
        raise NodeError(
            node.name,
            "kubeadm join",
            "its kubelet has a certificate, and yet the API server does not know the node",
            todo=f"see what the kubelet says (kubev6 ssh {node.name} -- journalctl -u kubelet)",
        )


def _kubeadm(connection: Connection, verb: str, script: str, timeout: float, stdin: bytes = b"") -> None:
    # Its time begins when another kubeadm has let go of the lock. What hangs once hangs again, so it is not retried.
    whole = f"{kubeadm_commands.EMPTY}({script}) && {kubeadm_commands.DURABLE}"
    alone = ["flock", LOCK, "timeout", "-k", "5", str(math.ceil(timeout)), "sh", "-c", whole]
    limit, began = timeout + INIT_SECONDS + 30, time.monotonic()
    done = connection.run(f"{quote(alone)} 2>&1", step=f"kubeadm {verb}", stdin=stdin, timeout=limit, check=False)
    if done.status == 0:
        return
    hung = done.status in ENDED and time.monotonic() - began >= timeout
    # kubeadm gives up on a kubelet that a busy machine starts slowly; once it answers, the same succeeds.
    slow = not hung and kubeadm_commands.KUBELET_CHECK in done.stdout and _comes_up(connection)
    kubelet = connection.run("journalctl --no-pager -q -u kubelet -n 40", step="kubelet log", check=False).stdout
    lines = [line for line in done.stdout.splitlines() if line.strip()]
    own = [line for line in lines if kubeadm_commands.KUBELET_CHECK not in line] or lines
    named = (line for mark in ("[ERROR ", "rror") for line in own if mark in line)  # a check that failed says it best
    seen = next(named, own[-1] if own else "no output")
    ended = f"ended after {timeout:g} s" if hung else f"exit status {done.status}"
    node = connection.endpoint.node
    raise NodeError(
        node,
        f"kubeadm {verb}",
        f"{ended}: {hide(seen.strip())}",
        todo=f"its output and the kubelet's are in the run log; mend it (kubev6 ssh {node}) and deploy again",
        detail=hide(f"{done.stdout}\n--- kubelet ---\n{kubelet}"),
        transient=slow,
    )


def _comes_up(connection: Connection) -> bool:
    """Whether the kubelet answers on its health port in the end."""
    waiting = kubeadm_commands.HEALTHY_SECONDS + 30
    return connection.run(kubeadm_commands.HEALTHY, step="kubelet", timeout=waiting, check=False).status == 0


def fetch_kubeconfig(connection: Connection, cluster: Cluster) -> Path:
    """Copy the administrator's kubeconfig to the user, readable by nobody else.

    Args:
        connection: To the control plane.
        cluster: The topology.

    Returns:
        Where it was written.

    Raises:
        KubeV6Error: It cannot be read there, or written here.
    """
    text = connection.run(f"cat {ADMIN}", step="kubeconfig").stdout
    path = cluster_dir(cluster.name) / "kubeconfig"
    with writing_data():
        write_whole(path, text, mode=0o600)
    return path
