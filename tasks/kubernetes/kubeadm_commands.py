"""What kubeadm is told to do on a node, in the words that its version understands. Pure."""

from __future__ import annotations

from configs.manifest import Manifest
from configs.plan.derived import pinned_images
from configs.plan.stages.kubernetes import KUBEADM_CONFIG, KUBEADM_PATCHES
from configs.plan.versions import kubeadm_patches, kubeadm_starts_kubelet, skip_preflight
from configs.schema.cluster import Cluster

JOIN_CONFIG = "/run/kubev6-join.yaml"
MANIFESTS = "/etc/kubernetes/manifests"
ETCD_DATA = "/var/lib/etcd/member"
KUBELET_CONFIG = "/etc/kubernetes/kubelet.conf"
BOOTSTRAP_CONFIG = "/etc/kubernetes/bootstrap-kubelet.conf"
HEALTHY_SECONDS = 90
"""How long a kubelet may take to answer that kubeadm has not waited for."""
REGISTER_SECONDS = 60
"""How long a kubelet may take to get a certificate of its own, where kubeadm does not wait for that itself."""


KUBELET_CHECK = "[kubelet-check]"
"""What kubeadm's lines begin with about a kubelet that does not answer on its health port yet."""
HEALTHY = (
    f"timeout {HEALTHY_SECONDS} sh -c 'until python3 -c \"from urllib.request import urlopen; "
    'urlopen(\\"http://localhost:10248/healthz\\", timeout=5)" 2>/dev/null; do sleep 1; done\''
)
"""Waits for the kubelet's health port: that it refuses a connection says that it is not up yet."""
FORMER = (
    f"[ -s {KUBELET_CONFIG} ] || "
    f"{{ systemctl stop kubelet; rm -rf {BOOTSTRAP_CONFIG} /var/lib/kubelet/pki; echo former; }}"
)
"""Takes what there may still be of a member that has lost its kubeconfig: a kubelet that runs on with what it knows
keeps its Node object Ready, and kubeadm refuses to join a name that is."""


HALF_JOINED = (
    f"systemctl stop kubelet; rm -rf {MANIFESTS} {ETCD_DATA} {KUBELET_CONFIG} {BOOTSTRAP_CONFIG} /var/lib/kubelet/pki"
)
"""Takes what a control plane has whose join came to no end, or that has left: etcd of before does not come back as a
new member."""


CA_CERTIFICATE = "/etc/kubernetes/pki/ca.crt"
EMPTY = "find /etc/kubernetes/*.conf /etc/kubernetes/pki -type f -size 0 -delete 2>/dev/null; "
"""Takes what a power cut has left of files that kubeadm was writing: it keeps those that are there, as they are."""
DURABLE = "{ find /etc/kubernetes /var/lib/kubelet/*.* /var/lib/kubelet/pki -exec sync {} + 2>/dev/null || true; }"
"""Has the disk hold what kubeadm has written, which does not see to that itself."""


def init(cluster: Cluster, manifest: Manifest) -> str:
    """The script that makes a control plane of a node.

    kubeadm's own preflight is left out: it wants crictl, which no distribution packages, and what it would check is
    checked by the stages before.

    Args:
        cluster: The topology.
        manifest: The release.
    """
    skip = skip_preflight("init", manifest.version)
    command = f"kubeadm init --config {KUBEADM_CONFIG} --skip-token-print {skip}"
    if manifest.has_stand_in and skip.startswith("--skip-phases"):
        command += " --skip-phases=addon/coredns"
    if pinned_images(cluster, manifest) and kubeadm_patches(manifest.version) == "option":
        command += f" --experimental-patches {KUBEADM_PATCHES}"
    return command if kubeadm_starts_kubelet(manifest.version) else _with_kubelet(command)


def init_etcd(cluster: Cluster, manifest: Manifest) -> str:
    """The script that begins a control plane as far as its etcd, by the phases of ``kubeadm init``.

    Args:
        cluster: The topology.
        manifest: The release, of 1.13 at the least.
    """
    phases = ["certs all", "kubeconfig all", "kubelet-start", "etcd local"]
    commands = [f"kubeadm init phase {phase} --config {KUBEADM_CONFIG}" for phase in phases]
    if pinned_images(cluster, manifest) and kubeadm_patches(manifest.version) == "option":
        commands[-1] += f" --experimental-patches {KUBEADM_PATCHES}"
    return f"mkdir -p {MANIFESTS} && {' && '.join(commands)}"


def upgrade_control_plane(cluster: Cluster, manifest: Manifest) -> str:
    """The script that brings the control plane to the next minor version, with the new kubeadm.

    Its document goes into the cluster first, as kubeadm takes what it writes from there.

    Args:
        cluster: The topology.
        manifest: The release.
    """
    # A pod is to end within 15 s, which it may not where an upgrade was cut off. The proof has looked whether pods run.
    ignored = ["CreateJob"]
    if manifest.has_stand_in:  # these look at a CoreDNS that is not there
        ignored += ["CoreDNSUnsupportedPlugins", "CoreDNSMigration"]
    upload = f"kubeadm init phase upload-config all --config {KUBEADM_CONFIG}"
    apply = f"kubeadm upgrade apply {manifest.version} --yes{_ignored(cluster, *ignored)}{_patches(cluster, manifest)}"
    return f"{upload} && {apply}"


def upgrade_node(cluster: Cluster, manifest: Manifest, *, control_plane: bool) -> str:
    """The script that brings what kubeadm has written on a node to the next minor version, with the new kubeadm.

    Args:
        cluster: The topology.
        manifest: The release.
        control_plane: Whether the node is one; what was cut off of its upgrade is done then.
    """
    return f"kubeadm upgrade node{_ignored(cluster)}{_patches(cluster, manifest) if control_plane else ''}"


def _ignored(cluster: Cluster, *checks: str) -> str:
    """The option by which errors of some checks are no more than warnings; a lab's kernel is its host's."""
    names = (*(["SystemVerification"] if cluster.lab else []), *checks)
    return f" --ignore-preflight-errors={','.join(names)}" if names else ""


def _patches(cluster: Cluster, manifest: Manifest) -> str:
    return f" --patches={KUBEADM_PATCHES}" if pinned_images(cluster, manifest) else ""


def upload_certificates() -> str:
    """The command by which a control plane lays the certificates of all, encrypted, where one that joins finds them.

    kubeadm makes the key to them and prints it; it is an argument of nothing.
    """
    return f"kubeadm init phase upload-certs --upload-certs --config {KUBEADM_CONFIG}"


def patches_of_join(cluster: Cluster, manifest: Manifest) -> str:
    """Where the kubeadm of a control plane that joins finds its patches, as its document has it; empty for not so."""
    takes = kubeadm_patches(manifest.version) == "document"
    return KUBEADM_PATCHES if takes and pinned_images(cluster, manifest) else ""


ETCD_STARTS = (
    f"(none=0; for each in $(seq 60); do sleep 5; if [ -s {MANIFESTS}/etcd.yaml ] && ! pgrep -x etcd; "
    "then none=$((none + 1)); else none=0; fi; "
    "if [ $none -ge 3 ]; then systemctl restart kubelet; none=0; fi; done) >/dev/null 2>&1 & starts=$!"
)
"""Beside a kubeadm that waits for its etcd: starts a kubelet again that has refused that pod, and looks at it no second
time. One of 1.20 does on a busy machine, as long as it does not know its disk; and a cluster whose second member of
etcd does not start has no leader any more."""


def join(manifest: Manifest, *, control_plane: bool = False, patched: bool = False) -> str:
    """The script that joins a node to the cluster. It takes kubeadm's document, which holds a token, as its input.

    Args:
        manifest: The release.
        control_plane: Whether the node becomes a control plane.
        patched: Whether the static pods that are written there are of images that go by digest.
    """
    # The mask is for the token alone: what kubeadm writes, others read too.
    take = f"trap 'rm -f {JOIN_CONFIG}' EXIT; (umask 077; cat >{JOIN_CONFIG})"
    # A kubelet looks for static pods also where there are none, and an old one complains of it once a second.
    take += f"; mkdir -p {MANIFESTS}"
    if not control_plane:  # kubeadm would keep one that is there, whichever it is
        take += f"; rm -f {CA_CERTIFICATE}"
    if control_plane:
        take += f"; {ETCD_STARTS}; trap 'kill $starts; rm -f {JOIN_CONFIG}' EXIT"
    command = f"kubeadm join --config {JOIN_CONFIG} {skip_preflight('join', manifest.version)}"
    if patched and kubeadm_patches(manifest.version) == "option":
        command += f" --experimental-patches {KUBEADM_PATCHES}"
    if kubeadm_starts_kubelet(manifest.version):
        return f"{take}; {command}"
    # This kubeadm ends when the kubelet has been told whom to ask for its certificate.
    no_certificate = f"error: the kubelet has got no certificate within {REGISTER_SECONDS} s"
    registered = (
        f"{{ timeout {REGISTER_SECONDS} sh -c 'until [ -s {KUBELET_CONFIG} ]; do sleep 0.2; done' || "
        f"{{ echo '{no_certificate}'; exit 1; }}; }}"
    )
    return f"{take}; ({_with_kubelet(command)}) && {registered}"


def _with_kubelet(command: str) -> str:
    """A kubeadm that waits for a kubelet which somebody else has to start: as soon as its configuration is there."""
    configured = f"[ -s {KUBELET_CONFIG} ] || [ -s {BOOTSTRAP_CONFIG} ]"
    return (
        f"{command} & kubeadm=$!; until {configured} || ! kill -0 $kubeadm 2>/dev/null; do sleep 0.2; done; "
        "systemctl start kubelet; wait $kubeadm"
    )
