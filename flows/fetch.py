"""A published release into the store, as a flow of its own."""

from __future__ import annotations

from pathlib import Path

from prefect import flow

from configs.manifest import Manifest
from configs.schema.loading import load_release
from configs.schema.release import Release
from flows.run import names as run_names
from flows.run.context import say_which_process
from flows.stages import visible
from tasks.fetch import mirror, mirror_directory
from tasks.fetch.fetch import fetch_release
from tasks.in_use import in_use
from tasks.release.probe_image import with_probe
from tasks.store import Store


@flow(name="kubev6-fetch", flow_run_name=run_names.of_release("fetch", "named"))
def fetch(named: str, mirror: str = "", to: str = "", refresh: bool = False) -> Manifest:
    """Fetch a release and keep it in the store; what is there already is taken as it is.

    Args:
        named: A release file, or the name of a shipped one.
        mirror: Where it is fetched from; empty for what ``KUBEV6_MIRROR`` names, else for its publishers.
        to: A directory that is made a mirror of it; empty for none.
        refresh: Fetch also what is there; it has to come as it was.
    """
    say_which_process()
    release = load_release(named)
    with in_use(f"fetch of {release.name}"):
        manifest = fetched(release, mirror, refresh)
        if to:
            mirrored(release, manifest, mirror, to)
    return manifest


@visible("fetch {release.name}")
def fetched(release: Release, place: str, anew: bool) -> Manifest:
    """The release, whole and in the store. Running it again goes on from what is done."""
    return fetch_release(release, store=Store(), mirror=mirror.chosen(place), anew=anew)


@visible("mirror {release.name}")
def mirrored(release: Release, manifest: Manifest, place: str, to: str) -> int:
    """The release as a directory that others fetch it from."""
    store, fetched_from = Store(), mirror.chosen(place)
    # The site that reads it may have nothing to build the proof's image with.
    whole = with_probe(manifest, store, fetched_from)
    return mirror_directory.write(release, whole, store, Path(to), fetched_from)
