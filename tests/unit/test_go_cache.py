"""Go's build cache: what is damaged is compiled again, and nobody takes away what another compilation writes."""

from __future__ import annotations

import hashlib
import threading
from pathlib import Path

import pytest

from tasks.release import go_cache
from tests.waiting import eventually

pytestmark = pytest.mark.usefixtures("own_data")


def entry(compiled: bytes, written: bytes) -> Path:
    path = go_cache.go_cache() / "00" / f"{hashlib.sha256(compiled).hexdigest()}-d"
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(written)
    return path


def test_damage_is_compiled_again() -> None:
    whole, damaged = entry(b"an object", b"an object"), entry(b"another", b"an object")
    action = whole.with_name(f"{'0' * 64}-a")
    action.write_text("v1")

    with go_cache.filling(lambda _: None):
        assert whole.exists()
        assert action.exists()
        assert not damaged.exists()


def test_what_another_compilation_writes_stays() -> None:
    with go_cache.filling(lambda _: None):
        half = entry(b"an object", b"an ob")
        with go_cache.filling(pytest.fail):
            assert half.exists()
    with go_cache.filling(lambda _: None):
        assert not half.exists(), "nobody writes it any more"


def test_who_joins_waits_until_the_first_one_has_looked() -> None:
    entry(b"an object", b"an ob")
    looking, looked, joined = threading.Event(), threading.Event(), threading.Event()
    waited: list[str] = []

    def slow(_: str) -> None:
        looking.set()
        looked.wait(30)

    def first() -> None:
        with go_cache.filling(slow):
            pass

    def second() -> None:
        with go_cache.filling(waited.append):
            joined.set()

    both = [threading.Thread(target=each) for each in (first, second)]
    both[0].start()
    assert looking.wait(30)
    both[1].start()
    eventually(lambda: bool(waited))
    assert not joined.is_set()
    looked.set()
    assert joined.wait(30)
    for each in both:
        each.join()
    assert waited == ["another run looks at what was compiled before"]
