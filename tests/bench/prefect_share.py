"""What Prefect adds to a full deploy, as a part of it.

    kubev6 server up
    kubev6 deploy --prebuilt        # on machines that are new: `kubev6 lab down` before
    python -m tests.bench.prefect_share

The command is run with machines that are fakes: its flow, tasks, server, log, record and artifacts are real,
and there is no work. What it takes longer than a Python that imports what the work needs is what Prefect and the
bookkeeping around it add. That is set against a recorded full deploy of the same cluster, whose time without any step
under way is given too: it does not depend on what is fake, and bounds the same from above, for it also holds what
is work and no step (looking at machines, making connections).
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from configs.errors import KubeV6Error
from flows.run import record as run_record
from flows.run.record import RunRecord
from kubev6.server import kept_server, login
from tests.bench.rerun import covered
from tests.checkout import REPO

FAKE = str(REPO / "tests" / "integration" / "fake_machines.py")
IMPORTED = "import kubev6.cli.running, tasks.release.build, tasks.kubernetes.verify, tasks.lab.lab"
"""What `kubev6 deploy` would import without Prefect."""
CHANGES = 100
"""A deploy that made more was a full one."""


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--record", default="", help="the full deploy, as `kubev6 report --list` names it (the newest)")
    parser.add_argument("--times", type=int, default=5, help="how often each is run; the best counts (%(default)s)")
    args = parser.parse_args()
    try:
        path, record = run_record.find(args.record) if args.record else newest_full()
    except KubeV6Error as error:
        sys.exit(str(error))
    with tempfile.TemporaryDirectory() as data:  # the records of fake runs are nobody's
        flow = min(seconds(data, FAKE, "ready", "deploy") for _ in range(args.times))
        imports = min(seconds(data, "-c", IMPORTED) for _ in range(args.times))
    added, idle = flow - imports, record.seconds - covered(step for step in record.steps if step.subject != "prefect")
    print(f"the command without work {flow:.2f} s, its imports without Prefect {imports:.2f} s")
    print(f"{path.stem}: {len(record.changes)} changes in {record.seconds:.1f} s")
    print(f"Prefect and the bookkeeping add {added:.2f} s: {added / record.seconds:.1%}")
    print(f"no step was under way for {idle:.2f} s: {idle / record.seconds:.1%}")


def newest_full() -> tuple[Path, RunRecord]:
    """The newest deploy that did all there is to do.

    Raises:
        KubeV6Error: None is recorded.
    """
    for path, record in run_record.runs():
        if record.command == "deploy" and record.status == "succeeded" and len(record.changes) > CHANGES:
            return path, record
    raise KubeV6Error("no full deploy is recorded", todo="kubev6 lab down, then kubev6 deploy --prebuilt")


def seconds(data: str, *words: str) -> float:
    """How long a Python takes, with the kept server if there is one."""
    kept = kept_server.running()
    server = {login.API: kept.url, login.LOGIN: login.of(kept.url)} if kept else {}
    began = time.monotonic()
    subprocess.run(
        [sys.executable, *words],
        cwd=REPO,
        env={**os.environ, **server, "KUBEV6_DATA": data},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        check=True,
    )
    return time.monotonic() - began


if __name__ == "__main__":
    main()
