"""The store as other tools read it: skopeo, which knows nothing of us."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import pytest
import requests

from configs.manifest import Manifest
from tasks.docker import container_engine
from tasks.release.image_layout import OCI_MANIFEST_TYPE
from tasks.release.store import Store
from tests.integration.test_registry import registry_image, release, store
from tests.integration.test_registry_tags import registry_running

__all__ = ["registry_image", "release", "store"]


def skopeo(*words: str) -> str:
    done = subprocess.run(["skopeo", *words], capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.fixture
def reference(store: Store, release: tuple[Manifest, str]) -> str:
    """An image of the store in skopeo's words."""
    (image,) = release[0].images
    return f"oci:{store.root}:{image.name}:{image.tag}"


def test_an_image_is_inspected(store: Store, release: tuple[Manifest, str], reference: str) -> None:
    _config, (layer, _size) = store.image_blobs(release[0].images[0].digest)

    seen = json.loads(skopeo("inspect", reference))

    assert (seen["Os"], seen["Layers"]) == ("linux", [layer])
    assert json.loads(skopeo("inspect", "--config", reference))["config"]["Cmd"] == ["/file"]


def test_an_image_is_copied_into_a_registry_and_is_the_one_that_the_engine_built(
    registry_image: str, release: tuple[Manifest, str], reference: str
) -> None:
    images = container_engine.client().images
    with registry_running(registry_image, deletion=False, REGISTRY_HTTP_HOST="") as url:  # skopeo goes where it is sent
        copied = f"{url.removeprefix('http://')}/copied"

        skopeo("copy", "--dest-tls-verify=false", reference, f"docker://{copied}:1")

        named = requests.get(f"{url}/v2/copied/manifests/1", headers={"Accept": OCI_MANIFEST_TYPE}, timeout=10)
        assert named.headers["Docker-Content-Digest"] == json.loads(skopeo("inspect", reference))["Digest"]
        pulled = images.pull(copied, tag="1")
        try:
            assert pulled.id == release[1]
        finally:
            images.remove(f"{copied}:1", force=True)


def test_a_store_of_the_version_before_is_read_after_it_was_opened(
    tmp_path: Path, store: Store, release: tuple[Manifest, str], reference: str
) -> None:
    for file in ("index.json", "oci-layout"):
        (store.root / file).unlink()
    (store.root / "verified.json").unlink(missing_ok=True)
    needed = {digest.removeprefix("sha256:") for _, digest, _ in store.blobs(release[0])}
    for path in (store.root / "blobs" / "sha256").iterdir():
        if path.name not in needed:
            path.unlink()

    assert Store(store.root).current("test") == release[0]

    skopeo("copy", reference, f"dir:{tmp_path / 'copied'}")
    assert (tmp_path / "copied" / "manifest.json").exists()
