"""``kubev6 releases``: list the releases known here and how each can be had."""

from __future__ import annotations

import argparse

from kubev6.cli.command import Commands, command


def add(commands: Commands[argparse.ArgumentParser]) -> argparse.ArgumentParser:
    """Add the command."""
    return command(
        commands,
        "releases",
        "list the releases known here and how each can be had",
        "Lists what the store holds, and what could be built or fetched into it.",
        ["kubev6 releases"],
        run=run,
    )


def run(args: argparse.Namespace) -> int:  # noqa: ARG001 - the shape of a command
    """List the releases known here."""
    from tasks.release.choose import choices
    from tasks.store import Store

    store = Store()
    for manifest in store.list():
        programs = sum(each.size for each in (*manifest.binaries, *manifest.cni))
        size = (programs + sum(each.size for each in manifest.images)) / 1e6
        print(f"{manifest.name}  {manifest.version}  {manifest.source.kind} {manifest.created}  {size:.0f} MB")
    for line in choices(store):
        print(line)
    return 0
