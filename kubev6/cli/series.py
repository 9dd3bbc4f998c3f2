"""A series of patches: apply, status.

`apply` picks the patches onto their base, without building anything, and prints what became of each and
the ids of the result, which are the same every time and everywhere. `status` tries them on a newer base:
it goes on behind a patch that conflicts, on top of those that applied. A patch whose change the base holds
already is dropped, and that is no failure. Both exit with 1 when a patch conflicts; `apply` then leaves
nothing behind.

Examples:
  kubev6 series apply v1.9.0-alpha.0.ipv6.0
  kubev6 series apply v1.9.0-alpha.0.ipv6.0 --source upstream=/src/kubernetes --source leblancd=fork.bundle
  kubev6 series status v1.9.0-alpha.0.ipv6.0 --onto release-1.9
"""

from __future__ import annotations

import argparse

from kubev6.cli import names
from kubev6.cli.command import add_json, add_showing, add_source, completed_by
from kubev6.console.standard_output import tell


def add(parser: argparse.ArgumentParser) -> None:
    """Add its arguments."""
    parser.set_defaults(misfit=_misfit)
    parser.add_argument("action", choices=("apply", "status"), help="what to do")
    named = parser.add_argument("name", metavar="SERIES", help="a series file or the name of a shipped one")
    completed_by(named, names.series)
    add_source(parser)
    parser.add_argument(
        "--onto",
        metavar="REF",
        help="with status: the other base, a commit id or a ref of the base's remote (its HEAD)",
    )
    add_json(parser)
    add_showing(parser)


def _misfit(args: argparse.Namespace) -> str:
    return "--onto goes with series status" if args.onto and args.action != "status" else ""


def run(args: argparse.Namespace) -> int:
    """A series of patches: apply, status."""
    from kubev6.cli.running import running
    from kubev6.console.display import plain_console
    from tasks.release.series.series_file import load

    wanted, sources = load(args.name), dict(args.source)
    with running(f"series-{args.action}", args, about=wanted.name if args.action == "apply" else None):
        from kubev6.console import series as output
        from tasks.in_use import in_use
        from tasks.release.series import series, series_source

        with in_use(f"series {args.action} of {wanted.name}"):
            if args.action == "status":
                source = series_source.obtain(wanted, sources=sources, onto=args.onto or "HEAD")
                standings = series.status(wanted, source)
            else:
                try:
                    picked = series.pick(wanted, series_source.obtain(wanted, sources=sources))
                except series.ConflictError as error:
                    if args.json:
                        print(output.conflict_as_json(wanted, error))
                    else:
                        tell(series.both_sides(error.conflicts))
                    raise
                series.announce(picked)
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
