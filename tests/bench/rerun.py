"""How long `kubev6 deploy --prebuilt` takes on a cluster that is ready, so that it changes nothing.

    kubev6 server up
    kubev6 deploy --prebuilt
    python -m tests.bench.rerun

What is measured is the whole command as a person waits for it, from its start to its end, and as parts of it what the
run's record says. Before each run the cluster comes to rest: what the proof of the run before has made is gone, which
would otherwise take its part of the processors. Python keeps what it has compiled, as it does for everybody who does
not forbid that by PYTHONDONTWRITEBYTECODE; a first run, which is not counted, compiles it.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import time
from collections.abc import Iterable
from statistics import median

from flows.run import record as run_record
from flows.run.record import RunRecord, StepOfRun
from tests.checkout import REPO
from tests.waiting import eventually

PROOFS = ("namespaces", "-l", "kubev6=proof", "-o", "name")


def main() -> None:
    """Run it some times and print what it took."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cluster", default="lab", help="a cluster that is ready (%(default)s)")
    parser.add_argument("--times", type=int, default=5, help="how often (%(default)s)")
    args = parser.parse_args()
    walls = []
    print("wall = Prefect's start + machines + nodes + proof + rest (Python, the flow's engine, the end)")
    one(args.cluster)
    for _ in range(args.times):
        wall, record = one(args.cluster)
        walls.append(wall)
        parts = " + ".join(f"{part / wall:.0%}" for part in where_it_goes(wall, record))
        print(f"{wall:.2f} s = {parts}")
    print(f"best {min(walls):.2f} s, median {median(walls):.2f} s of {len(walls)}")


def one(cluster: str) -> tuple[float, RunRecord]:
    """One run: its seconds and its record."""
    eventually(lambda: not kubev6("kubectl", "--cluster", cluster, "--", "get", *PROOFS).stdout, 60)
    began = time.monotonic()
    done = kubev6("deploy", "--prebuilt", "--no-progress", "--cluster", cluster)
    wall = time.monotonic() - began
    _, record = run_record.runs()[0]
    if done.returncode or record.changes:
        sys.exit(f"it changed {len(record.changes)} things, so this is no measurement; run it again\n{done.stderr}")
    return wall, record


def kubev6(*words: str) -> subprocess.CompletedProcess[str]:
    """What a command printed, and how it ended."""
    return subprocess.run(
        [sys.executable, "-m", "kubev6", *words],
        cwd=REPO,
        env={name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )


def where_it_goes(wall: float, record: RunRecord) -> tuple[float, ...]:
    """Seconds of the start of Prefect, the machines, what was done on nodes, the proof, and all that is no step."""
    prefect = [step for step in record.steps if step.subject == "prefect"]
    machines = [step for step in record.steps if step.title == "lab"]
    proof = [step for step in record.steps if step.title == "proof"]
    parts = [covered(steps) for steps in (prefect, machines, proof)]
    nodes = covered(record.steps) - sum(parts)
    return (parts[0], parts[1], nodes, parts[2], wall - covered(record.steps))


def covered(steps: Iterable[StepOfRun]) -> float:
    """Seconds in which at least one of some steps was under way."""
    total, until = 0.0, 0.0
    for step in sorted(steps, key=lambda each: each.start):
        end = step.start + step.seconds
        total += max(0.0, end - max(step.start, until))
        until = max(until, end)
    return total


if __name__ == "__main__":
    main()
