"""Files of our own that are damaged, cut off, empty, too large, too deep or of another form: one line, or made anew."""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Callable
from datetime import UTC, datetime
from itertools import repeat
from pathlib import Path

import pytest

from configs.errors import KubeV6Error
from configs.schema.loading import load_cluster
from flows.run import record
from kubev6.server import kept_server, login
from tasks import bounded, deployed, exclusive
from tasks.docker import toolchain
from tasks.lab import record as lab_record
from tasks.paths import cache_dir, cluster_dir, data_dir
from tasks.release import compiler, images, results
from tasks.release.fetch import checksums, download
from tasks.release.series import check_out, debian_source
from tasks.release.store import Store
from tasks.release.verified import Verified
from tests.fakes import substitute

pytestmark = pytest.mark.usefixtures("own_data")
MOST = 1 << 20
DEEP = b"[" * 100_000
DAMAGED = {
    "empty": b"",
    "cut off": b'{"name": "a", "nodes": [{"na',
    "no text": b"\xff\xfe\x00\x01",
    "nothing but zeros, as after a power cut": b"\0" * 4096,
    "a list": b"[1, 2]",
    "a number": b"7",
    "null": b"null",
    "values of other types": b'{"a": 5, "b": {"c": []}, "name": {}, "nodes": 3, "key": []}',
    "a hundred thousand brackets": DEEP,
    "a hundred thousand brackets that are closed": DEEP + b"]" * 100_000,
    "a hundred thousand mappings": b'{"a":' * 100_000,
    "a number of a million digits": b'{"a": ' + b"9" * (MOST - 10) + b"}",
    "too large": b"{" + b" " * MOST + b"}",
}
KEY = "0" * 64
CLUSTER = load_cluster("lab")
NEEDED: dict[str, tuple[Callable[[], Path], Callable[[Path], object]]] = {
    "the record of a run": (lambda: record.runs_dir() / "20261127T000000Z-deploy.json", record.read),
    "a lab's record": (lambda: lab_record.directory("lab") / "record.json", lambda _: lab_record.read("lab")),
    "a release's manifest": (
        lambda: data_dir() / "releases" / "a" / "current" / "manifest.json",
        lambda _: Store().current("a"),
    ),
    "what was downloaded": (lambda: data_dir() / "fetched.json", lambda _: checksums.find(Store(), "https://a/b")),
    "what is deployed": (lambda: cluster_dir("lab") / "release.json", lambda _: deployed.deployed(CLUSTER)),
    "the machines": (lambda: cluster_dir("lab") / "machines.json", lambda _: deployed.remembered_machines(CLUSTER)),
}
"""Where it is, and what reads it: what is lost with it has to be known to a person."""
CACHED: dict[str, tuple[Callable[[], Path], Callable[[Path], object]]] = {
    "what was read": (lambda: data_dir() / "verified.json", lambda path: Verified(path)._known() or None),
    "what was compiled": (lambda: cache_dir() / "results" / "a" / "made.json", lambda _: results.find("a", KEY)),
    "images that were built": (lambda: cache_dir() / "images" / "a.json", lambda path: images._built(path) or None),
    "the toolchain": (toolchain.record_file, lambda _: toolchain.recorded()),
    "a named toolchain": (lambda: compiler._record("sha256:a"), lambda _: compiler._recorded("sha256:a")),
    "a part of a download": (
        lambda: download._place("https://a/b").with_suffix(".json"),
        lambda _: download._Partial.of("https://a/b").size() or None,
    ),
    "generated files": (lambda: check_out._generated(Path(cache_dir(), "a")), lambda path: _generated(path)),
    "a source package": (
        lambda: cache_dir() / "source" / "kubernetes-1.20.2" / ".git" / "kubev6.json",
        lambda _: debian_source.find("kubernetes", "1.20.2"),
    ),
    "the kept server": (lambda: data_dir() / "server.json", lambda _: kept_server.read()),
}
"""The same of what is made anew, which is told."""


def _generated(_: Path) -> object:
    return check_out._as_compiled(Path(cache_dir(), "a"))


@pytest.fixture(autouse=True)
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    substitute(monkeypatch, bounded, "LARGEST", MOST)


def written(path: Path, content: bytes) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    return path


@pytest.mark.parametrize("content", DAMAGED.values(), ids=DAMAGED)
@pytest.mark.parametrize("needed", NEEDED)
def test_a_file_that_is_needed_is_one_line_that_says_what_to_do(needed: str, content: bytes) -> None:
    where, read = NEEDED[needed]
    path = written(where(), content)
    with pytest.raises(KubeV6Error) as caught:
        read(path)
    assert str(caught.value).startswith(str(path))
    assert caught.value.todo
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < len(str(path)) + 500


@pytest.mark.parametrize("content", DAMAGED.values(), ids=DAMAGED)
@pytest.mark.parametrize("cached", CACHED)
def test_a_file_of_a_cache_is_made_anew_and_that_is_told(
    cached: str, content: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    where, read = CACHED[cached]
    path = written(where(), content)
    with caplog.at_level(logging.WARNING):
        assert read(path) is None
    (told,) = caplog.messages
    assert told.startswith(f"{path} cannot be understood (")
    assert "); " in told
    assert len(told) < len(str(path)) + 500


@pytest.mark.parametrize("cached", CACHED)
def test_one_that_is_not_there_is_nothing_to_tell(cached: str, caplog: pytest.LogCaptureFixture) -> None:
    where, read = CACHED[cached]
    assert read(where()) is None
    assert caplog.messages == []


@pytest.mark.parametrize("content", DAMAGED.values(), ids=DAMAGED)
def test_what_is_only_told_of_others_is_left_out(content: bytes, own_data: Path) -> None:
    assert exclusive.holder(written(own_data / "lock", content)) == "another run works on it"
    assert login.of("http://127.0.0.1:4266/api") == ""
    written(login.file(), content)
    assert login.of("http://127.0.0.1:4266/api") == ""


def test_runs_that_cannot_be_read_do_not_hide_the_others() -> None:
    for number, content in enumerate(DAMAGED.values()):
        written(record.runs_dir() / f"20261127T0000{number:02}Z-deploy.json", content)
    good = record.RunRecord(command="deploy", subject="lab", status="failed", started=datetime.now(UTC))
    written(record.runs_dir() / "20261127T000099Z-deploy.json", good.model_dump_json().encode())
    assert [path.name for path, _ in record.runs()] == ["20261127T000099Z-deploy.json"]


@pytest.mark.parametrize(
    ("text", "kept"),
    [
        ("short", "short"),
        ("twelve chars", "twelve chars"),
        ("a" * 30, "(what was before this is cut off)\n"),
        ("first\n" * 5 + "last", "(what was before this is cut off)\nfirst\nlast"),
        ("secret=abcdefghijklmnop\nlast", "(what was before this is cut off)\nlast"),
        ("\u00e4\u00e4\u00e4\n\u00e4\u00e4\u00e4", "(what was before this is cut off)\n\u00e4\u00e4\u00e4"),
    ],
)
def test_of_a_long_text_the_last_whole_lines_are_kept(text: str, kept: str, tmp_path: Path) -> None:
    assert bounded.tail(text, 12) == kept
    with written(tmp_path / "log", text.encode()).open("rb") as file:
        assert bounded.end_of(file, 12) == kept


@pytest.mark.parametrize(
    ("pieces", "lines"),
    [
        ([b"a\nb", b"c\r\n\n", b"d"], ["a", "bc", "", "d"]),
        ([b"x" * 10] * 4, ["x" * 20, "x" * 20]),
        ([b"\xff\n"], ["\ufffd"]),
        ([], []),
    ],
)
def test_lines_are_handed_on_and_endless_ones_in_parts(
    pieces: list[bytes], lines: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    substitute(monkeypatch, bounded, "LONGEST_LINE", 15)
    assert list(bounded.lines(pieces, 100)) == lines


def test_what_prints_without_end_is_ended() -> None:
    with pytest.raises(bounded.TooMuchError, match=r"^what it prints has more than 1 MiB, which is the most"):
        deque(bounded.lines(repeat(b"x" * 5000), MOST), maxlen=1)
