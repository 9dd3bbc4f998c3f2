"""Seconds of processor and memory for reading a cluster file, planning every node and printing it.

.venv/bin/python -m tests.bench.plan [WORKERS...]
"""

from __future__ import annotations

import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from tests.unit.test_many_workers import cluster_file


def main() -> None:
    """Measure each number of workers in a process of its own."""
    with tempfile.TemporaryDirectory() as directory:
        for count in map(int, sys.argv[1:] or ("100", "500", "1000")):
            path = cluster_file(Path(directory), count)
            subprocess.run([sys.executable, "-m", "tests.bench.plan", str(path), "measure"], check=True)


def measure(path: str) -> None:
    """Measure a cluster file here."""
    from configs.plan.node import plan_node
    from configs.plan.systems import Machine
    from configs.schema.loading import load_cluster, load_release
    from kubev6.console.changes import state_as_text

    begun, size = time.process_time(), 0
    cluster, release = load_cluster(path), load_release("debian-1.20")
    read = time.process_time()
    for node in cluster.nodes:
        plan_node(cluster, release, None, node.name, Machine())
    planned = time.process_time()
    for node in cluster.nodes:
        size += len(state_as_text(plan_node(cluster, release, None, node.name, Machine())))
    printed = time.process_time()
    memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e3
    print(
        f"{len(cluster.nodes):5} nodes: read {read - begun:.2f} s, planned {planned - read:.2f} s, planned and printed "
        f"{printed - planned:.2f} s, {size / 1e6:.1f} MB of text, {memory:.0f} MB of memory"
    )


if __name__ == "__main__":
    if sys.argv[2:] == ["measure"]:
        measure(sys.argv[1])
    else:
        main()
