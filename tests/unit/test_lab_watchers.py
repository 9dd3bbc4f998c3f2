"""How many machines of labs this machine bears."""

import pytest

from tasks.lab.watchers import complaint


@pytest.mark.parametrize(
    ("machines", "limit", "told"),
    [
        (4, 128, False),  # the shipped lab, with the kernel's default
        (8, 128, False),  # two of them
        (10, 128, True),  # two with three control planes, which were seen to fail
        (10, 1024, False),
    ],
)
def test_that_labs_need_more_than_there_is_is_told_with_what_to_do(machines: int, limit: int, told: bool) -> None:
    said = complaint(machines, limit)
    assert bool(said) is told
    assert said == "" or f"labs have {machines} machines, and {limit} inotify" in said
