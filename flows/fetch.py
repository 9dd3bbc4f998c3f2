"""The order in which a published release comes into the store, and onto a stick: `kubev6 fetch`."""

from __future__ import annotations

from typing import Any

from prefect import flow
from prefect.client.schemas.objects import State

from configs.errors import KubeV6Error
from configs.manifest import Manifest
from configs.schema.loading import load_release
from configs.schema.release import Release
from flows.run import names
from flows.run.lifecycle import failed, flow_run
from flows.run.results import result, results, value
from flows.run.runner import THREADS
from flows.steps import release as steps
from tasks.events import ReleaseChosen, emit
from tasks.in_use import in_use
from tasks.release.fetch import mirror as mirrors
from tasks.release.fetch.fetch import not_fetched, parts
from tasks.release.fetch.mirror import Mirror


@flow(name="kubev6-fetch", flow_run_name=names.of_release("fetch", "named", "release"), task_runner=THREADS)
def fetch(
    release: str = "", mirror: str = "", to: str = "", refresh: bool = False, named: str = ""
) -> Manifest | State[Any]:
    """Fetch a release and keep it in the store; what is there already is taken as it is.

    Args:
        release: A release file, or the name of a shipped one.
        mirror: Where it is fetched from; empty for what ``KUBEV6_MIRROR`` names, else for its publishers.
        to: A directory that is made a mirror of it; empty for none.
        refresh: Fetch also what is there; it has to come as it was.
        named: The former name of ``release``, taken until version 0.3.
    """
    try:
        wanted, place = load_release(named or release), mirrors.chosen(mirror)
        with flow_run("fetch", wanted.name), in_use(f"fetch of {wanted.name}"):
            manifest = fetched(wanted, place, refresh)
            emit(ReleaseChosen(manifest=manifest, why="fetched"))
            if to:
                result(steps.write_mirror.submit(wanted, manifest, place, to))
            return manifest
    except KubeV6Error as error:
        return failed(error)


def fetched(release: Release, mirror: Mirror | None, refresh: bool) -> Manifest:
    """The order: each file and image by itself, and the release when all are there.

    Args:
        release: The release.
        mirror: Where it is fetched from; None for its publishers.
        refresh: Fetch also what is there; it has to come as it was.

    Raises:
        KubeV6Error: Some of it cannot be had: all that is named, and the rest stays in the store.
    """
    if not refresh and (kept := result(steps.fetched_before.submit(release))):
        return kept
    fetching = [steps.fetch.submit(part, mirror, refresh) for part in parts(release)]
    completing = steps.complete.submit(release, [value(each) for each in fetching], wait_for=fetching)
    try:
        results([*fetching, completing])
    except KubeV6Error as error:
        raise not_fetched(getattr(error, "errors", (error,))) from None
    return result(completing)
