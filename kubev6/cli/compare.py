"""Lay two recorded runs side by side, and say what got worse.

Shows how both ended; which checks hold no longer, hold again, appeared or are gone; which steps took longer
or shorter by at least a second and 25 %; and what differs in release, patches, images, machines and errors.
With one RUN, the other one is the newest about the same cluster, release or series. Without any, the newest
run of the cluster is compared with the last one before it that has a proof.

Exits with 1 when a check fails that held in the first run or was not asked there, or when the second run
ended worse than the first; a run that was stopped or has not ended counts as failed. Times do not count.

Examples:
  kubev6 compare
  kubev6 compare 20260301T093000Z
  kubev6 compare 20260301T093000Z 20260302T093000Z
  kubev6 compare ./last-good.json 20260302T093000Z --json
"""

from __future__ import annotations

import argparse

from kubev6.cli import names
from kubev6.cli.command import add_cluster, add_json, completed_by


def add(parser: argparse.ArgumentParser) -> None:
    """Add its arguments."""
    for which, words in (
        ("first", "what was: a run's name or the beginning of it, or the file of its record, which may be a copy"),
        ("second", "what is: named in the same way"),
    ):
        completed_by(parser.add_argument(which, nargs="?", metavar="RUN", help=words), names.runs)
    add_cluster(parser)
    add_json(parser)


def run(args: argparse.Namespace) -> int:
    """Compare two runs."""
    from kubev6.console import comparison as shown
    from kubev6.console.display import plain_console
    from kubev6.report import reading
    from kubev6.report.comparison import choosing
    from kubev6.report.comparison.compare import compare

    if args.second:
        first, second = choosing.named(args.first, args.second)
    elif args.first:
        first, second = choosing.with_newest(args.first)
    else:
        first, second = choosing.newest_and_proved_before(reading.cluster_name(args.cluster))
    found = compare(first[1], second[1], (choosing.name_of(first), choosing.name_of(second)))
    if args.json:
        print(shown.as_json(found))
    else:
        shown.show(plain_console(), found)
    return 1 if found.worse else 0
