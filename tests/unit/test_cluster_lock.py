"""One run at a time on a cluster."""

from __future__ import annotations

import gc
import json
import logging
import os
import signal
import threading
from collections.abc import Callable
from contextvars import Context
from functools import partial

import pytest

from configs.errors import KubeV6Error
from flows.run.context import run_context
from flows.run.lock import locked
from kubev6.cli import main
from tasks.paths import cluster_lock
from tasks.scope import Threads
from tests.another_process import holding
from tests.waiting import eventually

pytestmark = pytest.mark.usefixtures("own_data")
held_by_another_process = partial(
    holding, "from flows.run.lock import locked", 'locked("lab", "flow run deploy-lab", "wait")'
)


def test_who_is_not_to_wait_is_told_who_works_on_the_cluster() -> None:
    with (
        held_by_another_process() as holder,
        pytest.raises(KubeV6Error) as refused,
        locked("lab", "kubev6 deploy", "refuse"),
    ):
        pytest.fail("it was let in")
    assert str(refused.value).startswith(
        f"cluster lab is busy: flow run deploy-lab (process {holder.pid}) works on it since 20"
    )


def test_who_waits_says_for_whom_and_goes_on_when_that_has_ended(caplog: pytest.LogCaptureFixture) -> None:
    entered = threading.Event()

    def wait() -> None:
        with locked("lab", "kubev6 deploy", "wait"):
            entered.set()

    with held_by_another_process() as holder, caplog.at_level(logging.WARNING):
        waiting = threading.Thread(target=wait)
        waiting.start()
        eventually(lambda: f"(process {holder.pid})" in caplog.text)
        assert not entered.is_set()
        assert holder.stdin is not None
        holder.stdin.close()
        waiting.join(10)
    assert entered.is_set()
    assert "waiting for it to end" in caplog.text


def test_a_holder_that_died_holds_nobody_up() -> None:
    with held_by_another_process() as holder:
        holder.send_signal(signal.SIGKILL)
        holder.wait()
        with locked("lab", "kubev6 deploy", "refuse"):
            assert json.loads(cluster_lock("lab").read_text())["pid"] == os.getpid()


def test_a_run_that_failed_gives_the_cluster_back() -> None:
    with pytest.raises(KubeV6Error), locked("lab", "kubev6 deploy", "refuse"):
        raise KubeV6Error("the disk is full")
    with locked("lab", "kubev6 deploy", "refuse"):
        pass


def test_a_run_that_is_stopped_keeps_the_cluster_as_long_as_anything_of_it_is_at_work() -> None:
    go_on = threading.Event()
    with run_context(), Threads(1) as pool:
        at_work = pool.submit(go_on.wait)
        with pytest.raises(KeyboardInterrupt), locked("lab", "kubev6 deploy", "refuse"):
            raise KeyboardInterrupt
        with pytest.raises(KubeV6Error, match="is busy"), locked("lab", "kubev6 deploy", "refuse"):
            pytest.fail("threads of the other run may still be at work")
        go_on.set()
        at_work.result()
    del at_work
    gc.collect()
    with locked("lab", "kubev6 deploy", "refuse"):
        pass


def test_who_has_a_cluster_says_so_again_of_a_part_and_keeps_it_until_the_whole_has_ended() -> None:
    def refused() -> bool:
        try:
            with locked("lab", "another", "refuse"):
                return False
        except KubeV6Error:
            return True

    with locked("lab", "kubev6 dev", "refuse"):
        for _ in range(2):
            with locked("lab", "kubev6 e2e", "refuse"), locked("other", "kubev6 e2e", "refuse"):
                assert json.loads(cluster_lock("lab").read_text())["what"] == "kubev6 dev"
            assert in_a_context_of_its_own(refused)
    assert not in_a_context_of_its_own(refused)


def in_a_context_of_its_own(ask: Callable[[], bool]) -> bool:
    """What somebody else sees, of another run or process."""
    return Context().run(ask)


def test_a_part_that_is_stopped_keeps_the_cluster_as_long_as_anything_of_it_is_at_work() -> None:
    go_on = threading.Event()
    with Threads(1) as pool:
        try:
            with pytest.raises(KeyboardInterrupt), locked("lab", "kubev6 dev", "refuse"), run_context():  # noqa: PT012
                at_work = pool.submit(go_on.wait)
                with locked("lab", "kubev6 dev", "refuse"):
                    raise KeyboardInterrupt
            with pytest.raises(KubeV6Error, match="is busy"), locked("lab", "kubev6 deploy", "refuse"):
                pytest.fail("threads of the other run may still be at work")
        finally:
            go_on.set()
        at_work.result()
    del at_work
    gc.collect()
    with locked("lab", "kubev6 deploy", "refuse"):
        pass


def test_a_cluster_that_a_run_works_on_is_not_proved_meanwhile(capsys: pytest.CaptureFixture[str]) -> None:
    with held_by_another_process() as holder:
        assert main(["verify", "--if-busy", "refuse"]) == 1
    told = capsys.readouterr().err.splitlines()[-1]
    assert told.startswith(f"kubev6: cluster lab is busy: flow run deploy-lab (process {holder.pid}) works on it")


@pytest.mark.parametrize("words", [["up"], ["down"], ["down", "--images"]])
def test_the_machines_of_a_lab_are_not_touched_while_a_run_works_on_them(
    words: list[str], capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DOCKER_HOST", "tcp://127.0.0.1:1")  # nobody's lab is in danger
    with held_by_another_process() as holder:
        assert main(["lab", *words]) == 1
    told = capsys.readouterr().err.splitlines()[-1]
    assert told.startswith(f"kubev6: cluster lab is busy: flow run deploy-lab (process {holder.pid}) works on it")
    assert "; run this again when that has ended; --if-busy wait" in told
