"""How long a series takes to be picked, beside `git cherry-pick` of the same commits by hand: no more than 1.5 times.

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
from tests.integration.git_project import QUIET
from tests.integration.large_project import large_project


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--files", type=int, default=20_000, help="how many files the tree has (%(default)s)")
    parser.add_argument("--patches", type=int, default=7, help="how many patches there are (%(default)s)")
    parser.add_argument("--times", type=int, default=3, help="how often each is run; the best counts (%(default)s)")
    args = parser.parse_args()
    by_hand, ours = [], []
    for _ in range(args.times):
        with tempfile.TemporaryDirectory() as place:
            took = once(Path(place), args.files, args.patches)
        by_hand.append(took[0])
        ours.append(took[1])
    print(f"{args.patches} patches on {args.files} files: by hand {min(by_hand):.2f} s, ours {min(ours):.2f} s")
    print(f"{min(ours) / min(by_hand):.2f} times as long")


def once(place: Path, files: int, patches: int) -> tuple[float, float]:
    """Seconds by hand, and ours, with nothing kept from before."""
    made = large_project(place / "large", files, patches)
    made.project.git("checkout", "--quiet", "--detach", made.base)
    os.environ.update(KUBEV6_DATA=str(place / "data"), KUBEV6_CACHE=str(place / "cache"))
    began = time.monotonic()
    words = ["git", "-c", "user.name=x", "-c", "user.email=x@x", "cherry-pick", *made.patches]
    subprocess.run(words, cwd=made.project.path, env={**os.environ, **QUIET}, stdout=subprocess.DEVNULL, check=True)
    by_hand = time.monotonic() - began
    began = time.monotonic()
    wanted = series_file.load(made.series)
    series.pick(wanted, series_source.obtain(wanted))
    return by_hand, time.monotonic() - began


if __name__ == "__main__":
    main()
