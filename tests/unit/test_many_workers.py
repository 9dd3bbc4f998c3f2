"""That the work of a plan grows with the number of its nodes, and no faster."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from configs.plan.node import plan_node
from configs.plan.state import Route
from configs.plan.systems import Machine
from configs.schema.cluster import Cluster
from configs.schema.loading import load_cluster, load_release
from tests.fakes import substitute


def cluster_file(directory: Path, workers: int) -> Path:
    """A file of a cluster with so many workers."""
    data = yaml.safe_load((Path(__file__).parents[2] / "configs/clusters/lab.yaml").read_text())
    data |= {"workers": 0, "release": "debian-1.20"}
    data["nodes"] += [
        {"name": f"w-{number}", "roles": ["worker"], "address": f"fd00::{0x2000 + number:x}"}
        for number in range(workers)
    ]
    path = directory / f"{workers}.yaml"
    path.write_text(yaml.safe_dump(data))
    return path


@pytest.fixture
def made(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The destinations of the routes that were made."""
    found: list[str] = []
    make = Route.__post_init__

    def counting(self: Route) -> None:
        found.append(self.destination)
        make(self)

    substitute(monkeypatch, Route, "__post_init__", counting)
    return found


def plan_all(cluster: Cluster) -> list[int]:
    release = load_release("debian-1.20")
    states = (plan_node(cluster, release, None, node.name, Machine()) for node in cluster.nodes)
    return [len(stage.routes) for state in states if (stage := state.stage("network"))]


def test_what_nodes_share_is_made_once(tmp_path: Path, made: list[str]) -> None:
    work = []
    for workers in (50, 100):
        routes = plan_all(load_cluster(cluster_file(tmp_path, workers)))
        assert routes[2:] == [workers + 2] * workers  # to the pods of all others and of the control plane, and two more
        work.append(len(made))
        made.clear()

    assert work[1] < 2.2 * work[0]
    assert work[1] < 5 * 102


def test_clusters_that_differ_do_not_share(tmp_path: Path) -> None:
    cluster = load_cluster(cluster_file(tmp_path, 3))
    other = cluster.model_copy(update={"nodes": cluster.nodes[:-1]})

    assert [plan_all(each)[0] for each in (cluster, other, cluster)] == [4, 3, 4]
