"""How the questions of a proof go to the nodes: all of a node in one round trip, those of pods by the control plane."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from configs.errors import NodeError
from configs.schema.cluster import Cluster
from tasks.kubernetes import certificates
from tasks.kubernetes.certificates import Told
from tasks.kubernetes.checks import Check, Probe, judge
from tasks.kubernetes.kubeadm import KUBECTL
from tasks.scope import Threads
from tasks.ssh.connection import Connection
from tasks.ssh.program import program

PATIENCE_SECONDS = 20
Question = dict[str, str | int]
"""As it goes over the wire."""
Answer = tuple[int, str, float]
"""Status, output and seconds."""


@dataclass(frozen=True, slots=True)
class Answered:
    """What :mod:`tasks.node_agent.verify_probe` says of a node.

    Attributes:
        answers: By the questions' ids.
        certificates: Those of the node.
    """

    answers: dict[str, Answer]
    certificates: Told


@dataclass(frozen=True, slots=True)
class Asker:
    """Asks the nodes of one cluster, and the pods of one proof.

    Attributes:
        cluster: The topology.
        namespace: Where the pods are.
        connections: To every node of Kubernetes, by its name.
        pool: Asks them side by side.
    """

    cluster: Cluster
    namespace: str
    connections: Mapping[str, Connection]
    pool: Threads

    def ask(self, probes: Sequence[Probe], before: Sequence[str] = ()) -> tuple[list[Check], dict[str, Told]]:
        """What the answers come to, and every node's certificates.

        Args:
            probes: What is asked.
            before: Arguments of a kubectl that is run before the control plane and the pods are asked; none without.

        Raises:
            NodeError: A node cannot be reached, or that kubectl fails.
        """
        asked = _by_source(probes)
        answered = self.pool.map(lambda name: self._of(name, asked, before), self.connections)
        told = dict(zip(self.connections, answered, strict=True))
        answers = {question: answer for each in told.values() for question, answer in each.answers.items()}
        checks = [judge(probe, *answers[str(index)]) for index, probe in enumerate(probes)]
        return checks, {name: each.certificates for name, each in told.items()}

    def _of(self, name: str, asked: Mapping[tuple[str, bool], list[Question]], before: Sequence[str]) -> Answered:
        """Ask one node all that it is asked, and the control plane what the pods are, too."""
        leads = name == self.cluster.control_plane.name
        own = asked[name, False]
        pods = {pod: asked[pod, True] for pod in self.connections} if leads else {}
        payload = {
            "node": own,
            "pods": pods,
            "kubectl": [*KUBECTL.split(), "-n", self.namespace],
            "patience": PATIENCE_SECONDS,
            "registry": certificates.registry_files(self.cluster, name),
            "before": [*before] if leads else [],
        }
        answered: Answered = self.connections[name].run_python(
            program("verify_probe"),
            payload,
            step="proof",
            timeout=PATIENCE_SECONDS + 10 * (len(own) + len(pods)) + 60,
            kind=Answered,
        )
        wanted = {question["id"] for each in (own, *pods.values()) for question in each}
        if answered.answers.keys() != wanted:
            raise NodeError(
                name,
                "proof",
                f"it answered {len(answered.answers)} questions, other ones than the {len(wanted)} that were asked",
            )
        return answered


def _by_source(probes: Sequence[Probe]) -> Mapping[tuple[str, bool], list[Question]]:
    """The questions as they go over the wire, by the node and whether its pod asks; their ids are their places."""
    found: defaultdict[tuple[str, bool], list[Question]] = defaultdict(list)
    for index, each in enumerate(probes):
        found[each.node, each.from_pod].append(
            {
                "id": str(index),
                "kind": each.kind,
                "argument": each.argument,
                "size": each.size,
                "times": each.times,
                "source": each.from_address,
            }
        )
    return found
