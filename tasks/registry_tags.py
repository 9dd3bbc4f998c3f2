"""Dated tags of a registry's images (``kube-proxy:20240131``): setting them, and keeping only the last of them.

A registry deletes manifests and not tags (OCI distribution specification, "Deleting manifests"), so one goes only
when no tag that stays leads to it. The space of its layers is freed by the registry's own garbage collection.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Collection
from dataclasses import dataclass
from urllib.parse import urljoin

import requests

from configs.errors import KubeV6Error
from configs.manifest import Manifest
from tasks import registry
from tasks.image_layout import MANIFEST_TYPE
from tasks.registry import TIMEOUT, Pushed, session_with, speaking
from tasks.registry_login import RefusedError, RegistryLogin
from tasks.steps import step
from tasks.store import Store

log = logging.getLogger("kubev6.registry")
DATED = re.compile(r"[0-9]{8}")
OF_A_BUILD = re.compile(r"_kubev6\.")
"""In a tag that names the version of one build of ours; it goes with the build."""
KINDS = f"{MANIFEST_TYPE}, application/vnd.oci.image.manifest.v1+json, application/vnd.oci.image.index.v1+json"


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
        for image in manifest.images:
            where = f"{base_url}/v2/{image.name}"
            dated = [tag for tag in _tags(session, where) if DATED.fullmatch(tag)]
            if not dated or _digest(session, where, max(dated)) != image.digest:
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
        for repository in sorted(repositories):
            for digest in _doomed(session, f"{base_url}/v2/{repository}", keep) - set(in_use):
                shown.progress(f"{repository} {digest[:19]}")
                status = _delete(session, f"{base_url}/v2/{repository}/manifests/{digest}")
                if status in (401, 403, 405):
                    why = f"it does not allow deletion (it answered {status})"
                    shown.ended_as(why)
                    log.warning("registry %s: %s, so older dated tags stay", base_url, why)
                    return Pruned(deleted, why)
                deleted += status == 202
        shown.ended_as(f"{deleted} deleted")
    return Pruned(deleted)


def _doomed(session: requests.Session, where: str, keep: int) -> set[str]:
    """Digests of one repository that nothing needs."""
    tags = _tags(session, where)
    dated = sorted(tag for tag in tags if DATED.fullmatch(tag))
    old = set(dated[:-keep])
    if not old:
        return set()
    at = {tag: digest for tag in tags if (digest := _digest(session, where, tag))}
    needed = {at[tag] for tag in at if tag not in old and not OF_A_BUILD.search(tag)}
    return {at[tag] for tag in old if tag in at} - needed


def _tags(session: requests.Session, where: str) -> list[str]:
    tags: list[str] = []
    url = f"{where}/tags/list"
    while url:
        answer = _ask(session, "GET", url)
        if answer.status_code == 404:
            return []
        if answer.status_code != 200:
            raise KubeV6Error(f"registry: GET {url}: answered {answer.status_code}", transient=True)
        tags += answer.json().get("tags") or []
        following = answer.links.get("next", {}).get("url", "")
        url = urljoin(url, following) if following else ""
    return tags


def _digest(session: requests.Session, where: str, tag: str) -> str:
    """The digest that a tag leads to; empty when its manifest was deleted already."""
    answer = _ask(session, "HEAD", f"{where}/manifests/{tag}", headers={"Accept": KINDS})
    return answer.headers.get("Docker-Content-Digest", "") if answer.status_code == 200 else ""


def _delete(session: requests.Session, url: str) -> int:
    """Returns the status that was answered."""
    try:
        return _ask(session, "DELETE", url).status_code
    except RefusedError as error:  # one may be allowed to push and not to delete
        return error.status


def _ask(session: requests.Session, method: str, url: str, headers: dict[str, str] | None = None) -> requests.Response:
    base_url, _, path = url.partition("/v2/")
    with speaking(base_url, f"{method} /v2/{path}"):
        return session.request(method, url, headers=headers, timeout=TIMEOUT)
