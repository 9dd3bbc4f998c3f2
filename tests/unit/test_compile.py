"""The version stamp, and what is said of a failed compilation."""

from __future__ import annotations

import re

import pytest

from configs.versions import image_tag, parse_version
from tasks.compile import _cause, version_stamp

TREE = "0123456" + "f" * 33


@pytest.mark.parametrize("kubernetes", ["1.20.2", "v1.20.2", "1.9.0-alpha.0"])
def test_the_stamp_is_taken_by_all_who_read_it(kubernetes: str) -> None:
    stamp = version_stamp(kubernetes, "debian-1.20", TREE)

    assert stamp == f"v{kubernetes.removeprefix('v')}+kubev6.debian-1.20.0123456"
    # hack/lib/version.sh of Kubernetes refuses others.
    assert re.fullmatch(r"v(\d+)\.(\d+)(\.\d+)?(-[0-9A-Za-z.-]+)?(\+[0-9A-Za-z.-]+)?", stamp)
    # What is ours does not take part in comparing versions.
    assert not parse_version(stamp) < parse_version(kubernetes)
    assert not parse_version(kubernetes) < parse_version(stamp)
    assert re.fullmatch(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,127}", image_tag(stamp))
    assert re.fullmatch(r"[A-Za-z0-9]([A-Za-z0-9_.-]{0,61}[A-Za-z0-9])?", image_tag(stamp)), "a label's value"


@pytest.mark.parametrize(
    ("output", "cause"),
    [
        (
            [
                "pkg/a",
                "# pkg/b",
                "pkg/b/b.go:7:2: undefined: x",
                "!!! [1123] Call tree:",
                "make: *** [all] Error 1",
            ],
            "pkg/b/b.go:7:2: undefined: x",
        ),
        (
            ["pkg/b/b.go:7:2: odd", "write /tmp/x: no space left on device"],
            "write /tmp/x: no space left on device",
        ),
        (["pause.c:3:1: error: expected ';'", "make: *** Error"], "pause.c:3:1: error: expected ';'"),
        (["+++ Building", "!!! Error in hack/x.sh:1"], "!!! Error in hack/x.sh:1"),
        (["nothing that is known"], ""),
    ],
)
def test_the_line_that_says_why(output: list[str], cause: str) -> None:
    assert _cause(output) == cause
