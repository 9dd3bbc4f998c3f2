"""The lab: a cluster's machines as containers of this machine.

A node is a Debian container with systemd as its first process and an sshd, on two networks: eth0 is management
(IPv4, translated to the outside), eth1 the fabric, which Docker connects and the pipeline addresses. Beside the
nodes stands a web server with an IPv4 address only, for what is outside the cluster.

Everything of a lab carries the label ``kubev6.lab`` with the lab's name, and is found by it again.
"""

from __future__ import annotations

import io
import shutil
import socket
import tarfile
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network
from pathlib import Path
from typing import Any, TypeVar, cast

import docker
import docker.errors
import requests
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from docker.models.containers import Container
from docker.models.networks import Network

from configs.errors import ConfigError, KubeV6Error, NodeError
from configs.schema import Cluster, Node
from tasks import capabilities, container_engine, docker_build, lab_record
from tasks.exclusive import exclusive
from tasks.lab_images import LabImages, lab_images
from tasks.lab_record import LabRecord, NodeRecord
from tasks.paths import cache_dir, cluster_dir
from tasks.ssh import Endpoint
from tasks.steps import Step, step

LAB_LABEL = "kubev6.lab"
NODE_LABEL = "kubev6.node"
ROLES_LABEL = "kubev6.roles"
FABRIC_INTERFACE = "eth1"
OUTSIDE = "outside"
"""What the web server is called among a lab's containers. No node can be: its container has no node label."""
OUTSIDE_NAME = "ipv4-only.kubev6.test"
"""Name of the web server, which resolves to an IPv4 address and nothing else."""
OUTSIDE_PAGE = "This page comes from the IPv4 side of the lab.\n"
"""What it serves at ``/``."""
SSH_PORT = 22
BOOT_DEADLINE = 60.0
"""Seconds in which a started machine must let SSH in."""
FIRST_HOST = 10
"""Nodes get management addresses from this host number on; lower ones are Docker's gateway and the web server."""
OUTSIDE_HOST = 2

_HOST_KEY = "/etc/ssh/ssh_host_ed25519_key.pub"
_AUTHORIZED_KEYS = "/root/.ssh/authorized_keys"
_REUSABLE = {"running", "exited", "paused", "restarting"}
"""States of a container that was completely made. Others are left by an interrupted or killed engine."""

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


def up(cluster: Cluster) -> LabRecord:
    """Bring up the machines of a cluster: make what is missing, start what is stopped, leave what runs.

    Args:
        cluster: A cluster whose file says ``lab:``. The lab has its name.

    Returns:
        The lab's record, which is written down too.

    Raises:
        KubeV6Error: An image or network cannot be made, or a machine does not come up.
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
    client = container_engine.client()
    with step(cluster.name, "lab") as shown, _alone(shown):
        images = lab_images()
        public_key = _ensure_key(cluster.name)
        management = _ensure_management(client, cluster.name)
        fabric = _ensure_fabric(client, cluster.name)
        subnet = _subnet(management)
        present = _present(client, cluster.name, management, fabric)
        addresses = _addresses(cluster.nodes, subnet, _known_addresses(cluster.name, present.values(), management))
        outcomes: list[str] = []

        def node_up(node: Node) -> NodeRecord:
            with step(node.name, "machine") as machine:
                container = present.get(_container_name(cluster.name, node.name))
                container, done = _ready(
                    container,
                    lambda: _make_node(
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
                _wait_for_ssh(node.name, container, addresses[node.name])
                state = _boot_state(node.name, container)
                machine.ended_as(done if state == "running" else f"{done}, {state}")
                outcomes.append(done)
                host_key = _exchange_keys(node.name, container, public_key)
                return NodeRecord(
                    node.name, tuple(node.roles), str(container.id), addresses[node.name], SSH_PORT, host_key
                )

        def outside_up() -> None:
            container = present.get(_container_name(cluster.name, ""))
            address = str(subnet[OUTSIDE_HOST])
            _container, done = _ready(
                container, lambda: _make_outside(client, cluster.name, images, management, address)
            )
            outcomes.append(done)

        jobs: list[Callable[[], NodeRecord | None]] = [outside_up]
        jobs += [_bound(node_up, node) for node in cluster.nodes]
        nodes = [made for made in _parallel(lambda job: job(), jobs) if made is not None]
        record = LabRecord(cluster.name, str(subnet), str(subnet[OUTSIDE_HOST]), tuple(nodes))
        lab_record.write(record)
        shown.ended_as(_summary(outcomes, _strangers(cluster, present.values())))
    return record


def down(name: str, images: bool = False) -> None:
    """Remove a lab: containers with their volumes, networks, record and keys. What is already gone is no error.

    Args:
        name: The lab's name.
        images: Remove the images that labs are made from too.

    Raises:
        KubeV6Error: Something of it cannot be removed, or another lab still needs the images.
    """
    client = container_engine.client()
    with step(name, "remove the lab") as shown, _alone(shown):
        containers = _containers(client, name)
        _parallel(_remove_container, containers)
        networks = client.networks.list(filters={"label": f"{LAB_LABEL}={name}"})
        for network in networks:
            _remove_network(network)
        # Those of containers that somebody else removed; a container's own go with it.
        for volume in client.volumes.list(filters={"label": f"{LAB_LABEL}={name}"}):
            _docker(f"remove the volume {volume.name}", volume.remove)
        where = lab_record.directory(name)
        had_record = where.is_dir()
        if had_record:
            shutil.rmtree(where)
        # The kubeconfig and the like of a cluster that is no more.
        shutil.rmtree(cluster_dir(name), ignore_errors=True)
        found = bool(containers or networks or had_record)
        shown.ended_as(f"{len(containers)} containers" if found else "there was none")
        if images:
            _remove_images(client)


def status(name: str) -> LabStatus:
    """What there is of a lab.

    Raises:
        KubeV6Error: There is no lab of that name.
    """
    client = container_engine.client()
    found = _status(name, _containers(client, name))
    if not found.machines:
        others = ", ".join(lab.name for lab in status_all()) or "none"
        raise KubeV6Error(f"there is no lab called {name!r} (labs here: {others})", todo="run `kubev6 lab up`")
    return found


def status_all() -> tuple[LabStatus, ...]:
    """Every lab of this machine, sorted by name."""
    client = container_engine.client()
    by_lab: dict[str, list[Container]] = {name: [] for name in lab_record.names()}
    for container in client.containers.list(all=True, filters={"label": LAB_LABEL}):
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


# --- networks --------------------------------------------------------------------------------------------


def _ensure_management(client: docker.DockerClient, name: str) -> Network:
    """The network of eth0: IPv4 that Docker translates, and the only way in for SSH."""
    full_name = f"kubev6-{name}-mgmt"
    existing = client.networks.list(names=[f"^{full_name}$"])
    if existing:
        return existing[0]
    options = {"com.docker.network.driver.mtu": str(_default_mtu())}
    for _attempt in range(5):
        # Docker knows which subnets are free, but lets containers have addresses of their own choice only where
        # the subnet was chosen too: so ask it for one, and choose that.
        proposal = client.networks.create(f"{full_name}-proposal", labels={LAB_LABEL: name}, check_duplicate=True)
        try:
            proposal.reload()
            subnet = _subnet(proposal)
        finally:
            proposal.remove()
        pool = docker.types.IPAMPool(subnet=str(subnet), gateway=str(subnet[1]))
        with suppress(docker.errors.APIError):
            made = client.networks.create(
                full_name,
                driver="bridge",
                options=options,
                ipam=docker.types.IPAMConfig(pool_configs=[pool]),
                labels={LAB_LABEL: name},
                check_duplicate=True,
            )
            made.reload()
            return made
    raise KubeV6Error(
        f"Docker could not make the network {full_name}",
        todo="see `docker network ls`: perhaps all its subnets are in use",
    )


def _ensure_fabric(client: docker.DockerClient, name: str) -> Network:
    """The network of eth1. Internal and without IPv6 of Docker's: its addresses are the cluster's affair."""
    full_name = f"kubev6-{name}-fabric"
    existing = client.networks.list(names=[f"^{full_name}$"])
    if existing:
        return existing[0]
    return _docker(
        f"make the network {full_name}",
        lambda: client.networks.create(
            full_name, driver="bridge", internal=True, labels={LAB_LABEL: name}, check_duplicate=True
        ),
    )


def _subnet(network: Network) -> IPv4Network:
    attributes: dict[str, Any] = network.attrs
    return IPv4Network(attributes["IPAM"]["Config"][0]["Subnet"])


def _default_mtu() -> int:
    """MTU of the interface of this machine's IPv4 default route; 1500 when it has none."""
    for line in Path("/proc/net/route").read_text().splitlines()[1:]:
        interface, destination, _gateway, _flags, *_rest, mask = line.split()[:8]
        if int(destination, 16) == 0 and int(mask, 16) == 0:
            return int(Path("/sys/class/net", interface, "mtu").read_text())
    return 1500


def _known_addresses(name: str, containers: Iterable[Container], management: Network) -> dict[str, str]:
    """Management addresses that nodes have already, from the record and from Docker itself."""
    record = lab_record.read(name)
    known = {node.name: node.address for node in record.nodes} if record else {}
    for container in containers:
        networks: dict[str, Any] = container.attrs["NetworkSettings"]["Networks"]
        chosen = (networks.get(str(management.name)) or {}).get("IPAMConfig") or {}
        if chosen.get("IPv4Address") and NODE_LABEL in container.labels:
            known[container.labels[NODE_LABEL]] = chosen["IPv4Address"]
    return known


def _addresses(nodes: Sequence[Node], subnet: IPv4Network, known: dict[str, str]) -> dict[str, str]:
    """A management address for each node: the one it has, else the next free one."""
    kept = {name: address for name, address in known.items() if IPv4Address(address) in subnet}
    taken = set(kept.values())
    free = (str(subnet[number]) for number in range(FIRST_HOST, subnet.num_addresses - 1))
    return {node.name: kept.get(node.name) or next(a for a in free if a not in taken) for node in nodes}


# --- containers ------------------------------------------------------------------------------------------


def _make_node(
    client: docker.DockerClient,
    lab: str,
    node: Node,
    images: LabImages,
    management: Network,
    fabric: Network,
    address: str,
    public_key: str,
) -> Container:
    """Create and start a node's container."""
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
        name=_container_name(lab, node.name),
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


def _make_outside(
    client: docker.DockerClient, lab: str, images: LabImages, management: Network, address: str
) -> Container:
    """Create and start the web server that has an IPv4 address only."""
    api = client.api
    created = api.create_container(
        images.machine,
        name=_container_name(lab, ""),
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


def _only_network(client: docker.DockerClient, network: Network, address: str, aliases: list[str] | None = None) -> Any:
    """Docker's form of "connected to this network, under this address"."""
    endpoint: Any = client.api.create_endpoint_config(ipv4_address=address, aliases=aliases)
    networks: Any = {str(network.name): endpoint}
    return client.api.create_networking_config(networks)


def _ready(container: Container | None, make: Callable[[], Container]) -> tuple[Container, str]:
    """A running container, and what had to be done for it: ``made``, ``started`` or ``already up``."""
    if container is None:
        return _docker("make a container", make), "made"
    if container.status == "running":
        return container, "already up"
    if container.status == "paused":
        _docker(f"unpause {container.name}", container.unpause)
    else:
        _docker(f"start {container.name}", container.start)
    return container, "started"


def _wait_for_ssh(node: str, container: Container, address: str) -> None:
    """Wait until the machine's sshd greets.

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


def _boot_state(node: str, container: Container) -> str:
    """Wait until systemd has ended its start; ``running``, or what it says is wrong."""
    wait = f"timeout {BOOT_DEADLINE:.0f} systemctl is-system-running --wait"
    list_failed = "systemctl list-units --failed --plain --no-legend"
    lines = _exec(node, container, ["sh", "-c", f"{wait} || {list_failed}"]).splitlines()
    state = lines[0].strip() if lines else "unknown"
    failed = ", ".join(line.split()[0] for line in lines[1:] if line.strip())
    return f"{state} ({failed} failed)" if failed else state


def _exchange_keys(node: str, container: Container, public_key: str) -> str:
    """Let the lab's key into a machine that does not know it, and get the machine's public host key.

    Both go through Docker and not through the network that they protect.
    """
    text = _exec(node, container, ["sh", "-c", f"cat {_HOST_KEY} || exit; cat {_AUTHORIZED_KEYS} 2>/dev/null; true"])
    host_key, _, authorized = text.partition("\n")
    if public_key not in authorized.splitlines(keepends=True):
        _put_key(container, authorized + public_key)
    return " ".join(host_key.split()[:2])


def _exec(node: str, container: Container, command: list[str]) -> str:
    done = _docker(f"run {command[0]} on {node}", lambda: container.exec_run(command))
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


def _remove_container(container: Container) -> None:
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


def _remove_network(network: Network) -> None:
    try:
        network.remove()
    except docker.errors.NotFound:
        return
    except docker.errors.APIError as error:
        network.reload()
        users = ", ".join(str(container.name) for container in network.containers) or "something"
        raise KubeV6Error(
            f"the network {network.name} cannot be removed: it is used by {users}", todo="remove that first"
        ) from error


def _remove_images(client: docker.DockerClient) -> None:
    others = client.containers.list(all=True, filters={"label": LAB_LABEL})
    if others:
        names = ", ".join(sorted({container.labels[LAB_LABEL] for container in others}))
        raise KubeV6Error(f"the images stay: they are in use by {names}", todo="take those labs down first")
    with step("docker", "remove the lab images") as shown:
        images = client.images.list(filters={"label": f"{docker_build.IMAGE_LABEL}=lab"})
        for image in images:
            for tag in image.tags:
                with suppress(docker.errors.ImageNotFound):
                    client.images.remove(tag)
            with suppress(docker.errors.ImageNotFound, docker.errors.APIError):
                # Gone with its last tag, unless something that is no lab's is made from it: then it stays.
                client.images.remove(str(image.id))
        shown.ended_as(f"{len(images)} images")


# --- what Docker knows -----------------------------------------------------------------------------------


def _containers(client: docker.DockerClient, name: str) -> list[Container]:
    return client.containers.list(all=True, ignore_removed=True, filters={"label": f"{LAB_LABEL}={name}"})


def _present(client: docker.DockerClient, name: str, management: Network, fabric: Network) -> dict[str, Container]:
    """The lab's containers that can be used, by name; what is left of others is removed.

    An engine that was killed leaves some half made or half removed, and a network that was removed and made
    again is another one to a container that was connected to it.
    """
    present = {}
    for container in _containers(client, name):
        networks: dict[str, Any] = container.attrs["NetworkSettings"]["Networks"]
        connected = {str(network.get("NetworkID")) for network in networks.values()}
        wanted = {management.id, fabric.id} if NODE_LABEL in container.labels else {management.id}
        if container.status in _REUSABLE and connected == wanted:
            present[str(container.name)] = container
        else:
            _remove_container(container)
    return present


def _container_name(lab: str, node: str) -> str:
    """Names of labs and nodes hold neither dots nor underscores, so no two are the same. ``""``: the web server."""
    return f"kubev6-{lab}.{node}" if node else f"kubev6-{lab}_{OUTSIDE}"


def _strangers(cluster: Cluster, containers: Iterable[Container]) -> list[str]:
    """Nodes that the lab has and the cluster's file has not (any more)."""
    wanted = {node.name for node in cluster.nodes}
    return sorted({container.labels.get(NODE_LABEL, "") for container in containers} - wanted - {""})


def _status(name: str, containers: list[Container]) -> LabStatus:
    machines = {}
    for container in containers:
        node = container.labels.get(NODE_LABEL, OUTSIDE)
        roles = tuple(role for role in container.labels.get(ROLES_LABEL, "").split(",") if role)
        networks: dict[str, Any] = container.attrs["NetworkSettings"]["Networks"]
        address = str((networks.get(f"kubev6-{name}-mgmt") or {}).get("IPAddress") or "")
        machines[node] = MachineStatus(node, roles, container.status, address)
    record = lab_record.read(name)
    for missing in record.nodes if record else ():
        machines.setdefault(missing.name, MachineStatus(missing.name, missing.roles, "missing", ""))
    if record:
        machines.setdefault(OUTSIDE, MachineStatus(OUTSIDE, (), "missing", ""))
    order = {node.name: position for position, node in enumerate(record.nodes)} if record else {}
    key = lambda machine: (machine.name == OUTSIDE, order.get(machine.name, len(order)), machine.name)  # noqa: E731
    return LabStatus(name, tuple(sorted(machines.values(), key=key)))


def _summary(outcomes: Sequence[str], strangers: Sequence[str]) -> str:
    counts = {word: outcomes.count(word) for word in ("made", "started", "already up")}
    if counts["already up"] == len(outcomes):
        text = "already up"
    else:
        text = ", ".join(f"{count} {word}" for word, count in counts.items() if count)
    if strangers:
        text += f"; kept though not in the cluster's file: {', '.join(strangers)}"
    return text


# --- the lab's key ---------------------------------------------------------------------------------------


def _ensure_key(name: str) -> str:
    """The public key that the lab's machines let in, made when there is none."""
    private_file = lab_record.key_file(name)
    comment = f"kubev6-{name}"
    if private_file.exists():
        try:
            private = serialization.load_ssh_private_key(private_file.read_bytes(), password=None)
        except (OSError, ValueError, UnsupportedAlgorithm) as error:
            raise KubeV6Error(
                f"{private_file} cannot be used as a private key: {getattr(error, 'strerror', None) or error}",
                todo="remove it and run this again: a new one is made and put into the lab's machines",
            ) from error
        return _public(private.public_key(), comment)
    made = Ed25519PrivateKey.generate()
    text = made.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.OpenSSH, serialization.NoEncryption()
    )
    private_file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    lab_record.write_whole(private_file, text.decode(), mode=0o600)
    return _public(made.public_key(), comment)


def _public(key: Any, comment: str) -> str:
    line = key.public_bytes(serialization.Encoding.OpenSSH, serialization.PublicFormat.OpenSSH)
    return f"{line.decode()} {comment}\n"


# --- running things --------------------------------------------------------------------------------------


@contextmanager
def _alone(shown: Step) -> Iterator[None]:
    """One lab command at a time: they share images and Docker's pool of subnets."""
    with exclusive(cache_dir() / "labs.lock", lambda: shown.progress("waiting for another lab command to end")):
        yield


def _parallel(verb: Callable[[T], R], subjects: Sequence[T]) -> list[R]:
    """Do a thing to all subjects at once; every one is finished with before the first error is raised."""
    if not subjects:
        return []
    with ThreadPoolExecutor(max_workers=min(len(subjects), 16)) as pool:
        futures = [pool.submit(verb, subject) for subject in subjects]
    errors = [error for error in (future.exception() for future in futures) if error is not None]
    if errors:
        for other in errors[1:]:
            errors[0].add_note(str(other))
        raise errors[0]
    return [future.result() for future in futures]


def _bound(function: Callable[[T], R], argument: T) -> Callable[[], R]:
    return lambda: function(argument)


def _docker(what: str, action: Callable[[], R]) -> R:
    """Do something with the engine; what it refuses becomes an error that a person can read."""
    try:
        return action()
    except docker.errors.APIError as error:
        raise KubeV6Error(
            f"Docker could not {what}: {error.explanation or error}", transient=error.is_server_error()
        ) from error
    except requests.RequestException as error:
        raise KubeV6Error(f"Docker did not answer while asked to {what}", transient=True, detail=str(error)) from error
