"""A release built as the flows build it, in their order, and with no command line or deployment around it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager

import pytest
from prefect import flow
from prefect.settings import PREFECT_SERVER_ANALYTICS_ENABLED, temporary_settings
from prefect.testing.utilities import prefect_test_harness

from configs.manifest import Manifest
from configs.schema.release import Release
from flows.build import built
from flows.run.context import run_context
from flows.run.runner import THREADS
from flows.steps import release as steps
from tasks.release.fetch.mirror import Mirror
from tasks.release.refresh import Refresh
from tasks.release.store import Store
from tests.fakes import substitute


@contextmanager
def prefect() -> Iterator[None]:
    """A Prefect server for the flows of this process, with a database of its own."""
    with temporary_settings({PREFECT_SERVER_ANALYTICS_ENABLED: False}), prefect_test_harness(120):
        yield


def build_release(
    release: Release,
    *,
    store: Store | None = None,
    sources: Mapping[str, str] | None = None,
    mirror: Mirror | None = None,
    refresh: Refresh = "",
) -> Manifest:
    """Build a release in a run of its own.

    Args:
        release: The release.
        store: Where it is kept; None for the store of this process.
        sources: Other places for the remotes of its series, by name.
        mirror: Where other projects' images are read from.
        refresh: Which stage is made again.

    Raises:
        Exception: What the flow failed by.
    """
    came_to: list[Manifest] = []
    errors: list[Exception] = []

    @flow(name="build", task_runner=THREADS)
    def building() -> None:
        try:
            came_to.append(built(release, sources or {}, mirror, refresh))
        except Exception as error:
            errors.append(error)

    with run_context(), pytest.MonkeyPatch.context() as patch:
        substitute(patch, steps, "Store", lambda: store or Store())
        building()
    for error in errors:
        raise error
    return came_to[0]
