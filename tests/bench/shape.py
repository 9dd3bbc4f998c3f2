"""What the graph costs: the same deploy as one task for each node, and as a task run for each of its stages.

    kubev6 server up
    python -m tests.bench.shape

The machines are fake and each stage takes half a second of sleep, so what differs is the shape alone: `nodes` is
one Prefect task for each machine, whose stages are function calls that wait for one another by events of this process;
`graph` is the flow as it is, futures all the way. Both run in turn (A B A B ...) on the kept server, or on one for this
measurement; the first round of each is not counted.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from datetime import UTC, datetime
from functools import wraps
from pathlib import Path
from statistics import median
from typing import Any, cast

from tests.waiting import eventually

STAGE_SECONDS = 0.5
SIZES = (4, 20, 100)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--nodes", type=int, nargs="*", default=SIZES, help="how many machines (4 20 100)")
    parser.add_argument("--times", type=int, default=5, help="counted rounds of each (%(default)s)")
    args = parser.parse_args()
    from kubev6.server import kept_server, login

    if kept := kept_server.running():  # whose record and login are in the data directory of the user
        os.environ |= {login.API: kept.url, login.LOGIN: login.of(kept.url)}
    with tempfile.TemporaryDirectory() as data:
        os.environ["KUBEV6_DATA"] = data  # the records of fake runs are nobody's
        measure(args.nodes, args.times)


def measure(sizes: list[int], times: int) -> None:
    """Start a server, make the machines fake ones, and print medians and ratios of wall time and of this one's CPU."""
    from kubev6.server.orchestration import Orchestration
    from tests.integration import fake_machines

    Orchestration().start()
    from prefect.settings import PREFECT_FLOWS_HEARTBEAT_FREQUENCY, temporary_settings

    fake_machines.behaviour = "new"
    fake_machines.install_fakes()
    slow_down()
    print("nodes  shape   wall s (median)  CPU s (median)  beside one task a node")
    # As with a command: the thread that sends heartbeats ends only on a full second, and would hide what differs.
    with temporary_settings({PREFECT_FLOWS_HEARTBEAT_FREQUENCY: None}):
        compare(sizes, times)


def compare(sizes: list[int], times: int) -> None:
    """Run both shapes in turn for every size, and print a line for each."""
    since = datetime.now(UTC)  # a kept server knows of runs that were killed
    for size in sizes:
        shapes: dict[str, Callable[[int], None]] = {"nodes": as_one_task_a_node, "graph": as_graph}
        taken: dict[str, list[tuple[float, float]]] = {name: [] for name in shapes}
        for round_number in range(times + 1):
            for name, shape in shapes.items():
                eventually(lambda: all_written(since), 60)
                began, cpu = time.perf_counter(), time.process_time()
                shape(size)
                if round_number:
                    taken[name].append((time.perf_counter() - began, time.process_time() - cpu))
        base = median(wall for wall, _ in taken["nodes"])
        for name, figures in taken.items():
            wall, cpu = (median(each[index] for each in figures) for index in (0, 1))
            print(f"{size:>5}  {name}  {wall:>15.2f}  {cpu:>14.2f}  {wall / base:>6.2f}x", flush=True)


def all_written(since: datetime) -> bool:
    """Whether Prefect's server has written down how all task runs since then have ended."""
    from prefect.client.orchestration import get_client
    from prefect.client.schemas.filters import FlowRunFilter, TaskRunFilter
    from prefect.client.schemas.objects import TERMINAL_STATES, StateType

    unfinished = TaskRunFilter.model_validate({"state": {"type": {"any_": sorted(set(StateType) - TERMINAL_STATES)}}})
    ours = FlowRunFilter.model_validate({"start_time": {"after_": since}})
    with get_client(sync_client=True) as client:
        return not client.read_task_runs(flow_run_filter=ours, task_run_filter=unfinished, limit=1)


def slow_down() -> None:
    """Let every stage take its time."""
    from tasks.kubernetes import kubeadm
    from tasks.node import engine
    from tests.fakes import substitute_for_good

    def taking(verb: Callable[..., object]) -> Callable[..., object]:
        @wraps(verb)
        def slow(*args: object, **named: object) -> object:
            time.sleep(STAGE_SECONDS)
            return verb(*args, **named)

        return slow

    for owner, name in ((engine, "bring_to"), (kubeadm, "init"), (kubeadm, "join")):
        substitute_for_good(owner, name, taking(vars(owner)[name]))


def as_graph(size: int) -> None:
    """The flow as it is."""
    from flows.deploy import deploy

    state = deploy(cluster_file(size), return_state=True)
    if not state.is_completed():
        sys.exit(f"the run failed, so this is no measurement: {state.message}")


def as_one_task_a_node(size: int) -> None:
    """The same steps with one task for each machine, whose stages are calls that wait for one another by events."""
    from prefect import Task, flow, task

    from configs.schema.loading import load_cluster
    from flows import deploy
    from flows.run.lifecycle import flow_run
    from flows.run.lock import locked
    from flows.run.runner import THREADS
    from flows.steps import nodes, proof
    from flows.steps.job import Job

    cluster = load_cluster(cluster_file(size))
    names = [node.name for node in cluster.nodes]
    surveyed, done = threading.Barrier(len(names)), threading.Barrier(len(names) + 1)
    pushed, up = threading.Event(), threading.Event()
    support, control_plane = cluster.support.name, cluster.control_plane.name

    def one(job: Job, name: str) -> None:
        machine = cast(Any, nodes.survey.fn(cluster, job.release, name)).data
        surveyed.wait(60)
        nodes.compare.fn(job, name, machine)
        nodes.bring_to.fn(job, name, machine, "network")
        if name == support:
            nodes.bring_to.fn(job, name, machine, "support")
            nodes.push.fn(job)
            pushed.set()
        else:
            nodes.bring_to.fn(job, name, machine, "runtime")
            pushed.wait(60)
            nodes.bring_to.fn(job, name, machine, "kubernetes")
            if name == control_plane:
                nodes.init.fn(job, name)
                up.set()
                nodes.add_ons.fn(job)
                nodes.cluster_dns.fn(job)
            else:
                up.wait(60)
                nodes.join.fn(job, name)
        done.wait(60)

    @flow(task_runner=THREADS)
    def shape() -> None:
        with flow_run("deploy", cluster), locked(cluster.name, "bench", "wait"):
            decision = deploy.decide(cluster, False, "")
            nodes.machines.submit(cluster, decision.release).result()
            chosen = vars(deploy)["provide"](decision)
            job = Job(cluster, chosen.release, chosen.manifest)
            node: Task[..., None] = cast(Any, task)(one, name="node", task_run_name="{name}", persist_result=False)
            begun = [node.submit(job, name) for name in names]
            done.wait(120)
            proof.prove.submit(job, "").result()
            for each in begun:
                each.result()

    shape()


def cluster_file(size: int) -> str:
    """A lab of so many machines."""
    import yaml

    import configs
    from tasks.paths import data_dir

    topology = yaml.safe_load((Path(configs.__file__).parent / "clusters" / "lab.yaml").read_text())
    topology |= {"name": f"bench-{size}", "workers": size - 2}
    file = data_dir() / f"bench-{size}.yaml"
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(yaml.safe_dump(topology))
    return str(file)


if __name__ == "__main__":
    main()
