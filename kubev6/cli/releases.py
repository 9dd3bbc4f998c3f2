"""List the releases known here and how each can be had.

Lists what the store holds, and what could be built or fetched into it.

Examples:
  kubev6 releases
"""

from __future__ import annotations

import argparse

from kubev6.console.standard_output import tell


def add(parser: argparse.ArgumentParser) -> None:
    """Add its arguments."""


def run(args: argparse.Namespace) -> int:  # noqa: ARG001 - the shape of a command
    """List the releases known here."""
    from tasks.release.choose import choices
    from tasks.release.store import Store

    store = Store()
    for manifest in store.list():
        programs = sum(each.size for each in (*manifest.binaries, *manifest.cni))
        size = (programs + sum(each.size for each in manifest.images)) / 1e6
        tell(f"{manifest.name}  {manifest.version}  {manifest.source.kind} {manifest.created}  {size:.0f} MB")
    for line in choices(store):
        tell(line)
    return 0
