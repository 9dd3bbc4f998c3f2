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
from configs.schema.cluster import Cluster
from configs.words import counted
from kubev6.console.listener import Ended
from tasks.kubernetes.checks import Check, pairs_note
from tasks.node.reset import Reset

FAILED_NAMED = 3
"""Of the checks that failed: how many one line names."""


def show_nodes(console: Console, cluster: Cluster, manifest: Manifest) -> None:
    """The machines with their roles, addresses and the version that they run."""
    table = new_table("node", "roles", "address", "pod subnet", "runs")
    for node in cluster.nodes:
        ours = [server for server in ("NAT64", "DNS64") if server not in cluster.existing_servers]
        runs = manifest.version if node.in_kubernetes else ", ".join([*ours, "registry"])
        table.add_row(node.name, ", ".join(node.roles), str(node.address), str(node.pod_subnet or ""), runs)
    console.print(table)


def show_checks(console: Console, checks: Sequence[Check]) -> None:
    """Every check of the proof, one line each."""
    table = new_table("check", "from", "to", "ok", "seen", "seconds")
    table.columns[-1].justify = "right"
    for check in checks:
        well = Text("warning", style="yellow") if check.warns else Text("ok", style="green")
        state = well if check.ok else Text("FAILED", style="red")
        # One line for each, but of what went wrong, or will, every word.
        short = check.ok and not check.warns
        seen = Text(check.seen, no_wrap=short, overflow="ellipsis" if short else "fold")
        table.add_row(check.name, check.source, check.target, state, seen, f"{check.seconds:.2f}")
    console.print(table)


def show_proof(console: Console, checks: Sequence[Check]) -> None:
    """The proof in short: how many of each kind hold, and every one that does not, or not for long."""
    table = new_table("proof", "ok", "of")
    for name in dict.fromkeys(check.name for check in checks):
        same = [check.ok for check in checks if check.name == name]
        colour = "green" if all(same) else "red"
        table.add_row(name, Text(str(sum(same)), style=colour), str(len(same)))
    console.print(table)
    if note := pairs_note(checks):
        console.print(f"{note}.", highlight=False)
    if told := [check for check in checks if not check.ok or check.warns]:
        show_checks(console, told)


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
    table = new_table("step", "on", "seconds")
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


def leaving(cluster: Cluster, names: Sequence[str]) -> str:
    """What a person is asked to agree to.

    Args:
        cluster: The topology.
        names: The machines that are to be reset, in their order.
    """
    told = {node.name: f"{node.address}  {', '.join(node.roles)}" for node in cluster.nodes}
    width = max(map(len, names))
    machines = [f"  {name:<{width}}  {told.get(name, 'no longer in the file')}" for name in names]
    first = f"These machines of {cluster.name} will be taken out of Kubernetes and made what they were before kubev6:"
    last = "What pods keep on them is lost, and with the control plane all that the cluster knows."
    return "\n".join([first, *machines, last])


def resets(done: Sequence[Reset]) -> str:
    """What came of a reset, one line for each machine and for all that stays."""
    lines = []
    for each in done:
        taken = f"{counted(len(each.done), 'thing')} undone" if each.done else "nothing to reset"
        lines.append(f"{each.node}: {taken}")
        lines += [f"{each.node}: {line}" for line in each.stays]
    if any(each.done for each in done):
        lines.append("Packages stay installed, and images stay in the runtime and the registry.")
    return "\n".join(lines)


def failed_checks(checks: Sequence[Check]) -> str:
    """How many checks of a proof failed, and which, as far as one line goes; standard output shows all."""
    failed = [check for check in checks if not check.ok]
    named = [f"{check.name} from {check.source} to {check.target}" for check in failed[:FAILED_NAMED]]
    if more := len(failed) - len(named):
        named.append(f"and {more} more")
    return f"{len(failed)} of {counted(len(checks), 'check')} of its proof failed: {'; '.join(named)}"


def warnings(checks: Sequence[Check]) -> tuple[str, ...]:
    """What holds now, and will not for long: a line for each check."""
    return tuple(f"{check.target}: {check.name}: {check.seen}" for check in checks if check.warns)


def next_commands(cluster: Cluster, where: str, program: str) -> str:
    """The commands that a person wants next.

    Args:
        cluster: The topology.
        where: How its file was named on the command line.
        program: How kubev6 was called.
    """
    chosen = "" if where == "lab" else f" --cluster {where}"
    worker = (cluster.worker_nodes or (cluster.control_plane,))[0].name
    last = f"{program} lab down{chosen}" if cluster.lab else f"{program} verify{chosen}"
    commands = (
        f"{program} report{chosen} --open",
        f"{program} kubectl{chosen} -- get nodes -o wide",
        f"{program} ssh{chosen} {worker}",
        last,
    )
    return "Next:\n" + "\n".join(f"  {command}" for command in commands)


def new_table(*columns: str) -> Table:
    """An empty table in the style of all of them."""
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    for column in columns:
        table.add_column(column, overflow="fold")
    return table
