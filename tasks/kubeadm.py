"""kubeadm init and join: the only imperatives, each guarded by a probe so that a retry is always safe."""

from __future__ import annotations

import itertools
import os
from dataclasses import dataclass, field
from pathlib import Path

from configs.errors import NodeError
from configs.manifest import Manifest
from configs.plan import join_config
from configs.schema import Cluster, Node, Release
from configs.stages.kubernetes import KUBEADM_CONFIG
from configs.versions import image_tag
from tasks.paths import cluster_dir
from tasks.ssh import Connection
from tasks.steps import step

PROBE = Path(__file__).with_name("on_node") / "kubeadm_probe.py"
ADMIN = "/etc/kubernetes/admin.conf"
JOIN_CONFIG = "/run/kubev6-join.yaml"
INIT_SECONDS = 420
JOIN_SECONDS = 300


@dataclass(frozen=True, slots=True)
class JoinCredentials:
    """What lets a node join. Never logged, never stored, gone after minutes.

    Attributes:
        token: A bootstrap token.
        ca_hash: ``sha256:...`` of the certificate authority's public key (RFC 7469, 2.4).
    """

    token: str = field(repr=False)
    ca_hash: str


def is_member(connection: Connection, cluster: Cluster, manifest: Manifest, node: Node) -> bool:
    """Whether ``node`` is a member of this cluster already.

    Args:
        connection: To that node.
        cluster: The topology.
        manifest: The release that is to run there.
        node: The node asked.

    Raises:
        NodeError: The node belongs to another cluster, or its control plane runs another version.
    """
    wanted = f"https://[{cluster.control_plane.address}]:6443"
    asked = {"node": node.name, "control_plane": "control-plane" in node.roles, "wanted": wanted}
    seen = connection.run_python(PROBE.read_text(), asked, step="kubeadm probe", timeout=120)
    reset = "take it out of there first (kubeadm reset on the node)"
    if seen["server"] and seen["server"] != wanted:
        raise NodeError(node.name, "kubeadm", f"belongs to the cluster at {seen['server']}, not {wanted}", todo=reset)
    tag = image_tag(manifest.version)
    if seen["member"] and seen["tag"] and seen["tag"] != tag:
        raise NodeError(
            node.name,
            "kubeadm",
            f"its control plane runs {seen['tag']}, the release to deploy is {tag}",
            todo="take the cluster down first, or deploy the release that it runs: upgrading in place is not done",
        )
    return bool(seen["member"])


def init(connection: Connection, cluster: Cluster, manifest: Manifest) -> bool:
    """Run ``kubeadm init`` unless this control plane works already.

    kubeadm's own preflight wants crictl and is skipped: what it would check is checked by the stages before.

    Args:
        connection: To the control plane, whose kubernetes stage has been applied.
        cluster: The topology.
        manifest: The release.

    Returns:
        True when it was run.

    Raises:
        NodeError: It failed; the detail holds its output and the last lines of the kubelet.
    """
    node = cluster.control_plane
    with step(node.name, "kubeadm init") as current:
        if is_member(connection, cluster, manifest, node):
            current.ended_as("already done")
            return False
        skip = ["preflight"]
        if any(image.stand_in_for == "CoreDNS" for image in manifest.images):
            skip.append("addon/coredns")
        _kubeadm(
            connection,
            "init",
            f"kubeadm init --config {KUBEADM_CONFIG} --skip-phases={','.join(skip)} --skip-token-print",
            INIT_SECONDS,
        )
        # kubeadm made a token for joining that nobody has asked for.
        tokens = "secrets --field-selector type=bootstrap.kubernetes.io/token"
        connection.run(f"kubectl --kubeconfig {ADMIN} -n kube-system delete {tokens}", step="kubeadm init")
        current.ended_as(f"control plane at [{node.address}]:6443")
        return True


def join_credentials(connection: Connection) -> JoinCredentials:
    """A short-lived token and the hash of the cluster's certificate authority, made on the control plane.

    Args:
        connection: To the control plane.
    """
    create = f"kubeadm --kubeconfig {ADMIN} token create --ttl 10m --description 'kubev6 join' --print-join-command"
    # Its answer is the command that a person would type on the node, with both in it.
    words = connection.run(create, step="join token").stdout.split()
    options = dict(itertools.pairwise(words))
    return JoinCredentials(token=options["--token"], ca_hash=options["--discovery-token-ca-cert-hash"])


def drop_credentials(connection: Connection, credentials: JoinCredentials) -> None:
    """Make the token useless as soon as it is no longer needed.

    Args:
        connection: To the control plane.
        credentials: What :func:`join_credentials` returned.
    """
    identifier = credentials.token.split(".")[0]
    connection.run(f"kubeadm --kubeconfig {ADMIN} token delete {identifier}", step="drop join token")


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
    document = join_config(cluster, release, manifest.version, node, credentials.token, credentials.ca_hash)
    script = (
        f"umask 077; trap 'rm -f {JOIN_CONFIG}' EXIT; cat >{JOIN_CONFIG}; "
        f"kubeadm join --config {JOIN_CONFIG} --skip-phases=preflight"
    )
    _kubeadm(connection, "join", script, JOIN_SECONDS, stdin=document.encode())


def _kubeadm(connection: Connection, verb: str, script: str, timeout: float, stdin: bytes = b"") -> None:
    done = connection.run(f"({script}) 2>&1", step=f"kubeadm {verb}", stdin=stdin, timeout=timeout, check=False)
    if done.status == 0:
        return
    kubelet = connection.run("journalctl --no-pager -q -u kubelet -n 40", step="kubelet log", check=False).stdout
    lines = [line for line in done.stdout.splitlines() if line.strip()]
    seen = next((line for line in lines if "rror" in line), lines[-1] if lines else "no output")
    node = connection.endpoint.node
    raise NodeError(
        node,
        f"kubeadm {verb}",
        f"exit status {done.status}: {seen.strip()}",
        todo=f"its output and the kubelet's are in the run log; mend it (kubev6 ssh {node}) and deploy again",
        detail=f"{done.stdout}\n--- kubelet ---\n{kubelet}",
    )


def fetch_kubeconfig(connection: Connection, cluster: Cluster) -> Path:
    """Copy the administrator's kubeconfig to the user, readable by nobody else.

    Args:
        connection: To the control plane.
        cluster: The topology.

    Returns:
        Where it was written.
    """
    text = connection.run(f"cat {ADMIN}", step="kubeconfig").stdout
    path = cluster_dir(cluster.name) / "kubeconfig"
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".kubeconfig-{os.getpid()}")
    with os.fdopen(os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as file:
        file.write(text)
    temporary.replace(path)
    return path
