"""How many requests get no answer while another build of Kubernetes rolls onto a cluster.

    kubev6 deploy --prebuilt A
    python -m tests.bench.upgrade B          # then B is there, and A is what `kubev6 rollback` goes back to

Ten times a second, and each time by a connection of its own, a pod of every node asks the Service of the next node's
pod, as every program in a pod would. What is told of a node is how many of its requests failed (no answer within a
second, or refused) and the longest time without an answer, beside the step that was under way then.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial

from configs.plan.node import image_reference
from configs.render import render
from configs.schema.loading import load_cluster
from flows.run import record as run_record
from flows.run.context import run_context
from flows.run.record import RunRecord
from tasks.deployed import deployed
from tasks.kubernetes.kubeadm import KUBECTL
from tasks.kubernetes.probe_pods import LABEL
from tasks.ssh.connection import Connection
from tasks.ssh.pool import connection
from tests.bench.rerun import kubev6

NAMESPACE = "kubev6-bench"
MOST_SECONDS = 1800
STOP = "/run/kubev6-bench-stop"
ASK = f"""
import json, os, socket, sys, time
address, asked, bad = sys.argv[1], 0, []
until = time.time() + {MOST_SECONDS}
while time.time() < until and not os.path.exists({STOP!r}):
    began = time.time()
    try:
        with socket.create_connection((address, 80), 1) as connection:
            connection.settimeout(1)
            connection.sendall(b"GET / HTTP/1.0\\r\\n\\r\\n")
            assert connection.recv(100)
    except (OSError, AssertionError):
        bad.append([began, time.time()])
    asked += 1
    time.sleep(max(0.0, began + 0.1 - time.time()))
print(json.dumps([asked, bad]))
"""
"""Runs in the network namespace of a pod."""


@dataclass(frozen=True, slots=True)
class Gap:
    """Some time without an answer, in seconds since 1970."""

    start: float
    end: float


def main() -> None:
    """Measure it."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "release", help="the name or the file of a release in the store: what the cluster is brought to"
    )
    parser.add_argument("--cluster", default="lab", help="a cluster that is ready (%(default)s)")
    args = parser.parse_args()
    cluster = load_cluster(args.cluster)
    names = [node.name for node in cluster.kubernetes_nodes]
    image = image_reference(cluster, deployed(cluster), "probe")
    objects = render("probe.yaml", cluster=cluster, namespace=NAMESPACE, image=image).replace(*_other_label())
    with run_context(), connection(cluster, cluster.control_plane.name) as control_plane:
        control_plane.run(f"{KUBECTL} apply --validate=false -f - >/dev/null", step="bench", stdin=objects.encode())
        try:
            ready = f"{KUBECTL} -n {NAMESPACE} wait --for=condition=Ready pods --all --timeout=120s >/dev/null"
            control_plane.run(ready, step="bench", timeout=150)
            services = {name: _address(control_plane, name) for name in names}
            with ThreadPoolExecutor(len(names)) as pool:
                asking = {
                    name: pool.submit(partial(_ask, args.cluster, name, services[other]))
                    for name, other in zip(names, (*names[1:], names[0]), strict=True)
                }
                time.sleep(2)
                done = kubev6("deploy", "--prebuilt", args.release, "--no-progress", "--cluster", args.cluster)
                for name in names:
                    with connection(cluster, name) as ssh:
                        ssh.run(["touch", STOP], step="bench")
        finally:
            control_plane.run(f"{KUBECTL} delete namespace {NAMESPACE} --wait=false", step="bench", check=False)
    _, record = run_record.runs()[0]
    for name, answer in asking.items():
        count, failed = answer.result()
        print(f"{name}: {len(failed)} of {count} requests failed{_longest(failed, record)}")
    if done.returncode:
        sys.exit(done.stderr)


def _other_label() -> tuple[str, str]:
    """A proof removes what has its label."""
    key, _, value = LABEL.partition("=")
    return f"{{{key}: {value}}}", "{kubev6: bench}"


def _address(control_plane: Connection, service: str) -> str:
    get = f"{KUBECTL} -n {NAMESPACE} get service {service} -o jsonpath={{.spec.clusterIP}}"
    return control_plane.run(get, step="bench").stdout.strip()


def _ask(cluster: str, node: str, address: str) -> tuple[int, list[Gap]]:
    """Ask from the pod on a node until it is told to stop: how often, and what got no answer."""
    with run_context(), connection(load_cluster(cluster), node) as ssh:
        ssh.run(["rm", "-f", STOP], step="bench")
        process = ssh.run(["pgrep", "-n", "-x", "probe"], step="bench").stdout.strip()
        asked = ssh.run(
            ["nsenter", "--target", process, "--net", "python3", "-c", ASK, address],
            step="bench",
            timeout=MOST_SECONDS + 60,
        )
        ssh.run(["rm", "-f", STOP], step="bench")
    count, failed = json.loads(asked.stdout)
    return count, [Gap(*each) for each in failed]


def _longest(failed: list[Gap], record: RunRecord) -> str:
    """The longest time without an answer, in words, and what was done then."""
    gaps = list(_joined(failed))
    if not gaps:
        return ""
    longest = max(gaps, key=lambda gap: gap.end - gap.start)
    at = longest.start - record.started.timestamp()
    under_way = [
        f"{each.title} of {each.subject}" for each in record.steps if each.start <= at < each.start + each.seconds
    ]
    return f", {longest.end - longest.start:.1f} s at the longest, during {', '.join(under_way) or 'no step'}"


def _joined(failed: list[Gap]) -> Iterator[Gap]:
    """Failures one after another, as one gap each."""
    current: Gap | None = None
    for each in failed:
        if current and each.start - current.end < 0.2:
            current = Gap(current.start, each.end)
            continue
        if current:
            yield current
        current = each
    if current:
        yield current


if __name__ == "__main__":
    main()
