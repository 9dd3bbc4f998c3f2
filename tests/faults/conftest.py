"""What tests of faults say before they begin."""

from __future__ import annotations

from tests.faults.scenarios import SEED


def pytest_report_header() -> str:
    return f"what goes wrong at random is that of KUBEV6_TEST_FAULTS_SEED={SEED}"
