"""Which connection a piece of work gets, with machines that nobody connects to."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

import pytest

from configs.errors import NodeError
from configs.schema.loading import load_cluster
from tasks import scope
from tasks.kubernetes.kubeadm import Listed, Probed
from tasks.node.confirmation import Answer
from tasks.ssh import pool as connections
from tasks.ssh.connection import Connection, Result
from tasks.ssh.endpoint import Endpoint
from tasks.ssh.pool import ConnectionPool, connection, new_connection
from tests.fakes import fake_of, substitute

LAB = load_cluster("lab")


@fake_of(Connection)
class Fake:
    """A connection that only knows whether it is open."""

    def __init__(self, endpoint: Endpoint) -> None:
        self.endpoint = endpoint
        self.is_open = True

    def close(self) -> None:
        self.is_open = False

    def __enter__(self) -> Fake:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


@pytest.fixture(autouse=True)
def made(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[Fake]]:
    """Every connection that was made."""
    all_made: list[Fake] = []

    def connect(endpoint: Endpoint) -> Fake:
        all_made.append(Fake(endpoint))
        return all_made[-1]

    substitute(monkeypatch, connections, "connect", connect)
    substitute(
        monkeypatch, connections, "machines", lambda _: {node.name: Endpoint(node.name, "::1") for node in LAB.nodes}
    )
    yield all_made
    assert not [each for each in all_made if each.is_open], "a test leaves connections open"


@contextmanager
def a_run() -> Iterator[ConnectionPool]:
    pool = ConnectionPool()
    with scope.holding(pool):
        yield pool
    pool.close()


def use(node: str) -> None:
    with connection(LAB, node) as opened:
        assert opened.is_open


def test_work_that_follows_on_a_machine_takes_the_connection_of_the_work_before(made: list[Fake]) -> None:
    with a_run():
        for node in ("kube-worker-1", "kube-worker-2", "kube-worker-1"):
            use(node)
        assert [each.endpoint.node for each in made] == ["kube-worker-1", "kube-worker-2"]


def test_work_side_by_side_has_each_a_connection_of_its_own(made: list[Fake]) -> None:
    with a_run(), ExitStack() as stack:
        assert stack.enter_context(connection(LAB, "kube-worker-1")) is not stack.enter_context(
            connection(LAB, "kube-worker-1")
        )
    assert len(made) == 2


def test_a_connection_that_is_lost_or_whose_work_failed_is_not_taken_again(made: list[Fake]) -> None:
    with a_run():
        use("kube-worker-1")
        made[0].is_open = False
        with pytest.raises(ValueError, match="work"), connection(LAB, "kube-worker-1"):
            raise ValueError("work")
        assert not made[1].is_open
        use("kube-worker-1")
    assert len(made) == 3


def test_a_new_connection_is_none_that_was_there_and_the_work_after_it_takes_it(made: list[Fake]) -> None:
    with a_run():
        use("kube-worker-1")
        with connection(LAB, "kube-worker-1") as old, new_connection(old.endpoint) as new:
            assert new is not old
            old.close()
        assert [each.is_open for each in made] == [False, True]
        use("kube-worker-1")
        with connection(LAB, "kube-worker-1"), new_connection(made[0].endpoint):
            pass
    assert len(made) == 3
    with new_connection(made[0].endpoint):
        pass


def test_outside_a_run_a_connection_ends_with_its_work(made: list[Fake]) -> None:
    use("kube-worker-1")
    assert not made[0].is_open


def test_when_a_run_is_stopped_every_connection_ends(made: list[Fake]) -> None:
    with a_run() as pool:
        use("kube-worker-1")
        with connection(LAB, "kube-worker-2"):
            pool.close()
            assert not any(each.is_open for each in made)


def test_two_runs_in_one_process_share_no_connection(made: list[Fake]) -> None:
    with a_run():
        use("kube-worker-1")
        with a_run():
            use("kube-worker-1")
        use("kube-worker-1")
    assert len(made) == 2


@pytest.mark.parametrize(
    ("stderr", "seen"),
    [
        ("Traceback\ntasks.node_agent.protocol.Failed: another kubeadm has been running", "another kubeadm has been"),
        ("Traceback\nKeyError: 'x'", "python3 ended with status 1: KeyError: 'x'"),
        ("", "python3 ended with status 1: no output"),
    ],
)
def test_why_a_program_cannot_go_on_is_told_in_its_own_words(
    monkeypatch: pytest.MonkeyPatch, stderr: str, seen: str
) -> None:
    ssh = Connection.__new__(Connection)
    ssh.node = "kube-worker-1"
    substitute(monkeypatch, Connection, "run", lambda *_, **__: Result(1, "", stderr))
    with pytest.raises(NodeError) as told:
        ssh.run_python("", {}, step="kubeadm probe", timeout=1)
    assert told.value.seen.startswith(seen)


@pytest.mark.parametrize(
    ("kind", "answer", "seen"),
    [
        (dict[str, int], "[]", "the answer: "),
        (dict[str, int], '{"a": "b"}', "the answer a: "),
        (Probed, '{"server": ""}', "the answer member: "),
        (Listed, '{"items": [1]}', r"the answer items\[0\]: "),
        (Listed, "null", "the answer: "),
        (list[str], '{"a": 1}', "the answer: "),
    ],
)
def test_an_answer_of_another_form_is_one_line_that_names_the_node_and_the_place(
    monkeypatch: pytest.MonkeyPatch, kind: Any, answer: str, seen: str
) -> None:
    ssh = Connection.__new__(Connection)
    ssh.node = "kube-worker-1"
    substitute(monkeypatch, Connection, "run", lambda *_, **__: Result(0, answer, ""))
    with pytest.raises(NodeError, match=f"^kube-worker-1: probe: {seen}"):
        ssh.run_python("", {}, step="probe", timeout=1, kind=kind)
    with pytest.raises(NodeError, match=f"^kube-worker-1: probe: {seen}"):
        ssh.run_json("", step="probe", kind=kind)


def test_an_answer_with_text_of_a_machine_that_is_no_unicode_is_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    """Such as a line of its /etc/fstab in Latin-1."""
    ssh = Connection.__new__(Connection)
    ssh.node = "kube-worker-1"
    answer = json.dumps({"there": {"swap": {"fstab": ["/dev/sda2 none swap sw 0 0 # donn\udce9es"]}}})
    substitute(monkeypatch, Connection, "run", lambda *_, **__: Result(0, answer, ""))
    found = ssh.run_python("", {}, step="read facts", timeout=1, kind=Answer)
    assert found.there["swap"]["fstab"][0].endswith("donn\udce9es")
