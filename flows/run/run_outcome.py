"""What a run came to, in words, and what to do about it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from configs.words import counted, duration
from flows.run.matrix import POD
from flows.run.record import CheckOfRun, RunRecord


@dataclass(frozen=True, slots=True)
class RunOutcome:
    """How a run ended.

    Attributes:
        tone: Whether that is good.
        word: In one word.
        sentence: In one sentence.
        todo: What to do next; empty when nothing needs to be done.
    """

    tone: Literal["good", "bad", "open"]
    word: str
    sentence: str
    todo: str = ""


def run_outcome(record: RunRecord) -> RunOutcome:
    """What a run came to."""
    failed = [check for check in record.checks if not check.ok]
    again = "run the same command again: it goes on from what is done already"
    match record.status:
        case "succeeded":
            return RunOutcome("good", "Succeeded", _achieved(record))
        case "proof failed":
            sentence = f"The cluster is up, but {len(failed)} of {counted(len(record.checks), 'check')} failed."
            return RunOutcome("bad", "Proof failed", sentence, _after_a_bad_proof(record))
        case "tests failed":
            bad = sum(test.unexpected for test in record.tests)
            sentence = f"Of {counted(len(record.tests), 'test')} of upstream's {bad} came to what was not expected."
            todo = "their log, beside the record of this run, has all that each said; `kubev6 e2e --focus` repeats one"
            return RunOutcome("bad", "Tests failed", sentence, todo)
        case "failed":
            sentence = f"It ended with {counted(len(record.errors), 'error')} after {duration(record.seconds)}."
            return RunOutcome("bad", "Failed", sentence, f"put right what is named, then {again}")
        case "stopped":
            return RunOutcome("open", "Stopped", f"It was stopped after {duration(record.seconds)}.", again)
        case "running":
            seen = f"It had not ended when this was written, after {duration(record.seconds)}."
            return RunOutcome(
                "open", "Not ended", seen, f"if nothing of it is still under way, it was cut off; {again}"
            )


def culprits(record: RunRecord) -> tuple[str, ...]:
    """The nodes that every failed check has to do with; none when there is no such node."""
    failed = [check for check in record.checks if not check.ok]
    if not failed or record.topology is None:
        return ()
    return tuple(node.name for node in record.topology.nodes if all(is_about(check, node.name) for check in failed))


def _achieved(record: RunRecord) -> str:
    about = f"{record.release.name}, {record.release.version}," if record.release else record.subject
    if record.series and record.command == "series-apply":
        fates = [patch.fate for patch in record.series.patches]
        told = ", ".join(f"{fates.count(fate)} {fate}" for fate in dict.fromkeys(fates))
        return f"Every patch found its place: {told}."
    if record.command == "reset":
        taken = (
            counted(len(record.changes), "thing was", "things were") if record.changes else "There was nothing to be"
        )
        return f"{taken} undone."
    if record.command == "certs-renew":
        renewed = counted(len(record.changes), "certificate was", "certificates were")
        return f"{renewed} renewed, and all {counted(len(record.checks), 'check')} of the proof hold."
    if record.command == "deploy":
        proof = f", and all {counted(len(record.checks), 'check')} of its proof hold" if record.checks else ""
        done = counted(len(record.changes), "change was", "changes were") + " made" if record.changes else ""
        return f"The cluster is up{proof}. {done or 'Nothing had to be changed'}."
    if record.tests:
        return f"{counted(len(record.tests), 'test')} of upstream's came to what was expected."
    if record.command == "build":
        return f"Release {about} is in the store."
    return f"{record.command} {record.subject} is done."


def _after_a_bad_proof(record: RunRecord) -> str:
    node = next(iter(culprits(record)), "NODE")
    chosen = "" if record.subject == "lab" else " --cluster FILE"  # what the commands take by themselves
    return (
        f"`kubev6 verify{chosen}` asks again, `kubev6 deploy{chosen}` mends what has drifted on the machines, "
        f"and `kubev6 ssh{chosen} {node}` is for a look at what else is wrong"
    )


def is_about(check: CheckOfRun, node: str) -> bool:
    """Whether a check came from a node, from a pod there, or went to one of these."""
    if check.source.removeprefix(POD) == node:
        return True
    target = check.target
    return target in (node, f"{POD}{node}", f"Service of {node}") or target.startswith(f"{node}:")
