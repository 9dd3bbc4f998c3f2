"""The parser of all commands, with the help that teaches them."""

from __future__ import annotations

import argparse

from flows.cli import clusters, here, looking, releases
from flows.cli.command import EXIT_STATUSES, Help

GROUPS = (
    ("Bring a cluster up, and take it down again", clusters),
    ("Look at a cluster, and use it", looking),
    ("Releases and their patches", releases),
    ("This machine, Prefect, and your shell", here),
)
"""Each is a module that says what its commands take; one of the same name in :mod:`flows.commands` carries them out."""
START = "Start with `kubev6 deploy`: it brings up the lab, four machines as containers of this one."


def build_parser() -> argparse.ArgumentParser:
    """The parser of the whole command line."""
    parser = argparse.ArgumentParser(
        prog="kubev6",
        usage="kubev6 COMMAND ...",
        epilog=f"{START}\nEach command has its own help: kubev6 deploy --help\n\n{EXIT_STATUSES}",
        formatter_class=Help,
    )
    # Not listed by argparse, which knows no groups of commands.
    commands = parser.add_subparsers(prog="kubev6", metavar="COMMAND", required=True, help=argparse.SUPPRESS)
    lists = []
    for title, group in GROUPS:
        already = len(commands.choices)
        group.add(commands)
        lines = [f"{title}:"]
        for name, added in list(commands.choices.items())[already:]:
            added.set_defaults(group=group.__name__.rpartition(".")[2])
            lines.append(f"    {name:<11} {added.get_default('short')}")
        lists.append("\n".join(lines))
    parser.description = "\n\n".join(
        ["Bring up IPv6-only Kubernetes clusters, from patched source or a release, and prove it.", *lists]
    )
    return parser
