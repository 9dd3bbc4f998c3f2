"""The images of the lab's machines, made from ``build/lab``."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

import docker

from configs.versions import Runtime
from tasks.docker import base_image, container_engine
from tasks.docker import build as docker_build
from tasks.docker.apt_sources import CODENAME
from tasks.exclusive import exclusive
from tasks.paths import RECIPES, cache_dir
from tasks.steps import step

RECIPE = RECIPES / "lab"
"""The Dockerfile, and the directories that it copies onto the machines as they are."""
NODES: dict[Runtime, str] = {"containerd": "node", "docker": "docker-node"}
"""Which image a node of Kubernetes is made from, by its container runtime."""


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


def image_names(runtime: Runtime) -> LabImages:
    """The images by their names, whether or not the engine holds them.

    Args:
        runtime: What runs the containers of Kubernetes on the machines.
    """
    machine, node, support = (f"kubev6/lab-{target}:{CODENAME}" for target in ("machine", NODES[runtime], "support"))
    return LabImages(machine, node, support)


def runtime_of(image: str) -> Runtime | None:
    """What runs the containers of Kubernetes on machines made from an image; None where it is no node's image.

    Args:
        image: The image's name, as the engine keeps it with a container.
    """
    return next((runtime for runtime in NODES if image == image_names(runtime).node), None)


def lab_images(runtime: Runtime) -> LabImages:
    """The images, built where this machine's engine does not hold current ones.

    Args:
        runtime: What runs the containers of Kubernetes on the machines.

    Raises:
        KubeV6Error: One cannot be built.
    """
    client = container_engine.client()
    base = base_image.base_image()
    inputs = _inputs(client, base)
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
    return images


def _inputs(client: docker.DockerClient, base: str) -> str:
    identity = str(client.images.get(base).id)
    return hashlib.sha256(f"{identity}\0{docker_build.directory_digest(RECIPE)}".encode()).hexdigest()
