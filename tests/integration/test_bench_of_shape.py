"""The measurement of the graph goes on to fit the flow that it measures."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from tests.checkout import REPO
from tests.integration.prefect_database import PrefectDatabase

WITHOUT_WAITING = "from tests.bench import shape; shape.STAGE_SECONDS = 0; shape.measure([3], 1)"


def test_both_shapes_bring_up_the_same_machines_and_are_told_side_by_side(
    own_data: Path, prefect_database: PrefectDatabase
) -> None:
    prefect_database.put_in(own_data / "prefect")
    done = subprocess.run(
        [sys.executable, "-c", WITHOUT_WAITING], cwd=REPO, capture_output=True, text=True, timeout=180, check=False
    )
    assert done.returncode == 0, done.stderr[-3000:]
    _, *lines = [line.split() for line in done.stdout.splitlines()]
    assert [(nodes, shape) for nodes, shape, *_ in lines] == [("3", "nodes"), ("3", "graph")]
    assert lines[0][-1] == "1.00x"
