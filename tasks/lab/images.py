"""The images of the lab's machines, made from ``build/lab``."""

from __future__ import annotations

import hashlib
from dataclasses import astuple, dataclass
from pathlib import Path
from typing import get_args

import docker

from configs.plan.versions import Runtime
from configs.schema.cluster import LabNetworking
from tasks.docker import base_image, container_engine
from tasks.docker import build as docker_build
from tasks.docker.apt_sources import CODENAME
from tasks.exclusive import exclusive
from tasks.paths import RECIPES, cache_dir
from tasks.steps import step

NETWORKING_RECIPE = RECIPES / "lab-networking"
"""What puts another networking tool than networkd onto one of these."""
RECIPE = RECIPES / "lab"
"""The Dockerfile, and the directories that it copies onto the machines as they are."""
NODES: dict[Runtime, str] = {"containerd": "node", "docker": "docker-node"}
"""Which image a node of Kubernetes is made from, by its container runtime."""
NETWORKINGS: tuple[LabNetworking, ...] = get_args(LabNetworking)


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


def image_names(runtime: Runtime, networking: LabNetworking = "networkd") -> LabImages:
    """The images by their names, whether or not the engine holds them.

    Args:
        runtime: What runs the containers of Kubernetes on the machines.
        networking: What configures the interfaces of the machines.
    """
    names = (f"kubev6/lab-{target}:{CODENAME}" for target in ("machine", NODES[runtime], "support"))
    return LabImages(*(_name_with(name, networking) for name in names))


def runtime_of(image: str) -> Runtime | None:
    """What runs the containers of Kubernetes on machines made from an image; None where it is no node's image.

    Args:
        image: The image's name, as the engine keeps it with a container.
    """
    return next(
        (runtime for runtime in NODES for tool in NETWORKINGS if image == image_names(runtime, tool).node), None
    )


def networking_of(image: str) -> LabNetworking | None:
    """What configures the interfaces of machines made from an image; None where it is none of the lab's.

    Args:
        image: The image's name, as the engine keeps it with a container.
    """
    return next(
        (tool for tool in NETWORKINGS for runtime in NODES if image in astuple(image_names(runtime, tool))), None
    )


def lab_images(runtime: Runtime, networking: LabNetworking = "networkd") -> LabImages:
    """The images, built where this machine's engine does not hold current ones.

    Args:
        runtime: What runs the containers of Kubernetes on the machines.
        networking: What configures the interfaces of the machines.

    Raises:
        KubeV6Error: One cannot be built.
    """
    client = container_engine.client()
    base = base_image.base_image()
    inputs = _inputs(client, base, RECIPE)
    targets, images = ("machine", NODES[runtime], "support"), image_names(runtime)
    with exclusive(cache_dir() / "lab-images.lock"):
        for target, reference in zip(targets, (images.machine, images.node, images.support), strict=True):
            if docker_build.is_current(client, reference, inputs):
                continue
            with step("docker", f"lab image {target}") as shown:
                arguments = {"BASE": base}
                with docker_build.directory_context(RECIPE) as context:
                    docker_build.build(
                        client, reference, context, inputs=inputs, shown=shown, target=target, arguments=arguments
                    )
    if networking == "networkd":
        return images
    return LabImages(*(with_tool(image, networking) for image in astuple(images)))


def with_tool(image: str, tool: LabNetworking) -> str:
    """An image of the lab's on which a networking tool is, built where the engine does not hold a current one.

    Args:
        image: The name of an image that the engine holds.
        tool: The tool.

    Raises:
        KubeV6Error: It cannot be built.
    """
    client, reference = container_engine.client(), _name_with(image, tool)
    with exclusive(cache_dir() / "lab-images.lock"):
        inputs = _inputs(client, image, NETWORKING_RECIPE)
        if not docker_build.is_current(client, reference, inputs):
            with step("docker", f"lab image {reference}") as shown:
                arguments = {"IMAGE": image, "TOOL": tool}
                with docker_build.directory_context(NETWORKING_RECIPE) as context:
                    docker_build.build(client, reference, context, inputs=inputs, shown=shown, arguments=arguments)
    return reference


def _name_with(image: str, tool: LabNetworking) -> str:
    return image if tool == "networkd" else image.replace(":", f"-{tool}:")


def _inputs(client: docker.DockerClient, base: str, recipe: Path) -> str:
    identity = str(client.images.get(base).id)
    return hashlib.sha256(f"{identity}\0{docker_build.directory_digest(recipe)}".encode()).hexdigest()
