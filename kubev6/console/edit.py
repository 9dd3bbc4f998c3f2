"""What came of an edit of a working tree, on one screen."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from configs.manifest import Manifest, changed_parts
from configs.words import counted
from flows.run.summary import under_way
from kubev6.console.listener import Ended
from tasks.kubernetes.checks import Check
from tasks.node.change import Change


def summary(
    before: Manifest | None,
    after: Manifest,
    changes: Iterable[Change],
    checks: Sequence[Check],
    ended: Sequence[Ended],
    seconds: float,
) -> str:
    """What was changed, what that made different, what was replaced, what holds, and how long it took. Pure.

    Args:
        before: What the cluster ran before; None when that is not known.
        after: What it runs.
        changes: What was done to it.
        checks: Its proof.
        ended: The steps.
        seconds: How long all of it took.
    """
    read = next((each.text for each in ended if (each.subject, each.title) == ("working tree", "read")), "")
    parts = changed_parts(before, after)
    replaced: dict[str, list[str]] = {}
    for each in changes:
        if (name := each.subject.rpartition("/")[2]) in parts:  # of a path, or of an object with its kind
            replaced.setdefault(name, []).append(each.node)
    holding = sum(check.ok for check in checks)
    took = [f"{title} {_seconds_of(ended, title):.1f} s" for title in ("compile", "image", "proof")]
    lines = {
        "tree": read,
        "different": ", ".join(parts) or "nothing that is compiled",
        "replaced": "; ".join(f"{name} on {_few(nodes)}" for name, nodes in replaced.items()) or "nothing",
        "proof": f"{holding} of {counted(len(checks), 'check')} hold",
        "took": f"{seconds:.1f} s: {', '.join(took)}, the rest the machines",
    }
    return "\n".join(f"{name:<10} {text}" for name, text in lines.items())


def _few(nodes: Sequence[str]) -> str:
    names = list(dict.fromkeys(nodes))
    return ", ".join(names) if len(names) <= 3 else f"{len(names)} machines"


def _seconds_of(ended: Sequence[Ended], title: str) -> float:
    return under_way((each.started, each.started + each.seconds) for each in ended if each.title == title)
