"""What the commands do that make releases, or get them. Each takes its arguments and returns its exit status."""

from __future__ import annotations

import argparse
from pathlib import Path

from configs.schema.loading import load_release
from flows import orchestration, parameters
from flows.commands.running import outcome, running
from flows.console import plain_console
from tasks.fetch import mirror


def build(args: argparse.Namespace) -> int:
    """Build a release into the store."""
    release = load_release(args.release)
    mirror.chosen(args.mirror)
    sources = {remote: parameters.source(place) for remote, place in args.source}
    with running("build", args, about=release.name):
        orchestration.start()
        from flows.build import build as flow

        manifest = outcome(flow, args.release, sources, args.mirror, args.refresh)
    print(f"{manifest.name}: {manifest.version} is in the store")
    orchestration.check_told()
    return 0


def fetch(args: argparse.Namespace) -> int:
    """Fetch a release into the store, and onto a stick."""
    from tasks.fetch import mirror_directory

    load_release(args.release)
    mirror.chosen(args.mirror)
    if args.to:
        mirror_directory.provide(Path(args.to))
    with running("fetch", args):
        orchestration.start()
        from flows.fetch import fetch as flow

        manifest = outcome(flow, args.release, args.mirror, args.to or "", args.refresh)
    rows = [(binary.name, binary.size, binary.checked) for binary in manifest.binaries]
    rows += [(f"{plugin.name} (CNI {manifest.cni_version})", plugin.size, plugin.checked) for plugin in manifest.cni]
    rows += [(f"{image.name}:{image.tag}", image.size, image.checked) for image in manifest.images]
    for name, size, checked in rows:
        print(f"{name:<50}  {size / 1e6:>6.1f} MB  {checked}")
    also = f", and a mirror of it is in {args.to}" if args.to else ""
    print(f"{manifest.name}: {manifest.version} is in the store{also}")
    orchestration.check_told()
    return 0


def releases(args: argparse.Namespace) -> int:  # noqa: ARG001 - the shape of a command
    """List the releases known here."""
    from flows.choose_release import choices
    from tasks.store import Store

    store = Store()
    for manifest in store.list():
        programs = sum(each.size for each in (*manifest.binaries, *manifest.cni))
        size = (programs + sum(each.size for each in manifest.images)) / 1e6
        print(f"{manifest.name}  {manifest.version}  {manifest.source.kind} {manifest.created}  {size:.0f} MB")
    for line in choices(store):
        print(line)
    return 0


def series(args: argparse.Namespace) -> int:
    """A series of patches: apply, status."""
    from tasks.series.series_file import load

    wanted, sources = load(args.name), dict(args.source)
    with running(f"series-{args.action}", args, about=wanted.name if args.action == "apply" else None):
        from flows import series as output
        from tasks.in_use import in_use
        from tasks.series.series import ConflictError, both_sides

        with in_use(f"series {args.action} of {wanted.name}"):
            if args.action == "status":
                source, standings = output.compare(wanted, sources, args.onto or "HEAD")
            else:
                try:
                    picked = output.apply(wanted, sources)
                except ConflictError as error:
                    print(output.conflict_as_json(wanted, error) if args.json else both_sides(error.conflicts))
                    raise
    console = plain_console()
    if args.action == "status":
        if args.json:
            print(output.standing_as_json(wanted, source, standings))
        else:
            output.show_standing(console, source, standings)
        return 1 if any(each.outcome == "conflict" for each in standings) else 0
    if args.json:
        print(output.picked_as_json(wanted, picked))
    else:
        output.show_picked(console, wanted, picked)
    return 0
