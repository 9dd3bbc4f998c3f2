"""How the time grows with the number of machines, beside pyinfra and Ansible: files and packages on 10 to 200 of them.

    python -m tests.bench.many_nodes [--nodes 10 50 100 200]

The machines are light ones (`tests/bench/light_nodes.py`). Ours is the engine that a deploy brings every stage about
with, with as many connections at a time as a plan makes. `first preparation` writes all files, and `no-op` finds them
there. The most memory that ours takes is printed.
"""

from __future__ import annotations

import argparse
import pickle
import resource
import sys
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path

from configs.plan.node import plan_node
from configs.plan.state import File, NodeState, StageState
from configs.plan.systems import machine_running
from configs.schema.loading import load_cluster, load_release
from tasks.node import engine
from tasks.scope import Threads
from tasks.ssh.connection import connect
from tasks.ssh.endpoint import Endpoint
from tests.bench.light_nodes import LightNode, light_nodes
from tests.bench.measuring import OURS, Figure, measure, succeeds, timed
from tests.bench.no_op import by_ansible, by_pyinfra, unchanged
from tests.bench.peers.installed import installed
from tests.bench.same_state import Wanted

PLACE = "/etc/kubev6-bench"
"""What the names of the files begin with, which need no directory: Ansible makes none by itself."""
SIZES = (10, 50, 100, 200)
AT_ONCE = 32
"""Connections, as many as :mod:`tasks.preview` makes."""


def main() -> None:
    """Measure, print and keep it."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--nodes", type=int, nargs="*", default=SIZES, help="how many machines (10 50 100 200)")
    parser.add_argument("--turns", type=int, default=5, help="turns of each that count (%(default)s)")
    parser.add_argument("--ours", type=Path, help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.ours:
        bring(pickle.loads(args.ours.read_bytes()))
        return
    for count in args.nodes:
        with light_nodes(count) as nodes, tempfile.TemporaryDirectory() as directory:
            compare(nodes, Path(directory), args.turns)


def state() -> StageState:
    """The files that a worker of the shipped lab gets, under other names, and packages that are there."""
    planned = plan_node(
        load_cluster("lab"), load_release("debian-1.20"), None, "kube-worker-1", machine_running("debian-12")
    )
    files = {file.path: file for stage in planned.stages for file in stage.files if not file.block}
    return StageState(
        name="runtime",
        packages=("openssh-server", "iproute2"),
        files=tuple(File(PLACE + file.path.replace("/", "-"), file.content, file.mode) for file in files.values()),
    )


def bring(endpoints: Sequence[Endpoint]) -> None:
    """All machines to the state, and say what memory it took, in MB."""
    wanted = state()

    def one(endpoint: Endpoint) -> None:
        with connect(endpoint) as ssh:
            engine.bring_to(ssh, wanted)

    with Threads(AT_ONCE) as pool:
        list(pool.map(one, endpoints))
    print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024)


def compare(nodes: Sequence[LightNode], directory: Path, turns: int) -> None:
    """Both figures of so many machines."""
    endpoints = {node.endpoint.node: node.endpoint for node in nodes}
    order = directory / "endpoints"
    order.write_bytes(pickle.dumps(tuple(endpoints.values())))
    ours = succeeds([sys.executable, "-m", "tests.bench.many_nodes", "--ours", str(order)])
    memory = 0

    def measured() -> None:
        nonlocal memory
        memory = max(memory, int(ours()))

    ways: dict[str, Callable[[], object]] = {OURS: measured}
    again = dict(ways)
    wanted = dict.fromkeys(endpoints, Wanted.of(NodeState("node", (state(),))))
    if programs := installed():
        ways["pyinfra"] = again["pyinfra"] = by_pyinfra(programs, wanted, endpoints, directory)
        ways["Ansible"] = playbook = by_ansible(programs, wanted, endpoints, directory)
        again["Ansible"] = unchanged(playbook)

    def anew(way: Callable[[], object]) -> Callable[[], float]:
        def prepared() -> float:
            for node in nodes:
                node.remove([file.path for file in state().files])
            return timed(way)()

        return prepared

    said = f"files and packages on {len(nodes)} machines"
    goals = {"pyinfra": 2.0, "Ansible": 5.0}
    measure(Figure(f"first preparation, {len(nodes)} nodes", said, goals), {n: anew(w) for n, w in ways.items()}, turns)
    no_op = Figure(f"no-op, {len(nodes)} nodes", said, {**goals, "pyinfra": 3.0})
    measure(no_op, {name: timed(way) for name, way in again.items()}, turns)
    print(f"  memory of ours with {len(nodes)} nodes: {memory} MB", flush=True)


if __name__ == "__main__":
    main()
