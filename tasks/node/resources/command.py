"""Commands that make a program take over its changed files."""

from __future__ import annotations

from configs.plan.state import StageState
from tasks.node.resources.kind import Changes, Earlier, Kind

OWED = "an earlier run ended before it"


class Commands(Kind[list[str]]):
    """The facts are those that an earlier run owes."""

    name = "command"
    field = "reloads"
    key = "command"

    def changes(self, stage: StageState, facts: list[str], earlier: Earlier) -> Changes:
        changed = changed_paths(earlier)
        for reload in stage.reloads:
            command = " ".join(reload.command)
            reasons = [path for path in changed if path in reload.when]
            if reasons or command in facts:
                why = f"{reasons[0]} changes" if reasons else OWED
                yield self.change(command, "run", after=why, resource=reload)

    def lines(self, stage: StageState) -> list[str]:
        return [f"{' '.join(each.command)}, after a change of {', '.join(each.when)}" for each in stage.reloads]


def changed_paths(changes: Earlier) -> list[str]:
    """The files, certificates and executables that are changed."""
    return sorted({change.subject for change in changes if change.kind in ("file", "certificate", "binary")})
