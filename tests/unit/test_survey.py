"""A machine is asked once, refused or warned of, and planned for."""

from __future__ import annotations

import logging
from dataclasses import replace
from ipaddress import IPv6Network
from typing import cast

import pytest

from configs.errors import ConfigError, NodeError
from configs.plan.jool import Jool
from configs.plan.kernel import Kernel
from configs.plan.node import plan_node
from configs.plan.systems import Machine
from configs.schema.cluster import Cluster, Cni
from configs.schema.loading import load_cluster, load_release
from tasks.node import host_facts
from tasks.node.survey import survey
from tasks.ssh.connection import Connection
from tests.fakes import substitute

LAB = load_cluster("lab")
RELEASE = load_release("debian-1.20")
PRIVATE = "10.0.0.53"


MACHINE = Machine(resolvers=(PRIVATE,), jool=Jool("/usr/bin/jool", "4.1.9.0", "4.1.8.0"), iptables="nft")


@pytest.fixture(autouse=True)
def asked(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """For which container runtime each machine was asked; all of them answer the same."""
    runtimes: list[str] = []

    def ask(_: Connection, runtime: str) -> Machine:
        runtimes.append(runtime)
        return MACHINE

    substitute(monkeypatch, host_facts, "ask", ask)
    return runtimes


def planned(cluster: Cluster, name: str) -> None:
    plan_node(cluster, RELEASE, None, name, survey(cast(Connection, None), cluster, RELEASE, name))


def with_nat64(**fields: object) -> Cluster:
    return LAB.model_copy(update={"nat64": LAB.nat64.model_copy(update=fields)})


def test_the_support_node_is_where_a_doubtful_topology_is_warned_of(caplog: pytest.LogCaptureFixture) -> None:
    doubtful = with_nat64(prefix=IPv6Network("64:ff9b::/96"))
    with caplog.at_level(logging.WARNING, "kubev6.survey"):
        planned(LAB, "kube-support")
        planned(doubtful, "kube-worker-1")
        assert caplog.messages == []
        planned(doubtful, "kube-support")
    (message,) = caplog.messages
    assert message.startswith("kube-support: ")
    assert PRIVATE in message


def test_a_machine_whose_parts_do_not_fit_is_not_planned() -> None:
    with pytest.raises(NodeError, match="kube-support: preflight: Jool's command"):
        planned(with_nat64(by="jool"), "kube-support")
    planned(with_nat64(by="jool"), "kube-worker-1")


def test_what_a_machine_says_is_what_is_planned_with_and_it_is_asked_once(asked: list[str]) -> None:
    nobody = cast(Connection, None)
    assert survey(nobody, LAB, RELEASE, "kube-support") == MACHINE
    assert survey(nobody, LAB.model_copy(update={"runtime": "docker"}), RELEASE, "kube-worker-1") == MACHINE
    assert asked == ["", "docker"]
    planned(LAB, "kube-worker-1")
    assert len(asked) == 3


def test_a_release_that_does_not_work_with_the_topologys_runtime_asks_nobody(asked: list[str]) -> None:
    docker = LAB.model_copy(update={"runtime": "docker"})
    with pytest.raises(ConfigError, match="does not work with docker"):
        survey(cast(Connection, None), docker, RELEASE.model_copy(update={"kubernetes": "1.36.0"}), "kube-worker-1")
    assert asked == []


def test_a_node_whose_iptables_a_published_kube_proxy_does_not_see_is_warned_of(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    substitute(monkeypatch, host_facts, "ask", lambda *_: replace(MACHINE, kernel=Kernel(cgroup=1)))
    how_to = load_cluster("kube-v6")
    published = load_release(how_to.release).model_copy(update={"build": None, "kubernetes": "1.16.15"})
    with caplog.at_level(logging.WARNING, "kubev6.survey"):
        survey(
            cast(Connection, None), LAB.model_copy(update={"cni": Cni(plugins="system")}), published, "kube-worker-1"
        )
    (message,) = caplog.messages
    assert message.startswith("kube-worker-1: its iptables keeps rules in nftables")
