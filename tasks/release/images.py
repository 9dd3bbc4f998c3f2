"""Container images of a release: built by the Docker engine, kept in the store.

What is static has its program alone in the image; what is not gets the shared libraries it needs, and nothing
else of Debian. ``build/images/<name>`` has one Dockerfile each.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
from collections.abc import Mapping
from pathlib import Path

from configs.manifest import ImageEntry
from tasks import bounded
from tasks.docker import build as docker_build
from tasks.docker import container_engine
from tasks.docker.keep_image import keep_image
from tasks.docker.toolchain import RECIPE, Toolchain
from tasks.exclusive import exclusive
from tasks.paths import cache_dir
from tasks.recipes import IMAGES, directory_digest, program_tag
from tasks.release import compile, results
from tasks.release.fetch.fetch_image import NotPulledError, fetch_in_step, held_image
from tasks.release.fetch.mirror import LackingError, Mirror
from tasks.release.image_program import with_program
from tasks.release.store import Store
from tasks.replace import write_whole
from tasks.steps import Step, step

COREDNS = "coredns/coredns"
STAND_IN = "cluster-dns-stand-in"


def build(
    name: str,
    tag: str,
    tools: Toolchain,
    store: Store,
    *,
    recipe: Path | None = None,
    target: str = "",
    files: Mapping[str, Path] | None = None,
    stand_in_for: str = "",
    force: bool = False,
) -> ImageEntry:
    """Build one image and keep it in the store; one that was built of the same before, and is there, is taken.

    Of one that was built of the same but for its only program, all but that is taken.

    Args:
        name: Name of the image.
        tag: The tag it gets.
        tools: Where Debian's programs and libraries are taken from.
        store: Where it is kept.
        recipe: Its Dockerfile; None for that of the directory of its name in ``build/images``.
        target: At which stage of that it ends; the last one when empty.
        files: What its Dockerfile copies, by name.
        stand_in_for: What it takes the place of; empty for the real thing.
        force: Build it although it was built before.

    Raises:
        KubeV6Error: The build failed, or the store cannot be written.
    """
    with step(name, "image") as shown, exclusive(cache_dir() / "images" / f"{name}.lock", what=f"image {name}:{tag}"):
        recipe = recipe or IMAGES / name / "Dockerfile"
        content = {"Dockerfile": recipe, **(files or {})}
        key = _key(name, tag, content, tools, stand_in_for, *([target] if target else []))
        record = cache_dir() / "images" / f"{name}.json"
        known = {each: entry for each, entry in _built(record).items() if store.has_image(entry.digest)}
        if key in known and not force:
            shown.ended_as(f"{name}:{tag} is in the store", cached=True)
            return known[key]
        like = _key(name, "", {"Dockerfile": recipe}, tools, stand_in_for, target)
        programs = [*(files or {}).values()]
        last = known.get(like) if len(programs) == 1 and not force else None
        if last and (entry := with_program(last, tag, programs[0], store)):
            shown.ended_as(f"{name}:{tag}, {entry.size / 1e6:.1f} MB")
        else:
            entry = _made(name, tag, tools, store, recipe, target, content, stand_in_for, shown)
        built = {each: image.model_dump() for each, image in {**known, key: entry, like: entry}.items()}
        write_whole(record, json.dumps(built, indent=1))
        return entry


def _made(
    name: str,
    tag: str,
    tools: Toolchain,
    store: Store,
    recipe: Path,
    target: str,
    content: Mapping[str, Path],
    stand_in_for: str,
    shown: Step,
) -> ImageEntry:
    """An image as the engine makes it."""
    client = container_engine.client()
    # The engine's copy is only on its way to the store.
    reference = f"kubev6/{name}:{tag}.{os.getpid()}"
    try:
        with docker_build.context_of(content) as context:
            docker_build.build(
                client,
                reference,
                context,
                inputs=hashlib.sha256(recipe.read_bytes()).hexdigest(),
                arguments={"TOOLCHAIN": tools.image, "STAGE": reference},
                shown=shown,
                target=target,
                cached=False,
            )
        shown.progress("storing")
        return keep_image(reference, name, tag, store, shown, stand_in_for=stand_in_for)
    finally:
        docker_build.remove(client, reference)


def cluster_dns(
    coredns: str | None, tools: Toolchain, store: Store, mirror: Mirror | None, *, force: bool = False
) -> ImageEntry:
    """CoreDNS's own image where it can be had, else our stand-in for it, which says so.

    Args:
        coredns: Tag of CoreDNS's image; None to take the stand-in at once.
        tools: What the stand-in is made with.
        store: Where the image is kept.
        mirror: Where CoreDNS's image is read from; None for its registry.
        force: Fetch CoreDNS's image, or build the stand-in, although it is there.

    Raises:
        KubeV6Error: CoreDNS's image is another one than it was, or the stand-in could not be built.
    """
    if coredns is not None:
        with step("coredns", "image") as shown:
            try:
                return fetch_in_step(f"{COREDNS}:{coredns}", store, mirror, shown, force=force)
            except (LackingError, NotPulledError) as error:
                if held := held_image(f"{COREDNS}:{coredns}", store):
                    shown.ended_as(f"{error.message}; it is in the store", cached=True)
                    return held
                shown.ended_as(f"{error.message}; {STAND_IN} takes its place")
    return build_program(STAND_IN, tools, store, stand_in_for="CoreDNS", force=force)


def build_program(
    name: str, tools: Toolchain, store: Store, *, stand_in_for: str = "", force: bool = False
) -> ImageEntry:
    """Compile a program of our own and build its image, whose tag is a digest of the program's sources.

    Args:
        name: Name of the image, of its directory in ``build/images`` and of the program.
        tools: What it is compiled with.
        store: Where the image is kept.
        stand_in_for: What it takes the place of; empty for the real thing.
        force: Compile and build it although that was done before.

    Raises:
        KubeV6Error: It does not compile, the build failed, or the store cannot be written.
    """
    directory = IMAGES / name
    tag = program_tag(name)
    files = {name: compile.compile_program(directory, name, tools, force=force)}
    return build(name, tag, tools, store, files=files, stand_in_for=stand_in_for, force=force)


def debian_tag(version: str) -> str:
    """A Debian version as an image tag: without its epoch, ``_`` for what a tag may not hold."""
    return re.sub(r"[^A-Za-z0-9_.-]", "_", version.split(":", 1)[-1])


def _key(name: str, tag: str, content: Mapping[str, Path], tools: Toolchain, *more: str) -> str:
    """sha256 of everything that decides the bytes of an image."""
    digests = {each: hashlib.sha256(path.read_bytes()).hexdigest() for each, path in content.items()}
    recipe = directory_digest(RECIPE)
    return results.key_of(name, tag, digests, recipe, tools.identity, tools.platform, *more)


def _built(record: Path) -> dict[str, ImageEntry]:
    """What was built before, by key."""
    return bounded.kept(record, dict[str, ImageEntry], "what it was about is built again") or {}
