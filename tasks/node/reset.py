"""Making a machine what it was before kubev6, from the record that is kept on it."""

from __future__ import annotations

from dataclasses import asdict, dataclass

from configs.errors import NodeError
from configs.membership import identity
from configs.schema.cluster import Cluster
from tasks.secrets import hide
from tasks.ssh.connection import Connection
from tasks.ssh.program import program
from tasks.steps import step

SECONDS = 900


@dataclass(frozen=True, slots=True)
class _Answer:
    """What :mod:`tasks.node_agent.reset_node` prints: what it did, or what it ``seen`` that forbids it."""

    done: tuple[str, ...] = ()
    stays: tuple[str, ...] = ()
    left: tuple[str, ...] = ()
    seen: str = ""
    todo: str = ""
    transient: bool = False


@dataclass(frozen=True, slots=True)
class Reset:
    """What a reset of one machine came to.

    Attributes:
        node: Its name.
        done: What was undone, one line each; none when there was nothing.
        stays: What stays because the SSH connection needs it.
    """

    node: str
    done: tuple[str, ...]
    stays: tuple[str, ...]


def reset(connection: Connection, cluster: Cluster) -> Reset:
    """Take a machine out of Kubernetes, and undo all that was done to it.

    Args:
        connection: To the machine.
        cluster: The cluster that it is taken out of.

    Raises:
        NodeError: It belongs to another cluster, or something could not be undone: the rest has been, and running
            it again tries that again.
    """
    node = connection.node
    with step(node, "reset") as shown:
        wanted = {"cluster": asdict(identity(cluster))}
        answer: _Answer = connection.run_python(
            program("reset_node"), wanted, step="reset", timeout=SECONDS, kind=_Answer, progress=shown.progress
        )
        if answer.seen:
            raise NodeError(node, "reset", hide(answer.seen), todo=answer.todo, transient=answer.transient)
        if answer.left:
            raise NodeError(
                node,
                "reset",
                "; ".join(answer.left),
                todo=f"{len(answer.done)} things were undone; reset again when that is mended",
                detail="\n".join(answer.done),
            )
        shown.ended_as(f"{len(answer.done)} undone" if answer.done else "nothing to undo")
        return Reset(node, answer.done, answer.stays)
