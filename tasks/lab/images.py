"""The images of the lab's machines, made from ``build/lab``."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from dataclasses import astuple, dataclass
from itertools import product
from pathlib import Path
from typing import NamedTuple, get_args

import docker

from configs.errors import ConfigError
from configs.plan.versions import Runtime
from configs.schema.cluster import Lab, LabDebian, LabNetworking
from tasks.docker import apt_sources, base_image, container_engine
from tasks.docker import build as docker_build
from tasks.exclusive import exclusive
from tasks.paths import RECIPES, cache_dir
from tasks.recipes import directory_digest
from tasks.steps import step

NETWORKING_RECIPE = RECIPES / "lab-networking"
"""What puts another networking tool than networkd onto one of these."""
KEEPALIVED_RECIPE = RECIPES / "lab-keepalived"
"""What puts keepalived onto a node, of a cluster that has an endpoint."""
CONTAINERD_RECIPE = RECIPES / "lab-containerd"
"""What puts a newer containerd onto a node."""
RECIPE = RECIPES / "lab"
"""The Dockerfile, and the directories that it copies onto the machines as they are."""
NODES: dict[Runtime, str] = {"containerd": "node", "docker": "docker-node"}
"""Which image a node of Kubernetes is made from, by its container runtime."""
CONTAINERD_SUITES = {"2": "forky"}
"""Where a containerd is that the nodes' own Debian has not, by its major version."""


@dataclass(frozen=True, slots=True)
class LabImages:
    """References of the images.

    Attributes:
        machine: A plain machine.
        node: A machine for Kubernetes.
        support: A machine for NAT64, DNS64 and the registry.
    """

    machine: str
    node: str
    support: str


class Made(NamedTuple):
    """What the machines of a lab are made as.

    Attributes:
        networking: What configures the interfaces of the machines.
        debian: Which Debian they have.
        runtime: What runs the containers of Kubernetes on the nodes; None of a machine that is no node.
        containerd: The major version of the nodes' containerd; None for their Debian's own.
        keepalived: Whether the nodes have it; None of a machine that is no node.
    """

    networking: LabNetworking = "networkd"
    debian: LabDebian = "bookworm"
    runtime: Runtime | None = "containerd"
    containerd: str | None = None
    keepalived: bool | None = False


def made_as(lab: Lab, runtime: Runtime, *, keepalived: bool = False) -> Made:
    """What a cluster's file and its release want of the machines.

    Args:
        lab: What the file says of them.
        runtime: What runs the containers of Kubernetes.
        keepalived: Whether it holds the address of the API.

    Raises:
        ConfigError: They do not go together.
    """
    if lab.containerd and runtime != "containerd":
        raise ConfigError(
            f"lab.containerd is {lab.containerd}, and {runtime} is to run the containers of the nodes",
            todo="take that line away, or write `runtime: containerd` into the cluster's file",
        )
    return Made(lab.networking, lab.debian, runtime, lab.containerd, keepalived)


def image_names(made: Made) -> LabImages:
    """The images by their names, whether or not the engine holds them."""
    node = NODES[made.runtime or "containerd"]
    names = (f"kubev6/lab-{target}:{made.debian}" for target in ("machine", node, "support"))
    machine, node, support = (_name_with(name, made.networking) for name in names)
    return LabImages(machine, _with_keepalived(_with_containerd(node, made.containerd), made.keepalived), support)


def kinds() -> Iterator[Made]:
    """Everything that machines of a lab can be made as."""
    versions: dict[Runtime, tuple[str | None, ...]] = {"containerd": (None, *CONTAINERD_SUITES), "docker": (None,)}
    for runtime, containerds in versions.items():
        yield from (
            Made(*each)
            for each in product(get_args(LabNetworking), get_args(LabDebian), (runtime,), containerds, (False, True))
        )


def read_name(image: str) -> Made | None:
    """What a machine was made as, by its image; None where it is none of the lab's.

    Args:
        image: The image's name, as the engine keeps it with a container.
    """
    for made in kinds():
        names = image_names(made)
        if image == names.node:
            return made
        if image in (names.machine, names.support):
            return made._replace(runtime=None, containerd=None, keepalived=None)
    return None


def lab_images(made: Made) -> LabImages:
    """The images, built where this machine's engine does not hold current ones.

    Raises:
        KubeV6Error: One cannot be built.
    """
    client = container_engine.client()
    base = base_image.base_image(made.debian)
    inputs = _inputs(client, base, RECIPE)
    plain = image_names(made._replace(networking="networkd", containerd=None, keepalived=False))
    targets = ("machine", NODES[made.runtime or "containerd"], "support")
    with exclusive(cache_dir() / "lab-images.lock"):
        for target, reference in zip(targets, astuple(plain), strict=True):
            if docker_build.is_current(client, reference, inputs):
                continue
            with step("docker", f"lab image {target}") as shown:
                arguments = {"BASE": base}
                with docker_build.directory_context(RECIPE) as context:
                    docker_build.build(
                        client, reference, context, inputs=inputs, shown=shown, target=target, arguments=arguments
                    )
    machine, node, support = (with_tool(image, made.networking) for image in astuple(plain))
    node = _ready_with_containerd(node, made)
    if made.keepalived:
        node = _derived(node, _with_keepalived(node, True), KEEPALIVED_RECIPE, {}, {})
    return LabImages(machine, node, support)


def with_tool(image: str, tool: LabNetworking) -> str:
    """An image of the lab's on which a networking tool is, built where the engine does not hold a current one.

    Args:
        image: The name of an image that the engine holds.
        tool: The tool.

    Raises:
        KubeV6Error: It cannot be built.
    """
    if tool == "networkd":
        return image
    return _derived(image, _name_with(image, tool), NETWORKING_RECIPE, {"TOOL": tool}, {})


def _ready_with_containerd(image: str, made: Made) -> str:
    if made.containerd is None:
        return image
    suite = CONTAINERD_SUITES[made.containerd]
    listed = apt_sources.read().of(made.debian).newer(suite)
    return _derived(image, _with_containerd(image, made.containerd), CONTAINERD_RECIPE, {"SUITE": suite}, listed)


def _derived(image: str, reference: str, recipe: Path, arguments: Mapping[str, str], more: Mapping[str, bytes]) -> str:
    """An image of the lab's with something more on it, built where the engine does not hold a current one."""
    client = container_engine.client()
    with exclusive(cache_dir() / "lab-images.lock"):
        inputs = hashlib.sha256(f"{_inputs(client, image, recipe)}\0{sorted(more.items())}".encode()).hexdigest()
        if not docker_build.is_current(client, reference, inputs):
            with step("docker", f"lab image {reference}") as shown:
                files: dict[str, Path | bytes] = {path.name: path for path in recipe.iterdir()}
                with docker_build.context_of({**files, **more}) as context:
                    docker_build.build(
                        client, reference, context, inputs=inputs, shown=shown, arguments={"IMAGE": image, **arguments}
                    )
    return reference


def _name_with(image: str, tool: LabNetworking) -> str:
    return image if tool == "networkd" else image.replace(":", f"-{tool}:")


def _with_containerd(image: str, version: str | None) -> str:
    return image.replace(":", f"-containerd-{version}:") if version else image


def _with_keepalived(image: str, wanted: bool | None) -> str:
    return image.replace(":", "-keepalived:") if wanted else image


def _inputs(client: docker.DockerClient, base: str, recipe: Path) -> str:
    identity = str(client.images.get(base).id)
    return hashlib.sha256(f"{identity}\0{directory_digest(recipe)}".encode()).hexdigest()
