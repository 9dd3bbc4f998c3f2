"""What compiles a release: Debian's Go, which is in our toolchain image, or an image that the release names.

Another Go of Debian's comes from a newer suite, in an image of its own that is made from ours. An image such as
``golang:1.8.3`` only compiles: Debian's programs, which images carry, come from our own.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path

import docker.errors

from configs.errors import KubeV6Error
from configs.plan.go import DEBIANS, GoPackage, takes_orders
from tasks import bounded
from tasks.docker import container_engine, go_image, toolchain
from tasks.docker.pull import pull
from tasks.docker.toolchain import Toolchain
from tasks.paths import cache_dir
from tasks.release import go_cache
from tasks.replace import write_whole
from tasks.steps import step

NEEDED = ("bash", "gcc", "go", "make")
"""Programs that Kubernetes' makefiles call and not every image with Go has; pause is compiled by gcc."""
LOOK = f"""
for program in {" ".join(NEEDED)}; do
    command -v "$program" > /dev/null || {{ echo "there is no $program in it"; exit 1; }}
done
go env GOROOT
go version
"""


@dataclass(frozen=True, slots=True)
class Compiler:
    """What compiles.

    Attributes:
        image: What Docker runs: a reference or an id.
        go: Its version, for example ``go1.8.3 linux/amd64``.
        identity: Id of the image that a release names, or sha256 of the packages of ours with another Go; empty for our
            own, whose list of packages says what it is.
        root: Go's own directory in an image that a release names (GOROOT); empty for ours.
    """

    image: str
    go: str
    identity: str = ""
    root: str = ""

    @property
    def library(self) -> dict[Path, str]:
        """Where what it compiles of Go's own library is kept, and where Go looks for that in the container.

        Go before 1.10 has no build cache: it goes by the times of what it has installed. Kubernetes' makefiles of that
        age have it install what is linked statically under a name of its own (``-installsuffix cgo``), beside Go
        itself; where that is not to be had they compile everything again for each program.
        """
        if not self.root:
            return {}
        kept = cache_dir() / "go-library" / self.identity.removeprefix("sha256:")
        return {kept: f"{self.root}/pkg/{self.go.split()[-1].replace('/', '_')}_cgo"}

    @property
    def cache(self) -> str:
        """Name of its build cache: each compiler has its own, so that one can go without the others."""
        return f"{go_cache.NAME}-{self.identity.removeprefix('sha256:')[:12]}" if self.identity else go_cache.NAME

    @property
    def environment(self) -> dict[str, str]:
        """What keeps it and Kubernetes' makefiles from downloading the Go that ``.go-version`` names.

        ``GOTOOLCHAIN`` is Go's own since 1.21, ``FORCE_HOST_GO`` that of the makefiles since Kubernetes 1.27.
        """
        return {"GOTOOLCHAIN": "local", "FORCE_HOST_GO": "y"} if takes_orders(self.go) else {}


def with_go(tools: Toolchain, package: GoPackage) -> Compiler:
    """A Go of Debian's, in our toolchain image or in one that is made from it.

    Args:
        tools: Our own toolchain.
        package: Which Go.

    Raises:
        KubeV6Error: The image cannot be made.
    """
    if package == DEBIANS:
        return debian(tools)
    made = go_image.ready(tools, package)
    return Compiler(made.image, made.go, made.identity)


def known_with_go(tools: Toolchain, package: GoPackage) -> Compiler | None:
    """The same where its image was made here before, without asking Docker; else None."""
    if package == DEBIANS:
        return debian(tools)
    made = go_image.recorded(tools, package)
    return Compiler(made.image, made.go, made.identity) if made else None


def debian(tools: Toolchain) -> Compiler:
    """Debian's Go, of our toolchain image."""
    return Compiler(tools.image, tools.go)


def named(reference: str) -> Compiler:
    """An image that a release names, pulled when the engine does not hold it.

    Args:
        reference: Its repository and tag.

    Raises:
        KubeV6Error: It is neither here nor to be had, or has not what is needed to compile. Nothing takes its place.
    """
    images = container_engine.client().images
    try:
        try:
            found = images.get(reference)
        except docker.errors.ImageNotFound:
            with step("build", "toolchain image") as shown:
                if refused := pull(reference, shown):
                    raise KubeV6Error(
                        f"the toolchain image {reference} is not here and cannot be pulled: {refused}",
                        todo="bring it here with `docker save` and `docker load`; or take build.toolchain out of the "
                        "release to compile with Debian's newer Go, for which Kubernetes 1.20 needs reflect2 1.0.2",
                    ) from None
                shown.ended_as(f"{reference} pulled")
            found = images.get(reference)
    except container_engine.FAILURES as error:
        raise KubeV6Error(f"the toolchain image {reference}: the Docker engine says: {error}") from None
    identity = str(found.id)
    return _recorded(identity) or _look_at(reference, identity)


def _look_at(reference: str, identity: str) -> Compiler:
    said: list[str] = []
    try:
        toolchain.run(identity, ["sh", "-euc", LOOK], name="go version", deadline=60, on_line=said.append)
    except KubeV6Error as error:
        seen = said[-1] if said else error.message
        raise KubeV6Error(
            f"the toolchain image {reference} cannot compile Kubernetes: {seen}",
            todo=f"name one in build.toolchain that has {', '.join(NEEDED)}, such as golang:1.8.3",
            detail=error.detail,
        ) from None
    root, version = said[-2:]
    compiler = Compiler(identity, " ".join(version.split()[2:]), identity, root)
    write_whole(_record(identity), json.dumps(asdict(compiler), indent=1))
    return compiler


def _recorded(identity: str) -> Compiler | None:
    """What was seen of an image before; its id stands for all that is in it."""
    return bounded.kept(_record(identity), Compiler, "the image is looked at again")


def _record(identity: str) -> Path:
    return cache_dir() / "toolchain" / f"{identity.removeprefix('sha256:')}.json"
