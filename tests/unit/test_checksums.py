"""What publishers write into their checksum files, and what is remembered of downloads."""

from __future__ import annotations

from pathlib import Path

import pytest

from tasks.release.fetch import checksums
from tasks.release.fetch.checksums import published_in
from tasks.release.store import Store

A, B = "a" * 64, "b" * 64


@pytest.mark.parametrize(
    ("text", "found"),
    [
        (A, A),
        (f"{A}\n", A),
        (f"{A.upper()}\n", A),
        (f"{A}  kubeadm\n", A),
        (f"{A} *kubeadm\r\n", A),
        (f"{A}  ./bin/kubeadm\n", A),
        (f"{B}  kubectl\n{A}  kubeadm\n", A),
        (f"{B}  kubectl\n", None),
        (f"{B}  not-kubeadm\n", None),
        (A[:-1], None),
        ("<html>404</html>", None),
        ("", None),
    ],
)
def test_the_sha256_of_a_file_is_found_in_what_its_publisher_gives(text: str, found: str | None) -> None:
    assert published_in(text, "kubeadm") == found


def test_a_download_is_remembered_with_the_time_when_it_was_first_seen(tmp_path: Path) -> None:
    store = Store(tmp_path)
    checksums.remember(store, "https://x/a", A, 1, checksums.FIRST)
    first = checksums.find(store, "https://x/a")
    checksums.remember(store, "https://x/b", B, 2, checksums.GIVEN)
    checksums.remember(store, "https://x/a", A, 1, checksums.SAME)

    again = checksums.find(store, "https://x/a")

    assert first is not None
    assert again is not None
    assert (again.sha256, again.first_seen, again.checked) == (A, first.first_seen, checksums.SAME)
    assert checksums.find(store, "https://x/c") is None
    assert not list(tmp_path.glob("*.new"))
