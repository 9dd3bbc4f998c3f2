"""What would change on machines, and what each must look like: as lines for a person, and as JSON."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from dataclasses import asdict
from textwrap import indent

from configs.plan.state import NodeState, StageState
from configs.words import counted
from tasks.node.resources import kinds
from tasks.preview import Preview


def as_text(found: Preview) -> str:
    """The changes as lines for a person."""
    lines: list[str] = []
    for node, stages in found.items():
        lines.append(f"{node}: {counted(sum(map(len, stages.values())), 'change')}")
        for stage, changes in stages.items():
            lines += [f"  {stage}"] * bool(changes)
            lines += [f"    {change.describe()}" for change in changes]
    total = sum(len(changes) for stages in found.values() for changes in stages.values())
    return "\n".join([*lines, f"{counted(total, 'change')} in all; nothing was touched"])


def as_json(found: Preview) -> str:
    """The same for machines."""
    data = {
        node: {stage: [change.as_json() for change in changes] for stage, changes in stages.items()}
        for node, stages in found.items()
    }
    return json.dumps(data, indent=2)


def state_as_text(state: NodeState) -> str:
    """The desired state of a machine, everything that is written or set there, in the order of its stages."""
    return "\n".join((f"node {state.node}", *_stages_as_text(state.stages)))


def states_as_json(states: Iterable[NodeState]) -> Iterator[str]:
    """The states of machines as pieces of one mapping, by name; no more than one state is in memory at a time."""
    before = "{\n"
    for state in states:
        yield before + indent(f"{json.dumps(state.node)}: {json.dumps(asdict(state), indent=2)}", "  ")
        before = ",\n"
    yield "\n}\n"


def _stages_as_text(stages: Iterable[StageState]) -> Iterable[str]:
    for stage in stages:
        yield f"\n  stage {stage.name}"
        yield from (f"    {line}" for line in kinds.lines(stage))
    yield ""
