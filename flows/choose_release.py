"""Which release a deploy takes, and why."""

from __future__ import annotations

from dataclasses import dataclass

from configs.derived import refuse_misfit
from configs.errors import KubeV6Error
from configs.manifest import Manifest
from configs.schema.cluster import Cluster
from configs.schema.loading import load_release, shipped
from configs.schema.release import Release
from tasks.fetch.fetch import fetch_release
from tasks.fetch.mirror import Mirror
from tasks.release.build import build_release
from tasks.release.refresh import Refresh, refuse_stage_of_a_build
from tasks.store import Store

HOW_TO = "v1.9.0-alpha.0.ipv6.0"
"""The release that the how-to deploys."""


@dataclass(frozen=True, slots=True)
class Chosen:
    """A release that is in the store.

    Attributes:
        release: How it wants to be configured.
        manifest: What it holds.
        why: Why it was taken and where it came from, for a person.
    """

    release: Release
    manifest: Manifest
    why: str


def built(cluster: Cluster, store: Store, mirror: Mirror | None = None, refresh: Refresh = "") -> Chosen:
    """What the cluster's release file says, built from source; what has been built already is taken as it is.

    A release that cannot be built but fetched is fetched.

    Args:
        cluster: The topology.
        store: The release store.
        mirror: Where a release, or what of it is not built, is fetched from; None for its publishers.
        refresh: Which stage of it is made again although its result is here, or all of them.

    Raises:
        KubeV6Error: It cannot be made.
    """
    release = load_release(cluster.release)
    refuse_misfit(cluster, release)
    if release.build is None:
        refuse_stage_of_a_build(refresh, release.name)
        why = "this cluster's release, which is published and not built"
        return _fetched(release, store, mirror, why, anew=bool(refresh))
    manifest = build_release(release, store=store, mirror=mirror, refresh=refresh)
    return Chosen(release, manifest, "this cluster's release, built from source")


def prebuilt(cluster: Cluster, named: str, store: Store, mirror: Mirror | None = None) -> Chosen:
    """A release that need not be built.

    The one named; else this cluster's release, from the store or by download; else, where that is not published, the
    how-to's release.

    Args:
        cluster: The topology.
        named: Name of a release, or a release file; empty to leave the choice to the rule above.
        store: The release store.
        mirror: Where a release is fetched from; None for its publishers.

    Raises:
        KubeV6Error: None can be had; the message lists the choices there are.
    """
    if named:
        release = load_release(named)
        refuse_misfit(cluster, release)
        return _held(release, store, "named") or _fetched(release, store, mirror, "named, not in the store")
    own = load_release(cluster.release)
    refuse_misfit(cluster, own)
    if held := _held(own, store, "this cluster's release"):
        return held
    if own.fetch is not None:
        return _fetched(own, store, mirror, "this cluster's release, not in the store")
    how_to = load_release(HOW_TO)
    none = f"the store has no {own.name}"
    why = f"{none}, so this is the how-to's release"
    return _held(how_to, store, why) or _fetched(how_to, store, mirror, why, failing=f"{none}, and ")


def for_plan(cluster: Cluster, store: Store) -> tuple[Release, Manifest | None]:
    """What a plan of this cluster is about, without making or fetching anything."""
    release = load_release(cluster.release)
    return release, next((manifest for manifest in store.list() if manifest.name == release.name), None)


def choices(store: Store) -> tuple[str, ...]:
    """Every release known here and how it can be had."""
    held = {manifest.name: store.check(manifest) for manifest in store.list()}
    lines = [f"{name}: in the store (--prebuilt {name})" for name, damaged in sorted(held.items()) if not damaged]
    for name in shipped("releases"):
        release = load_release(name)
        damaged = "damaged in the store, " if held.get(name) else ""
        if name in held and not damaged:
            continue
        ways = []
        if release.fetch is not None:
            ways.append(f"can be fetched where its publisher is reachable (--prebuilt {name})")
        if release.build is not None:
            ways.append(f"can be built (deploy without --prebuilt, or `kubev6 build {name}`)")
        lines.append(f"{name}: {damaged}{', or '.join(ways)}")
    return tuple(lines)


def _held(release: Release, store: Store, why: str) -> Chosen | None:
    """What the store holds of it; None when that is nothing, or can be made whole by fetching it again."""
    if release.name not in {manifest.name for manifest in store.list()}:
        return None
    manifest = store.read(release.name)
    if damaged := store.check(manifest):
        if release.fetch is not None:
            return None
        raise KubeV6Error(
            f"release {release.name} is damaged in the store: {damaged[0].of}: {damaged[0].digest}: {damaged[0].seen}",
            todo="the choices: " + "; ".join(choices(store)),
        )
    return Chosen(release, manifest, f"{why}, from the store")


def _fetched(
    release: Release, store: Store, mirror: Mirror | None, why: str, *, failing: str = "", anew: bool = False
) -> Chosen:
    todo = "the choices: " + "; ".join(choices(store))
    if release.fetch is None:
        raise KubeV6Error(f"release {release.name} is not in the store, and it is not published", todo=todo)
    try:
        manifest = fetch_release(release, store=store, mirror=mirror, anew=anew)
    except KubeV6Error as error:
        raise KubeV6Error(
            f"{failing}{release.name} could not be fetched: {error.message}",
            todo=f"{error.todo}; {todo}" if error.todo else todo,
            transient=error.transient,
            detail=error.detail,
        ) from error
    return Chosen(release, manifest, f"{why}, from the mirror {mirror.root}" if mirror else f"{why}, by download")
