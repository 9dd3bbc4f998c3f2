"""What a watch saw: a line for each change while it goes on, and a table of all at its end."""

from __future__ import annotations

import json
from collections.abc import Sequence

from rich.console import Console
from rich.text import Text

from configs.words import counted
from kubev6.console.tables import new_table
from tasks.kubernetes.outages import History, Outage, key_of


def line(outage: Outage, clock: str) -> str:
    """One change in a line.

    Args:
        outage: It began, or is over.
        clock: What the clock says.
    """
    check = outage.check
    what = f"{check.name} from {check.source} to {check.target}"
    if outage.over:
        return f"{clock}  ok      {what}, after {outage.seconds:.1f} s"
    return f"{clock}  FAILED  {what}: {check.seen}"


def summary(history: History, seconds: float) -> str:
    """All in one sentence.

    Args:
        history: What was seen.
        seconds: How long it took.
    """
    failed = len({key_of(each.check) for each in history.all(seconds)})
    looked = f"{counted(len(history.known), 'check')}, looked at {counted(history.rounds, 'time')} in {seconds:.0f} s"
    return f"{looked}: {f'{failed} of them failed at some time' if failed else 'all held every time'}"


def show(console: Console, outages: Sequence[Outage]) -> None:
    """Every outage as a line of a table."""
    table = new_table("check", "from", "to", "at", "seconds", "over", "seen")
    for column in table.columns[3:5]:
        column.justify = "right"
    for each in outages:
        over = Text("yes", style="green") if each.over else Text("no", style="red")
        check = each.check
        seen = Text(check.seen, overflow="fold")
        table.add_row(check.name, check.source, check.target, f"{each.began:.1f}", f"{each.seconds:.1f}", over, seen)
    console.print(table)


def as_json(history: History, seconds: float) -> str:
    """The same, for machines.

    Args:
        history: What was seen.
        seconds: How long it took.
    """
    outages = [
        {name: getattr(each.check, name) for name in ("name", "source", "target", "seen")}
        | {"began": each.began, "seconds": each.seconds, "over": each.over}
        for each in history.all(seconds)
    ]
    told = {"checks": len(history.known), "rounds": history.rounds, "seconds": seconds, "outages": outages}
    return json.dumps(told, indent=1)
