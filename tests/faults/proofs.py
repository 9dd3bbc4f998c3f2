"""Proves a cluster many times in one process, and prints what that has after the second and the last time, as JSON."""

from __future__ import annotations

import json
import os
import sys
import threading
from functools import partial
from pathlib import Path

from configs.schema.loading import load_cluster
from flows.run.context import run_context
from tasks.deployed import deployed
from tasks.kubernetes.verify import verify
from tasks.ssh.pool import connection


def has(failed: int) -> dict[str, int]:
    """What this process has, and how many checks have failed so far."""
    resident = int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE") >> 20
    handles = len(list(Path("/proc/self/fd").iterdir()))
    return {"failed": failed, "handles": handles, "threads": threading.active_count(), "MB": resident}


def main(file: str, count: int) -> None:
    """Prove it."""
    cluster = load_cluster(file)
    failed, seen = 0, list[dict[str, int]]()
    with run_context():
        for number in range(count):
            checks = verify(cluster, deployed(cluster), partial(connection, cluster))
            failed += sum(not check.ok for check in checks)
            if number in (1, count - 1):
                seen.append(has(failed))
    json.dump(seen, sys.stdout)


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]))
