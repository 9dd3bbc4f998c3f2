"""Where the nodes of a run wait for what one of them does for all.

Every node is one task that goes its whole way. A gate stands where it needs another node to have come to some point;
the one that opens it never waits itself at a gate that comes later, so nobody waits for good.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from contextvars import ContextVar
from dataclasses import dataclass, fields

from configs.errors import KubeV6Error
from configs.schema.cluster import Cluster
from tasks import steps


class NotBegunError(KubeV6Error):
    """Work that did not begin because another node's failed: a consequence, whose cause is reported by itself."""


class Gate:
    """Closed until one node opens it to all.

    Args:
        opener: The node that opens it.
    """

    def __init__(self, opener: str) -> None:
        self.opener = opener
        self._settled = threading.Event()
        self._open = False
        self._hearers: list[Callable[[str], object]] = []

    def open(self) -> None:
        """Let everybody through, from now on."""
        self._open = True
        self._settle()

    def give_up(self) -> None:
        """Send away those that wait, and those that come later; an open gate stays open."""
        self._settle()

    def tell(self, hearer: Callable[[str], object]) -> None:
        """Call somebody with what became of the gate, when that is known: why it stays closed, empty for open."""
        self._hearers.append(hearer)
        if self._settled.is_set():
            self._settle()

    def _settle(self) -> None:
        self._settled.set()
        with suppress(IndexError):  # all have been told, perhaps by another thread
            while True:
                self._hearers.pop()(self._why_closed())

    def _why_closed(self) -> str:
        if self._open:
            return ""
        return "the run was stopped" if steps.stopped() else f"{self.opener} failed"

    def wait(self, node: str) -> None:
        """Come back when it is open.

        Args:
            node: Who waits.

        Raises:
            NotBegunError: It will not be opened in this run.
        """
        if why := self._why_closed_in_the_end():
            raise NotBegunError(f"{node}: not begun because {why}")

    def _why_closed_in_the_end(self) -> str:
        self._settled.wait()
        return self._why_closed()


class Meeting(Gate):
    """A gate that opens when every node has come to it. One that must not be there keeps it closed for all.

    Args:
        nodes: Who has to come.
    """

    def __init__(self, nodes: Iterable[str]) -> None:
        super().__init__("another node")
        self._missing = set(nodes)
        self._changing = threading.Lock()

    def expect(self, nodes: Iterable[str]) -> None:
        """Wait for these too, as long as others are missing."""
        with self._changing:
            self._missing.update(nodes)

    @contextmanager
    def coming(self, node: str) -> Iterator[None]:
        """Come to it by what is done inside, and go on when all others have come too.

        What is wrong there for good holds up everybody. What is transient may be tried again.

        Args:
            node: Who comes.

        Raises:
            NotBegunError: Another one must not be there.
        """
        try:
            yield
        except KubeV6Error as error:
            if not error.transient:
                self.must_not_be(node)
            raise
        self.node_ended(node)
        self.wait(node)

    def must_not_be(self, node: str) -> None:
        """Stay closed for all because of ``node``."""
        self.opener = node
        self.give_up()

    def node_ended(self, node: str) -> None:
        """Wait for ``node`` no longer: it is here, or it could not be reached, which is its own misfortune."""
        with self._changing:
            self._missing.discard(node)
            if not self._missing and not self._settled.is_set():
                self.open()

    def must_have_come(self, node: str) -> None:
        """Stay closed for all if ``node`` has not come, now that its task has ended for good."""
        if node in self._missing:
            self.must_not_be(node)


THE_LIST = "the list of machines that leave"
"""Comes to a meeting before them, because until then nobody knows whom to expect."""


@dataclass(frozen=True, slots=True)
class Gates:
    """The gates of a run.

    Attributes:
        surveyed: Behind it, every machine that could be reached is one that can become what the topology says.
        left: Behind it, the machines that the topology no longer names have left: their addresses are free, and as long
            as they were drained the way to their pods stayed.
        existing_servers: Behind it, NAT64 and DNS64 that are there already were found to do what the cluster needs.
        outside: Behind it, NAT64 and DNS64 lead to where packages come from, which no other way does any longer.
        registry: Behind it, the registry holds the release.
        control_plane: Behind it, nodes can join.
        in_place: Behind it, every machine is what the topology says, and nothing more is done to any.
    """

    surveyed: Meeting
    left: Meeting
    existing_servers: Gate
    outside: Gate
    registry: Gate
    control_plane: Gate
    in_place: Meeting

    def are_leaving(self, strangers: Sequence[str]) -> None:
        """Expect the machines that leave, now that they are known."""
        self.in_place.expect(strangers)
        self.left.expect(strangers)
        self.left.node_ended(THE_LIST)

    def node_ended(self, node: str, *, well: bool) -> None:
        """Give up what ``node`` was to open and did not, now that its task has ended for good."""
        (self.in_place.node_ended if well else self.in_place.must_not_be)(node)
        self.surveyed.node_ended(node)
        self.left.must_have_come(node)
        for gate in (self.existing_servers, self.outside, self.registry, self.control_plane):
            if gate.opener == node:
                gate.give_up()


# Not a parameter of tasks: those are plain values. Prefect's threads inherit the context of the flow.
_current: ContextVar[Gates] = ContextVar("gates")


@contextmanager
def gates_of(cluster: Cluster) -> Iterator[Gates]:
    """The gates of a run, which its tasks find by :func:`current_gates`. However the run ends, nobody goes on waiting.

    Args:
        cluster: Whose nodes.
    """
    support, names = cluster.support.name, [node.name for node in cluster.nodes]
    gates = Gates(
        surveyed=Meeting(names),
        left=Meeting([THE_LIST]),
        existing_servers=Gate(support),
        outside=Gate(support),
        registry=Gate(support),
        control_plane=Gate(cluster.control_plane.name),
        in_place=Meeting(names),
    )
    if not cluster.existing_servers:
        gates.existing_servers.open()
    if cluster.lab:  # whose machines have their packages
        gates.outside.open()
    try:
        with being(gates):
            yield gates
    finally:
        for field in fields(gates):
            getattr(gates, field.name).give_up()


@contextmanager
def being(gates: Gates) -> Iterator[None]:
    """In this context :func:`current_gates` are these."""
    token = _current.set(gates)
    try:
        yield
    finally:
        _current.reset(token)


def current_gates() -> Gates:
    """The gates of the run that the caller is part of."""
    return _current.get()


def gates_here() -> Gates | None:
    """The same, or None for a run that has none."""
    return _current.get(None)
