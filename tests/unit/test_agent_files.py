"""Files of a node, as the agent reads them."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from tasks.node_agent import files, record
from tasks.node_agent.protocol import Failed
from tasks.node_agent.resources import file
from tests.fakes import substitute


@pytest.mark.parametrize("read", [files.text_of, files.exact_text_of])
def test_a_file_that_is_too_large_is_named_and_not_taken(
    read: Callable[[str], str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    substitute(monkeypatch, files, "LARGEST", 1 << 20)
    path = tmp_path / "hosts"
    path.write_bytes(b"x" * (1 << 20))
    assert len(read(str(path))) == 1 << 20
    path.write_bytes(b"x" * ((1 << 20) + 1))
    with pytest.raises(Failed) as caught:
        read(str(path))
    assert (caught.value.seen, caught.value.todo) == (
        f"{path}: it has more than 1 MiB",
        "see what it is, and move it away",
    )
    assert read(str(tmp_path / "none")) == ""


def test_a_file_that_others_write_too_keeps_its_bytes_and_attributes_also_from_copy_to_place(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Such as an access control list, by which a tool of the site's may write it."""
    path, link = tmp_path / "hosts", tmp_path / "link"
    path.write_bytes(b"\xfc\r\nlast\x00")
    link.symlink_to(path)
    try:
        os.setxattr(path, "user.site", b"its own")
    except OSError:
        pytest.skip("the file system here knows no attributes")
    files.rewrite(str(link), files.exact_text_of(str(link)) + "\nours\n")
    assert path.read_bytes() == b"\xfc\r\nlast\x00\nours\n"
    assert os.getxattr(path, "user.site") == b"its own"
    assert link.is_symlink()
    substitute(monkeypatch, record, "HOME", str(tmp_path / "home"))
    record.back_up(str(path))
    path.write_bytes(b"another's")
    os.removexattr(path, "user.site")
    file.restore(str(path), {"before": "backup", "block": False})
    assert path.read_bytes() == b"\xfc\r\nlast\x00\nours\n"
    assert os.getxattr(path, "user.site") == b"its own"
