"""The machines of a lab, each a container: made, started, waited for, let into, and removed.

A node is a Debian container with systemd as its first process and an sshd. Beside the nodes stands a web server with
an IPv4 address only, for what is outside the cluster.
"""

from __future__ import annotations

import io
import socket
import tarfile
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any, cast

import docker
import docker.errors
from docker.models.containers import Container
from docker.models.networks import Network

from configs.errors import KubeV6Error, NodeError
from configs.render import render
from configs.schema.cluster import Node
from tasks.docker import container_engine
from tasks.lab import capabilities
from tasks.lab.images import LabImages
from tasks.lab.record import LAB_LABEL, NODE_LABEL, ROLES_LABEL

OUTSIDE = "outside"
"""What the web server is called among a lab's containers. No node can be: its container has no node label."""
OUTSIDE_NAME = "ipv4-only.kubev6.test"
"""Name of the web server, which resolves to an IPv4 address and nothing else."""
OUTSIDE_PAGE = "This page comes from the IPv4 side of the lab.\n"
"""What it serves at ``/``."""
SSH_PORT = 22
BOOT_DEADLINE = 60.0
"""Seconds in which a started machine must let SSH in."""

_HOST_KEY = "/etc/ssh/ssh_host_ed25519_key.pub"
_AUTHORIZED_KEYS = "/root/.ssh/authorized_keys"
_ATTEMPTS = 5
"""How often a file of a machine is asked for: an engine under load now and then loses what a command prints."""
_REUSABLE = {"running", "exited", "paused", "restarting"}
"""States of a container that was completely made. Others are left by an interrupted or killed engine."""


def container_name(lab: str, node: str) -> str:
    """What a machine's container is called.

    Names of labs and nodes hold neither dots nor underscores, so no two are the same.

    Args:
        lab: The lab's name.
        node: The node's name; ``""`` for the web server.

    Returns:
        The name.
    """
    return f"kubev6-{lab}.{node}" if node else f"kubev6-{lab}_{OUTSIDE}"


def containers(client: docker.DockerClient, name: str) -> list[Container]:
    """The containers of a lab, in whatever state they are.

    Args:
        client: The engine.
        name: The lab's name.

    Returns:
        The containers, the web server's among them.
    """
    return client.containers.list(all=True, ignore_removed=True, filters={"label": f"{LAB_LABEL}={name}"})


def present(client: docker.DockerClient, name: str, management: Network, fabric: Network) -> dict[str, Container]:
    """The lab's containers that can be used; what is left of others is removed.

    An engine that was killed leaves some half made or half removed, and a network that was removed and made
    again is another one to a container that was connected to it.

    Args:
        client: The engine.
        name: The lab's name.
        management: The lab's management network.
        fabric: The lab's fabric.

    Returns:
        Containers by their own name, which ``container_name`` tells.

    Raises:
        KubeV6Error: What is left of one cannot be removed.
    """
    usable = {}
    for container in containers(client, name):
        networks: dict[str, Any] = container.attrs["NetworkSettings"]["Networks"]
        connected = {str(network.get("NetworkID")) for network in networks.values()}
        wanted = {management.id, fabric.id} if NODE_LABEL in container.labels else {management.id}
        if container.status in _REUSABLE and connected == wanted:
            usable[str(container.name)] = container
        else:
            remove(container)
    return usable


def make_node(
    client: docker.DockerClient,
    lab: str,
    node: Node,
    images: LabImages,
    management: Network,
    fabric: Network,
    address: str,
    public_key: str,
) -> Container:
    """Create and start a node's container.

    Args:
        client: The engine.
        lab: The lab's name.
        node: The node.
        images: The images of labs.
        management: The network of its eth0.
        fabric: The network of its eth1.
        address: Its management address.
        public_key: The line of the public key that it lets in as root.

    Returns:
        The container, which runs.

    Raises:
        docker.errors.APIError: The engine refused.
    """
    api = client.api
    # A kernel without modules has no such directory, and needs none.
    modules = ["/lib/modules:/lib/modules:ro"] if Path("/lib/modules").is_dir() else []
    host_config = api.create_host_config(
        binds=modules,
        cap_add=list(capabilities.held()),
        security_opt=["seccomp=unconfined", "apparmor=unconfined"],
        device_cgroup_rules=["a *:* rwm"],
        cgroupns="private",
        mounts=[docker.types.Mount("/var", None, type="volume", labels={LAB_LABEL: lab})],
        network_mode=str(management.name),
        tmpfs={"/run": "mode=755", "/tmp": "exec,mode=1777"},
        sysctls={"net.ipv6.conf.all.disable_ipv6": "0", "net.ipv6.conf.default.disable_ipv6": "0"},
        log_config=docker.types.LogConfig(type="json-file", config={"max-size": "1m", "max-file": "2"}),
    )
    # Docker's own client calls this `systempaths=unconfined`; the kubelet reads and writes under /proc.
    host_config["MaskedPaths"] = []
    host_config["ReadonlyPaths"] = []
    role_image = images.node if node.in_kubernetes else images.support if "support" in node.roles else images.machine
    created = api.create_container(
        role_image,
        name=container_name(lab, node.name),
        hostname=node.name,
        labels={LAB_LABEL: lab, NODE_LABEL: node.name, ROLES_LABEL: ",".join(node.roles)},
        host_config=host_config,
        networking_config=_only_network(client, management, address),
    )
    container = client.containers.get(created["Id"])
    # The network given at creation is eth0, and the one connected here eth1, at every start.
    fabric.connect(container)
    _put_key(container, public_key)
    container.start()
    return container


def make_outside(
    client: docker.DockerClient, lab: str, images: LabImages, management: Network, address: str
) -> Container:
    """Create and start the web server that has an IPv4 address only.

    Args:
        client: The engine.
        lab: The lab's name.
        images: The images of labs.
        management: Its only network.
        address: Its address there.

    Returns:
        The container, which runs.

    Raises:
        docker.errors.APIError: The engine refused.
    """
    api = client.api
    created = api.create_container(
        images.machine,
        name=container_name(lab, ""),
        hostname=OUTSIDE,
        labels={LAB_LABEL: lab},
        entrypoint=["python3", "-m", "http.server", "80", "--bind", "0.0.0.0", "--directory", "/srv/outside"],
        stop_signal="SIGKILL",
        host_config=api.create_host_config(
            network_mode=str(management.name),
            sysctls={"net.ipv6.conf.all.disable_ipv6": "1"},
            log_config=docker.types.LogConfig(type="json-file", config={"max-size": "1m", "max-file": "2"}),
        ),
        networking_config=_only_network(client, management, address, aliases=[OUTSIDE_NAME]),
    )
    container = client.containers.get(created["Id"])
    _put(container, {"srv/outside/index.html": (OUTSIDE_PAGE, 0o644)})
    container.start()
    return container


def ready(container: Container | None, make: Callable[[], Container]) -> tuple[Container, str]:
    """A running container, whatever had to be done for it.

    Args:
        container: The container as Docker listed it; None when there is none.
        make: Makes and starts it.

    Returns:
        The container, and what was done: ``made``, ``started`` or ``already up``.

    Raises:
        KubeV6Error: It cannot be made or started.
    """
    if container is None:
        return container_engine.ask("make a container", make), "made"
    if container.status == "running":
        return container, "already up"
    if container.status == "paused":
        container_engine.ask(f"unpause {container.name}", container.unpause)
    else:
        container_engine.ask(f"start {container.name}", container.start)
    return container, "started"


def wait_for_ssh(node: str, container: Container, address: str) -> None:
    """Wait until the machine's sshd greets.

    Args:
        node: The node's name.
        container: Its container.
        address: Its management address.

    Raises:
        NodeError: The container ended, or nothing greeted in time.
    """
    until = time.monotonic() + BOOT_DEADLINE
    seen = "no answer"
    while time.monotonic() < until:
        try:
            with socket.create_connection((address, SSH_PORT), timeout=5) as connection:
                if connection.recv(4) == b"SSH-":
                    return
                seen = "something else answered"
        except OSError as error:
            seen = error.strerror or str(error)
        container.reload()
        if container.status != "running":
            raise NodeError(
                node,
                "boot",
                f"its container ended with status {container.attrs['State'].get('ExitCode')}",
                todo=f"see `docker logs {container.name}`",
                detail=container.logs(tail=40).decode(errors="replace"),
            )
        time.sleep(0.05)
    raise NodeError(
        node,
        "boot",
        f"no SSH at {address} port {SSH_PORT} after {BOOT_DEADLINE:.0f} s ({seen})",
        todo="see whether this machine lets traffic to Docker's networks through",
        transient=True,
        detail=container.logs(tail=40).decode(errors="replace"),
    )


def booted(node: str, container: Container, public_key: str) -> tuple[str, str]:
    """Wait until systemd has ended its start, let the lab's key in where it is not known, and get the host's.

    The keys go through Docker and not through the network that they protect. All is asked at once: to run something
    in a container is what takes the time.

    Args:
        node: The node's name.
        container: Its container, which runs.
        public_key: The line of the lab's public key.

    Returns:
        ``running``, or what systemd says is wrong; and the public host key, ``ssh-ed25519 AAAA...``.

    Raises:
        NodeError: The machine has no host key.
        KubeV6Error: Nothing can be run in the container.
    """
    values = {"deadline": int(BOOT_DEADLINE), "host_key": _HOST_KEY, "authorized_keys": _AUTHORIZED_KEYS}
    ask = render("lab-booted.sh", **values)
    for _ in range(_ATTEMPTS):
        host_key, _, answer = _exec(node, container, ["sh", "-c", ask]).partition("\n")
        if host_key.startswith("ssh-"):
            break
    else:
        raise NodeError(node, "boot", f"{_HOST_KEY} could not be read", todo="deploy again", transient=True)
    said, _, authorized = answer.partition("\n\n")
    if public_key not in authorized.splitlines(keepends=True):
        _put_key(container, authorized + public_key)
    state, *units = said.splitlines() or ["unknown"]
    failed = ", ".join(line.split()[0] for line in units if line.strip())
    return f"{state.strip()} ({failed} failed)" if failed else state.strip(), " ".join(host_key.split()[:2])


def remove(container: Container) -> None:
    """Remove a container with its volumes. One that is gone already is no error.

    Args:
        container: The container, in whatever state.

    Raises:
        KubeV6Error: Docker refused.
    """
    try:
        container.remove(force=True, v=True)
    except docker.errors.NotFound:
        return
    except docker.errors.APIError as error:
        if error.status_code != 409:
            raise KubeV6Error(
                f"the container {container.name} cannot be removed: {error.explanation}",
                todo="run `kubev6 lab down` again",
                transient=True,
            ) from error
        # Somebody else is removing it: it is gone when that has ended.
        with suppress(docker.errors.APIError):
            container.wait(timeout=60, condition="removed")


def _only_network(client: docker.DockerClient, network: Network, address: str, aliases: list[str] | None = None) -> Any:
    """Docker's form of "connected to this network, under this address"."""
    endpoint: Any = client.api.create_endpoint_config(ipv4_address=address, aliases=aliases)
    networks: Any = {str(network.name): endpoint}
    return client.api.create_networking_config(networks)


def _exec(node: str, container: Container, command: list[str]) -> str:
    done = container_engine.ask(f"run {command[0]} on {node}", lambda: container.exec_run(command))
    output = cast(bytes, done.output).decode(errors="replace")
    if done.exit_code not in (0, None):
        raise NodeError(node, "boot", f"`{command[0]}` ended with status {done.exit_code}", detail=output)
    return output


def _put_key(container: Container, public_keys: str) -> None:
    _put(container, {_AUTHORIZED_KEYS.removeprefix("/"): (public_keys, 0o600)})


def _put(container: Container, files: dict[str, tuple[str, int]]) -> None:
    """Write files into a container, which need not run; by path without the leading slash."""
    archive = io.BytesIO()
    with tarfile.open(fileobj=archive, mode="w") as tar:
        for path, (text, mode) in files.items():
            entry = tarfile.TarInfo(path)
            entry.size, entry.mode = len(text.encode()), mode
            tar.addfile(entry, io.BytesIO(text.encode()))
    container.put_archive("/", archive.getvalue())
