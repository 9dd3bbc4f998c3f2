"""Whose parameters of a deployment count, those of its file or those of Prefect's page, as a table."""

from __future__ import annotations

from typing import Any

import pytest

from kubev6.server.deployment_parameters import merged

LAB, RACK = {"cluster": "lab"}, {"cluster": "rack"}


@pytest.mark.parametrize(
    ("saved", "before", "now", "then"),
    [
        (LAB, LAB, LAB, LAB),
        ({"release": "x"}, {}, {}, {"release": "x"}),  # given in the page, of which the file says nothing
        (RACK, LAB, LAB, RACK),  # given in the page in place of the file's
        (LAB, LAB, RACK, RACK),  # changed in the file since then
        (RACK, LAB, {"cluster": "other"}, RACK),  # changed in both
        (LAB, LAB, {}, {}),  # taken out of the file
        ({}, LAB, LAB, LAB),  # taken out in the page, where the file still says it
        ({**LAB, "keep": 3}, LAB, RACK, {**RACK, "keep": 3}),
    ],
)
def test_what_the_page_says_stays_and_what_the_file_says_anew_counts(
    saved: dict[str, Any], before: dict[str, Any], now: dict[str, Any], then: dict[str, Any]
) -> None:
    assert merged(saved, before, now) == then
