"""What a person sees of steps when there is no terminal, and the table of times made from them."""

from __future__ import annotations

import io
import logging
import threading
from collections.abc import Iterator

import pytest
from rich.console import Console

from flows import console as module
from flows.console import Ended, StepScreen
from flows.summary import show_times
from tasks.steps import step


@pytest.fixture
def screen() -> Iterator[StepScreen]:
    shown = StepScreen(Console(file=io.StringIO(), width=120, emoji=False, markup=False))
    logger = logging.getLogger("kubev6")
    before = logger.level
    logger.setLevel(logging.DEBUG)
    logger.addHandler(shown)
    yield shown
    logger.removeHandler(shown)
    logger.setLevel(before)


def lines(screen: StepScreen) -> list[str]:
    assert isinstance(screen.console.file, io.StringIO)
    return [" ".join(line.split()) for line in screen.console.file.getvalue().splitlines()]


def test_a_step_is_a_line_at_its_start_and_one_with_its_outcome(screen: StepScreen) -> None:
    with step("kube-worker-1", "network") as current:
        current.progress("asking")
        current.ended_as("12 changes")
    assert lines(screen) == ["kube-worker-1 network ...", "kube-worker-1 network 0.0 s 12 changes"]


def test_a_failed_step_shows_the_first_line_of_what_was_seen(screen: StepScreen) -> None:
    with pytest.raises(ValueError, match="full"), step("kube-worker-1", "network"):
        raise ValueError("the disk is full\nand more that only the log needs")
    assert lines(screen)[-1] == "kube-worker-1 network 0.0 s FAILED: the disk is full"
    assert [ended.ok for ended in screen.ended] == [False]


def test_addresses_are_shown_as_they_are(screen: StepScreen) -> None:
    with step("kube-control-plane", "kubeadm init") as current:
        current.ended_as("fd00:100::/64 at [fd00::100]:6443")
    assert lines(screen)[-1].endswith("fd00:100::/64 at [fd00::100]:6443")


def test_a_silent_step_says_a_word_now_and_then(screen: StepScreen, monkeypatch: pytest.MonkeyPatch) -> None:
    with step("build", "compile") as current:
        current.progress("kubelet")
        screen.remind()
        assert len(lines(screen)) == 1
        monkeypatch.setattr(module, "SECONDS_BETWEEN_WORDS", 0.0)
        screen.remind()
    assert lines(screen)[1] == "build compile 0.0 s kubelet"


def test_warnings_of_every_part_are_shown(screen: StepScreen) -> None:
    logging.getLogger("kubev6.anything").warning("CNI 0.6.0 does not go with this Docker")
    logging.getLogger("kubev6.anything").info("not shown")
    assert lines(screen) == ["CNI 0.6.0 does not go with this Docker"]


def test_many_threads_at_once_lose_nothing(screen: StepScreen) -> None:
    def work(number: int) -> None:
        for _ in range(20):
            with step(f"node-{number}", "stage") as current:
                current.progress("x")

    threads = [threading.Thread(target=work, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(screen.ended) == 160
    assert len(lines(screen)) == 320


def test_times_are_from_the_first_beginning_to_the_last_end() -> None:
    console = Console(file=io.StringIO(), width=80)
    steps = [Ended("b", "network", 11.0, 3.0, True), Ended("a", "network", 10.0, 2.0, True)]
    show_times(console, [*steps, Ended("build", "compile", 5.0, 4.5, True)], 9.0)
    assert isinstance(console.file, io.StringIO)
    rows = [line.split() for line in console.file.getvalue().splitlines() if line.strip()]
    assert rows[2:] == [["compile", "build", "4.5"], ["network", "2", "in", "parallel", "4.0"], ["all", "9.0"]]
