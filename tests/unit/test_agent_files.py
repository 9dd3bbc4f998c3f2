"""Files of a node, as the agent reads them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from tasks.node_agent import files
from tasks.node_agent.protocol import Failed
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
