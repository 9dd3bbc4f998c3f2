"""How long a series takes to be picked, beside `git cherry-pick` of the same commits by hand.

python -m tests.bench.series
"""

from __future__ import annotations

import argparse
import os
import subprocess
import tempfile
import time
from pathlib import Path

from tasks.release.series import series, series_file, series_source
from tests.bench.measuring import OURS, Figure, measure
from tests.integration.git_project import QUIET
from tests.integration.large_project import large_project

FIGURE = Figure(
    "cherry-pick",
    "seven patches picked onto a tree of 20,000 files, nothing kept from before",
    goals={"git by hand": 1 / 1.2},
)
FILES, PATCHES = 20_000, 7


def main() -> None:
    """Measure, print and keep it."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--turns", type=int, default=5, help="turns of each that count (%(default)s)")
    args = parser.parse_args()
    measure(FIGURE, {OURS: ours, "git by hand": by_hand}, args.turns)


def ours(files: int = FILES) -> float:
    """Seconds of a series, on a tree of so many files."""
    with tempfile.TemporaryDirectory() as place:
        made = large_project(Path(place) / "large", files, PATCHES)
        os.environ |= {"KUBEV6_DATA": f"{place}/data", "KUBEV6_CACHE": f"{place}/cache"}
        began = time.perf_counter()
        wanted = series_file.load(made.series)
        series.pick(wanted, series_source.obtain(wanted))
        return time.perf_counter() - began


def by_hand(files: int = FILES) -> float:
    """Seconds of git alone, on the same."""
    with tempfile.TemporaryDirectory() as place:
        made = large_project(Path(place) / "large", files, PATCHES)
        made.project.git("checkout", "--quiet", "--detach", made.base)
        words = ["git", "-c", "user.name=x", "-c", "user.email=x@x", "cherry-pick", *made.patches]
        began = time.perf_counter()
        subprocess.run(words, cwd=made.project.path, env={**os.environ, **QUIET}, stdout=subprocess.DEVNULL, check=True)
        return time.perf_counter() - began


if __name__ == "__main__":
    main()
