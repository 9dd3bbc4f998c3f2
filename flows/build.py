"""A release from source, as a flow of its own."""

from __future__ import annotations

from prefect import flow

from configs.manifest import Manifest
from configs.schema.loading import load_release
from configs.schema.release import Release
from flows.parameters import SourcePlace
from flows.run import names as run_names
from flows.run.context import run
from flows.run.recording import note_release
from flows.stages import visible
from tasks.fetch import mirror
from tasks.release.build import build_release
from tasks.release.refresh import Refresh
from tasks.store import Store


@flow(name="kubev6-build", flow_run_name=run_names.of_release("build", "named"))
def build(
    named: str = "debian-1.20", sources: dict[str, SourcePlace] | None = None, mirror: str = "", refresh: Refresh = ""
) -> Manifest:
    """Build a release and keep it in the store; what has been built already is taken as it is.

    Args:
        named: A release file, or the name of a shipped one.
        sources: Other places for the remotes of its series, by name.
        mirror: Where other projects' images are read from; empty for what ``KUBEV6_MIRROR`` names, else for their
            publishers.
        refresh: Which stage is made again although the cache has what it came to, or all of them.
    """
    release = load_release(named)
    with run("build", release.name):
        return made(release, sources or {}, mirror, refresh)


@visible("build {release.name}")
def made(release: Release, sources: dict[str, str], place: str, refresh: Refresh = "") -> Manifest:
    """The release, whole and in the store. Running it again goes on from what is done."""
    manifest = build_release(release, store=Store(), sources=sources, mirror=mirror.chosen(place), refresh=refresh)
    note_release(manifest, "built from source")
    return manifest
