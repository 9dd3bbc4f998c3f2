"""What is written down about a lab: its machines, their addresses, its key, and the labels that Docker keeps.

A lab's directory is made by ``lab up`` and removed by ``lab down``; Docker's own labels suffice to take a lab
down when the directory is lost.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from configs.errors import KubeV6Error
from tasks import bounded
from tasks.disk import writing_data
from tasks.paths import data_dir
from tasks.replace import write_whole

LAB_LABEL = "kubev6.lab"
"""Label of everything that a lab has of Docker's, by which it is found again; the lab's name."""
NODE_LABEL = "kubev6.node"
"""Label of a node's container; the node's name."""
ROLES_LABEL = "kubev6.roles"
"""Label of a node's container; its roles, with commas between them."""


@dataclass(frozen=True, slots=True)
class NodeRecord:
    """One machine of a lab.

    Attributes:
        name: The node's name.
        roles: What it does.
        container: Docker's id of its container.
        address: Its address on the management network, which it keeps.
        port: TCP port of its sshd.
        host_key: Its public host key, ``ssh-ed25519 AAAA...``.
    """

    name: str
    roles: tuple[str, ...]
    container: str
    address: str
    port: int
    host_key: str


@dataclass(frozen=True, slots=True)
class LabRecord:
    """A lab.

    Attributes:
        name: The lab's name, which is its cluster's.
        management: The management network, for example ``172.20.0.0/16``.
        outside: Address of the web server that stands for the IPv4 Internet.
        nodes: Its machines.
    """

    name: str
    management: str
    outside: str
    nodes: tuple[NodeRecord, ...]


def directory(name: str) -> Path:
    """Where the lab called ``name`` keeps its files."""
    return data_dir() / "labs" / name


def key_file(name: str) -> Path:
    """The private key that the lab's machines let in; mode 0600."""
    return directory(name) / "id_ed25519"


def ensure_key(name: str) -> str:
    """The public key that the lab's machines let in, made with its private key when there is none.

    Args:
        name: The lab's name.

    Returns:
        The line for ``authorized_keys``, with its line end.

    Raises:
        KubeV6Error: The private key's file is no key that can be used, or cannot be written.
    """
    private_file = key_file(name)
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
    with writing_data():
        private_file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        write_whole(private_file, text.decode(), mode=0o600)
    return _public(made.public_key(), comment)


def known_hosts(name: str) -> Path:
    """The host keys of the lab's machines, as OpenSSH writes them."""
    return directory(name) / "known_hosts"


def read(name: str) -> LabRecord | None:
    """The record of the lab called ``name``; None when there is none.

    Raises:
        KubeV6Error: It cannot be understood.
    """
    file = directory(name) / "record.json"
    try:
        return bounded.read(file, LabRecord)
    except FileNotFoundError:
        return None
    except (OSError, ValueError) as error:
        raise KubeV6Error(
            f"{file} is not a lab's record: {bounded.reason(error)}",
            todo=f"run `kubev6 lab down --cluster {name}`, then bring it up again",
        ) from None


def write(record: LabRecord) -> None:
    """Write the record and its known_hosts file, each whole or not at all.

    Raises:
        KubeV6Error: They cannot be written.
    """
    with writing_data():
        write_whole(known_hosts(record.name), render_known_hosts(record))
        write_whole(directory(record.name) / "record.json", json.dumps(asdict(record), indent=2) + "\n")


def names() -> tuple[str, ...]:
    """The labs that have a record, sorted."""
    return tuple(sorted(file.parent.name for file in (data_dir() / "labs").glob("*/record.json")))


def render_known_hosts(record: LabRecord) -> str:
    """The lines of a known_hosts file (sshd(8), "SSH_KNOWN_HOSTS FILE FORMAT")."""
    lines = []
    for node in record.nodes:
        host = node.address if node.port == 22 else f"[{node.address}]:{node.port}"
        lines.append(f"{host} {node.host_key}\n")
    return "".join(lines)


def _public(key: Any, comment: str) -> str:
    line = key.public_bytes(serialization.Encoding.OpenSSH, serialization.PublicFormat.OpenSSH)
    return f"{line.decode()} {comment}\n"
