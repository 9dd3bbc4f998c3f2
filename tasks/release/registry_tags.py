"""Dated tags of a registry's images (``kube-proxy:20240131``): setting them, and keeping only the last of them.

A registry deletes manifests and not tags (OCI distribution specification, "Deleting manifests"), so one goes only
when no tag that stays leads to it. The space of its layers is freed by the registry's own garbage collection.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Collection
from dataclasses import dataclass

from configs.manifest import Manifest
from tasks.release import registry
from tasks.release.registry import Pushed
from tasks.release.registry_client import Registry, session_with
from tasks.release.registry_login import RegistryLogin
from tasks.release.store import Store
from tasks.steps import step

log = logging.getLogger("kubev6.registry")
DATED = re.compile(r"[0-9]{8}")
OF_A_BUILD = re.compile(r"_kubev6\.")
"""In a tag that names the version of one build of ours; it goes with the build."""


@dataclass(frozen=True, slots=True)
class Pruned:
    """What came of pruning.

    Attributes:
        deleted: How many manifests went.
        refused: Why none can go; empty when the registry allows it.
    """

    deleted: int
    refused: str = ""


def is_newest(manifest: Manifest, base_url: str, login: RegistryLogin | None = None) -> bool:
    """Whether the newest dated tag of every image of a release leads to that image already.

    Args:
        manifest: The release.
        base_url: The registry as reached from here.
        login: To it, when it is one outside.

    Raises:
        KubeV6Error: The registry cannot be reached, or answers something unexpected.
    """
    with session_with(base_url, login) as session:
        there = Registry(base_url, session)
        for image in manifest.images:
            dated = [tag for tag in there.tags(image.name) if DATED.fullmatch(tag)]
            if not dated or there.digest(image.name, max(dated)) != image.digest:
                return False
    return True


def push_dated(
    manifest: Manifest, store: Store, base_url: str, date: str, login: RegistryLogin | None = None
) -> Pushed:
    """Bring the images of a release into a registry under a dated tag each.

    Args:
        manifest: The release.
        store: Where its blobs are.
        base_url: The registry as reached from here.
        date: The tag, ``YYYYMMDD``.
        login: To it, when it is one outside.

    Raises:
        KubeV6Error: The store lacks a blob, or the registry cannot be reached or refuses one.
    """
    images = tuple(image.model_copy(update={"tag": date}) for image in manifest.images)
    only_images = manifest.model_copy(update={"images": images, "binaries": (), "cni": ()})
    return registry.push(only_images, store, base_url, login=login)


def prune(
    repositories: Collection[str],
    base_url: str,
    keep: int,
    in_use: Collection[str],
    login: RegistryLogin | None = None,
) -> Pruned:
    """Delete what only dated tags older than the last some lead to.

    What another tag leads to stays, unless that tag names a build of ours.

    Args:
        repositories: The images' names.
        base_url: The registry as reached from here.
        keep: How many dated tags of each image stay.
        in_use: Digests that stay in any case.
        login: To it, when it is one outside.

    Raises:
        KubeV6Error: The registry cannot be reached, or answers something unexpected.
    """
    deleted = 0
    with step("registry", "prune") as shown, session_with(base_url, login) as session:
        there = Registry(base_url, session)
        for repository in sorted(repositories):
            for digest in _doomed(there, repository, keep) - set(in_use):
                shown.progress(f"{repository} {digest[:19]}")
                status = there.delete(repository, digest)
                if status in (401, 403, 405):
                    why = f"it does not allow deletion (it answered {status})"
                    shown.ended_as(why)
                    log.warning("registry %s: %s, so older dated tags stay", base_url, why)
                    return Pruned(deleted, why)
                deleted += status == 202
        shown.ended_as(f"{deleted} deleted")
    return Pruned(deleted)


def _doomed(there: Registry, repository: str, keep: int) -> set[str]:
    """Digests of one repository that nothing needs."""
    tags = there.tags(repository)
    old = set(sorted(tag for tag in tags if DATED.fullmatch(tag))[:-keep])
    if not old:
        return set()
    at = {tag: digest for tag in tags if (digest := there.digest(repository, tag))}
    needed = {at[tag] for tag in at if tag not in old and not OF_A_BUILD.search(tag)}
    return {at[tag] for tag in old if tag in at} - needed
