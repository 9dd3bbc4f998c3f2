"""The program that puts changes back when nobody confirms them."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tasks.node_agent import await_confirmation
from tasks.node_agent.lock import LOCK_SECONDS
from tasks.node_agent.protocol import Failed
from tests.fakes import substitute


@pytest.mark.parametrize(("armed_then", "put_back"), [("this", 1), ("another", 0), ("", 0)])
def test_changes_are_put_back_however_long_another_run_is_at_work_unless_it_confirms(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, armed_then: str, put_back: int
) -> None:
    armed, refused, calls = ["this"], [True, True], list[str]()

    @contextmanager
    def alone(seconds: int = LOCK_SECONDS) -> Iterator[None]:
        assert seconds == LOCK_SECONDS
        if refused:
            refused.pop()
            raise Failed("another run has been changing this node", transient=True)
        armed[0] = armed_then
        yield

    substitute(monkeypatch, await_confirmation, "WAITING", str(tmp_path / "waiting"))
    substitute(monkeypatch, await_confirmation, "LOOK_SECONDS", 0.01)
    substitute(monkeypatch, await_confirmation, "alone", alone)
    substitute(monkeypatch, await_confirmation, "read_state", lambda: {"armed": armed[0], "by": [0, 0], "seconds": 0})
    substitute(monkeypatch, await_confirmation, "put_back", lambda: calls.append("put back"))
    await_confirmation.wait("this")
    assert not refused
    assert len(calls) == put_back
