"""kubectl on the controller, against a cluster whose fabric it cannot reach itself."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path

from configs.errors import KubeV6Error, NodeError
from configs.manifest import Manifest
from configs.plan.versions import kubectl_names_server
from configs.schema.cluster import API_PORT, Cluster
from tasks.in_use import in_use
from tasks.kubernetes.kubeadm import KUBECTL
from tasks.paths import cache_dir, cluster_dir
from tasks.release.store import Store
from tasks.release.verified import Verified
from tasks.ssh.connection import Connection, connect
from tasks.ssh.endpoint import Endpoint

HOUR = 3600


def run(
    cluster: Cluster, manifest: Manifest, store: Store, endpoints: Mapping[str, Endpoint], arguments: Sequence[str]
) -> int:
    """Run the release's own kubectl through the SSH connection to the control plane.

    An old one, which would refuse the server at this end of the tunnel, is run on the control plane: it gets what
    comes by standard input, but no terminal.

    Args:
        cluster: The topology.
        manifest: The release that the cluster runs.
        store: Holds that release.
        endpoints: How to reach the machines: of several control planes, the first that can be reached is asked.
        arguments: What to pass to kubectl.

    Returns:
        kubectl's exit status.

    Raises:
        KubeV6Error: There is no kubeconfig of this cluster yet.
    """
    if not kubectl_names_server(manifest.version):
        return _run_there(cluster, endpoints, arguments)
    kubeconfig = cluster_dir(cluster.name) / "kubeconfig"
    if not kubeconfig.exists():
        raise KubeV6Error(f"{kubeconfig}: not there", todo=f"deploy cluster {cluster.name} first")
    with in_use("kubectl"):
        program = _executable(manifest, store)
    with _connected(cluster, endpoints) as connection, connection.forward(*_api(cluster, connection.node)) as port:
        # The certificate names the API server as "kubernetes", not as this end of the tunnel.
        server = [f"--server=https://127.0.0.1:{port}", "--tls-server-name=kubernetes"]
        return subprocess.run([str(program), f"--kubeconfig={kubeconfig}", *server, *arguments], check=False).returncode


def _api(cluster: Cluster, node: str) -> tuple[str, int]:
    """Where the API is from a control plane: with an endpoint there, as its own server may be the one that is dead."""
    address, port = cluster.api if cluster.endpoint else (cluster.node(node).address, API_PORT)
    return str(address), port


def _connected(cluster: Cluster, endpoints: Mapping[str, Endpoint]) -> Connection:
    """A connection to the first control plane that can be reached."""
    *others, last = (endpoints[node.name] for node in cluster.control_planes)
    for endpoint in others:
        with suppress(NodeError):
            return connect(endpoint)
    return connect(last)


def _run_there(cluster: Cluster, endpoints: Mapping[str, Endpoint], arguments: Sequence[str]) -> int:
    given = b"" if sys.stdin is None or sys.stdin.isatty() else sys.stdin.buffer.read()
    words = [*KUBECTL.split(), *arguments]
    with _connected(cluster, endpoints) as connection:
        done = connection.run(words, step="kubectl", stdin=given, timeout=HOUR, check=False)
    sys.stdout.write(done.stdout)
    sys.stderr.write(done.stderr)
    return done.status


def _executable(manifest: Manifest, store: Store) -> Path:
    """The release's kubectl as a file that can be run; blobs of the store are not executable."""
    entry = manifest.binary("kubectl")
    program = cache_dir() / "bin" / f"kubectl-{entry.sha256[:12]}"
    verified = Verified(program.with_name("verified.json"))
    if verified.fault(program, entry.sha256):
        program.parent.mkdir(parents=True, exist_ok=True)
        temporary = program.with_name(f".{program.name}-{os.getpid()}")
        kept = store.blob(entry.sha256)
        if fault := store.fault(entry.sha256, entry.size):
            raise KubeV6Error(
                f"the kubectl of {manifest.name} {manifest.version}: {kept}: {fault}",
                todo="kubev6 deploy makes the release whole again",
            )
        shutil.copyfile(kept, temporary)
        temporary.chmod(0o755)
        temporary.replace(program)
    return program
