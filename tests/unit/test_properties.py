"""What holds for every cluster file: it gives a plan that holds together, or one line that names file and field."""

from __future__ import annotations

import copy
from collections import Counter
from ipaddress import IPv6Address, IPv6Interface, IPv6Network
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from configs.errors import ConfigError
from configs.plan.node import plan_node
from configs.plan.systems import Machine
from configs.schema.cluster import Cluster
from configs.schema.loading import load_cluster, load_release
from tests.unit.sample import GOOD

RELEASE = load_release("debian-1.20")
QUICK = settings(
    max_examples=120,
    deadline=None,
    derandomize=True,
    database=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
PREFIXES = st.builds(
    lambda bits, length: str(IPv6Network((bits >> (128 - length) << (128 - length), length))),
    st.sampled_from([0xFD00 << 112, 0xFD001234 << 96, 0xFE80 << 112, 0x20010DB8 << 96, 0x64FF9B << 96, 0])
    | st.integers(0, 2**128 - 1),
    st.sampled_from([16, 32, 48, 56, 64, 80, 96, 104, 108, 110, 112, 120, 128]),
)
ADDRESSES = st.integers(0, 0x1FFFF).map(lambda host: str(IPv6Address((0xFD00 << 112) + host)))
ODD = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.floats(),
    st.dates(),
    st.text(max_size=20),
    st.sampled_from(["-x", "a\nb", "\x1b[2J", "a\u202eb", "no", "::1%eth0", "0/0", "*", "&a", "!!x", "a" * 300]),
    st.lists(st.integers(), max_size=2),
    st.dictionaries(st.text(max_size=3), st.integers(), max_size=2),
)
FIELDS = st.sampled_from(
    [
        *(
            "name",
            "release",
            "description",
            "workers",
            "lab",
            "runtime",
            "images",
            "cni",
            "ssh",
            "ssh.port",
            "ssh.user",
        ),
        *("fabric", "fabric.subnet", "fabric.interface", "pods", "pods.prefix", "pods.masquerade", "services.subnet"),
        *("services.domain", "nat64.prefix", "nat64.by", "nat64.pool", "nat64.address", "dns64.by", "dns64.address"),
        *("dns64.forwarders", "registry.port", "verify.outside", "uplink", "uplink.subnet", "uplink.gateway", "nodes"),
        *(f"nodes.{n}.{key}" for n in (0, 1, 2) for key in ("name", "roles", "address", "pod_subnet", "ssh.host", "x")),
    ]
)


def changed(changes: dict[str, Any]) -> dict[str, Any]:
    data = copy.deepcopy(GOOD)
    for path, value in sorted(changes.items()):
        *parents, last = path.split(".")
        here: Any = data
        for part in parents:
            here = here[int(part)] if isinstance(here, list) else here.setdefault(part, {})
            if not isinstance(here, dict | list):
                break
        if isinstance(here, dict):
            here[last] = value
    return data


def refused(error: ConfigError, begin: str) -> bool:
    """That it is one line of bounded length, which begins like this."""
    said = str(error)
    assert said.startswith(begin)
    assert said.isprintable()
    assert len(said) < 4000
    return False


def holds(path: Path, data: object) -> bool:
    """Whether the file is taken; that either way all is as it should be is asserted here."""
    path.write_text(yaml.safe_dump(data, allow_unicode=True, sort_keys=False))
    try:
        cluster = load_cluster(path)
    except ConfigError as error:
        return refused(error, f"{path}: ")
    try:
        check_plan(cluster)
    except ConfigError as error:
        return refused(error, "")
    return True


def check_plan(cluster: Cluster) -> None:
    prefixes = [cluster.fabric.subnet, cluster.services.subnet, cluster.nat64.prefix]
    prefixes += [node.pod_subnet for node in cluster.nodes if node.pod_subnet]
    assert not [(a, b) for n, a in enumerate(prefixes) for b in prefixes[:n] if a.overlaps(b)]
    taken: Counter[IPv6Address] = Counter()
    for node in cluster.nodes:
        stage = plan_node(cluster, RELEASE, None, node.name, Machine()).stage("network")
        assert stage is not None
        for address in stage.addresses:
            placed = IPv6Interface(address.address)
            taken[placed.ip] += 1
            assert placed.network in (cluster.fabric.subnet, cluster.uplink and cluster.uplink.subnet)
        routes = [(route.destination, route.metric) for route in stage.routes]
        assert len(set(routes)) == len(routes)
        wanted = {str(other.pod_subnet) for other in cluster.kubernetes_nodes if other.name != node.name}
        wanted |= {str(cluster.services.subnet), str(cluster.nat64.prefix)} if node.in_kubernetes else set()
        assert wanted <= {destination for destination, _ in routes}
        assert all(file.content.endswith("\n") or not file.content for file in stage.files)
    assert max(taken.values()) == 1


@QUICK
@given(changes=st.dictionaries(FIELDS, ODD, max_size=3))
def test_odd_values_give_a_plan_or_one_line(tmp_path: Path, changes: dict[str, Any]) -> None:
    holds(tmp_path / "odd.yaml", changed(changes))


@QUICK
@given(
    prefixes=st.dictionaries(
        st.sampled_from(["fabric.subnet", "pods.prefix", "services.subnet", "nat64.prefix", "nodes.2.pod_subnet"]),
        PREFIXES,
        max_size=2,
    ),
    addresses=st.lists(ADDRESSES, min_size=3, max_size=3),
    workers=st.integers(0, 5),
)
def test_any_prefixes_and_addresses_give_a_plan_or_one_line(
    tmp_path: Path, prefixes: dict[str, str], addresses: list[str], workers: int
) -> None:
    own = {f"nodes.{number}.address": address for number, address in enumerate(addresses)}
    holds(tmp_path / "prefixes.yaml", changed({**own, **prefixes, "workers": workers}))


@QUICK
@given(content=st.binary(max_size=60) | st.text(alphabet="[]{}:,&*!|>-?#'\"%@` \n\taé0<~", max_size=60).map(str.encode))
def test_any_bytes_are_refused_in_one_line(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "bytes.yaml"
    path.write_bytes(content)
    with pytest.raises(ConfigError) as raised:
        load_cluster(path)
    refused(raised.value, f"{path}: ")


def test_the_file_that_all_of_this_starts_from_is_taken(tmp_path: Path) -> None:
    assert holds(tmp_path / "good.yaml", GOOD)
