"""What somebody needs who is to find out from afar what is wrong with a cluster: all of it, in one archive.

Everything is redacted, every question has a deadline, and what does not answer is a line.
"""

from __future__ import annotations

import io
import os
import tarfile
import time
from collections.abc import Iterable, Iterator, Mapping
from concurrent.futures import as_completed
from pathlib import Path

from configs.errors import KubeV6Error
from configs.manifest import Manifest
from configs.plan.node import plan_node
from configs.schema.cluster import Cluster, Node
from configs.schema.release import Release
from tasks import bounded
from tasks.kubernetes.kubeadm import ADMIN
from tasks.node import engine, host_facts
from tasks.node.resources import kinds
from tasks.node.resources.certificate import lasting_certificate
from tasks.redaction import redact
from tasks.scope import Threads
from tasks.shell import quote
from tasks.ssh.connection import Connection, connect
from tasks.ssh.endpoint import Endpoint
from tasks.steps import step

ANSWER_BYTES = 1_000_000
"""Of each answer the last so many, before they are compressed."""
ALL_BYTES = 200_000_000
COMMAND_SECONDS, MACHINE_SECONDS = 40, 180

_UNITS = (
    *("kubelet", "containerd", "docker"),
    *("docker-registry", "docker-distribution", "kubev6-registry", "kubev6-registry-writer"),
    *("named", "bind9", "unbound", "systemd-resolved", "kubev6-nat64", "kubev6-ipv6-only"),
    *("systemd-networkd", "NetworkManager", "networking", "firewalld"),
)
_KUBECTL = f"kubectl --kubeconfig {ADMIN} --request-timeout=15s"
ASKED: Mapping[str, str] = {
    "system.txt": "uname -a; cat /etc/os-release; date -u; uptime; free -m; df -h; cat /proc/mounts; lsmod",
    "network/addresses.txt": "ip -d address; ip -s link; ip neigh",
    "network/routes.txt": "ip -6 rule; ip -6 route show table all; ip -4 rule; ip -4 route show table all",
    "network/sockets.txt": "ss -tulnp",
    "network/packet-filter.txt": "nft list ruleset; ip6tables-save; iptables-save",
    "network/settings.txt": "sysctl -a 2>/dev/null | grep -E '^net[.](ipv6|bridge|netfilter|ipv4[.]ip_forward)'",
    "network/names.txt": "cat /etc/hosts /etc/resolv.conf; resolvectl status",
    "units.txt": "systemctl list-units --all --plain --no-pager; systemctl list-unit-files --no-pager",
    "containers.txt": "crictl ps -a || ctr -n k8s.io containers ls || docker ps -a; crictl images || docker images",
    "pods.txt": 'for log in /var/log/pods/kube-system_*/*/*.log; do echo "=== $log"; tail -n 200 "$log"; done',
    "kubernetes.txt": "ls -lR /etc/kubernetes /etc/cni/net.d; cat /etc/cni/net.d/*; cat /var/lib/kubelet/config.yaml",
    "kubev6.txt": "ls -lR /etc/kubev6 /var/lib/kubev6; cat /var/lib/kubev6/*.json",
    "journal/kernel.txt": "journalctl -k -n 1000 --no-pager -o short-iso",
    **{f"journal/{unit}.txt": f"journalctl -u {unit} -n 3000 --no-pager -o short-iso" for unit in _UNITS},
}
"""What every machine is asked, by the file that the answer goes into. It changes nothing, and reads no secret."""
ASKED_CONTROL_PLANE: Mapping[str, str] = {
    "kubectl/nodes.txt": f"{_KUBECTL} get nodes -o wide; {_KUBECTL} describe nodes",
    "kubectl/workloads.txt": f"{_KUBECTL} get all,endpoints -A -o wide",
    "kubectl/kube-system.txt": f"{_KUBECTL} -n kube-system describe pods",
    "kubectl/events.txt": f"{_KUBECTL} get events -A --sort-by=.metadata.creationTimestamp",
    "kubectl/health.txt": f"{_KUBECTL} version; {_KUBECTL} get --raw '/readyz?verbose'",
    "kubectl/settings.txt": f"{_KUBECTL} -n kube-system get configmaps kubeadm-config kube-proxy coredns -o yaml",
    "kubectl/logs.txt": f'for pod in $({_KUBECTL} -n kube-system get pods -o name); do echo "=== $pod"; '
    f"{_KUBECTL} -n kube-system logs --all-containers --tail=300 $pod; done",
}
"""What the control plane is asked besides; Secrets are not among it."""

Answers = Iterator[tuple[str, str]]
"""Files of a bundle, each with its text."""


def write(path: Path, files: Iterable[tuple[str, str]]) -> None:
    """Write a bundle, redacted, that only its user may read.

    Args:
        path: The archive, of which nothing is there before.
        files: The path of each file in it, and its text.

    Raises:
        FileExistsError: There is something.
        OSError: It cannot be written; nothing is left of it.
    """
    left = ALL_BYTES
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
        try:
            with tarfile.open(fileobj=file, mode="w:gz", compresslevel=6) as archive:
                for name, text in files:
                    content = bounded.tail(redact(text), ANSWER_BYTES).encode(errors="replace")
                    if len(content) > left:
                        content = b"left out: the bundle would become too large\n"
                    left -= len(content)
                    entry = tarfile.TarInfo(f"{path.name.partition('.')[0]}/{name}")
                    entry.size, entry.mode, entry.mtime = len(content), 0o600, int(time.time())
                    archive.addfile(entry, io.BytesIO(content))
        except BaseException:
            path.unlink()
            raise


def of_machines(
    cluster: Cluster, release: Release, manifest: Manifest | None, machines: Mapping[str, Endpoint]
) -> Answers:
    """What all machines of a cluster say of themselves, asked at once.

    Args:
        cluster: The topology.
        release: How the release wants to be configured.
        manifest: What it holds, when that is known.
        machines: How each is reached; of those that are missing it is said.

    Yields:
        File and text, of a machine that cannot be reached why.
    """
    for node in cluster.nodes:
        if node.name not in machines:
            yield f"machines/{node.name}/unreachable.txt", "nobody knows how this machine is reached\n"

    certificate = _registry_certificate(cluster, machines)

    def ask(node: Node) -> list[tuple[str, str]]:
        try:
            with step(node.name, "bundle"), connect(machines[node.name]) as ssh:
                return [
                    *_answers(ssh, node),
                    ("plan.txt", _plan(ssh, cluster, release, manifest, node, certificate)),
                ]
        except KubeV6Error as error:
            return [("unreachable.txt", f"{error}\n")]

    with Threads(max_workers=16) as pool:
        asked = {pool.submit(ask, node): node.name for node in cluster.nodes if node.name in machines}
        for answer in as_completed(asked):
            yield from ((f"machines/{asked[answer]}/{name}", text) for name, text in answer.result())


def _answers(ssh: Connection, node: Node) -> Answers:
    until = time.monotonic() + MACHINE_SECONDS
    for name, command in {**ASKED, **(ASKED_CONTROL_PLANE if "control-plane" in node.roles else {})}.items():
        if time.monotonic() > until:
            yield name, f"not asked: the machine took more than {MACHINE_SECONDS} s for what is there\n"
            continue
        # What it has said until then is told too.
        limited = f"timeout {COMMAND_SECONDS} {quote(command)} 2>&1 | tail -c {ANSWER_BYTES + 1}"
        try:
            said = ssh.run(limited, step="bundle", timeout=2 * COMMAND_SECONDS, check=False).stdout
            yield name, bounded.tail(said, ANSWER_BYTES)
        except KubeV6Error as error:
            yield name, f"{error}\n"
            if not ssh.is_open:
                return


def _registry_certificate(cluster: Cluster, machines: Mapping[str, Endpoint]) -> str:
    """What the registry shows, which is a part of what the nodes must look like; empty when it is not to be had."""
    support = cluster.support.name
    if support not in machines:
        return ""
    try:
        with connect(machines[support]) as ssh:
            return lasting_certificate(cluster, host_facts.ask(ssh))
    except KubeV6Error:  # the machine's own answer says so
        return ""


def _plan(
    ssh: Connection, cluster: Cluster, release: Release, manifest: Manifest | None, node: Node, certificate: str
) -> str:
    """What a machine must look like, and what it lacks."""
    try:
        machine = host_facts.ask(ssh)
        stages = plan_node(cluster, release, manifest, node.name, machine, certificate).stages
        lacking = [change.describe() for each in engine.plan_changes(ssh, stages).values() for change in each]
        wanted = [line for stage in stages for line in (f"\n{stage.name}", *kinds.lines(stage))]
        return "\n".join(["to be changed:", *lacking, *wanted, ""])
    except KubeV6Error as error:
        return f"{error}\n"
