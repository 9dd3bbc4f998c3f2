"""The tables at the end of a run."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import asdict

from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from configs.manifest import Manifest
from configs.schema import Cluster
from flows.console import Ended
from tasks.checks import Check


def show_nodes(console: Console, cluster: Cluster, manifest: Manifest) -> None:
    """The machines with their roles, addresses and the version that they run."""
    table = _table("node", "roles", "address", "pod subnet", "runs")
    for node in cluster.nodes:
        runs = manifest.version if node.in_kubernetes else "NAT64, DNS64, registry"
        table.add_row(node.name, ", ".join(node.roles), str(node.address), str(node.pod_subnet or ""), runs)
    console.print(table)


def show_checks(console: Console, checks: Sequence[Check]) -> None:
    """Every check of the proof, one line each."""
    table = _table("check", "from", "to", "ok", "seen", "seconds")
    table.columns[-1].justify = "right"
    for check in checks:
        verdict = Text("ok", style="green") if check.ok else Text("FAILED", style="red")
        # One line for each, but of what went wrong every word.
        seen = Text(check.seen, no_wrap=check.ok, overflow="ellipsis" if check.ok else "fold")
        table.add_row(check.name, check.source, check.target, verdict, seen, f"{check.seconds:.2f}")
    console.print(table)


def show_proof(console: Console, checks: Sequence[Check]) -> None:
    """The proof in short: how many of each kind hold, and every one that does not."""
    table = _table("proof", "ok", "of")
    for name in dict.fromkeys(check.name for check in checks):
        same = [check.ok for check in checks if check.name == name]
        colour = "green" if all(same) else "red"
        table.add_row(name, Text(str(sum(same)), style=colour), str(len(same)))
    console.print(table)
    if failed := [check for check in checks if not check.ok]:
        show_checks(console, failed)


def checks_as_json(checks: Iterable[Check]) -> str:
    """Every check, for machines."""
    return json.dumps([asdict(check) for check in checks], indent=2)


def show_times(console: Console, ended: Sequence[Ended], total: float) -> None:
    """How long each kind of step took, from its first beginning to its last end.

    Args:
        console: Where to.
        ended: All steps.
        total: Seconds of the whole run.
    """
    table = _table("step", "on", "seconds")
    table.columns[-1].justify = "right"
    for title in dict.fromkeys(step.title for step in sorted(ended, key=lambda step: step.started)):
        same = [step for step in ended if step.title == title]
        subjects = dict.fromkeys(step.subject for step in same)
        seconds = max(step.started + step.seconds for step in same) - min(step.started for step in same)
        on = next(iter(subjects)) if len(subjects) == 1 else f"{len(subjects)} in parallel"
        table.add_row(title, on, f"{seconds:.1f}")
    table.add_section()
    table.add_row("all", "", f"{total:.1f}")
    console.print(table)


def next_commands(cluster: Cluster, where: str, program: str) -> str:
    """The three commands that a person wants next.

    Args:
        cluster: The topology.
        where: How its file was named on the command line.
        program: How kubev6 was called.
    """
    chosen = "" if where == "lab" else f" --cluster {where}"
    worker = (cluster.worker_nodes or (cluster.control_plane,))[0].name
    last = f"{program} lab down{chosen}" if cluster.lab else f"{program} verify{chosen}"
    commands = (f"{program} kubectl{chosen} -- get nodes -o wide", f"{program} ssh{chosen} {worker}", last)
    return "Next:\n" + "\n".join(f"  {command}" for command in commands)


def _table(*columns: str) -> Table:
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    for column in columns:
        table.add_column(column, overflow="fold")
    return table
