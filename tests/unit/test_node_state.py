"""What becomes of what a machine says of itself, before anything is planned for it."""

from __future__ import annotations

import logging
from ipaddress import IPv6Network
from typing import cast

import pytest

from configs.errors import NodeError
from configs.jool import Jool
from configs.schema.cluster import Cluster
from configs.schema.loading import load_cluster, load_release
from configs.systems import Machine
from tasks.node import fitting, state
from tasks.ssh.connection import Connection

LAB = load_cluster("lab")
RELEASE = load_release("debian-1.20")
PRIVATE = "10.0.0.53"


@pytest.fixture(autouse=True)
def said(monkeypatch: pytest.MonkeyPatch) -> None:
    machine = Machine(resolvers=(PRIVATE,), jool=Jool("/usr/bin/jool", "4.1.9.0", "4.1.8.0"))
    monkeypatch.setattr(state, "survey_machine", lambda _: machine)
    monkeypatch.setattr(fitting, "check", lambda *_: None)


def surveyed(cluster: Cluster, name: str) -> None:
    state.survey(cast(Connection, None), cluster, RELEASE, name)


def with_nat64(**fields: object) -> Cluster:
    return LAB.model_copy(update={"nat64": LAB.nat64.model_copy(update=fields)})


def test_the_support_node_is_where_a_doubtful_topology_is_warned_of(caplog: pytest.LogCaptureFixture) -> None:
    doubtful = with_nat64(prefix=IPv6Network("64:ff9b::/96"))
    with caplog.at_level(logging.WARNING, "kubev6.flows"):
        surveyed(LAB, "kube-support")
        surveyed(doubtful, "kube-worker-1")
        assert caplog.messages == []
        surveyed(doubtful, "kube-support")
    (message,) = caplog.messages
    assert PRIVATE in message


def test_a_machine_whose_parts_do_not_fit_is_not_surveyed() -> None:
    with pytest.raises(NodeError, match="kube-support: preflight: Jool's command"):
        surveyed(with_nat64(by="jool"), "kube-support")
    surveyed(with_nat64(by="jool"), "kube-worker-1")
