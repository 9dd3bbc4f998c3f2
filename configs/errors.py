"""The errors that a person reads.

Every error that a user can cause or must act on is a :class:`KubeV6Error`: one line that says what was
looked at, what was seen there, and what would be right. The command line prints that line and exits 1;
everything else is a defect and keeps its traceback in the run log.
"""

from __future__ import annotations

import copyreg
from collections.abc import Sequence
from typing import Any

from configs.words import visible


class KubeV6Error(Exception):
    """Something a person can put right.

    Args:
        message: What was looked at and what was seen, one line.
        todo: What to do next, one line; empty when the message says it already.
        transient: True if the same action may succeed when simply tried again (connection refused, 5xx).
        detail: Longer material for the run log (a command's output), never needed to understand the message.
    """

    def __init__(self, message: str, *, todo: str = "", transient: bool = False, detail: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.todo = todo
        self.transient = transient
        self.detail = detail
        self.carried: tuple[object, ...] = ()
        """What goes with it to who hears of it in another process, such as the events that led to it."""

    def __str__(self) -> str:
        """One line for a person: what others said of it, such as a program or a machine, steers nothing there."""
        return visible(f"{self.message}; {self.todo}" if self.todo else self.message)

    def __reduce__(self) -> tuple[Any, ...]:
        """Between processes an error goes with its attributes, whatever its own arguments are."""
        return copyreg.__newobj__, (type(self), *self.args), vars(self)  # type: ignore[attr-defined]


class ConfigError(KubeV6Error):
    """A cluster or release file that cannot be right; raised before anything is touched."""


class NodeError(KubeV6Error):
    """A step that failed on one node.

    Args:
        node: The node's name.
        step: What was being done, for example ``"network"`` or ``"kubeadm join"``.
        seen: What was seen, one line.
    """

    def __init__(
        self, node: str, step: str, seen: str, *, todo: str = "", transient: bool = False, detail: str = ""
    ) -> None:
        super().__init__(f"{node}: {step}: {seen}", todo=todo, transient=transient, detail=detail)
        self.node = node
        self.step = step
        self.seen = seen


class UnansweredError(KubeV6Error):
    """Somebody does not answer, which may be over soon.

    Args:
        seen: Who does not, and what was asked.
        error: What the library says by which was asked; its kind stands in the message.
        todo: What to do next, one line.
    """

    def __init__(self, seen: str, error: Exception, *, todo: str = "") -> None:
        super().__init__(f"{seen} ({type(error).__name__})", todo=todo, transient=True, detail=str(error))


class EndedError(KubeV6Error):
    """Something was ended because something else had failed, which is the cause and says why.

    Args:
        what: What was ended.
    """

    def __init__(self, what: str) -> None:
        super().__init__(f"{what}: was ended, because something else of this run had failed or it was stopped")


class CombinedError(KubeV6Error):
    """Several pieces of work failed, each for itself.

    Args:
        errors: What each of them says.
    """

    def __init__(self, errors: tuple[BaseException, ...]) -> None:
        super().__init__("; ".join(str(error) for error in errors))
        self.errors = errors


def combined(errors: Sequence[BaseException]) -> BaseException:
    """What is raised for some errors: the only one as it is, else one that has all that are no consequences."""
    causes = [error for error in errors if not isinstance(error, EndedError)] or errors
    return causes[0] if len(causes) == 1 else CombinedError(tuple(causes))


def defect(error: BaseException) -> str:
    """What is told a person, in one line, of an error that nobody but a programmer can put right."""
    return visible(f"a defect of kubev6: {type(error).__name__}: {str(error).partition(chr(10))[0]}")
