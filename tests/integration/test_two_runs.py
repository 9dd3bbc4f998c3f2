"""Two runs in one process do not meet."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

import pytest

from configs.schema.loading import CONFIGS
from flows.run.record import RunRecord, runs
from kubev6.server.temporary_server import TemporaryServer
from tasks.secrets import HIDDEN
from tests.integration import two_deploys
from tests.integration.prefect_database import PrefectDatabase
from tests.integration.two_deploys import SECRETS

NAMES = tuple(SECRETS)


@dataclass(frozen=True)
class Run:
    """What one of them left."""

    message: str
    record: RunRecord
    log: str


@pytest.fixture(scope="module")
def both(tmp_path_factory: pytest.TempPathFactory, prefect_database: PrefectDatabase) -> Iterator[dict[str, Run]]:
    home = tmp_path_factory.mktemp("two-runs")
    with pytest.MonkeyPatch.context() as patch:
        for name in [name for name in os.environ if name.startswith("PREFECT_")]:
            patch.delenv(name)
        patch.setenv("PREFECT_HOME", str(prefect_database.put_in(home / "prefect")))
        patch.setenv("KUBEV6_DATA", str(home / "data"))
        patch.setenv("KUBEV6_CACHE", str(home / "cache"))
        text = (CONFIGS / "clusters" / "lab.yaml").read_text()
        files = [home / f"{name}.yaml" for name in NAMES]
        for name, file in zip(NAMES, files, strict=True):
            file.write_text(text.replace("name: lab\n", f"name: {name}\n", 1))
        server = TemporaryServer()
        try:
            server.wait()
            for name, value in server.environment.items():
                patch.setenv(name, value)
            words = [sys.executable, two_deploys.__file__, *map(str, files)]
            done = subprocess.run(words, capture_output=True, text=True, timeout=240, check=False)
        finally:
            server.stop()
        assert done.returncode == 0, done.stderr
        said = json.loads(done.stdout.splitlines()[-1])
        records = {record.subject: record for _, record in runs()}
        assert records.keys() == said.keys() == set(NAMES)
        yield {name: Run(said[name], records[name], Path(records[name].log).read_text()) for name in NAMES}


@pytest.fixture(params=NAMES)
def one(both: dict[str, Run], request: pytest.FixtureRequest) -> tuple[str, str, Run]:
    """The name of a run's cluster, that of the other one, and the run."""
    name = str(request.param)
    return name, next(each for each in NAMES if each != name), both[name]


def test_each_counts_and_records_its_own_changes(one: tuple[str, str, Run]) -> None:
    name, _, run = one
    assert run.message == "28 changes; 2 checks, all ok"  # the 17 of any deploy, and one more for each of 11 stages
    assert len(run.record.changes) == 28
    assert sum(change.subject == f"/etc/of-{name}" for change in run.record.changes) == 11


def test_nothing_of_the_other_is_recorded_or_logged(one: tuple[str, str, Run]) -> None:
    name, other, run = one
    assert run.record.status == "succeeded"
    assert f"/etc/of-{other}" not in run.record.model_dump_json()
    assert f"/etc/of-{name}" in run.log
    assert f"/etc/of-{other}" not in run.log
    assert f"said by {other}" not in run.log


def test_they_were_under_way_at_once_and_have_a_log_each(both: dict[str, Run]) -> None:
    first, second = (both[name].record for name in NAMES)
    assert first.log != second.log
    ends = [record.started + timedelta(seconds=record.seconds) for record in (first, second)]
    assert max(first.started, second.started) < min(ends)
    for run in both.values():
        steps = [(step.subject, step.title) for step in run.record.steps if "token" not in step.title]  # one a join
        assert len(steps) == len(set(steps)), "a step of the other's"


def test_a_secret_of_one_run_is_hidden_in_what_is_told_of_that_run_and_unknown_to_the_other(
    one: tuple[str, str, Run],
) -> None:
    name, other, run = one
    told = ", ".join(HIDDEN if each == name else SECRETS[each] for each in NAMES)
    (step,) = (step for step in run.record.steps if step.title == "secrets")
    assert step.text == told
    assert f"said by {name}: {told}" in run.log
    assert SECRETS[name] not in run.log
    assert SECRETS[name] not in run.record.model_dump_json()
    assert SECRETS[other] in run.log
