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
from tasks.node_agent.verify_probe import NOT_ASKED
from tasks.scope import Threads
from tasks.ssh.connection import Connection
from tasks.ssh.program import program

PATIENCE_SECONDS = 20
FIRST_SECONDS = 0.25
"""For the first attempt: a packet to a Service that is not on the node yet is lost, and sent again after a second."""
Question = dict[str, str | int]
"""As it goes over the wire."""
Answer = tuple[int, str, float]
"""Status, output and seconds."""
NO_POD: Answer = (NOT_ASKED, "its pod is not there", 0.0)


@dataclass(frozen=True, slots=True)
class Answered:
    """What :mod:`tasks.node_agent.verify_probe` says of a node.

    Attributes:
        answers: By the questions' ids.
        certificates: Those of the node.
    """

    answers: dict[str, Answer]
    certificates: Told


Asked = Mapping[tuple[str, bool], list[Question]]
"""The questions of a node, or of the pod on it."""


@dataclass(frozen=True, slots=True)
class Asker:
    """Asks the nodes of one cluster, and the pods of one proof.

    Attributes:
        cluster: The topology.
        leader: The control plane that asks the pods.
        namespace: Where these are.
        pods: Their names, by their nodes.
        patience: Seconds over which is asked again what has failed.
        first: Seconds for the first attempt.
    """

    cluster: Cluster
    leader: str
    namespace: str
    pods: Mapping[str, str]
    patience: float = PATIENCE_SECONDS
    first: float = FIRST_SECONDS

    def all(
        self, probes: Sequence[Probe], connections: Mapping[str, Connection], pool: Threads, before: Sequence[str] = ()
    ) -> tuple[list[Check], dict[str, Told]]:
        """What the answers of all nodes come to, and every node's certificates.

        Args:
            probes: What is asked.
            connections: To every node, by its name.
            pool: Asks them side by side.
            before: Arguments of a kubectl that the leader runs before it asks; none without.

        Raises:
            NodeError: A node cannot be reached, or that kubectl fails.
        """
        asked = by_source(probes)
        answered = pool.map(lambda each: self.one(each, asked, before), connections.values())
        told = dict(zip(connections, answered, strict=True))
        answers = {question: answer for each in told.values() for question, answer in each.answers.items()}
        checks = [judge(probe, *answers.get(str(index), NO_POD)) for index, probe in enumerate(probes)]
        return checks, {name: each.certificates for name, each in told.items()}

    def one(self, connection: Connection, asked: Asked, before: Sequence[str] = ()) -> Answered:
        """What a node answers, and where it is the leader what the pods answer.

        Args:
            connection: To the node.
            asked: What all are asked.
            before: Arguments of a kubectl that the leader runs before it asks; none without.

        Raises:
            NodeError: It cannot be reached, or that kubectl fails.
        """
        leads = connection.node == self.leader
        own = asked.get((connection.node, False), [])
        pods = {pod: asked.get((name, True), []) for name, pod in self.pods.items()} if leads else {}
        payload = {
            "node": own,
            "pods": pods,
            "kubectl": [*KUBECTL.split(), "-n", self.namespace],
            "patience": self.patience,
            "first": self.first,
            "registry": certificates.registry_files(self.cluster, connection.node),
            "before": [*before] if leads else [],
        }
        answered: Answered = connection.run_python(
            program("verify_probe"),
            payload,
            step="proof",
            timeout=self.patience + 10 * (len(own) + len(pods)) + 60,
            kind=Answered,
        )
        wanted = {question["id"] for each in (own, *pods.values()) for question in each}
        if answered.answers.keys() != wanted:
            raise NodeError(
                connection.node,
                "proof",
                f"it answered {len(answered.answers)} questions, other ones than the {len(wanted)} that were asked",
            )
        return answered


def by_source(probes: Sequence[Probe]) -> Asked:
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
    return dict(found)
