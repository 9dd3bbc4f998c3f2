"""The networks of a lab, and the addresses that its machines have on them.

A lab has two: eth0 is management (IPv4, translated to the outside), eth1 the fabric, which Docker connects and the
pipeline addresses.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from contextlib import suppress
from functools import partial
from ipaddress import IPv4Address, IPv4Network
from pathlib import Path
from typing import Any

import docker
import docker.errors
from docker.models.containers import Container
from docker.models.networks import Network

from configs.errors import KubeV6Error
from configs.plan.interfaces import ETHERNET_MTU
from configs.schema.cluster import Node
from tasks.docker import container_engine
from tasks.lab import record as lab_record
from tasks.lab.record import LAB_LABEL, NODE_LABEL

FABRIC_INTERFACE = "eth1"
MTU_OPTION = "com.docker.network.driver.mtu"
"""Of Docker's bridges, for the ends in the containers too."""
FIRST_HOST = 10
"""Nodes get management addresses from this host number on; lower ones are Docker's gateway and the web server."""
OUTSIDE_HOST = 2
"""Host number of the web server's management address."""
NO_SUBNET = "see `docker network ls`: perhaps all its subnets are in use"


def management_name(lab: str) -> str:
    """What Docker calls the management network of a lab."""
    return f"kubev6-{lab}-mgmt"


def ensure_management(client: docker.DockerClient, name: str) -> Network:
    """The network of eth0: IPv4 that Docker translates, and the only way in for SSH. Made when there is none.

    Args:
        client: The engine.
        name: The lab's name.

    Returns:
        The network.

    Raises:
        KubeV6Error: Docker has no subnet left for it.
    """
    full_name = management_name(name)
    existing = client.networks.list(names=[f"^{full_name}$"])
    if existing:
        return existing[0]
    options = {MTU_OPTION: str(_default_mtu())}
    find_free = partial(_free_subnet, client, name)
    for _attempt in range(5):
        free = container_engine.ask(f"find a subnet for the network {full_name}", find_free, NO_SUBNET)
        pool = docker.types.IPAMPool(subnet=str(free), gateway=str(free[1]))
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
    raise KubeV6Error(f"Docker could not make the network {full_name}", todo=NO_SUBNET)


def _free_subnet(client: docker.DockerClient, name: str) -> IPv4Network:
    """A subnet that no network of Docker's has.

    Docker knows which are free, but lets containers have addresses of their own choice only where the subnet was chosen
    too: so it is asked for one, which is then chosen.
    """
    full_name = f"{management_name(name)}-proposal"
    for left_over in client.networks.list(names=[f"^{full_name}$"]):  # of a run that got killed
        remove(left_over)
    proposal = client.networks.create(full_name, labels={LAB_LABEL: name}, check_duplicate=True)
    try:
        proposal.reload()
        return subnet(proposal)
    finally:
        remove(proposal)


def ensure_fabric(client: docker.DockerClient, name: str, mtu: int = ETHERNET_MTU) -> Network:
    """The network of eth1, made when there is none.

    It is internal and without IPv6 of Docker's: its addresses are the cluster's affair.

    Args:
        client: The engine.
        name: The lab's name.
        mtu: Bytes of the largest packet on it, where it is made.

    Returns:
        The network.

    Raises:
        KubeV6Error: Docker could not make it.
    """
    full_name = f"kubev6-{name}-fabric"
    existing = client.networks.list(names=[f"^{full_name}$"])
    if existing:
        return existing[0]
    return container_engine.ask(
        f"make the network {full_name}",
        lambda: client.networks.create(
            full_name,
            driver="bridge",
            internal=True,
            options={MTU_OPTION: str(mtu)},
            labels={LAB_LABEL: name},
            check_duplicate=True,
        ),
    )


def subnet(network: Network) -> IPv4Network:
    """The IPv4 subnet of a network that Docker knows.

    Args:
        network: A network that was listed or reloaded since it was made.

    Returns:
        Its first subnet.
    """
    attributes: dict[str, Any] = network.attrs
    return IPv4Network(attributes["IPAM"]["Config"][0]["Subnet"])


def known_addresses(name: str, containers: Iterable[Container], management: Network) -> dict[str, str]:
    """Management addresses that nodes have already, from the record and from Docker itself.

    Args:
        name: The lab's name.
        containers: Containers of the lab; the web server's counts for nothing here.
        management: The lab's management network.

    Returns:
        Addresses by node name. Docker's word goes before the record's.

    Raises:
        KubeV6Error: The lab's record cannot be understood.
    """
    record = lab_record.read(name)
    known = {node.name: node.address for node in record.nodes} if record else {}
    for container in containers:
        networks: dict[str, Any] = container.attrs["NetworkSettings"]["Networks"]
        chosen = (networks.get(str(management.name)) or {}).get("IPAMConfig") or {}
        if chosen.get("IPv4Address") and NODE_LABEL in container.labels:
            known[container.labels[NODE_LABEL]] = chosen["IPv4Address"]
    return known


def addresses(nodes: Sequence[Node], subnet: IPv4Network, known: dict[str, str]) -> dict[str, str]:
    """A management address for each node: the one it has, else the next free one.

    Args:
        nodes: The nodes.
        subnet: The subnet of the management network.
        known: Addresses by node name, those of nodes that are no more included; outside ``subnet`` they are void.

    Returns:
        Addresses by node name.
    """
    kept = {name: address for name, address in known.items() if IPv4Address(address) in subnet}
    taken = set(kept.values())
    free = (str(subnet[number]) for number in range(FIRST_HOST, subnet.num_addresses - 1))
    return {node.name: kept.get(node.name) or next(a for a in free if a not in taken) for node in nodes}


def remove(network: Network) -> None:
    """Remove a network. One that is gone already is no error.

    Args:
        network: The network.

    Raises:
        KubeV6Error: Something is connected to it.
    """
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


def _default_mtu() -> int:
    """MTU of the interface of this machine's IPv4 default route; Ethernet's when it has none."""
    for line in Path("/proc/net/route").read_text().splitlines()[1:]:
        interface, destination, _gateway, _flags, *_rest, mask = line.split()[:8]
        if int(destination, 16) == 0 and int(mask, 16) == 0:
            return int(Path("/sys/class/net", interface, "mtu").read_text())
    return ETHERNET_MTU
