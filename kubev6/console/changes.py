"""What would change on machines, and what each must look like: as lines for a person, and as JSON."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import asdict

from configs.state import NodeState, StageState
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


def states_as_text(states: Mapping[str, NodeState]) -> str:
    """The desired state of each machine, everything that is written or set there, in the order of its stages."""
    return "\n".join(
        line for state in states.values() for line in (f"node {state.node}", *_stages_as_text(state.stages))
    )


def states_as_json(states: Mapping[str, NodeState]) -> str:
    """The same for machines."""
    return json.dumps({name: asdict(state) for name, state in states.items()}, indent=2)


def _stages_as_text(stages: Iterable[StageState]) -> Iterable[str]:
    for stage in stages:
        yield f"\n  stage {stage.name}"
        yield from (f"    {line}" for line in kinds.lines(stage))
    yield ""
