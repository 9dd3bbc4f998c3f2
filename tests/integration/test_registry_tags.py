"""Dated tags in Debian's docker-registry."""

from __future__ import annotations

import io
import tarfile
from collections.abc import Iterator
from contextlib import contextmanager

import bcrypt
import pytest
import requests

from configs.errors import KubeV6Error
from configs.manifest import Manifest, SourceEntry
from tasks.docker import container_engine
from tasks.release import registry
from tasks.release.registry_client import KINDS
from tasks.release.registry_tags import Pruned, is_newest, prune, push_dated
from tasks.release.store import Store
from tests.integration.small_image import small_image
from tests.integration.test_registry import LABEL, registry_image

__all__ = ["registry_image"]
pytestmark = pytest.mark.usefixtures("own_data")


def archive_of(name: str, content: bytes) -> bytes:
    written = io.BytesIO()
    with tarfile.open(fileobj=written, mode="w") as tar:
        entry = tarfile.TarInfo(name)
        entry.size = len(content)
        tar.addfile(entry, io.BytesIO(content))
    return written.getvalue()


@contextmanager
def registry_running(
    image: str, *, deletion: bool, user: str = "", password: str = "", **settings: str
) -> Iterator[str]:
    client = container_engine.client()
    environment = {"REGISTRY_STORAGE_DELETE_ENABLED": str(deletion).lower(), **settings}
    if user:
        environment |= {
            "REGISTRY_AUTH": "htpasswd",
            "REGISTRY_AUTH_HTPASSWD_REALM": "test",
            "REGISTRY_AUTH_HTPASSWD_PATH": "/srv/htpasswd",
        }
    container = client.containers.create(
        image, ports={"5000/tcp": ("127.0.0.1", 0)}, labels={LABEL: "registry"}, environment=environment
    )
    try:
        if user:
            hashed = bcrypt.hashpw(password.encode(), bcrypt.gensalt(4)).decode()
            container.put_archive("/srv", archive_of("htpasswd", f"{user}:{hashed}\n".encode()))
        container.start()
        for line in container.logs(stream=True, follow=True):
            if b"listening on" in line:
                break
        published = client.api.port(str(container.id), 5000) or []
        yield f"http://127.0.0.1:{published[0]['HostPort']}"
    finally:
        container.remove(force=True, v=True)


@pytest.fixture
def url(registry_image: str) -> Iterator[str]:
    with registry_running(registry_image, deletion=True) as address:
        yield address


def release(store: Store, content: str) -> Manifest:
    image = small_image(store, "kube-proxy", f"v1.20.2_kubev6.debian-1.20.{content}", content)
    return Manifest(
        name="test",
        version=f"v1.20.2+kubev6.debian-1.20.{content}",
        key="a" * 64,
        created="2026-01-01T00:00:00+00:00",
        source=SourceEntry(kind="built", origin="test"),
        binaries=(),
        images=(image,),
    )


def has(url: str, reference: str) -> bool:
    headers = {"Accept": KINDS}
    return requests.head(f"{url}/v2/kube-proxy/manifests/{reference}", headers=headers, timeout=10).ok


def test_the_last_dates_stay_and_the_others_go(url: str) -> None:
    store = Store()
    releases = {f"2026010{day}": release(store, f"night {day}") for day in range(1, 6)}
    for date, made in releases.items():
        push_dated(made, store, url, date)
    assert is_newest(releases["20260105"], url)
    assert not is_newest(releases["20260104"], url)

    assert prune(["kube-proxy"], url, 2, ()) == Pruned(3)

    assert [date for date in releases if has(url, date)] == ["20260104", "20260105"]
    assert prune(["kube-proxy", "never-pushed"], url, 2, ()) == Pruned(0), "again: nothing is left to do"


def test_what_a_kept_tag_or_a_cluster_still_uses_stays(url: str) -> None:
    store = Store()
    unchanged, deployed, tagged, built = (release(store, each) for each in ("same", "deployed", "tagged", "built"))
    for date, made in {"20260101": unchanged, "20260102": deployed, "20260103": tagged, "20260104": built}.items():
        push_dated(made, store, url, date)
    push_dated(unchanged, store, url, "20260105")
    by_hand = tagged.images[0].model_copy(update={"tag": "golden"})
    registry.push(tagged.model_copy(update={"images": (by_hand,)}), store, url)
    registry.push(built, store, url)  # under its version, as a deploy does

    assert prune(["kube-proxy"], url, 1, {deployed.images[0].digest}) == Pruned(1)

    assert has(url, unchanged.images[0].digest), "the newest date leads to it too"
    assert has(url, deployed.images[0].digest), "a cluster runs it"
    assert has(url, "golden"), "somebody else's tag leads to it"
    assert not has(url, built.images[0].digest), "nothing but its date and its version led to it"


def test_a_registry_that_does_not_allow_deletion_is_said_once_and_keeps_all(
    registry_image: str, caplog: pytest.LogCaptureFixture
) -> None:
    store = Store()
    with registry_running(registry_image, deletion=False) as url:
        for day in range(1, 4):
            push_dated(release(store, f"night {day}"), store, url, f"2026010{day}")
        pruned = prune(["kube-proxy"], url, 1, ())
        assert pruned == Pruned(0, "it does not allow deletion (it answered 405)")
        assert has(url, "20260101")
    (said,) = (record.getMessage() for record in caplog.records if record.levelname == "WARNING")
    assert said == f"registry {url}: it does not allow deletion (it answered 405), so older dated tags stay"


def test_no_registry_there_is_one_line_and_worth_a_retry() -> None:
    with pytest.raises(KubeV6Error, match=r"registry http://127.0.0.1:9: GET /v2/x/tags/list: no answer") as error:
        prune(["x"], "http://127.0.0.1:9", 1, ())
    assert error.value.transient
