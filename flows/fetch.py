"""The order in which a published release comes into the store, and onto a stick: `kubev6 fetch`."""

from __future__ import annotations

from typing import Any

from prefect import flow
from prefect.client.schemas.objects import State

from configs.errors import KubeV6Error
from configs.manifest import Manifest
from configs.schema.loading import load_release
from flows.run import names
from flows.run.lifecycle import failed, flow_run
from flows.run.results import result
from flows.run.runner import THREADS
from flows.steps import release as steps
from tasks.events import ReleaseChosen, emit
from tasks.fetch import mirror as mirrors
from tasks.in_use import in_use


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
            fetching = steps.fetch.submit(wanted, place, refresh)
            manifest = result(fetching)
            emit(ReleaseChosen(manifest=manifest, why="fetched"))
            if to:
                result(steps.write_mirror.submit(wanted, manifest, place, to, wait_for=[fetching]))
            return manifest
    except KubeV6Error as error:
        return failed(error)
