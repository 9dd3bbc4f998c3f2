"""What somebody else needs to find out what is wrong, in one archive.

Network state, journals, plan and lacking changes of every machine, what kubectl tells of the cluster, and the last
runs of this machine with their logs. Passwords, keys, tokens and what looks like one are taken out, and Secrets are
not read; look into it nevertheless before you hand it on. A machine that does not answer is a line in it. Nothing is
changed anywhere.

Examples:
  kubev6 bundle
  kubev6 bundle --cluster rack.yaml --output /tmp/rack.tar.gz
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from kubev6.cli.command import add_cluster, add_showing

if TYPE_CHECKING:
    from configs.schema.cluster import Cluster

RUNS = 10
"""How many records of runs are in it, the newest of the cluster."""


def add(parser: argparse.ArgumentParser) -> None:
    """Add its arguments."""
    add_cluster(parser)
    parser.add_argument(
        "--output", type=Path, metavar="FILE", help="the archive (kubev6-CLUSTER-TIME.tar.gz in this directory)"
    )
    add_showing(parser)


def run(args: argparse.Namespace) -> int:
    """Write the bundle."""
    from contextlib import suppress
    from datetime import UTC, datetime
    from itertools import chain

    from configs.errors import KubeV6Error
    from configs.schema.loading import load_cluster
    from kubev6.cli.running import provide_secrets, running
    from tasks import bundle, deployed, secrets
    from tasks.release.choose import for_plan
    from tasks.release.store import Store

    cluster = load_cluster(args.cluster)
    path = args.output or Path(f"kubev6-{cluster.name}-{datetime.now(UTC):%Y%m%dT%H%M%SZ}.tar.gz")
    with running("bundle", args, on=cluster) as here:
        told = []
        try:
            provide_secrets(here)
        except KubeV6Error as error:
            told.append(str(error))
        for variable in secrets.KINDS:
            with suppress(KubeV6Error):  # those that can be read are known, and hidden
                secrets.secret(variable)
        release, manifest = for_plan(cluster, False, "", Store())
        try:
            machines = deployed.machines(cluster)
        except KubeV6Error as error:
            told.append(str(error))
            machines = {}
        files = chain(_here(cluster, told), bundle.of_machines(cluster, release, manifest, machines))
        try:
            bundle.write(path, files)
        except OSError as error:
            raise KubeV6Error(f"{path}: {error.strerror}", todo="--output names another file") from None
    print(f"{path}: look into it before you hand it on")
    return 0


def _here(cluster: Cluster, told: list[str]) -> Iterator[tuple[str, str]]:
    """What this machine knows: the last runs, and its Prefect server."""
    import platform
    from importlib.metadata import version

    from flows.run import record
    from kubev6.server import kept_server, login
    from tasks import bounded, bundle

    kept = kept_server.read()
    if kept:
        login.of(kept.url)  # known from now on, and so hidden
    lines = [f"kubev6 {version('kubev6')}", platform.platform(), f"Python {platform.python_version()}", *told]
    yield "here/about.txt", "\n".join([*lines, *kept_server.status().lines, ""])
    yield "here/cluster.json", cluster.model_dump_json(indent=1)
    of_cluster = [each for each in record.runs() if each[1].topology and each[1].topology.name == cluster.name]
    logs = {path.stem: path for path in (kept_server.log_of("server"), kept_server.log_of("worker"))}
    for path, run in of_cluster[:RUNS]:
        logs[path.stem] = Path(run.log)
    files = {f"logs/{name}.log": log for name, log in logs.items()}
    files |= {f"runs/{path.name}": path for path, _ in of_cluster[:RUNS]}
    for name, path in files.items():
        try:
            with path.open("rb") as file:
                yield f"here/{name}", bounded.end_of(file, bundle.ANSWER_BYTES)
        except OSError as error:
            yield f"here/{name}", f"{path}: {error.strerror}\n"
