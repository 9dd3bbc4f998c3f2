"""What goes on and on ends in order at the first Ctrl-C, and at once at the second."""

from __future__ import annotations

import os
import signal

import pytest

from kubev6.cli import running
from kubev6.cli.running import asked_to_end
from tests.fakes import substitute


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_the_first_asks_and_a_later_one_is_as_ever(number: signal.Signals, monkeypatch: pytest.MonkeyPatch) -> None:
    before = signal.getsignal(number)

    def at_once(*_: object) -> None:
        raise InterruptedError

    signal.signal(number, at_once)
    try:
        with asked_to_end() as ended:
            assert not ended.is_set()
            os.kill(os.getpid(), number)
            os.kill(os.getpid(), number)  # the same again, from a program that passes it on
            assert ended.wait(5)
            substitute(monkeypatch, running, "SAME_SECONDS", 0.0)
            with pytest.raises(InterruptedError):
                os.kill(os.getpid(), number)
        assert signal.getsignal(number) is at_once
    finally:
        signal.signal(number, before)


def test_afterwards_nothing_is_caught_any_more() -> None:
    before = [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)]
    with asked_to_end():
        pass
    assert [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)] == before
