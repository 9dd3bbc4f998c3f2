"""Which integration tests are run with the fast ones."""

from __future__ import annotations

import json

from tests.checkout import REPO
from tests.conftest import DURATIONS, FAST_SECONDS, fast_files


def test_the_quickest_files_are_fast_as_many_as_fit_together() -> None:
    third = FAST_SECONDS / 3
    assert fast_files({"b": third, "d": 2 * third, "a": third - 1, "c": third}) == {"a", "b", "c"}


def test_what_was_measured_is_there_still() -> None:
    there = {path.name for path in (REPO / "tests" / "integration").glob("test_*.py")}
    assert json.loads(DURATIONS.read_text()).keys() <= there
