"""Fetching a prebuilt release: executables by download, images through the Docker engine."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from datetime import UTC, datetime

import requests
from urllib3.exceptions import NameResolutionError

from configs.errors import KubeV6Error
from configs.manifest import BinaryEntry, ImageEntry, Manifest, SourceEntry
from configs.schema import Fetch, FetchedBinary, Release
from tasks import images
from tasks.docker_pull import pull
from tasks.steps import step
from tasks.store import Store

TIMEOUT = (15, 60)
"""Seconds to connect, and of silence in a transfer."""


def fetch_release(release: Release, *, store: Store) -> Manifest:
    """Download what a release file says and keep it in the store.

    Args:
        release: The release; its ``fetch`` part is used.
        store: Where it is kept, and looked for first.

    Raises:
        KubeV6Error: There is nothing to fetch, the network does not give it, or a checksum is wrong.
    """
    if release.fetch is None:
        raise KubeV6Error(f"release {release.name} has no download address", todo="build it instead")
    key = fetch_key(release.fetch)
    kept = store.find(release.name, key)
    if kept is not None and not store.check(kept):
        store.write(kept)
        return kept
    binaries = tuple(_binary(name, wanted, store) for name, wanted in sorted(release.fetch.binaries.items()))
    manifest = Manifest(
        name=release.name,
        version=f"v{release.kubernetes.removeprefix('v')}",
        key=key,
        created=datetime.now(UTC).isoformat(timespec="seconds"),
        source=SourceEntry(kind="fetched", origin=next(iter(release.fetch.binaries.values())).url),
        binaries=binaries,
        images=tuple(_image(reference, store) for reference in release.fetch.images),
    )
    store.write(manifest)
    return manifest


def fetch_key(fetch: Fetch) -> str:
    """sha256 of what is to be fetched: the same addresses and checksums give the same key."""
    return hashlib.sha256(json.dumps(fetch.model_dump(mode="json"), sort_keys=True).encode()).hexdigest()


def _binary(name: str, wanted: FetchedBinary, store: Store) -> BinaryEntry:
    if wanted.sha256 and store.blob(wanted.sha256).exists():
        return BinaryEntry(name=name, sha256=wanted.sha256, size=store.blob(wanted.sha256).stat().st_size)
    with step(name, "download") as shown:
        try:
            with requests.get(wanted.url, stream=True, timeout=TIMEOUT) as response:
                if response.status_code != 200:
                    raise KubeV6Error(
                        f"{name}: {wanted.url} answered {response.status_code} {response.reason}",
                        todo="check the address in the release file",
                        transient=response.status_code >= 500,
                    )
                expected = int(response.headers.get("Content-Length") or 0)

                def chunks() -> Iterator[bytes]:
                    done = 0
                    for chunk in response.iter_content(1 << 20):
                        done += len(chunk)
                        shown.progress(f"{done / 1e6:.0f} of {expected / 1e6:.0f} MB" if expected else f"{done} bytes")
                        yield chunk

                sha256, size = store.add_stream(chunks(), expected=wanted.sha256)
        except requests.RequestException as error:
            raise KubeV6Error(
                f"{name}: {wanted.url} cannot be downloaded: no answer ({type(error).__name__})",
                todo="check the network",
                transient=not _nameless(error),
                detail=str(error),
            ) from None
        if expected and size != expected:
            raise KubeV6Error(
                f"{name}: {wanted.url} broke off after {size} of {expected} bytes",
                todo="try again",
                transient=True,
            )
        shown.ended_as(f"{size / 1e6:.0f} MB")
    return BinaryEntry(name=name, sha256=sha256, size=size)


def _nameless(error: requests.RequestException) -> bool:
    """Whether the host's name could not be resolved: there is no network to try it on again."""
    return isinstance(getattr(error.args[0] if error.args else None, "reason", None), NameResolutionError)


def _image(reference: str, store: Store) -> ImageEntry:
    with step(reference.rpartition("/")[2], "download") as shown:
        refused = pull(reference, shown)
        if refused:
            raise KubeV6Error(
                f"the image {reference} cannot be pulled: {refused}",
                todo="check the network, or use a release that is in the store",
                transient=True,
            )
        return images.keep_pulled(reference, store, shown)
