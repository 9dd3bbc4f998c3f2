"""What a node must look like, as plain values.

A :class:`NodeState` is made by :mod:`configs.plan.node` and brought about by the state engine in ``tasks``. Nothing
here knows how a thing is read or changed on a machine.
"""

from __future__ import annotations

from dataclasses import dataclass
from ipaddress import IPv6Interface, IPv6Network, ip_address


@dataclass(frozen=True, slots=True)
class File:
    """A file with all of its content, or a marked block inside a file that others write too.

    Attributes:
        path: Absolute path on the node.
        content: The whole text of the file, or of the block. Ends with a newline.
        mode: Permission bits.
        block: True when only the lines between the ``# BEGIN kubev6`` and ``# END kubev6`` marks are ours.
    """

    path: str
    content: str
    mode: int = 0o644
    block: bool = False


@dataclass(frozen=True, slots=True)
class Certificate:
    """A key and a certificate that it has signed itself, in one file. They are made on the node, and the key stays.

    Attributes:
        path: The file.
        name: The host name that the certificate is for.
        address: Its IPv6 address.
        unit: The systemd unit whose user alone reads the file; empty for root.
        days: How long it is good.
    """

    path: str
    name: str
    address: str
    unit: str = ""
    days: int = 3650


@dataclass(frozen=True, slots=True)
class Sysctl:
    """A kernel setting's value now; that it lasts is the business of a :class:`File`."""

    key: str
    value: str


@dataclass(frozen=True, slots=True)
class Address:
    """An IPv6 address with its prefix length on an interface, for example ``fd00::100/64`` on ``eth1``.

    However it was written, it is kept as the kernel writes it (RFC 5952); and it reads as ``ip addr`` takes it.
    """

    interface: str
    address: str

    def __post_init__(self) -> None:
        object.__setattr__(self, "address", str(IPv6Interface(self.address)))

    def __str__(self) -> str:
        return f"{self.address} dev {self.interface}"


@dataclass(frozen=True, slots=True)
class Route:
    """An IPv6 route in the main table, for example ``fd00:101::/64 via fd00::101 dev eth1 metric 1024``.

    However it was written, it is kept as the kernel writes it (RFC 5952); and it reads as ``ip route`` takes it.
    """

    destination: str
    via: str
    interface: str
    metric: int = 1024

    def __post_init__(self) -> None:
        object.__setattr__(self, "destination", str(IPv6Network(self.destination)))
        object.__setattr__(self, "via", self.via and str(ip_address(self.via)))

    def __str__(self) -> str:
        via = f"via {self.via} " * bool(self.via)
        return f"{self.destination} {via}dev {self.interface} metric {self.metric}"


@dataclass(frozen=True, slots=True)
class Binary:
    """An executable fetched by the node itself and checked before it replaces anything.

    Attributes:
        path: Where it belongs on the node.
        sha256: Hexadecimal digest of its bytes.
        size: Size in bytes.
        url: Where the node fetches it from, over IPv6.
        certificate: Path there of the certificate that the server has to show.
    """

    path: str
    sha256: str
    size: int
    url: str
    certificate: str = ""


@dataclass(frozen=True, slots=True)
class Service:
    """A systemd unit that is enabled and running.

    Attributes:
        unit: Unit name with its suffix, for example ``containerd.service``.
        restart_on: Paths of files and binaries whose change makes a restart necessary.
    """

    unit: str
    restart_on: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Reload:
    """A command that makes a program take over its changed files without a restart.

    Attributes:
        command: Its words.
        when: Paths of the files whose change makes it necessary.
    """

    command: tuple[str, ...]
    when: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Trial:
    """How a tool is asked whether it can read files, before any of them is written.

    Attributes:
        tool: Its name, for a person.
        files: The files, which are laid over a copy of what the machine has.
        directories: What of the machine is copied for it.
        script: Run by sh in the directory that holds the copies; fails when the tool refuses them.
    """

    tool: str
    files: tuple[File, ...]
    directories: tuple[str, ...]
    script: str


@dataclass(frozen=True, slots=True)
class StageState:
    """One stage of a node. Applied in the order of the attributes below.

    Attributes:
        name: ``network``, ``support``, ``runtime`` or ``kubernetes``.
        packages: Packages of the node's own distribution.
        modules: Kernel modules that are loaded (or built in) now.
        files: Files and blocks; missing directories are made.
        only_files_in: Directories that hold no other files; what else was there is kept in the backup. Directories in
            them, and what begins with a dot, are left alone.
        shared_directories: Directories that others put files into while the node is one of Kubernetes: what has come
            goes when the node is made what it was.
        certificates: Certificates that are made on the node.
        swap_off: True when no swap may be in use, now and after a restart.
        selinux_permissive: True when SELinux may not enforce anything, now and after a restart.
        no_ipv4_names: Host names that ``/etc/hosts`` gives no IPv4 address.
        sysctls: Kernel settings.
        links_up: Interfaces that are switched on.
        addresses: Addresses on interfaces.
        no_ipv4_on: Interfaces that carry no IPv4 address.
        no_ipv4_default_route: True when no IPv4 default route may exist. The path that the controller's own
            connection takes is kept by a host route.
        routes: IPv6 routes.
        binaries: Executables.
        reloads: Commands that are run when the files that they are about have changed.
        services: Units, in the order in which they are started.
        trial: How the tool that reads some of the files is asked beforehand; None where none can be.
    """

    name: str
    packages: tuple[str, ...] = ()
    modules: tuple[str, ...] = ()
    files: tuple[File, ...] = ()
    only_files_in: tuple[str, ...] = ()
    shared_directories: tuple[str, ...] = ()
    certificates: tuple[Certificate, ...] = ()
    swap_off: bool = False
    selinux_permissive: bool = False
    no_ipv4_names: tuple[str, ...] = ()
    sysctls: tuple[Sysctl, ...] = ()
    links_up: tuple[str, ...] = ()
    addresses: tuple[Address, ...] = ()
    no_ipv4_on: tuple[str, ...] = ()
    no_ipv4_default_route: bool = False
    routes: tuple[Route, ...] = ()
    binaries: tuple[Binary, ...] = ()
    reloads: tuple[Reload, ...] = ()
    services: tuple[Service, ...] = ()
    trial: Trial | None = None


@dataclass(frozen=True, slots=True)
class NodeState:
    """Everything that one node must look like.

    Attributes:
        node: The node's name.
        stages: Its stages, in the order in which they are applied; it may lack some.
    """

    node: str
    stages: tuple[StageState, ...]

    def stage(self, name: str) -> StageState | None:
        """The stage called ``name``, or None when this node has none of that name."""
        return next((stage for stage in self.stages if stage.name == name), None)
