"""What follows from a topology. The golden files hold every file and route of every node of the shipped clusters."""

from __future__ import annotations

import os
from dataclasses import fields
from pathlib import Path

import pytest
import yaml

from configs.manifest import Manifest
from configs.plan.derived import registry_name
from configs.plan.routes import routes
from configs.plan.state import NodeState
from configs.plan.systems import Machine
from configs.schema.cluster import Cluster
from configs.schema.loading import load_cluster, load_release
from tasks.release import registry
from tests.unit.sample import manifest, plan

GOLDEN = Path(__file__).with_name("golden")


def as_text(state: NodeState) -> str:
    """A node's state in a form that shows well in a diff."""
    lines: list[str] = []
    for stage in state.stages:
        lines.append(f"=== {stage.name}")
        for field in fields(stage):
            value = getattr(stage, field.name)
            if field.name in ("name", "files") or not value:
                continue
            items = value if isinstance(value, tuple) else ()
            words = [item if isinstance(item, str) else repr(item) for item in items]
            lines += [f"{field.name}: {item}" for item in words] or [field.name]
        for file in stage.files:
            lines += [f"--- {file.path} {file.mode:o}{' block' if file.block else ''}", file.content.rstrip("\n")]
    return "\n".join(lines) + "\n"


def _machines(cluster: Cluster) -> dict[str, Machine]:
    """Machines that use a resolver of their own."""
    return {node.name: Machine(resolvers=("192.0.2.53",)) for node in cluster.nodes}


CASES = [(cluster, node.name) for cluster in ("kube-v6", "lab", "bare-metal") for node in load_cluster(cluster).nodes]
CASES.append(("lab-ha", "kube-control-plane-2"))


@pytest.mark.parametrize(("name", "node"), CASES)
def test_every_node_of_the_shipped_clusters_is_planned_as_in_its_golden_file(name: str, node: str) -> None:
    cluster = load_cluster(name)
    release = load_release(cluster.release)
    contents: Manifest | None = None if name == "kube-v6" else manifest(stand_in=name != "bare-metal")
    text = as_text(plan(cluster, release, contents, _machines(cluster))[node])
    golden = GOLDEN / name / f"{node}.txt"
    if os.environ.get("KUBEV6_WRITE_GOLDEN"):
        golden.parent.mkdir(parents=True, exist_ok=True)
        golden.write_text(text)
    assert text == golden.read_text()


SERVICES = "fd00:1234::/110"


@pytest.mark.parametrize(
    ("node", "wanted"),
    [
        (
            "kube-nat64-dns64",
            [("fd00:100::/64", "fd00::100"), ("fd00:101::/64", "fd00::101"), ("fd00:102::/64", "fd00::102")],
        ),
        (
            "kube-master",
            [
                ("64:ff9b::/96", "fd00::64"),
                ("fd00:101::/64", "fd00::101"),
                ("fd00:102::/64", "fd00::102"),
                (SERVICES, ""),
            ],
        ),
        (
            "kube-minion-1",
            [
                ("64:ff9b::/96", "fd00::64"),
                ("fd00:100::/64", "fd00::100"),
                ("fd00:102::/64", "fd00::102"),
                (SERVICES, "fd00::100"),
            ],
        ),
        (
            "kube-minion-2",
            [
                ("64:ff9b::/96", "fd00::64"),
                ("fd00:100::/64", "fd00::100"),
                ("fd00:101::/64", "fd00::101"),
                (SERVICES, "fd00::100"),
            ],
        ),
    ],
)
def test_routes_are_the_how_tos_with_its_mistakes_mended(node: str, wanted: list[tuple[str, str]]) -> None:
    # Mended: the NAT64 prefix is a /96 everywhere; the Service route has the Service subnet's own length and is on the
    # master too; the master has pods of its own.
    cluster = load_cluster("kube-v6")
    assert [(r.destination, r.via) for r in routes(cluster, cluster.node(node), "v1.20.2")] == wanted
    assert {(r.interface, r.metric) for r in routes(cluster, cluster.node(node), "v1.20.2")} == {("eth1", 1024)}


def test_only_the_1_9_pre_releases_get_a_default_route_on_the_fabric() -> None:
    cluster = load_cluster("kube-v6")
    old = routes(cluster, cluster.node("kube-minion-1"), "v1.9.0-alpha.0.ipv6.0")
    assert ("::/0", "fd00::64") in [(route.destination, route.via) for route in old]
    assert "::/0" not in [route.destination for route in routes(cluster, cluster.node("kube-minion-1"), "v1.9.0")]


def test_nodes_pull_binaries_by_digest_from_the_registry() -> None:
    cluster = load_cluster("lab")
    contents = manifest()
    stage = plan(cluster, load_release("debian-1.20"), contents)["kube-worker-1"].stage("kubernetes")
    assert stage is not None
    kubelet = next(binary for binary in stage.binaries if binary.path == "/usr/bin/kubelet")
    digest = contents.binary("kubelet").sha256
    assert kubelet.sha256 == digest
    assert kubelet.url == f"https://{registry_name(cluster)}/v2/kubev6/binaries/blobs/sha256:{digest}"


def test_forwarders_of_the_topology_win_over_the_support_nodes_own() -> None:
    cluster = load_cluster("lab")
    release = load_release("debian-1.20")
    own = cluster.model_copy(update={"dns64": cluster.dns64.model_copy(update={"forwarders": ("198.51.100.1",)})})
    for planned, wanted in ((own, "198.51.100.1"), (cluster, "192.0.2.53")):
        stage = plan(planned, release, machines=_machines(planned))["kube-support"].stage("support")
        assert stage is not None
        named = next(file.content for file in stage.files if file.path == "/etc/bind/named.conf.options")
        assert f"forwarders {{\n        {wanted};\n    }};" in named


def test_the_registry_keeps_its_blobs_where_they_are_looked_at() -> None:
    stage = plan(load_cluster("lab"), load_release("debian-1.20"))["kube-support"].stage("support")
    assert stage is not None
    registry_yml = next(file.content for file in stage.files if file.path.endswith("config.yml"))
    assert yaml.safe_load(registry_yml)["storage"]["filesystem"]["rootdirectory"] == registry.STORAGE
