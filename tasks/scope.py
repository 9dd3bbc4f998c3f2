"""What one run has of its own, found by its type wherever it is needed.

Whatever a run changes while it works (the bus of its events, its stop signal, its connections, the secrets that it
knows) is an object of that run and not of the process, so two runs in one process do not meet. Who needs one asks for
it here, and finds none outside a run.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from contextvars import ContextVar, copy_context
from types import MappingProxyType
from typing import Any, ParamSpec, TypeVar, cast

P = ParamSpec("P")
T = TypeVar("T")
_NOTHING: Mapping[type, object] = MappingProxyType({})
_held: ContextVar[Mapping[type, object]] = ContextVar("held", default=_NOTHING)


@contextmanager
def holding(*parts: object) -> Iterator[None]:
    """Have some objects found in this context, each by its type; of one type the innermost.

    Args:
        parts: The objects.
    """
    token = _held.set({**_held.get(), **{type(part): part for part in parts}})
    try:
        yield
    finally:
        _held.reset(token)


def find(kind: type[T]) -> T | None:
    """The object of a type that this context holds, or None.

    Args:
        kind: The type itself; one of a derived type is not found by it.
    """
    return cast(T | None, _held.get().get(kind))


class Threads(ThreadPoolExecutor):
    """A pool whose threads find what the thread finds that submits the work."""

    def submit(self, work: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> Future[T]:
        """Begin a piece of work in the context of the caller."""
        context = copy_context()
        return super().submit(cast(Callable[..., Any], context.run), work, *args, **kwargs)
