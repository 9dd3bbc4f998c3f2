"""What a node answered about itself, as typed values."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from configs.state import Address, Route


@dataclass(frozen=True, slots=True)
class FileFact:
    """What is at a path.

    Attributes:
        kind: ``file``, ``link`` or ``other`` (a directory, a device).
        sha256: Of a file's content.
        mode: Permission bits of a file.
        target: Where a link points.
    """

    kind: str
    sha256: str = ""
    mode: int = 0
    target: str = ""


@dataclass(frozen=True, slots=True)
class ServiceFact:
    """A systemd unit.

    Attributes:
        active: Its ``ActiveState``.
        enabled: Its ``UnitFileState``.
        held_back: True when its conditions were looked at and not met, so that it is not meant to run yet.
    """

    active: str = "inactive"
    enabled: str = ""
    held_back: bool = False


@dataclass(frozen=True, slots=True)
class Added:
    """What earlier runs put on the node for one stage, from the record there.

    Attributes:
        files: For each path whether it is a block in a file, and whether an original is kept.
        addresses: Addresses added.
        routes: Routes added.
        services: Units enabled or started.
    """

    files: Mapping[str, tuple[bool, bool]] = field(default_factory=dict)
    addresses: frozenset[Address] = frozenset()
    routes: frozenset[Route] = frozenset()
    services: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class Facts:
    """A node as it is, as far as the stages that were asked about speak of it.

    Attributes:
        packages: Installed ones of those asked about.
        modules: Loaded or built-in ones of those asked about.
        files: By path, for the files and for all that is in the directories asked about; None where nothing is.
        blocks: By path: sha256 of our block, None without one, or the trouble with its marks after ``!``.
        swaps: Swap devices in use. In a container these are its host's.
        fstab_swaps: Lines of fstab that turn swap on at boot.
        selinux: What SELinux does now, ``enforcing`` or ``permissive``; empty where there is none.
        selinux_at_boot: What it does after the next start.
        ipv4_names: IPv4 addresses that ``/etc/hosts`` gives the names asked about.
        sysctls: By key; None where the kernel has no such setting.
        interfaces: Names of all interfaces.
        links_up: Names of those that are switched on.
        addresses: All IPv6 addresses that work or are about to.
        failed_addresses: IPv6 addresses that another machine on the link has too.
        ipv4_addresses: IPv4 addresses by interface.
        routes: IPv6 routes of the main table, without the kernel's own.
        ipv4_default_routes: In the words of ``ip route``.
        binaries: sha256 by path; None where nothing is.
        services: By unit name.
        added: By stage name.
        pending_restarts: Units whose restart an earlier run owes, and commands that it owes.
    """

    packages: frozenset[str] = frozenset()
    modules: frozenset[str] = frozenset()
    files: Mapping[str, FileFact | None] = field(default_factory=dict)
    blocks: Mapping[str, str | None] = field(default_factory=dict)
    swaps: tuple[str, ...] = ()
    fstab_swaps: tuple[str, ...] = ()
    selinux: str = ""
    selinux_at_boot: str = ""
    ipv4_names: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    sysctls: Mapping[str, str | None] = field(default_factory=dict)
    interfaces: tuple[str, ...] = ()
    links_up: frozenset[str] = frozenset()
    addresses: frozenset[Address] = frozenset()
    failed_addresses: frozenset[Address] = frozenset()
    ipv4_addresses: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    routes: frozenset[Route] = frozenset()
    ipv4_default_routes: tuple[str, ...] = ()
    binaries: Mapping[str, str | None] = field(default_factory=dict)
    services: Mapping[str, ServiceFact] = field(default_factory=dict)
    added: Mapping[str, Added] = field(default_factory=dict)
    pending_restarts: frozenset[str] = frozenset()

    @classmethod
    def parse(cls, answer: Mapping[str, Any]) -> Facts:
        """Facts from the JSON that ``tasks/node_agent/read_facts.py`` answers."""
        ipv4: dict[str, tuple[str, ...]] = {}
        good: set[Address] = set()
        failed: set[Address] = set()
        for interface, address, state in answer["addresses"]:
            if ":" not in address:
                ipv4[interface] = (*ipv4.get(interface, ()), address)
            else:
                (failed if state == "failed" else good).add(Address(interface, address))
        return cls(
            packages=frozenset(answer["packages"]),
            modules=frozenset(answer["modules"]),
            files={path: FileFact(**fact) if fact else None for path, fact in answer["files"].items()},
            blocks=answer["blocks"],
            swaps=tuple(answer["swaps"]),
            fstab_swaps=tuple(answer["fstab_swaps"]),
            selinux=answer["selinux"]["now"],
            selinux_at_boot=answer["selinux"]["boot"],
            ipv4_names={name: tuple(addresses) for name, addresses in answer["ipv4_names"].items()},
            sysctls=answer["sysctls"],
            interfaces=tuple(answer["interfaces"]),
            links_up=frozenset(answer["links_up"]),
            addresses=frozenset(good),
            failed_addresses=frozenset(failed),
            ipv4_addresses=ipv4,
            routes=frozenset(Route(**route) for route in answer["routes"]),
            ipv4_default_routes=tuple(answer["ipv4_default_routes"]),
            binaries=answer["binaries"],
            services={unit: ServiceFact(**fact) for unit, fact in answer["services"].items()},
            added={stage: _added(entry) for stage, entry in answer["added"].items()},
            pending_restarts=frozenset(answer["pending_restarts"]),
        )


def _added(entry: Mapping[str, Any]) -> Added:
    files = entry.get("files", {})
    return Added(
        files={path: (bool(noted["block"]), bool(noted["before"])) for path, noted in files.items()},
        addresses=frozenset(parse_address(text) for text in entry.get("addresses", {})),
        routes=frozenset(parse_route(text) for text in entry.get("routes", {})),
        services=frozenset(entry.get("services", {})),
    )


def route_words(route: Route) -> str:
    """A route in the words that ``ip -6 route`` takes; how changes and the node's record name it."""
    via = f"via {route.via} " if route.via else ""
    return f"{route.destination} {via}dev {route.interface} metric {route.metric}"


def parse_route(text: str) -> Route:
    """The inverse of :func:`route_words`."""
    destination, *rest = text.split()
    words = dict(zip(rest[::2], rest[1::2], strict=True))
    return Route(destination, words.get("via", ""), words["dev"], int(words["metric"]))


def address_words(address: Address) -> str:
    """An address in the words that ``ip -6 addr`` takes; how changes and the node's record name it."""
    return f"{address.address} dev {address.interface}"


def parse_address(text: str) -> Address:
    """The inverse of :func:`address_words`."""
    address, _, interface = text.split()
    return Address(interface, address)
