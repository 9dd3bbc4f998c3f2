"""An image that is small and made without an engine, in a store."""

from __future__ import annotations

import hashlib
import json

from configs.manifest import ImageEntry
from tasks.release.image_layout import CONFIG_TYPE, LAYER_TYPE, MANIFEST_TYPE
from tasks.release.store import Store


def small_image(store: Store, name: str, tag: str, content: str) -> ImageEntry:
    """Keep an image whose digest follows from its content.

    Args:
        store: The store.
        name: Its name.
        tag: Its tag.
        content: What it holds; no real layer, as nobody unpacks it.
    """
    parts = []
    for kind, text in ((CONFIG_TYPE, json.dumps({"of": content})), (LAYER_TYPE, content)):
        sha256, size = store.add_stream([text.encode()])
        parts.append({"mediaType": kind, "size": size, "digest": f"sha256:{sha256}"})
    described = {"schemaVersion": 2, "mediaType": MANIFEST_TYPE, "config": parts[0], "layers": parts[1:]}
    manifest = json.dumps(described).encode()
    store.add_stream([manifest])
    digest = f"sha256:{hashlib.sha256(manifest).hexdigest()}"
    return ImageEntry(name=name, tag=tag, digest=digest, size=len(manifest) + len(content))
