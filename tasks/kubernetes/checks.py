"""What is to be proved of a cluster, and how an answer is judged. Pure: :mod:`~tasks.kubernetes.verify` asks."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from ipaddress import IPv6Address, IPv6Network, ip_address
from typing import Any, Literal
from urllib.parse import urlsplit

from configs.plan.stages.kubernetes import STATIC_PODS
from configs.plan.translation import ANY_ULA, WELL_KNOWN_PREFIX, embedded, may_stand_for
from configs.plan.versions import is_stamped
from configs.schema.cluster import API_PORT, Cluster, Endpoint, Node
from tasks.kubernetes import pod_pairs
from tasks.kubernetes.readiness import is_ready, name_of, why_pod

NO_OTHER_NODE = "no other node"
"""The check that the API server knows no node which the cluster's file does not name."""
ROLES = ("node-role.kubernetes.io/control-plane", "node-role.kubernetes.io/master")
"""Labels by which kubeadm marks a control plane when all else of its join is done; until 1.19 the latter alone."""
EVERY, LEAVING = "every-pod", "leaving-pod"
"""The Services in front of all pods of the proof, and of the one that leaves it in the end."""
SMALL, LARGE = 100, 20_000
"""Bytes of what is sent: a name has room in it; and so many that they go in several full packets on any link."""
TIMES = 10
"""How often a Service with affinity is asked: of three pods at random it is the same one in one case of 20,000."""
PROXY_MODE = "http://[::1]:10249/proxyMode"
"""Where kube-proxy that is bound to IPv6 says its mode (its ``metricsBindAddress``)."""


@dataclass(frozen=True, slots=True)
class Check:
    """One line of the proof.

    Attributes:
        name: What was checked, for example ``pod to pod``.
        source: Where from: a node's name, ``pod on <node>``, ``API``, or ``files`` of the target.
        target: Where to.
        ok: Whether it is as it should be.
        seen: What was seen, in a few words.
        seconds: How long it took.
        warns: Whether it will not be so for long, of which ``seen`` says what to do.
    """

    name: str
    source: str
    target: str
    ok: bool
    seen: str
    seconds: float = 0.0
    warns: bool = False


@dataclass(frozen=True, slots=True)
class Probe:
    """One question to be asked from a node or from the pod on it.

    Attributes:
        name: Name of the check it becomes.
        node: The node that asks.
        from_pod: True when the pod on that node asks, not the node itself.
        target: What is asked, as shown.
        kind: ``fetch`` a URL, ``resolve`` a name, send a ``datagram``, or find that connections are ``refused``.
        argument: The URL, the name, or an address with its port.
        expect: Text that the answer must hold, or for a name the prefix that an address must be inside.
        size: Bytes that are sent, of which as many must come back; 0 to send nothing.
        times: How often a page is fetched, which must be the same each time.
        from_address: Which address of the node asks; empty for what the kernel takes.
    """

    name: str
    node: str
    from_pod: bool
    target: str
    kind: Literal["fetch", "resolve", "datagram", "refused"]
    argument: str
    expect: str
    size: int = 0
    times: int = 1
    from_address: str = ""

    @property
    def source(self) -> str:
        """Where it is asked from, as shown."""
        return f"pod on {self.node}" if self.from_pod else self.node


def probes(
    cluster: Cluster,
    namespace: str,
    pods: Mapping[str, str],
    services: Mapping[str, tuple[str, int]],
    *,
    full: bool = False,
    basic: bool = False,
) -> tuple[Probe, ...]:
    """Every question that proves the cluster's network: so many for each node, however many nodes there are.

    Those for what is ``refused`` are for after the others, when the pod of :data:`LEAVING` has lost its label. Only all
    pairs of pods are more, which a large cluster is asked for when somebody wants that
    (:mod:`tasks.kubernetes.pod_pairs`).

    Args:
        cluster: The topology.
        namespace: Where the probe pods are.
        pods: Address of the probe pod on each node, by node.
        services: ClusterIP and NodePort of the Service in front of that pod, by node; and of :data:`EVERY` and
            :data:`LEAVING`.
        full: Whether all pairs of pods are asked, however many nodes there are.
        basic: Whether it is only fetched and resolved: the program of an earlier kubev6 knows nothing else, and a watch
            wants its answers soon.
    """
    nodes = cluster.kubernetes_nodes
    found = [
        Probe("pod to pod", name, True, f"pod on {peer}", "fetch", f"http://[{pods[peer]}]:8080/", peer)
        for name, peer in pod_pairs.pairs([node.name for node in nodes], full=full)
    ]
    api = str(cluster.services.subnet.network_address + 1)
    outside_name = urlsplit(cluster.verify.outside).hostname or ""
    # The next node in a ring: with one node only, itself.
    for node, next_node in zip(nodes, (*nodes[1:], nodes[0]), strict=True):
        name, other = node.name, next_node.name
        cluster_ip, node_port = services[other]
        own = f"http://[{services[name][0]}]/"
        found.append(Probe("hairpin", name, True, "its own Service", "fetch", own, name))
        by_name = f"http://{other}.{namespace}/"
        found.append(Probe("Service by name", name, True, f"Service of {other}", "fetch", by_name, other))
        kubernetes = f"kubernetes.default.svc.{cluster.services.domain}"
        found.append(Probe("cluster DNS", name, True, kubernetes, "resolve", kubernetes, f"{api}/128"))
        for from_pod in (True, False):
            found += [
                Probe("ClusterIP", name, from_pod, f"Service of {other}", "fetch", f"http://[{cluster_ip}]/", other),
                Probe(
                    "NodePort",
                    name,
                    from_pod,
                    f"{other}:{node_port}",
                    "fetch",
                    f"http://[{next_node.address}]:{node_port}/",
                    other,
                ),
                Probe("API", name, from_pod, f"[{api}]:443", "fetch", f"https://[{api}]/version", "gitVersion"),
                Probe("NAT64 name", name, from_pod, outside_name, "resolve", outside_name, str(cluster.nat64.prefix)),
                Probe("NAT64 fetch", name, from_pod, cluster.verify.outside, "fetch", cluster.verify.outside, ""),
            ]
            if not basic:
                found += _of_services(name, from_pod, other, services)
                found += _of_source(cluster, node, from_pod, next_node, pods, services)
        if cluster.endpoint:
            found += _of_endpoint(cluster, cluster.endpoint, name)
        if (mode := cluster.kube_proxy.mode) != "iptables":  # which others fall back to without a word
            found.append(Probe("kube-proxy mode", name, False, mode, "fetch", PROXY_MODE, mode))
    return tuple(found)


def _of_services(name: str, from_pod: bool, other: str, services: Mapping[str, tuple[str, int]]) -> Iterator[Probe]:
    """What else Services are for: UDP, packets as large as the way takes, the same pod again, no pod that has left."""
    to, at = f"Service of {other}", services[other][0]
    every, leaving = services[EVERY][0], services[LEAVING][0]
    ask = partial(Probe, node=name, from_pod=from_pod)
    yield ask("UDP", target=to, kind="datagram", argument=f"[{at}]:80", expect=other, size=SMALL)
    yield ask("large datagram", target=to, kind="datagram", argument=f"[{at}]:80", expect=other, size=LARGE)
    yield ask("large page", target=to, kind="fetch", argument=f"http://[{at}]/", expect=other, size=LARGE)
    yield ask(
        "session affinity", target="Service of all", kind="fetch", argument=f"http://[{every}]/", expect="", times=TIMES
    )
    to = "Service that a pod leaves"
    yield ask("endpoint there", target=to, kind="fetch", argument=f"http://[{leaving}]/", expect="")
    yield ask("endpoint gone", target=to, kind="refused", argument=f"[{leaving}]:80", expect="refused")


def _of_source(
    cluster: Cluster,
    node: Node,
    from_pod: bool,
    other: Node,
    pods: Mapping[str, str],
    services: Mapping[str, tuple[str, int]],
) -> Iterator[Probe]:
    """A pod sees who asks, where nothing has to be masqueraded: a pod by a ClusterIP, a node by its policy ``Local``.

    What a node asks itself, or a pod by its own Service, has to be; and what pods send, where the topology says so.
    """
    if node == other:
        return
    own, port = str(node.address), services[EVERY][1]
    seen = own if not from_pod or (cluster.pods.masquerade and cluster.cni.by == "bridge") else pods[node.name]
    if from_pod:
        at, to = f"[{services[other.name][0]}]", f"Service of {other.name}"
    else:
        at, to = f"[{other.address}]:{port}", f"{other.name}:{port}"
    url, bound = f"http://{at}/from", "" if from_pod else own
    yield Probe("source address", node.name, from_pod, to, "fetch", url, f"[{seen}]:", from_address=bound)


def _of_endpoint(cluster: Cluster, endpoint: Endpoint, name: str) -> Iterator[Probe]:
    """By its address, by its name, and by every control plane's own address: all under certificates that hold these."""
    members = (f"[{node.address}]:{API_PORT}" for node in cluster.control_planes)
    for at in (f"[{endpoint.address}]:{endpoint.port}", f"{endpoint.name}:{endpoint.port}", *members):
        yield Probe("API", name, False, at, "fetch", f"https://{at}/version", "gitVersion")


def pairs_note(checks: Sequence[Check]) -> str:
    """How many of all pairs of pods were asked, where that is not all of them; else empty."""
    return pod_pairs.note({(check.source, check.target) for check in checks if check.name == "pod to pod"})


def judge(probe: Probe, status: int, output: str, seconds: float) -> Check:
    """What the answer to a probe means.

    Args:
        probe: The question.
        status: 0 when the asking itself went well.
        output: The page, or for a name one address a line.
        seconds: How long it took.
    """
    text = output.strip()
    if status != 0:
        ok, seen = False, text.splitlines()[-1] if text else f"exit status {status}"
    elif probe.kind == "resolve":
        ok, seen = _resolved(IPv6Network(probe.expect), text)
    elif probe.times > 1:
        ok, seen = len(text.split()) == 1, _short(text)
        if not ok:
            seen = f"one pod each time was expected, not {seen or 'nothing'}"
    else:
        ok = bool(text) and probe.expect in text
        seen = _short(text) if text else "an empty answer"
        if text and not ok:
            seen = f"{probe.expect!r} was expected, not {seen}"
    return Check(probe.name, probe.source, probe.target, ok, seen, seconds)


def _resolved(prefix: IPv6Network, text: str) -> tuple[bool, str]:
    inside = [address for address in _addresses(text) if address in prefix]
    if not inside:
        return False, f"no address in {prefix}: {' '.join(text.split()) or 'nothing'}"
    if prefix == WELL_KNOWN_PREFIX and not may_stand_for(prefix, ipv4 := embedded(prefix, inside[0])):
        return False, f"{inside[0]} is {ipv4}, which is private and which this prefix must not carry; {ANY_ULA}"
    return True, str(inside[0])


def check_objects(
    cluster: Cluster, versions: Mapping[str, str], nodes: Sequence[Any], pods: Sequence[Any]
) -> tuple[Check, ...]:
    """What the API server's own objects prove.

    Args:
        cluster: The topology.
        versions: The version that each node's kubelet must report, by the node.
        nodes: ``items`` of the node list.
        pods: ``items`` of the list of all pods but the proof's own.
    """
    by_name = {node["metadata"]["name"]: node for node in nodes}
    checks: list[Check] = []
    for node in cluster.kubernetes_nodes:
        seen = by_name.get(node.name)
        if seen is None:
            checks.append(Check("node Ready", "API", node.name, False, "no such node"))
            continue
        conditions = {c["type"]: c for c in seen["status"].get("conditions", ())}
        ready = conditions.get("Ready", {})
        kubelet = seen["status"]["nodeInfo"]["kubeletVersion"]
        internal = [a["address"] for a in seen["status"].get("addresses", ()) if a["type"] == "InternalIP"]
        checks += [
            Check("node Ready", "API", node.name, ready.get("status") == "True", ready.get("reason", "no condition")),
            Check("node version", "API", node.name, is_stamped(kubelet, versions[node.name]), kubelet),
            Check("InternalIP", "API", node.name, internal == [str(node.address)], " ".join(internal) or "none"),
        ]
    others = sorted(set(by_name) - {node.name for node in cluster.kubernetes_nodes})
    checks.append(Check(NO_OTHER_NODE, "API", cluster.name, not others, " ".join(others) or "none"))
    ipv4 = sorted({address for thing in (*nodes, *pods) for address in _status_addresses(thing) if "." in address})
    checks.append(Check("no IPv4", "API", "nodes and pods", not ipv4, " ".join(ipv4) or "none"))
    return (*checks, *_system_pods(cluster, pods))


def check_roles(cluster: Cluster, nodes: Sequence[Any]) -> tuple[Check, ...]:
    """Every one of several control planes is marked as one: the join of one that is not came to no end.

    Args:
        cluster: The topology.
        nodes: ``items`` of the node list.
    """
    labels = {node["metadata"]["name"]: node["metadata"].get("labels", {}) for node in nodes}
    found = {
        node.name: [role for role in ROLES if role in labels.get(node.name, {})] for node in cluster.control_planes
    }
    return tuple(
        Check("control plane role", "API", name, bool(roles), roles[0] if roles else f"no label {ROLES[0]}")
        for name, roles in found.items()
    )


def _system_pods(cluster: Cluster, pods: Sequence[Any]) -> list[Check]:
    wanted = {pod: 1 for node in cluster.control_planes for pod in static_pods(node.name)}
    wanted["kube-proxy"] = len(cluster.kubernetes_nodes)
    wanted["cluster DNS"] = 1
    ready: dict[str, list[bool]] = {name: [] for name in wanted}
    reasons: dict[str, str] = {}
    for pod in pods:
        if pod["metadata"]["namespace"] != "kube-system" or "deletionTimestamp" in pod["metadata"]:
            continue
        label = pod["metadata"].get("labels", {}).get("k8s-app", "")
        name = {"kube-dns": "cluster DNS", "kube-proxy": "kube-proxy"}.get(label, pod["metadata"]["name"])
        ready.setdefault(name, []).append(is_ready(pod))
        if not is_ready(pod):
            reasons.setdefault(name, f": {name_of(pod)}: {why_pod(pod)}")
    return [
        Check(
            "system pods",
            "API",
            name,
            all(states) and len(states) >= wanted.get(name, 1),
            f"{sum(states)} of {max(len(states), wanted.get(name, 1))} Ready{reasons.get(name, '')}",
        )
        for name, states in ready.items()
    ]


def static_pods(control_plane: str) -> tuple[str, ...]:
    """The names of the pods that the kubelet of a control plane tells of, which kubeadm has set up.

    Args:
        control_plane: Name of the node.
    """
    return tuple(f"{name}-{control_plane}" for name in STATIC_PODS)


def _status_addresses(thing: Any) -> list[str]:
    status = thing["status"]
    addresses = [a["address"] for a in status.get("addresses", ()) if a["type"] != "Hostname"]
    addresses += [entry["ip"] for entry in status.get("podIPs", ())]
    addresses += [status[key] for key in ("podIP", "hostIP") if key in status]
    return addresses


def _addresses(text: str) -> list[IPv6Address]:
    found = []
    for word in text.split():
        try:
            address = ip_address(word)
        except ValueError:
            continue
        if isinstance(address, IPv6Address):
            found.append(address)
    return found


def _short(text: str) -> str:
    """A page in a few words: of the API server's version page the version, of others their beginning."""
    version = re.search(r'"gitVersion": *"([^"]+)"', text)
    line = version[1] if version else " ".join(text.split())
    return line if len(line) <= 60 else f"{line[:57]}..."
