"""Draw the report of a run: topology, connectivity, time line, patches, changes.

Writes one HTML file beside the record of the run, and prints its path. It holds all it needs, so it can be
looked at without a network and passed on. Every deploy, build, fetch, reset, nightly run and series apply
is recorded, also when it failed; the last 50 are kept.

Examples:
  kubev6 report
  kubev6 report --open
  kubev6 report --list
  kubev6 report 20260301T093000Z
"""

from __future__ import annotations

import argparse

from kubev6.cli import names
from kubev6.cli.command import add_cluster, completed_by
from kubev6.console.standard_output import tell


def add(parser: argparse.ArgumentParser) -> None:
    """Add its arguments."""
    named = parser.add_argument(
        "named",
        nargs="?",
        metavar="RUN",
        help="a run's name or the beginning of it, or the file of its record; the cluster's latest when absent",
    )
    completed_by(named, names.runs)
    add_cluster(parser)
    parser.add_argument("--open", action="store_true", help="also show it in the desktop's browser")
    parser.add_argument("--list", action="store_true", help="list the runs there are, the newest first")


def run(args: argparse.Namespace) -> int:
    """Draw the report of a run, or list the runs."""
    from flows.run import record as run_record
    from kubev6.report import reading

    if args.list:
        for line in reading.listed():
            tell(line)
        return 0
    if args.named:
        path, record = run_record.find(args.named)
    else:
        path, record = run_record.latest(reading.cluster_name(args.cluster))
    drawn = reading.draw(path, record)
    print(drawn)
    if args.open:
        reading.show(drawn)
    return 0
