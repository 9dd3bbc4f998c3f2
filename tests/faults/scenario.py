"""What one thing that goes wrong is made of: what is done, when, to which run, and what has to be said."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from tests.faults.faults import Fault

SUPPORT, CONTROL_PLANE, WORKER = "kube-support", "kube-control-plane", "kube-worker-1"
SECOND = "kube-worker-2"

Before = Literal["nothing", "cluster", "worker", "support", "empty registry", "machines", "two workers", "upgraded"]
Command = Literal["deploy", "reset", "reset of the worker", "certs renew", "rollback"]
Build = Literal["", "kubelet", "scheduler", "bad kubelet", "dead kubelet"]
"""Builds that are not the shipped release's, by what of them is another one (:mod:`tests.another_build`)."""


@dataclass(frozen=True, slots=True)
class Moment:
    """When: an event of the run, and some seconds after it.

    Attributes:
        title: Of which step, such as ``network``.
        subject: On what, such as a node's name; empty for whichever is the first.
        event: ``started``, ``ended`` or ``progress``.
        text: What is in the words of that progress.
        number: Which of these events, from 1 on.
        seconds: How long after that.
    """

    title: str
    subject: str = ""
    event: Literal["started", "ended", "progress"] = "started"
    text: str = ""
    number: int = 1
    seconds: float = 0.0

    def is_it(self, told: dict[str, object]) -> bool:
        """Whether this is such an event, as ``--log-json`` tells it."""
        return (
            told.get("event") == self.event
            and told.get("title") == self.title
            and self.subject in ("", told.get("subject"))
            and self.text in str(told.get("text", ""))
        )


@dataclass(frozen=True, slots=True)
class Scenario:
    """One thing that goes wrong.

    Attributes:
        name: A sentence without its full stop, for the table of results.
        fault: What goes wrong.
        at: When; None for before the run begins.
        before: What the run finds: the cluster in order (``cluster``), one with its worker or its support node
            reset, the latter also without what its registry had (``empty registry``), machines that are all reset
            (``machines``), no machine at all (``nothing``), one worker more than the cluster file names
            (``two workers``), or a cluster that ran another build before (``upgraded``).
        command: What is run.
        to: Which build a deploy is to bring; empty for the one that runs.
        again: What is run after a run that came to nothing.
        fails: Whether the run that meets it has to fail; None where it may come through. One that is killed says
            nothing.
        says: What the line about it has to say: of each, one of the words between bars.
        shows: What is shown of it meanwhile.
        lasts: Whether it is still so when the run has come through, for the next one to see to.
    """

    name: str
    fault: Fault
    at: Moment | None
    before: Before = "cluster"
    command: Command = "deploy"
    to: Build = ""
    again: Command = "deploy"
    fails: bool | None = True
    says: tuple[str, ...] = ()
    shows: str = ""
    lasts: bool = False
