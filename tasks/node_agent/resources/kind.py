"""What the agent does with one kind of resource."""

from typing import Any, Callable, List, Tuple

from tasks.node_agent.protocol import Failed, Json
from tasks.node_agent.record import Record

Undo = Callable[[str, Any], List[str]]
"""Undoes one note of the record, given its subject and what was there before; returns what was done."""


class Stays(Failed):
    """What is not undone, for good: the connection by which we are here needs it, or may need it."""

    def __init__(self, what: str, why: str = "this very connection comes by it") -> None:
        super().__init__("{} stays until the next start: {}".format(what, why))


class Kind:
    """One kind of resource. A kind overrides what there is to do for it.

    Attributes:
        name: The kind of its changes.
        noted_first: Whether what was there before is noted before packages are installed, because one may bring it.
        at_once: Whether the changes that follow one another are made together, by :meth:`make_all`.
        undoes: The names of its notes in the record, and how one of each is undone.
    """

    name = ""
    noted_first = False
    at_once = False
    undoes: Tuple[Tuple[str, Undo], ...] = ()

    def questions(self, query: Any) -> List[List[str]]:
        """The commands whose output :meth:`facts` needs. Those of all kinds run at once, and each of them once."""
        return []

    def facts(self, query: Any, records: List[Record], answers: List[str]) -> Any:
        """What there is on the node.

        Args:
            query: What the kind's other half asks for some stages.
            records: What earlier runs did, for each of the stages.
            answers: The output of each command of :meth:`questions`.
        """
        return None

    def added(self, record: Record) -> Any:
        """What earlier runs did for a stage."""
        return None

    def note(self, change: Json, record: Record) -> None:
        """Write into the record what a change is about to replace."""

    def note_all(self, changes: List[Json], record: Record) -> None:
        """The same for all changes of the kind."""
        for change in changes:
            self.note(change, record)

    def subject(self, change: Json) -> str:
        """The subject of the notes of a change."""
        return str(change["subject"])

    def make(self, change: Json, record: Record) -> None:
        """Make a change."""
        raise NotImplementedError(self.name)

    def make_all(self, changes: List[Json], record: Record) -> None:
        """Make several changes together."""
        raise NotImplementedError(self.name)
