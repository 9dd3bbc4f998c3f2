"""An image with another Go than Debian 12's, made from our toolchain image and one package of a newer suite."""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict
from pathlib import Path

import docker

from configs.errors import KubeV6Error
from configs.plan.go import DEBIANS, PACKAGES, GoPackage
from tasks import bounded
from tasks.docker import apt_sources, container_engine, toolchain
from tasks.docker import build as docker_build
from tasks.docker.apt_sources import AptSources
from tasks.docker.toolchain import Toolchain
from tasks.exclusive import exclusive
from tasks.paths import RECIPES, cache_dir
from tasks.recipes import directory_digest
from tasks.replace import write_whole
from tasks.steps import step

RECIPE = RECIPES / "toolchain-go"
REPOSITORY = "kubev6/toolchain-go"


def reference(tools: Toolchain, package: GoPackage) -> str:
    """What the image with a Go is called, made from this toolchain and the recipe as it stands."""
    parts = (tools.identity, directory_digest(RECIPE), *package)
    return f"{REPOSITORY}:{package.go}-{hashlib.sha256('|'.join(parts).encode()).hexdigest()[:12]}"


def references(tools: Toolchain | None) -> frozenset[str]:
    """What every such image is called that this toolchain may be used with."""
    return frozenset(reference(tools, package) for package in PACKAGES if package != DEBIANS) if tools else frozenset()


def recorded(tools: Toolchain, package: GoPackage) -> Toolchain | None:
    """The image with a Go as it was made here before, without asking Docker; None when it was not."""
    return bounded.kept(record_file(tools, package), Toolchain, "the image is made again")


def ready(tools: Toolchain, package: GoPackage) -> Toolchain:
    """The image with a Go, made when Docker does not hold it.

    Raises:
        KubeV6Error: The engine or the package mirror cannot be reached, or it has no such package.
    """
    client = container_engine.client()
    with exclusive(cache_dir() / "toolchain-go.lock", what=f"toolchain image with Go {package.go}"):
        known = recorded(tools, package)
        return known if known and toolchain.holds(client, known.image) else _make(client, tools, package)


def files(sources: AptSources, suite: str) -> dict[str, bytes]:
    """What tells apt of a newer suite, by name. Pure.

    Args:
        sources: The archive that this machine uses.
        suite: The suite.

    Raises:
        KubeV6Error: This machine uses none of Debian's.
    """
    try:
        return sources.newer(suite)
    except KubeV6Error as error:
        image = "name an image with that Go as `toolchain: {image: ...}` in the release's file"
        raise KubeV6Error(error.message, todo=f"{error.todo}, or {image}") from None


def _make(client: docker.DockerClient, tools: Toolchain, package: GoPackage) -> Toolchain:
    with step("build", f"toolchain image with Go {package.go}") as shown:
        image = reference(tools, package)
        content: dict[str, Path | bytes] = {**files(apt_sources.read(), package.suite)}
        content["Dockerfile"] = RECIPE / "Dockerfile"
        arguments = {"BASE": tools.image, "GO": package.go, "PACKAGE": package.package}
        with docker_build.context_of(content) as context:
            docker_build.build(client, image, context, inputs=image.partition(":")[2], arguments=arguments, shown=shown)
        go, packages = toolchain.versions_in(image)
        made = Toolchain(image, go, packages)
        write_whole(record_file(tools, package), json.dumps(asdict(made), indent=1))
        shown.ended_as(made.go)
    return made


def record_file(tools: Toolchain, package: GoPackage) -> Path:
    """Where it is written down what the image with a Go came to hold."""
    return cache_dir() / "toolchain" / f"go-{reference(tools, package).partition(':')[2]}.json"
