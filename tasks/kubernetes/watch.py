"""A cluster that is looked at again and again, while something else changes it."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager

from configs.errors import KubeV6Error, NodeError
from configs.manifest import Manifest
from configs.schema.cluster import Cluster
from tasks.kubernetes import control_planes, probe_pods, waiting
from tasks.kubernetes.asking import NO_POD, Answer, Asked, Asker, by_source
from tasks.kubernetes.checks import Check, Probe, check_objects, judge, probes
from tasks.kubernetes.kubeadm import KUBECTL
from tasks.kubernetes.probe_pods import NO_ADDRESS, READY_SECONDS, Objects
from tasks.kubernetes.readiness import is_ready, name_of
from tasks.node_agent.verify_probe import NOT_ASKED
from tasks.scope import Threads
from tasks.ssh.connection import Connection

FIRST_SECONDS = 2.0
"""For the one attempt at each question: a packet that is lost is sent again after a second (RFC 6298, 2.1)."""
API_SECONDS = 5.0
"""How long the API server may take to list its objects."""
OF_OBJECTS = ("node Ready", "system pods")
"""Of what the API server's objects prove, what a change may not touch; versions are what it changes."""
log = logging.getLogger("kubev6.watch")
Look = Callable[[], tuple[Check, ...]]
Connections = Callable[[str], AbstractContextManager[Connection]]


@contextmanager
def watching(cluster: Cluster, manifest: Manifest, connection: Connections, *, full: bool = False) -> Iterator[Look]:
    """Have pods on every node that nothing but the end of this takes away, and look with them as often as is wanted.

    Args:
        cluster: The topology.
        manifest: The release that it runs.
        connection: Gives a connection to a node.
        full: Whether all pairs of pods are asked, however many nodes there are.

    Yields:
        What looks once, and gives every check; none is asked twice, so that what failed for a moment is seen.

    Raises:
        KubeV6Error: No control plane can be reached, or the pods do not get Ready.
    """
    names = [node.name for node in cluster.kubernetes_nodes]
    with control_planes.connected(cluster) as leader:
        probe_pods.remove(leader, manifest, "watch")  # what one that was killed has left
        namespace = probe_pods.make(leader, cluster, manifest, "watch")
    try:
        last = _when_ready(cluster, manifest, namespace)

        def look() -> tuple[Check, ...]:
            nonlocal last
            asker = cluster.control_plane.name
            try:
                with control_planes.connected(cluster) as leader:
                    asker = leader.node
                    last = probe_pods.objects_now(leader, namespace, API_SECONDS)
                objects = check_objects(cluster, dict.fromkeys(names, manifest.version), last.nodes, last.pods)
                checks = [_api(cluster), *(each for each in objects if each.name in OF_OBJECTS)]
            except KubeV6Error as error:
                checks = [_api(cluster, error.message)]
            pods = {node: name_of(pod) for node, pod in last.pods_by_node().items()}
            asking = Asker(cluster, asker, namespace, pods, patience=0, first=FIRST_SECONDS)
            addresses, services = last.addresses()
            if not services.keys() >= set(names):
                raise KubeV6Error("the pods of the watch and their Services were removed", todo="begin it again")
            there = {name: addresses.get(name, NO_ADDRESS) for name in names}
            questions = probes(cluster, namespace, there, services, full=full, basic=True)
            asked = by_source(questions)
            answers: dict[str, Answer] = {}
            for each in pool.map(lambda name: _answers(asking, connection, name, asked), names):
                answers |= each
            return (*checks, *told(questions, answers))

        with Threads(len(names)) as pool:
            yield look
    finally:
        try:
            with control_planes.connected(cluster) as leader:
                probe_pods.remove(leader, manifest, "watch")
        except KubeV6Error as error:
            log.warning("the pods of the watch stay until the next one, in the namespace %s: %s", namespace, error)


def _api(cluster: Cluster, seen: str = "") -> Check:
    """Whether the API server lists its objects."""
    return Check("API objects", "API", cluster.name, not seen, seen or "listed")


def _when_ready(cluster: Cluster, manifest: Manifest, namespace: str) -> Objects:
    """The objects when a pod is Ready on every node."""
    wait = waiting.until_rolled_out(f"{KUBECTL} -n {namespace}", manifest.version)
    with control_planes.connected(cluster) as leader:
        script = f"end=$(( $(date +%s) + {READY_SECONDS} )); {wait}"
        leader.run(script, step="watch", timeout=READY_SECONDS + 30, check=False)
        found = probe_pods.objects_now(leader, namespace, API_SECONDS)
    ready = {node for node, pod in found.pods_by_node().items() if is_ready(pod)}
    if lacking := [node.name for node in cluster.kubernetes_nodes if node.name not in ready]:
        raise KubeV6Error(
            f"no pod of the watch got Ready on {', '.join(lacking)}", todo="`kubev6 verify` tells what is wrong"
        )
    return found


def told(questions: Sequence[Probe], answers: Mapping[str, Answer]) -> Iterator[Check]:
    """The checks that the answers come to. Pure.

    Of a node or a pod that could not be asked there is one, in the place of all that it would have said: nothing is
    known of these.

    Args:
        questions: What was asked.
        answers: By the questions' ids; of a pod that is not there none.
    """
    reached: dict[tuple[str, bool], Check] = {}
    for index, each in enumerate(questions):
        status, said, _ = answers.get(str(index), NO_POD)
        lost = status == NOT_ASKED
        way = "API" if each.from_pod else "SSH"
        reached.setdefault(
            (each.node, each.from_pod), Check("reached", way, each.source, not lost, said if lost else "asked")
        )
        if not lost:
            yield judge(each, *answers[str(index)])
    yield from reached.values()


def _answers(asking: Asker, connection: Connections, name: str, asked: Asked) -> dict[str, Answer]:
    """What a node answers, and for the leader what the pods do; of one that is not reached that it is not."""
    try:
        with connection(name) as ssh:
            return asking.one(ssh, asked).answers
    except NodeError as error:
        pods = asking.pods if name == asking.leader else {}
        mine = [asked.get((name, False), []), *(asked.get((node, True), []) for node in pods)]
        return {str(question["id"]): (NOT_ASKED, error.message, 0.0) for each in mine for question in each}
