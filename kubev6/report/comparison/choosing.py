"""Which two runs are compared."""

from __future__ import annotations

from pathlib import Path

from configs.errors import KubeV6Error
from flows.run import record as run_record
from flows.run.record import RunRecord

Run = tuple[Path, RunRecord]


def named(first: str, second: str) -> tuple[Run, Run]:
    """Two runs by their names.

    Args:
        first: Names one, as :func:`flows.run.record.find` takes it.
        second: Names the other.

    Raises:
        KubeV6Error: There is no such run, or both are one and the same.
    """
    one, other = run_record.find(first), run_record.find(second)
    if one[1] == other[1]:
        raise KubeV6Error(f"{first} and {second} name the same run", todo="name two that differ")
    return one, other


def with_newest(first: str) -> tuple[Run, Run]:
    """A run, and the newest about the same cluster, release or series.

    Args:
        first: Names the one.

    Raises:
        KubeV6Error: There is no such run, or none after it.
    """
    one = run_record.find(first)
    same = (run for run in run_record.runs() if _about(run) == _about(one))
    newest = next(same, one)
    if newest[1] == one[1]:
        raise KubeV6Error(
            f"{name_of(one)} is the newest run about {one[1].subject}, so that there is none to compare it with",
            todo=f"name an earlier one before it: kubev6 compare RUN {name_of(one)}",
        )
    return one, newest


def newest_and_proved_before(cluster: str) -> tuple[Run, Run]:
    """The newest run about a cluster, and before it the last one that has a proof.

    Args:
        cluster: The cluster's name.

    Raises:
        KubeV6Error: There are no such runs.
    """
    newest = run_record.latest(cluster)
    before = (run for run in run_record.runs() if run[0].stem < newest[0].stem)
    for run in before:
        if run[1].checks and _about(run) == _about(newest):
            return run, newest
    raise KubeV6Error(
        f"before {name_of(newest)} no run of cluster {cluster} with a proof is recorded in {run_record.runs_dir()}",
        todo="name two runs; `kubev6 report --list` lists those there are",
    )


def name_of(run: Run) -> str:
    """What a run is called: its name where runs are kept, else its file."""
    path, _ = run
    return path.stem if path.resolve().parent == run_record.runs_dir().resolve() else str(path)


def _about(run: Run) -> tuple[str, str]:
    """What a run was about. A cluster may be called as a release is."""
    _, record = run
    return ("cluster", record.topology.name) if record.topology else ("", record.subject)
