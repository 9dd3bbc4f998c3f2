"""Taking a node out of Kubernetes: ``kubeadm reset``, and all that it leaves."""

import json
import os
import re
import shutil
from contextlib import suppress
from typing import Callable, Dict, List, Sequence

from tasks.node_agent.commands import run
from tasks.node_agent.files import text_of
from tasks.node_agent.firewall import remove_kubernetes_rules, remove_kubernetes_tables
from tasks.node_agent.ip import addresses_of, links_of
from tasks.node_agent.kubeadm_lock import LOCK, no_other_kubeadm
from tasks.node_agent.pods import end_pods, mount_points, names_in
from tasks.node_agent.protocol import Failed, progress
from tasks.node_agent.record import Record, back_up
from tasks.node_agent.resources.directory import NOTES as SHARED_DIRECTORIES

CNI_CONFIGURATIONS = "/etc/cni/net.d"
ETCD = "/var/lib/etcd"
KUBEADM_CONFIG = "/etc/kubernetes/kubev6-kubeadm.yaml"
"""Ours, on a control plane only."""
NETWORK = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]*\Z")
RESET_SECONDS = 60
LEFT = (
    "/etc/kubernetes/manifests",
    "/etc/kubernetes/pki",
    "/etc/kubernetes/admin.conf",
    "/etc/kubernetes/super-admin.conf",
    "/etc/kubernetes/kubelet.conf",
    "/etc/kubernetes/bootstrap-kubelet.conf",
    "/etc/kubernetes/controller-manager.conf",
    "/etc/kubernetes/scheduler.conf",
    "/etc/kubernetes/tmp",
    "/var/lib/kubelet",
    "/var/lib/dockershim",
    "/run/kubernetes",
    "/var/log/pods",
    "/var/log/containers",
)
"""What a node of Kubernetes has written, for the case that kubeadm cannot remove it."""
EMPTY = (
    "/etc/kubernetes",
    "/usr/libexec/kubernetes/kubelet-plugins/volume/exec",
    "/usr/libexec/kubernetes/kubelet-plugins/volume",
    "/usr/libexec/kubernetes/kubelet-plugins",
    "/usr/libexec/kubernetes",
)
"""Directories that they make and that go if nobody else has put anything there."""


def server() -> str:
    """The API server that this node belongs to; empty when it belongs to none."""
    for name in ("kubelet.conf", "bootstrap-kubelet.conf", "admin.conf"):
        match = re.search(r"server: (\S+)", text_of("/etc/kubernetes/" + name))
        if match:
            return match.group(1)
    return ""


def leave(record: Record, attempt: Callable[[Callable[[], List[str]]], None]) -> None:
    """Take this node out of Kubernetes, every step for itself.

    Args:
        record: To write down what kubeadm is about to wipe and is not ours.
        attempt: Runs a step, and remembers what it did or why it could not.
    """
    networks = bridges()
    has_etcd = os.path.exists("/etc/kubernetes/manifests/etcd.yaml") or record.owns(KUBEADM_CONFIG)
    attempt(stop_kubelet)
    attempt(lambda: keep_others_cni(record))
    attempt(kubeadm_reset)
    attempt(end_pods)
    attempt(remove_kubernetes_rules)
    attempt(remove_kubernetes_tables)
    attempt(remove_virtual_services)
    attempt(lambda: remove_bridges(networks))
    attempt(lambda: remove_left([*LEFT, ETCD] if has_etcd else LEFT))


def stop_kubelet() -> List[str]:
    """First of all: it would start every pod again."""
    if shutil.which("systemctl") and run(["systemctl", "list-units", "--plain", "--no-legend", "kubelet.service"]):
        run(["systemctl", "stop", "kubelet.service"], timeout=90)
    return []


def keep_others_cni(record: Record) -> List[str]:
    """kubeadm of 2017 empties the directory of CNI configurations, those of others too.

    What a CNI of the cluster has put there since is not theirs.
    """
    shared = [before for _, path, before in record.notes(SHARED_DIRECTORIES) if path == CNI_CONFIGURATIONS]
    for name in names_in(CNI_CONFIGURATIONS):
        path = os.path.join(CNI_CONFIGURATIONS, name)
        if not record.owns(path) and os.path.isfile(path) and all(name in before for before in shared):
            back_up(path)
            record.note("deleted_files", path, {"before": "backup", "block": False})
    record.save()
    return []


def kubeadm_reset() -> List[str]:
    """Let kubeadm do its part. Which options it takes has changed from version to version, so it is asked."""
    if not os.path.isdir("/etc/kubernetes/pki") and not os.path.exists("/etc/kubernetes/kubelet.conf"):
        return []
    if not shutil.which("kubeadm"):
        return []  # what it would do is done below
    with no_other_kubeadm():
        try:
            options = reset_options(run(["kubeadm", "reset", "--help"]), runtime_socket())
            run(["kubeadm", "reset"] + options, timeout=RESET_SECONDS)
        except Failed as error:
            # All that it does is looked after below, whether or not it came that far.
            progress("kubeadm reset: {}".format(error.seen))
            return ["kubeadm reset (which failed: {})".format(error.seen)]
    return ["kubeadm reset"]


def reset_options(known: str, socket: str) -> List[str]:
    """The options for ``kubeadm reset``, given its help: it shall not ask, and not look whether it may."""
    options = []
    if "--force" in known:
        options.append("--force")
    elif "--skip-preflight-checks" in known:
        options.append("--skip-preflight-checks")
    elif "--ignore-preflight-errors" in known:
        options.append("--ignore-preflight-errors=all")
    if "remove-etcd-member" in known and "--skip-phases" in known:
        # Of a cluster that goes on it has left by now; of one that goes as a whole there is soon no majority to ask.
        options.append("--skip-phases=remove-etcd-member")
    if socket and "--cri-socket" in known:
        options.append("--cri-socket=" + socket)
    return options


def runtime_socket() -> str:
    """The runtime's socket that kubeadm has told the kubelet of; empty for kubeadm's own choice."""
    match = re.search(r"--container-runtime-endpoint=([^\s\"]+)", text_of("/var/lib/kubelet/kubeadm-flags.env"))
    return match.group(1) if match else ""


def bridges() -> Dict[str, str]:
    """Bridge by name of network, of every CNI configuration that makes one."""
    found = {"mynet": "cbr0"}
    for name in names_in(CNI_CONFIGURATIONS):
        try:
            network = json.loads(text_of(os.path.join(CNI_CONFIGURATIONS, name)))
        except (ValueError, RecursionError):
            continue
        network = network if isinstance(network, dict) else {}
        plugins = network.get("plugins", [network])
        for plugin in plugins if isinstance(plugins, list) else []:
            named = str(network.get("name", ""))
            # Of any other name there is no network (the CNI's specification), and it would lead to other directories.
            if isinstance(plugin, dict) and plugin.get("type") == "bridge" and NETWORK.match(named):
                found[named] = str(plugin.get("bridge", "cni0"))
    return found


def remove_bridges(networks: Dict[str, str]) -> List[str]:
    """Remove the bridges of pods with all that is plugged in, and the leases of their addresses."""
    done = []
    for network, bridge in networks.items():
        leases = "/var/lib/cni/networks/" + network
        if os.path.isdir(leases):
            shutil.rmtree(leases)
            done.append("leases of {} removed".format(network))
        for directory in ("/var/lib/cni/results", "/var/lib/cni/cache/results"):
            for name in names_in(directory):
                if name.startswith(network + "-"):
                    os.unlink(os.path.join(directory, name))
        ports = "/sys/class/net/{}/brif".format(bridge)
        if os.path.isdir(ports):
            for port in names_in(ports):
                remove_link(port)
            remove_link(bridge)
            done.append("bridge {} removed".format(bridge))
    for directory in ("cache/results", "cache", "results", "networks", ""):
        remove_empty(os.path.join("/var/lib/cni", directory))
    return done


def remove_link(name: str) -> None:
    """Remove an interface, which may go by itself meanwhile.

    The kernel takes a pod's network namespace apart some time after its last process has ended, and with it the end of
    the pair that the bridge has.
    """
    try:
        run(["ip", "link", "del", name])
    except Failed:
        if name in dict(links_of(run(["ip", "-o", "link"]))):
            raise


def remove_virtual_services() -> List[str]:
    """What kube-proxy has in ipvs mode: an interface with the Services' addresses, and a virtual server for each."""
    if not os.path.isdir("/sys/class/net/kube-ipvs0"):
        return []
    shown = addresses_of(run(["ip", "-o", "addr", "show", "dev", "kube-ipvs0"]))
    addresses = {address.split("/")[0] for _, address, _ in shown}
    if shutil.which("ipvsadm"):
        for line in run(["ipvsadm", "-S", "-n"]).splitlines():
            words = line.split()
            if words[:1] == ["-A"] and words[2].rsplit(":", 1)[0].strip("[]") in addresses:
                run(["ipvsadm", "-D"] + words[1:3])
    remove_link("kube-ipvs0")
    return ["interface kube-ipvs0 removed"]


def remove_left(paths: Sequence[str]) -> List[str]:
    """Remove what kubeadm, the kubelet and etcd have written, as far as it is still there."""
    done = False
    for path in paths:
        for point in mount_points():
            if point.startswith(path + "/"):
                # Behind it may be somebody's data.
                raise Failed("{} is still mounted, so {} stays".format(point, path), "unmount it")
        if os.path.isdir(path) and not os.path.islink(path):
            for name in names_in(path):
                remove_whole(os.path.join(path, name))
                done = True
            remove_empty(path)
        elif os.path.lexists(path):
            os.unlink(path)
            done = True
    for path in (LOCK, "/run/kubev6-join.yaml"):
        if os.path.exists(path):
            os.unlink(path)
    return ["files of Kubernetes removed"] if done else []


def remove_empty_directories() -> None:
    """The very last, when what is ours has gone from them too."""
    for directory in EMPTY:
        remove_empty(directory)


def remove_whole(path: str) -> None:
    """Remove a file, a link, or a directory with all that is in it, if it is there."""
    if os.path.isdir(path) and not os.path.islink(path):
        shutil.rmtree(path)
    elif os.path.lexists(path):
        os.unlink(path)


def remove_empty(directory: str) -> None:
    """Remove a directory, if it is there and empty."""
    # Not empty, not there, a mount point: all are well.
    with suppress(OSError):
        os.rmdir(directory)
