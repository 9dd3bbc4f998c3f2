"""Which release a deploy takes, and why."""

from __future__ import annotations

from dataclasses import dataclass

from configs.errors import ConfigError, KubeV6Error
from configs.manifest import Manifest
from configs.schema import Cluster, Release, load_release, shipped
from tasks.fetch import fetch_release
from tasks.release import build_release
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


def built(cluster: Cluster, store: Store) -> Chosen:
    """What the cluster's release file says, built from source; what has been built already is taken as it is.

    A release that cannot be built but fetched is fetched.

    Raises:
        KubeV6Error: It cannot be made.
    """
    release = load_release(cluster.release)
    if release.build is None:
        return _fetched(release, store, "this cluster's release, which is published and not built")
    return Chosen(release, build_release(release, store=store), "this cluster's release, built from source")


def prebuilt(cluster: Cluster, named: str, store: Store) -> Chosen:
    """A release that need not be built.

    The one named; else what the store holds for this cluster's release; else the how-to's release by download.

    Args:
        cluster: The topology.
        named: Name of a release, or a release file; empty to leave the choice to the rule above.
        store: The release store.

    Raises:
        KubeV6Error: None can be had; the message lists the choices there are.
    """
    if named:
        release = load_release(named)
        return _held(release, store, "named") or _fetched(release, store, "named, not in the store")
    own = load_release(cluster.release)
    if held := _held(own, store, "this cluster's release"):
        return held
    how_to = load_release(HOW_TO)
    why = f"the store has no {own.name}, so this is the how-to's release"
    if held := _held(how_to, store, why):
        return held
    try:
        return _fetched(how_to, store, why)
    except ConfigError:
        raise
    except KubeV6Error as error:
        raise KubeV6Error(
            f"the store has no {own.name}, and {how_to.name} could not be fetched: {error.message}",
            todo="the choices: " + "; ".join(choices(store)),
            detail=error.detail,
        ) from error


def for_plan(cluster: Cluster, store: Store) -> tuple[Release, Manifest | None]:
    """What a plan of this cluster is about, without making or fetching anything."""
    release = load_release(cluster.release)
    held = _held(release, store, "")
    return release, held.manifest if held else None


def choices(store: Store) -> tuple[str, ...]:
    """Every release known here and how it can be had."""
    held = {manifest.name for manifest in store.list()}
    lines = [f"{name}: in the store (--prebuilt {name})" for name in sorted(held)]
    for name in shipped("releases"):
        release = load_release(name)
        if name not in held and release.build is not None:
            lines.append(f"{name}: can be built (deploy without --prebuilt, or `kubev6 build {name}`)")
        elif name not in held:
            lines.append(f"{name}: can be fetched where its publisher is reachable (--prebuilt {name})")
    return tuple(lines)


def _held(release: Release, store: Store, why: str) -> Chosen | None:
    if release.name not in {manifest.name for manifest in store.list()}:
        return None
    manifest = store.read(release.name)
    if store.check(manifest):
        return None
    return Chosen(release, manifest, f"{why}, from the store" if why else "")


def _fetched(release: Release, store: Store, why: str) -> Chosen:
    if release.fetch is None:
        raise KubeV6Error(
            f"release {release.name} is not in the store, and it is not published",
            todo="the choices: " + "; ".join(choices(store)),
        )
    return Chosen(release, fetch_release(release, store=store), f"{why}, by download")
