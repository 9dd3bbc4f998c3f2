"""What tests of faults share: Prefect's server, a lab that things go wrong on, and what of it is another process's."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

from kubev6.server.environment import prepare
from kubev6.server.temporary_server import TemporaryServer
from tasks.lab import lab
from tests.faults.bench import Bench
from tests.faults.scenarios import SEED

NAME = os.environ.get("KUBEV6_TEST_FAULTS_LAB", "kubev6-faults-test")
CLAIMS = os.environ.get("KUBEV6_TEST_FAULTS_CLAIMS")
"""A directory in which each of some processes claims the tests that it runs (:mod:`tests.faults`); else all are."""


def pytest_report_header() -> str:
    return f"what goes wrong at random is that of KUBEV6_TEST_FAULTS_SEED={SEED}"


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup(item: pytest.Function) -> None:
    """Leave out what another process has begun. Tests that go by one another are claimed by the first of them."""
    if CLAIMS:
        together = getattr(item.module, "TOGETHER", False)
        claimed = Path(CLAIMS) / (item.path.stem if together else item.name.replace("/", "-")[:200])
        try:
            claimed.symlink_to(NAME)
        except FileExistsError:
            if str(claimed.readlink()) != NAME:
                pytest.skip("another process has it")


@pytest.fixture(scope="package")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Mapping[str, str]]:
    """Prefect's server, which most runs share."""
    before = dict(os.environ)
    try:
        os.environ["PREFECT_HOME"] = str(tmp_path_factory.mktemp("prefect"))
        prepare()
        shared = TemporaryServer()
    finally:
        os.environ.clear()
        os.environ.update(before)
    shared.wait()
    yield shared.environment
    shared.stop()


@pytest.fixture(scope="package")
def bench(tmp_path_factory: pytest.TempPathFactory, server: Mapping[str, str]) -> Iterator[Bench]:
    """The lab that all scenarios have, one after the other."""
    made = Bench(NAME, tmp_path_factory.mktemp("faults"), server)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("KUBEV6_DATA", str(made.directory))
        lab.down(NAME)
        yield made
        lab.down(NAME)
