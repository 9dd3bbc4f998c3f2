"""Speaking to a registry: the Docker Registry HTTP API v2, which is the OCI distribution specification."""

from __future__ import annotations

from collections.abc import Collection
from contextlib import suppress
from pathlib import Path
from typing import Any
from urllib.parse import urljoin, urlsplit

import requests
from pydantic import BaseModel, ConfigDict

from configs.errors import KubeV6Error, UnansweredError
from tasks import bounded
from tasks.http_session import Session, UnusableError
from tasks.release.image_layout import MANIFEST_TYPE, OCI_INDEX_TYPE, OCI_MANIFEST_TYPE
from tasks.release.registry_login import RefusedError, RegistryLogin, is_loopback
from tasks.secrets import hide

TIMEOUT = (10, 120)
"""Seconds to connect, and of silence in a transfer."""
SECONDS = 600.0
"""For an answer, whatever trickles in."""
MOST_TAGS = 1_000_000
"""Of a repository; with one for each commit of Kubernetes it has a tenth of that."""
KINDS = f"{MANIFEST_TYPE}, {OCI_MANIFEST_TYPE}, {OCI_INDEX_TYPE}"
"""The manifests that are asked for; a registry keeps silent about those of other kinds."""


class _Tags(BaseModel):
    """What a registry answers that is asked for tags; some say ``null`` for none."""

    model_config = ConfigDict(strict=True)

    tags: list[str] | None = None


class Registry:
    """A registry that is spoken to. May be used by several threads.

    Everything below raises a :class:`KubeV6Error` when the registry does not answer, or not as it should.

    Args:
        address: Where it is reached from here, for example ``http://127.0.0.1:5000``.
        session: With it, see :func:`session_with`.
    """

    def __init__(self, address: str, session: requests.Session) -> None:
        self._address = address
        self._session = session

    def has(self, repository: str, digest: str, size: int) -> bool:
        """Whether a repository has a blob of this size, in bytes."""
        answer = self._ask("HEAD", f"/v2/{repository}/blobs/{digest}")
        return answer.status_code == 200 and answer.headers.get("Content-Length") == str(size)

    def upload(self, repository: str, digest: str, path: Path) -> None:
        """Bring a blob into a repository.

        Args:
            repository: Its name.
            digest: What the registry has to see as the file's digest.
            path: The file.
        """
        started = self._ask("POST", f"/v2/{repository}/blobs/uploads/", expected=(202,))
        place = self._place(started.headers.get("Location", ""), "where to upload a blob")
        with path.open("rb") as content:
            where = f"{place}{'&' if '?' in place else '?'}digest={digest}"
            self._put(where, digest, content, "application/octet-stream")

    def digest(self, repository: str, tag: str) -> str:
        """The digest of the manifest that a tag leads to; empty when there is none, or none any more."""
        answer = self._ask("HEAD", f"/v2/{repository}/manifests/{tag}", headers={"Accept": KINDS})
        return answer.headers.get("Docker-Content-Digest", "") if answer.status_code == 200 else ""

    def name(self, repository: str, tag: str, digest: str, manifest: bytes, media_type: str) -> None:
        """Let a tag lead to a manifest, of which the registry has all that it names."""
        self._put(f"/v2/{repository}/manifests/{tag}", digest, manifest, media_type)

    def tags(self, repository: str) -> list[str]:
        """All tags of a repository; none when it is not there."""
        found: list[str] = []
        path = f"/v2/{repository}/tags/list"
        asked = {path}
        while path:
            answer = self._ask("GET", path, expected=(200, 404))
            if answer.status_code != 200:
                break
            try:
                found += bounded.formed(answer.content, _Tags).tags or []
            except ValueError as error:
                raise self._odd(f"its list of tags of {repository} is none: {error}") from None
            following = answer.links.get("next", {}).get("url")
            path = self._place(following, "where its tags go on", path) if following else ""
            if len(found) > MOST_TAGS or path in asked:
                raise self._odd(f"its list of tags of {repository} does not end")
            asked.add(path)
        return found

    def delete(self, repository: str, digest: str) -> int:
        """Ask it to delete a manifest. Returns the status that it answered: 202 when that is gone."""
        try:
            return self._ask("DELETE", f"/v2/{repository}/manifests/{digest}").status_code
        except RefusedError as error:  # one may be allowed to push and not to delete
            return error.status

    def _place(self, told: str, what: str, seen_from: str = "") -> str:
        """A place at the registry that it has told, without its host: it need not be reached as it calls itself."""
        with suppress(ValueError):
            if place := urlsplit(urljoin(seen_from, told))._replace(scheme="", netloc="").geturl():
                return place
        raise self._odd(f"it does not say {what}")

    def _odd(self, seen: str) -> KubeV6Error:
        return KubeV6Error(f"registry {self._address}: {seen}", todo="see whether a registry is what answers there")

    def _put(self, path: str, digest: str, content: Any, media_type: str) -> None:
        answer = self._ask("PUT", path, expected=(201,), data=content, headers={"Content-Type": media_type})
        if (seen := answer.headers.get("Docker-Content-Digest")) != digest:
            raise KubeV6Error(f"registry {self._address}: {digest} arrived there as {seen}", transient=True)

    def _ask(self, method: str, path: str, *, expected: Collection[int] = (), **more: Any) -> requests.Response:
        what = f"registry {self._address}: {method} {path.partition('?')[0]}"
        try:
            answer = self._session.request(method, f"{self._address}{path}", timeout=TIMEOUT, **more)
        except (UnusableError, bounded.TooMuchError) as error:
            raise self._odd(f"{method} {path.partition('?')[0]}: {error}") from None
        except requests.RequestException as error:
            raise UnansweredError(f"{what}: no answer", error, todo="see whether the registry runs") from None
        if expected and answer.status_code not in expected:
            said = hide(" ".join(answer.content[: 1 << 16].decode(errors="replace").split()))[:200]
            raise KubeV6Error(f"{what}: answered {answer.status_code}: {said}", transient=answer.status_code >= 500)
        return answer


def session_with(address: str, login: RegistryLogin | None, parallel: int = 1) -> requests.Session:
    """A session with a registry, to be closed.

    Args:
        address: Where it is reached from here.
        login: To it; None when it wants none.
        parallel: How many requests at a time.
    """
    session = Session(seconds=SECONDS, parallel=parallel)
    session.trust_env = not is_loopback(urlsplit(address).hostname or "")  # a proxy of the user's is for the way out
    session.auth = login
    return session
