"""kubectl on the controller, against a cluster whose fabric it cannot reach itself."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path

from configs.errors import KubeV6Error
from configs.manifest import Manifest
from configs.schema import Cluster
from tasks.paths import cache_dir, cluster_dir
from tasks.ssh import connect
from tasks.ssh_endpoint import Endpoint
from tasks.store import Store


def run(cluster: Cluster, manifest: Manifest, store: Store, control_plane: Endpoint, arguments: Sequence[str]) -> int:
    """Run the release's own kubectl through the SSH connection to the control plane.

    Args:
        cluster: The topology.
        manifest: The release that the cluster runs.
        store: Holds that release.
        control_plane: How to reach the control plane.
        arguments: What to pass to kubectl.

    Returns:
        kubectl's exit status.

    Raises:
        KubeV6Error: There is no kubeconfig of this cluster yet.
    """
    kubeconfig = cluster_dir(cluster.name) / "kubeconfig"
    if not kubeconfig.exists():
        raise KubeV6Error(f"{kubeconfig}: not there", todo=f"deploy cluster {cluster.name} first")
    program = _executable(manifest, store)
    with connect(control_plane) as connection, connection.forward(str(cluster.control_plane.address), 6443) as port:
        # The certificate names the API server as "kubernetes", not as this end of the tunnel.
        server = [f"--server=https://127.0.0.1:{port}", "--tls-server-name=kubernetes"]
        return subprocess.run([str(program), f"--kubeconfig={kubeconfig}", *server, *arguments], check=False).returncode


def _executable(manifest: Manifest, store: Store) -> Path:
    """The release's kubectl as a file that can be run; blobs of the store are not executable."""
    entry = manifest.binary("kubectl")
    program = cache_dir() / "bin" / f"kubectl-{entry.sha256[:12]}"
    if not program.exists():
        program.parent.mkdir(parents=True, exist_ok=True)
        temporary = program.with_name(f".{program.name}-{os.getpid()}")
        shutil.copyfile(store.blob(f"sha256:{entry.sha256}"), temporary)
        temporary.chmod(0o755)
        temporary.replace(program)
    return program
