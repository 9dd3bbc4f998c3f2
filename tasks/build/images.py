"""Container images of a release: built by the Docker engine, kept in the store.

What is static has its program alone in the image; what is not gets the shared libraries it needs, and nothing
else of Debian. ``build/images/<name>`` has one Dockerfile each.
"""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Iterator, Mapping
from pathlib import Path

import docker.errors
import requests

from configs.errors import KubeV6Error
from configs.manifest import ImageEntry
from tasks.build import compile
from tasks.build.toolchain import Toolchain, context_of
from tasks.docker import build as docker_build
from tasks.docker import container_engine
from tasks.docker.pull import pull
from tasks.exclusive import exclusive
from tasks.paths import REPO, cache_dir
from tasks.steps import Step, step
from tasks.store import Store

IMAGES = REPO / "build" / "images"
COREDNS = "coredns/coredns"
STAND_IN = "cluster-dns-stand-in"


def build(
    name: str,
    tag: str,
    tools: Toolchain,
    store: Store,
    *,
    files: Mapping[str, Path] | None = None,
    stand_in_for: str = "",
) -> ImageEntry:
    """Build one image and keep it in the store.

    Args:
        name: Name of the image and of its directory in ``build/images``.
        tag: The tag it gets.
        tools: Where Debian's programs and libraries are taken from.
        store: Where it is kept.
        files: What its Dockerfile copies, by name.
        stand_in_for: What it takes the place of; empty for the real thing.

    Raises:
        KubeV6Error: The build failed, or the store cannot be written.
    """
    # What two builds have in common is kept by the engine as steps of the first, and goes when that is removed.
    with step(name, "image") as shown, exclusive(cache_dir() / "images" / f"{name}.lock"):
        recipe = IMAGES / name / "Dockerfile"
        # The engine's copy is only on its way to the store.
        reference = f"kubev6/{name}:{tag}.{os.getpid()}"
        with context_of({"Dockerfile": recipe, **(files or {})}) as context:
            docker_build.build(
                container_engine.client(),
                reference,
                context,
                inputs=hashlib.sha256(recipe.read_bytes()).hexdigest(),
                arguments={"TOOLCHAIN": tools.image},
                shown=shown,
            )
        shown.progress("storing")
        entry = _keep(reference, name, tag, store, shown, stand_in_for=stand_in_for)
        container_engine.client().images.remove(reference)
        return entry


def cluster_dns(coredns: str | None, tools: Toolchain, store: Store) -> ImageEntry:
    """CoreDNS's own image where a registry gives it out, else our stand-in for it, which says so.

    Args:
        coredns: Tag of CoreDNS's image; None to take the stand-in at once.
        tools: What the stand-in is made with.
        store: Where the image is kept.

    Raises:
        KubeV6Error: The stand-in could not be built.
    """
    if coredns is not None:
        with step("coredns", "image") as shown:
            refused = pull(f"{COREDNS}:{coredns}", shown)
            if not refused:
                return _keep(f"{COREDNS}:{coredns}", "coredns", coredns, store, shown)
            shown.ended_as(f"not to be had ({refused}); {STAND_IN} takes its place")
    version = debian_tag(tools.version_of("dnsmasq-base"))
    return build_program(STAND_IN, tools, store, prefix=f"{version}-", stand_in_for="CoreDNS")


def build_program(name: str, tools: Toolchain, store: Store, *, prefix: str = "", stand_in_for: str = "") -> ImageEntry:
    """Compile a program of our own and build its image.

    Args:
        name: Name of the image, of its directory in ``build/images`` and of the program.
        tools: What it is compiled with.
        store: Where the image is kept.
        prefix: What its tag starts with; a digest of its sources follows.
        stand_in_for: What it takes the place of; empty for the real thing.

    Raises:
        KubeV6Error: It does not compile, the build failed, or the store cannot be written.
    """
    directory = IMAGES / name
    tag = f"{prefix}{docker_build.directory_digest(directory)[:12]}"
    files = {name: compile.compile_program(directory, name, tools)}
    return build(name, tag, tools, store, files=files, stand_in_for=stand_in_for)


def debian_tag(version: str) -> str:
    """A Debian version as an image tag: without its epoch, ``_`` for what a tag may not hold."""
    return re.sub(r"[^A-Za-z0-9_.-]", "_", version.split(":", 1)[-1])


def keep_pulled(reference: str, store: Store, shown: Step) -> ImageEntry:
    """Keep an image that the engine holds, under its own last name and tag."""
    repository, _, tag = reference.rpartition(":")
    return _keep(reference, repository.rpartition("/")[2], tag, store, shown)


def _keep(reference: str, name: str, tag: str, store: Store, shown: Step, *, stand_in_for: str = "") -> ImageEntry:
    try:
        digest, size = store.add_docker_image(_saved(reference))
    except (docker.errors.DockerException, requests.RequestException) as error:
        raise KubeV6Error(f"{reference}: the Docker engine did not give it out: {error}", transient=True) from None
    shown.ended_as(f"{name}:{tag}, {size / 1e6:.1f} MB")
    return ImageEntry(name=name, tag=tag, digest=digest, size=size, stand_in_for=stand_in_for)


def _saved(reference: str) -> Iterator[bytes]:
    yield from container_engine.client().images.get(reference).save(chunk_size=1 << 20)
