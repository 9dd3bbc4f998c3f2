"""The lab: a cluster's machines as containers of this machine, brought up, looked at and taken down.

What a machine is stands in ``machine``, what connects them in ``network``. Everything of a lab carries the
label ``kubev6.lab`` with the lab's name, and is found by it again.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, TypeVar

import docker
import docker.errors
from docker.models.containers import Container
from docker.models.images import Image

from configs.errors import ConfigError, KubeV6Error
from configs.plan.derived import container_runtime
from configs.plan.interfaces import ETHERNET_MTU
from configs.plan.versions import Runtime
from configs.schema.cluster import Cluster, Lab, Node
from configs.schema.loading import load_release
from configs.schema.release import Release
from tasks.docker import build as docker_build
from tasks.docker import container_engine
from tasks.exclusive import exclusive
from tasks.lab import machine as lab_machine
from tasks.lab import network as lab_network
from tasks.lab import record as lab_record
from tasks.lab import watchers
from tasks.lab.images import Made, image_names, lab_images, made_as, read_name
from tasks.lab.machine import OUTSIDE, container_name
from tasks.lab.network import FABRIC_INTERFACE
from tasks.lab.record import LAB_LABEL, NODE_LABEL, ROLES_LABEL, LabRecord, NodeRecord
from tasks.paths import cache_dir, cluster_dir, cluster_lock
from tasks.replace import remove
from tasks.scope import Threads
from tasks.ssh.endpoint import Endpoint
from tasks.steps import Step, step

T = TypeVar("T")
R = TypeVar("R")


@dataclass(frozen=True, slots=True)
class MachineStatus:
    """One container of a lab.

    Attributes:
        name: The node's name, or ``outside`` for the web server.
        roles: The node's roles; empty for the web server.
        state: Docker's word for its state, such as ``running`` or ``exited``, or ``missing``.
        address: Its address on the management network; empty when it has none now.
    """

    name: str
    roles: tuple[str, ...]
    state: str
    address: str


@dataclass(frozen=True, slots=True)
class LabStatus:
    """A lab and its containers, nodes first."""

    name: str
    machines: tuple[MachineStatus, ...]

    @property
    def up(self) -> bool:
        """True when all of it runs."""
        return all(machine.state == "running" for machine in self.machines)


def up(cluster: Cluster, release: Release | None = None) -> LabRecord:
    """Bring up the machines of a cluster: make what is missing, start what is stopped, leave what runs.

    Args:
        cluster: A cluster whose file says ``lab:``. The lab has its name.
        release: What is to be deployed on it, which decides what its nodes are made from; None when that is not known
            yet: then nodes that are there stay what they are, others are made alike, else for the cluster's release.

    Returns:
        The lab's record, which is written down too.

    Raises:
        KubeV6Error: An image or network cannot be made, a machine does not come up, or one is there that was made for
            another container runtime.
    """
    if cluster.lab is None:
        raise ConfigError(
            f"cluster {cluster.name} has machines of its own: its file has no `lab:`",
            todo="name a cluster that is a lab, such as configs/clusters/lab.yaml",
        )
    if cluster.fabric.interface != FABRIC_INTERFACE:
        raise ConfigError(
            f"cluster {cluster.name}: fabric.interface is {cluster.fabric.interface!r}",
            todo=f"the fabric of a lab is {FABRIC_INTERFACE}",
        )
    _made_as(cluster, cluster.lab, _runtime(cluster, release or load_release(cluster.release)))
    client = container_engine.client()
    with step(cluster.name, "lab") as shown, _alone(shown):
        public_key = lab_record.ensure_key(cluster.name)
        management = lab_network.ensure_management(client, cluster.name)
        fabric = lab_network.ensure_fabric(client, cluster.name, cluster.fabric.mtu or ETHERNET_MTU)
        subnet = lab_network.subnet(management)
        present = lab_machine.present(client, cluster.name, management, fabric)
        runtimes = _runtimes(cluster, present.values())
        _refuse_other_runtime(cluster, release, runtimes)
        runtime = next(iter(runtimes.values()), None) or _runtime(cluster, release or load_release(cluster.release))
        made = _made_as(cluster, cluster.lab, runtime)
        wanted = {container_name(cluster.name, name) for name in ("", *(node.name for node in cluster.nodes))}
        # A machine that is there stays what it was made from.
        _refuse_others(cluster, made, present.values())
        images = image_names(made) if wanted <= present.keys() else lab_images(made)
        addresses = lab_network.addresses(
            cluster.nodes, subnet, lab_network.known_addresses(cluster.name, present.values(), management)
        )
        outcomes: list[str] = []

        def node_up(node: Node) -> NodeRecord:
            with step(node.name, "machine") as machine:
                container = present.get(container_name(cluster.name, node.name))
                container, done = lab_machine.ready(
                    container,
                    lambda: lab_machine.make_node(
                        client,
                        cluster.name,
                        node,
                        images,
                        management,
                        fabric,
                        addresses[node.name],
                        public_key,
                    ),
                )
                lab_machine.wait_for_ssh(node.name, container, addresses[node.name])
                state, host_key = lab_machine.booted(node.name, container, public_key)
                machine.ended_as(done if state == "running" else f"{done}, {state}")
                outcomes.append(done)
                return NodeRecord(
                    node.name,
                    tuple(node.roles),
                    str(container.id),
                    addresses[node.name],
                    lab_machine.SSH_PORT,
                    host_key,
                )

        def outside_up() -> None:
            container = present.get(container_name(cluster.name, ""))
            address = str(subnet[lab_network.OUTSIDE_HOST])
            _container, done = lab_machine.ready(
                container, lambda: lab_machine.make_outside(client, cluster.name, images, management, address)
            )
            outcomes.append(done)

        jobs: list[Callable[[], NodeRecord | None]] = [outside_up]
        jobs += [partial(node_up, node) for node in cluster.nodes]
        nodes = [made for made in _parallel(lambda job: job(), jobs) if made is not None]
        nodes += _kept_orphans(cluster, present.values())
        record = LabRecord(cluster.name, str(subnet), str(subnet[lab_network.OUTSIDE_HOST]), tuple(nodes))
        lab_record.write(record)
        watchers.warn(client)
        shown.ended_as(_summary(outcomes, _orphans(cluster, present.values())))
    return record


def refuse_other_machines(cluster: Cluster, release: Release) -> None:
    """Refuse a lab whose machines are there and were made as others than its file and a release want.

    Args:
        cluster: The topology; one that is no lab passes.
        release: What is to be deployed.

    Raises:
        ConfigError: They were.
    """
    if cluster.lab is not None:
        there = lab_machine.containers(container_engine.client(), cluster.name)
        _refuse_other_runtime(cluster, release, _runtimes(cluster, there))
        _refuse_others(cluster, _made_as(cluster, cluster.lab, _runtime(cluster, release)), there)


def down(name: str, images: bool = False) -> None:
    """Remove a lab: containers with their volumes, networks, record and keys. What is already gone is no error.

    Args:
        name: The lab's name.
        images: Remove every image that kubev6 has made here too: those of labs, the toolchain, and their base.

    Raises:
        KubeV6Error: Something of it cannot be removed, or another lab or container still needs an image.
    """
    client = container_engine.client()
    with step(name, "remove the lab") as shown, _alone(shown):
        containers = lab_machine.containers(client, name)
        _parallel(lab_machine.remove, containers)
        networks = client.networks.list(filters={"label": f"{LAB_LABEL}={name}"})
        for network in networks:
            lab_network.remove(network)
        # Those of containers that somebody else removed; a container's own go with it.
        for volume in client.volumes.list(filters={"label": f"{LAB_LABEL}={name}"}):
            container_engine.ask(f"remove the volume {volume.name}", volume.remove)
        where = lab_record.directory(name)
        had_record = where.is_dir()
        if had_record:
            shutil.rmtree(where)
        for kept in cluster_dir(name).glob("*"):  # the kubeconfig and the like of a cluster that is no more
            if kept != cluster_lock(name):
                remove(kept)
        found = bool(containers or networks or had_record)
        shown.ended_as(f"{len(containers)} containers" if found else "there was none")
        if images:
            _remove_images(client)


def remove_machine(name: str, node: str) -> bool:
    """Remove one machine of a lab with its volumes, such as one that the cluster's file no longer names.

    Args:
        name: The lab's name.
        node: The machine's name.

    Returns:
        True when there was one.

    Raises:
        KubeV6Error: It cannot be removed.
    """
    client = container_engine.client()
    with step(node, "remove the machine") as shown, _alone(shown):
        found = [each for each in lab_machine.containers(client, name) if each.labels.get(NODE_LABEL) == node]
        _parallel(lab_machine.remove, found)
        record = lab_record.read(name)
        if record:
            lab_record.write(replace(record, nodes=tuple(each for each in record.nodes if each.name != node)))
    return bool(found)


def status(name: str) -> LabStatus:
    """What there is of a lab.

    Raises:
        KubeV6Error: There is no lab of that name.
    """
    client = container_engine.client()
    found = _status(name, lab_machine.containers(client, name))
    if not found.machines:
        others = ", ".join(lab.name for lab in status_all()) or "none"
        raise KubeV6Error(f"there is no lab called {name!r} (labs here: {others})", todo="run `kubev6 lab up`")
    return found


def status_all() -> tuple[LabStatus, ...]:
    """Every lab of this machine, sorted by name."""
    client = container_engine.client()
    by_lab: dict[str, list[Container]] = {name: [] for name in lab_record.names()}
    for container in client.containers.list(all=True, ignore_removed=True, filters={"label": LAB_LABEL}):
        by_lab.setdefault(container.labels[LAB_LABEL], []).append(container)
    return tuple(_status(name, by_lab[name]) for name in sorted(by_lab))


def endpoints(name: str) -> dict[str, Endpoint]:
    """How to reach each node of a lab by SSH.

    Raises:
        KubeV6Error: The lab has no record, which means that it is not up.
    """
    record = lab_record.read(name)
    if record is None:
        raise KubeV6Error(f"the lab {name!r} is not up", todo="run `kubev6 lab up`")
    return {
        node.name: Endpoint(
            node=node.name,
            host=node.address,
            port=node.port,
            user="root",
            key_file=str(lab_record.key_file(name)),
            known_hosts=str(lab_record.known_hosts(name)),
            todo="`kubev6 lab up` (deploy does it too) starts its machine and renews the keys on both sides",
        )
        for node in record.nodes
    }


def _remove_images(client: docker.DockerClient) -> None:
    others = client.containers.list(all=True, ignore_removed=True, filters={"label": LAB_LABEL})
    if others:
        names = ", ".join(sorted({container.labels[LAB_LABEL] for container in others}))
        raise KubeV6Error(f"the images stay: they are in use by {names}", todo="take those labs down first")
    with step("docker", "remove the images") as shown:
        images = client.images.list(filters={"label": docker_build.INPUTS_LABEL})
        for image in images:
            _remove_image(client, image)
        shown.ended_as(f"{len(images)} images")


def _remove_image(client: docker.DockerClient, image: Image) -> None:
    for name in image.tags:
        try:
            client.images.remove(name)
        except docker.errors.ImageNotFound:
            continue
        except docker.errors.APIError as error:
            raise KubeV6Error(
                f"the image {name} cannot be removed: {error.explanation or error}",
                todo="let what uses it end, and run this again",
            ) from error
    with suppress(docker.errors.APIError):
        # Gone with its last name, unless something that is not ours is made from it: then it stays.
        client.images.remove(str(image.id))


def _runtime(cluster: Cluster, release: Release) -> Runtime:
    return container_runtime(cluster, release, release.kubernetes)


def _refuse_other_runtime(cluster: Cluster, release: Release | None, runtimes: Mapping[str, Runtime]) -> None:
    wanted = _runtime(cluster, release) if release else cluster.runtime
    others = [name for name, runtime in runtimes.items() if wanted and runtime != wanted]
    if others:
        raise ConfigError(
            f"the lab {cluster.name} has machines made for {runtimes[others[0]]} ({', '.join(others)}), and "
            f"{release.name if release else 'by its file it'} is to run on {wanted}",
            todo=f"run `kubev6 lab down --cluster {cluster.name}`, and they are made again",
        )


def _made_as(cluster: Cluster, lab: Lab, runtime: Runtime) -> Made:
    """What the machines of a cluster are to be made as."""
    return made_as(lab, runtime, keepalived=cluster.endpoint is not None and cluster.endpoint.by == "keepalived")


def _refuse_others(cluster: Cluster, wanted: Made, containers: Iterable[Container]) -> None:
    """Refuse a lab whose machines were made as something else than its file says."""
    for name, there in _made(cluster, containers).items():
        seen = [
            f"{setting}: {has or 'absent'}, and it is to be {want or 'absent'}"
            for setting, has, want in zip(Made._fields, there, wanted, strict=True)
            if has != want and (there.runtime or setting not in ("runtime", "containerd", "keepalived"))
        ]
        if seen:
            raise ConfigError(
                f"the lab {cluster.name} has machines that were made with another `lab:` ({name} with {seen[0]})",
                todo=f"run `kubev6 lab down --cluster {cluster.name}`, and they are made again",
            )


def _runtimes(cluster: Cluster, containers: Iterable[Container]) -> dict[str, Runtime]:
    """The container runtime that each node of the lab was made for, of those that are there."""
    return {name: made.runtime for name, made in _made(cluster, containers).items() if made.runtime}


def _made(cluster: Cluster, containers: Iterable[Container]) -> dict[str, Made]:
    """What each machine of the lab was made as, of those that are there."""
    images = {str(each.labels.get(NODE_LABEL, "")): str(each.attrs["Config"]["Image"]) for each in containers}
    found = {node.name: read_name(images[node.name]) for node in cluster.nodes if node.name in images}
    return {name: made for name, made in found.items() if made}


def _orphans(cluster: Cluster, containers: Iterable[Container]) -> list[str]:
    """Nodes that the lab has and the cluster's file has not (any more)."""
    wanted = {node.name for node in cluster.nodes}
    return sorted({container.labels.get(NODE_LABEL, "") for container in containers} - wanted - {""})


def _kept_orphans(cluster: Cluster, containers: Iterable[Container]) -> list[NodeRecord]:
    """What was written down of them: they can be reached until they are removed."""
    orphans = _orphans(cluster, containers)
    record = lab_record.read(cluster.name)
    return [node for node in record.nodes if node.name in orphans] if record else []


def _status(name: str, containers: list[Container]) -> LabStatus:
    machines = {}
    for container in containers:
        node = container.labels.get(NODE_LABEL, OUTSIDE)
        roles = tuple(role for role in container.labels.get(ROLES_LABEL, "").split(",") if role)
        networks: dict[str, Any] = container.attrs["NetworkSettings"]["Networks"]
        address = str((networks.get(lab_network.management_name(name)) or {}).get("IPAddress") or "")
        machines[node] = MachineStatus(node, roles, container.status, address)
    record = lab_record.read(name)
    for missing in record.nodes if record else ():
        machines.setdefault(missing.name, MachineStatus(missing.name, missing.roles, "missing", ""))
    if record:
        machines.setdefault(OUTSIDE, MachineStatus(OUTSIDE, (), "missing", ""))
    order = {node.name: position for position, node in enumerate(record.nodes)} if record else {}
    key = lambda machine: (machine.name == OUTSIDE, order.get(machine.name, len(order)), machine.name)  # noqa: E731
    return LabStatus(name, tuple(sorted(machines.values(), key=key)))


def _summary(outcomes: Sequence[str], orphans: Sequence[str]) -> str:
    counts = {word: outcomes.count(word) for word in ("made", "started", "already up")}
    if counts["already up"] == len(outcomes):
        text = "already up"
    else:
        text = ", ".join(f"{count} {word}" for word, count in counts.items() if count)
    if orphans:
        text += f"; kept though not in the cluster's file: {', '.join(orphans)}"
    return text


@contextmanager
def _alone(shown: Step) -> Iterator[None]:
    """One lab command at a time: they share images and Docker's pool of subnets."""
    with exclusive(cache_dir() / "labs.lock", lambda: shown.progress("waiting for another lab command to end")):
        yield


def _parallel(verb: Callable[[T], R], subjects: Sequence[T]) -> list[R]:
    """Do a thing to all subjects at once; every one is finished with before the first error is raised."""
    if not subjects:
        return []
    with Threads(max_workers=min(len(subjects), 16)) as pool:
        futures = [pool.submit(verb, subject) for subject in subjects]
    errors = [error for error in (future.exception() for future in futures) if error is not None]
    if errors:
        for other in errors[1:]:
            errors[0].add_note(str(other))
        raise errors[0]
    return [future.result() for future in futures]
