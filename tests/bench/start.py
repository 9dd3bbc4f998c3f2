"""How long somebody waits when there is nothing to do: help, a build and a deploy that change nothing.

    kubev6 server up
    kubev6 deploy
    python -m tests.bench.start

What help takes is told beside Python's own start; the rest has seconds as a goal.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Callable

from configs.schema.loading import load_cluster
from tests.bench.measuring import OURS, Figure, measure, succeeds, timed

HELP = Figure("help", "`kubev6 --help`", goals={}, at_most=0.15)
NO_CHANGE = Figure("deploy again", "a deploy that changes nothing, with the kept server", goals={}, at_most=4.0)
BUILD = Figure("build again", "a build of which nothing has changed, with the kept server", goals={}, at_most=3.0)


def main() -> None:
    """Measure, print and keep them."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cluster", default="lab", help="a cluster that is up (%(default)s)")
    parser.add_argument("--turns", type=int, default=5, help="turns of each that count (%(default)s)")
    args = parser.parse_args()
    os.environ.pop("PYTHONDONTWRITEBYTECODE", None)  # Python keeps what it has compiled, as it does for most people
    measure(
        HELP, {OURS: command("--help"), "Python alone": timed(succeeds([sys.executable, "-c", "pass"]))}, args.turns
    )
    again = command("deploy", "--prebuilt", "--no-progress", "--cluster", args.cluster)
    measure(NO_CHANGE, {OURS: again}, args.turns)
    release = load_cluster(args.cluster).release
    measure(BUILD, {OURS: command("build", release, "--no-progress")}, args.turns)


def command(*words: str) -> Callable[[], float]:
    """One of ours."""
    return timed(succeeds([sys.executable, "-m", "kubev6", *words]))


if __name__ == "__main__":
    main()
