"""A release from source, as a flow of its own."""

from __future__ import annotations

from prefect import flow, task

from configs.manifest import Manifest
from configs.schema import Release, load_release
from tasks.release import build_release
from tasks.store import Store


@flow(name="kubev6-build", flow_run_name="build-{named}")
def build(named: str = "debian-1.20") -> Manifest:
    """Build a release and keep it in the store; what has been built already is taken as it is.

    Args:
        named: A release file, or the name of a shipped one.
    """
    return made(load_release(named))


@task(task_run_name="build {release.name}", persist_result=False)
def made(release: Release) -> Manifest:
    """The release, whole and in the store. Running it again goes on from what is done."""
    return build_release(release, store=Store())
