"""What each flow makes of a name that means nothing, as a deployment may be given it: no person checks it before."""

from __future__ import annotations

from typing import Any

import pytest
from prefect import Flow

from flows.backup import backup
from flows.build import build
from flows.deploy import deploy
from flows.e2e import e2e
from flows.fetch import fetch
from flows.nightly import nightly
from flows.reset import reset
from flows.restore import restore


@pytest.mark.parametrize(
    ("flow", "parameter"),
    [
        (deploy, "cluster"),
        (deploy, "release"),
        (e2e, "cluster"),
        (reset, "cluster"),
        (build, "release"),
        (fetch, "release"),
        (nightly, "release"),
        (nightly, "cluster"),
        (backup, "cluster"),
        (restore, "cluster"),
    ],
    ids=lambda value: value if isinstance(value, str) else value.name,
)
def test_a_name_that_means_nothing_ends_a_flow_as_failed_in_one_line(flow: Flow[Any, Any], parameter: str) -> None:
    wanted: dict[Flow[Any, Any], dict[str, Any]] = {
        nightly: {"release": "debian-1.20"},
        backup: {"keys": ()},
        restore: {"backup": "/b", "key": "/k"},
    }
    state = flow.fn(**{**wanted.get(flow, {}), parameter: "nowhere"})
    assert state.is_failed()
    assert str(state.message).startswith(f"there is no {parameter} called nowhere; name a file, or one of: ")
    assert "\n" not in str(state.message)
