"""One kind of resource, as the controller knows it."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Sequence
from typing import Any, ClassVar, Generic, TypeVar

from configs.plan.state import StageState
from tasks.node.change import Change

Facts = TypeVar("Facts")
"""What is known of a node's resources of a kind: those that a stage speaks of, and those that earlier runs added."""
Changes = Iterable[Change]
Earlier = Sequence[Change]
"""The changes of the kinds before this one."""


class Kind(ABC, Generic[Facts]):
    """One kind of resource. Everything here is pure.

    Attributes:
        name: The kind of its changes, and of its other half in the agent.
        field: The attribute of a stage that says what is wanted of it.
        key: The attribute of what is wanted that names it; empty where it is a name by itself.
        line: How what is wanted reads to a person.
    """

    name: ClassVar[str]
    field: ClassVar[str]
    key: ClassVar[str] = ""
    line: ClassVar[str]

    def wanted(self, stage: StageState) -> tuple[Any, ...]:
        """What a stage wants of this kind, one by one; of what is only wanted or not, that it is."""
        value = getattr(stage, self.field)
        return value if isinstance(value, tuple) else (value,) * bool(value)

    def query(self, stages: Sequence[StageState]) -> object:
        """What is asked of a node for some stages, as JSON."""
        wanted = [each for stage in stages for each in self.wanted(stage)]
        return list(dict.fromkeys(getattr(each, self.key) if self.key else str(each) for each in wanted))

    def parse(self, there: Any, added: Any) -> Facts:
        """The facts of a stage.

        Args:
            there: What the other half answered for all stages; the facts themselves, where it is no more than names.
            added: What it answered that earlier runs did for this one.
        """
        facts: Facts = there
        return facts

    @abstractmethod
    def changes(self, stage: StageState, facts: Facts, earlier: Earlier) -> Changes:
        """What is to be done to bring a node to a stage, in order."""

    def warnings(self, stage: StageState, facts: Facts) -> Iterable[str]:
        """What a person should know of what is changed, one line each."""
        return ()

    def lines(self, stage: StageState) -> Iterable[str]:
        """What a stage wants of this kind, for a person."""
        return (self.line.format(each) for each in self.wanted(stage))

    def change(
        self, subject: str, action: str, before: str = "", after: str = "", resource: object | None = None
    ) -> Change:
        """A change of this kind, see :class:`tasks.node.change.Change`."""
        return Change(self.name, subject, action, before, after, resource=resource)
