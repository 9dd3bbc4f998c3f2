"""The members of a cluster as its API server knows them: listed, and taken out of it."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass

from configs.errors import KubeV6Error, NodeError
from tasks import bounded
from tasks.kubernetes.checks import ROLES
from tasks.kubernetes.kubeadm import ADMIN, KUBECTL
from tasks.kubernetes.kubeadm_commands import ETCD_DATA
from tasks.shell import quote
from tasks.ssh.channel import last_line
from tasks.ssh.connection import Connection
from tasks.steps import step

SOON = "--request-timeout=10s"
DRAIN_SECONDS = 60
"""How long the pods of a node that works may take to end, when the node leaves."""
EVICT_SECONDS = 300
"""The same of a node that stays: a disruption budget may want others to be Ready first."""
DRAINED = "kubev6/drained"
"""The label of a node that is kept free of pods for a while, so that a run that was cut off leaves none so."""
GONE_SECONDS = 5
"""The same of a node whose kubelet no longer answers: they do not end, and go with the Node object."""
ANSWER_SECONDS = 60
"""How long an API server may take to answer: that of a machine that has just started is not there at once."""
EXPIRED = "x509: certificate has expired or is not yet valid"
"""What kubectl says of an API server that no waiting brings back."""
ETCD_MANIFEST = "/etc/kubernetes/manifests/etcd.yaml"
EACH = (
    r"{range .items[*]}{.kind} {.metadata.name} {.status.conditions[?(@.type=='Ready')].status} "
    r"podCIDR={.spec.podCIDR} {.metadata.labels}{'\n'}{end}"
)
"""What is asked of each object, as a jsonpath: kind, name, of a node whether it is Ready and its pod subnet, labels."""


@dataclass(frozen=True, slots=True)
class Members:
    """The nodes of a cluster; the default is that of a cluster which does not answer.

    Attributes:
        names: All that its API server knows.
        ready: Those whose kubelets it hears of. None before kube-proxy is there: it is the last thing that
            ``kubeadm init`` sets up, which died on the way.
        controlling: Those that are marked as control planes, which is the last that a join of one does.
        pod_subnets: The pod subnet of each that tells one, by their names: nodes that a CNI of one's own connects.
    """

    names: tuple[str, ...] = ()
    ready: frozenset[str] = frozenset()
    controlling: frozenset[str] = frozenset()
    pod_subnets: tuple[tuple[str, str], ...] = ()


def members(control_plane: Connection) -> Members:
    """The nodes of the cluster, in one question for all; none when there is no cluster, or it does not answer.

    Args:
        control_plane: To the control plane.
    """
    get = [*KUBECTL.split(), SOON, "-n", "kube-system", "get", "nodes,daemonsets", "-o", f"jsonpath={EACH}"]
    asked = control_plane.run(get, step="members", timeout=20, check=False)
    return listed(asked.stdout) if asked.status == 0 else Members()


def listed(printed: str) -> Members:
    """What :data:`EACH` prints of nodes and of the DaemonSets of kubeadm, a line each. Pure."""
    lines = [words for line in printed.splitlines() if len(words := line.split()) > 1]
    nodes = {name: told for kind, name, *told in lines if kind == "Node"}
    whole = any(words[:2] == ["DaemonSet", "kube-proxy"] for words in lines)
    ready = frozenset(name for name, told in nodes.items() if whole and told[:1] == ["True"])
    controlling = frozenset(name for name, told in nodes.items() if any(label in " ".join(told) for label in ROLES))
    subnets = tuple(
        (name, word.partition("=")[2]) for name, told in nodes.items() for word in told if re.match("podCIDR=.", word)
    )
    return Members(tuple(nodes), ready, controlling, subnets)


def forget(control_plane: Connection, name: str) -> None:
    """Delete the Node object that a former member has left, if there is one, so that it can join again.

    Args:
        control_plane: To the control plane.
        name: The node.

    Raises:
        NodeError: The API server does not answer.
    """
    delete = [*KUBECTL.split(), "delete", "node", name, "--ignore-not-found"]
    control_plane.run(delete, step="kubeadm join", timeout=60)


def expect(control_plane: Connection, name: str) -> None:
    """Let a node join again that keeps its Node object: kubeadm refuses one that is Ready, as the object may still say.

    A control plane is not marked as one until it has joined.

    Args:
        control_plane: To the control plane.
        name: The node.

    Raises:
        NodeError: The API server does not answer.
    """
    get = [*KUBECTL.split(), SOON, "get", "node", name, "--ignore-not-found", "-o", "json"]
    said = control_plane.run(get, step="kubeadm join", timeout=20).stdout
    if not said.strip():
        return
    node = bounded.parsed(said)
    conditions = [
        {**each, "status": "Unknown", "reason": "Restored", "message": "restored from a backup, and has yet to join"}
        if each["type"] == "Ready"
        else each
        for each in node["status"].get("conditions", ())
    ]
    del node["metadata"]["resourceVersion"]
    content = json.dumps({**node, "status": {**node["status"], "conditions": conditions}}).encode()
    put = [*KUBECTL.split(), SOON, "replace", "--raw", f"/api/v1/nodes/{name}/status", "-f", "-"]
    control_plane.run(put, step="kubeadm join", stdin=content, timeout=20)
    if any(label in node["metadata"].get("labels", {}) for label in ROLES):
        unmark = [*KUBECTL.split(), SOON, "label", "node", name, *(f"{label}-" for label in ROLES)]
        control_plane.run(unmark, step="kubeadm join", timeout=20)


def refuse_lost_state(control_plane: Connection) -> None:
    """Refuse a control plane that has lost what makes it one; what depends on it would fail in words of its own.

    An API server that does not answer yet is waited for.

    Args:
        control_plane: To the control plane.

    Raises:
        NodeError: It has, or its API server does not answer.
    """
    name = control_plane.node
    known = quote([*KUBECTL.split(), SOON, "get", "node", name, "--ignore-not-found", "-o", "name"])
    asked = (
        f"if [ ! -s {ADMIN} ]; then echo there is no {ADMIN}; "
        f"elif [ -e {ETCD_MANIFEST} ] && [ ! -d {ETCD_DATA} ]; then echo there is no {ETCD_DATA}; "
        f"else end=$(( $(date +%s) + {ANSWER_SECONDS} )); "
        f"until seen=$({known} 2>/dev/null); do "
        f"if [ $(date +%s) -ge $end ] || {known} 2>&1 >/dev/null | grep -q {quote([EXPIRED])}; "
        f"then {known} >/dev/null; exit; fi; sleep 1; done; "
        f'[ -n "$seen" ] || echo its API server does not know {name}; fi'
    )
    if seen := control_plane.run(asked, step="proof", timeout=ANSWER_SECONDS + 20).stdout.strip():
        raise NodeError(
            name,
            "proof",
            f"the control plane has lost its state: {seen}",
            todo="`kubev6 reset` the whole cluster, and `kubev6 restore` a backup of it, or deploy a new one",
        )


def take_out(control_plane: Connection, name: str) -> bool:
    """Drain a node and delete it from the cluster. What does not end in time is left behind.

    Args:
        control_plane: To the control plane.
        name: The node.

    Returns:
        True when it was a member.

    Raises:
        NodeError: The API server does not answer, or did not delete it.
    """
    with step(name, "drain") as shown:
        ready = '{.status.conditions[?(@.type=="Ready")].status}'
        wanted = ["node", name, "--ignore-not-found", "-o", f"jsonpath={{.kind}} {ready}"]
        get = quote([*KUBECTL.split(), SOON, "get", *wanted])
        seen = control_plane.run(get, step="drain", timeout=20, check=False)
        if seen.status != 0:
            said = last_line(seen.stderr) or f"kubectl ended with status {seen.status}"
            raise NodeError(name, "drain", f"the control plane does not answer: {said}", detail=seen.stderr)
        if not seen.stdout.strip():
            shown.ended_as("no member")
            return False
        seconds = DRAIN_SECONDS if seen.stdout.split()[-1] == "True" else GONE_SECONDS
        drained = control_plane.run(_drain(name, seconds), step="drain", timeout=seconds + 30, check=False)
        control_plane.run([*KUBECTL.split(), "delete", "node", name], step="drain", timeout=60)
        whole = "" if drained.status == 0 else f"; not all pods ended: {last_line(drained.stderr)}"
        shown.ended_as(f"drained and deleted{whole}")
        return True


@contextmanager
def drained(control_plane: Connection, name: str) -> Iterator[None]:
    """A node without pods, for so long; one that somebody else keeps free of them stays so.

    Pods that nobody would start again are not ended, and those of the proof do not count.

    Args:
        control_plane: To the control plane.
        name: The node.

    Raises:
        NodeError: Its pods do not end, and it takes pods as before.
    """
    node, kubectl = quote([name]), f"{KUBECTL} {SOON}"
    mark = f"{kubectl} label node {node} --overwrite {DRAINED}=true >/dev/null"
    asked = (
        f"kept=$({kubectl} get node {node} -o 'jsonpath={{.spec.unschedulable}}') && {{ [ -n \"$kept\" ] || {mark}; }}"
    )
    words = f"drain {node} --ignore-daemonsets --delete-emptydir-data --pod-selector='!probe'"
    script = f"{asked} && {KUBECTL} {words} --timeout={EVICT_SECONDS}s"
    try:
        with step(name, "drain") as shown:
            ended = control_plane.run(script, step="drain", timeout=EVICT_SECONDS + 60, check=False)
            if ended.status != 0:
                raise NodeError(
                    name,
                    "drain",
                    f"its pods do not end: {last_line(ended.stderr)}",
                    todo="see what keeps them (kubev6 kubectl get pods,pdb -A -o wide), and deploy again: it goes on",
                    detail=ended.stdout + ended.stderr,
                )
            shown.ended_as("its pods are elsewhere")
        yield
    except Exception:
        with suppress(KubeV6Error):  # it is said what went wrong, and the next deploy does it
            take_pods_again(control_plane)
        raise
    take_pods_again(control_plane)


def take_pods_again(control_plane: Connection) -> None:
    """Let the nodes take pods again that :func:`drained` kept free of them.

    Args:
        control_plane: To the control plane.

    Raises:
        NodeError: The API server does not answer.
    """
    kubectl = f"{KUBECTL} {SOON}"
    script = (
        f"nodes=$({kubectl} get nodes -l {DRAINED} -o 'jsonpath={{.items[*].metadata.name}}') && "
        f'{{ [ -z "$nodes" ] || {{ {kubectl} uncordon $nodes && {kubectl} label nodes $nodes {DRAINED}-; }}; }} '
        ">/dev/null"
    )
    control_plane.run(script, step="uncordon", timeout=60)


def _drain(name: str, seconds: int) -> str:
    """The command; the option that gives up volumes of the pods' own got another name in 1.20."""
    words = f"drain {quote([name])} --ignore-daemonsets --force --timeout={seconds}s"
    return (
        f"kubectl drain --help | grep -q delete-emptydir-data && give_up=--delete-emptydir-data; "
        f"{KUBECTL} {words} ${{give_up:---delete-local-data}}"
    )
