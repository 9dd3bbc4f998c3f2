"""Commands that make a program take over its changed files."""

from typing import Any, List

from tasks.node_agent.commands import run
from tasks.node_agent.protocol import Json, progress
from tasks.node_agent.record import Record
from tasks.node_agent.resources.kind import Kind
from tasks.node_agent.resources.service import SERVICE_SECONDS


class Commands(Kind):
    """Owed until they have run, and never undone."""

    name = "command"
    noted_first = True

    def facts(self, query: Any, records: List[Record], answers: List[str]) -> List[str]:
        """What an earlier run owes."""
        return records[0].owed()

    def note(self, change: Json, record: Record) -> None:
        record.owe(change["subject"])

    def make(self, change: Json, record: Record) -> None:
        progress(change["subject"])
        run(change["resource"]["command"], timeout=SERVICE_SECONDS)
        record.paid(change["subject"])
