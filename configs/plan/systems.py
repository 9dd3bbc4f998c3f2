"""Operating systems as data: what a package, a unit and a file is called on each (``configs/systems/*.yaml``)."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from functools import cache
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from configs.errors import ConfigError
from configs.membership import Membership
from configs.plan.interfaces import Claim, Definition, Interface
from configs.plan.jool import Jool
from configs.plan.kernel import Kernel
from configs.plan.packet_filter import PacketFilter
from configs.plan.versions import Runtime, numbers
from configs.schema.loading import CONFIGS
from configs.schema.reading import checked, read_yaml, validated

Networking = Literal["networkd", "ifupdown", "netplan", "network-scripts", "networkmanager"]
"""What configures the interfaces of a machine."""
Unasked = Literal[""]
"""What a machine does not say."""


class _Model(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Match(_Model):
    """Which machines a system file is about.

    Attributes:
        id: ``ID`` of os-release(5).
        since: The first ``VERSION_ID`` of os-release(5).
        before: The first that it is no longer about; none when absent.
    """

    id: str
    since: str
    before: str | None = None

    def covers(self, os: str, version: str) -> bool:
        """Whether it is about a machine that says this. One without a version is a rolling one, newer than any."""
        if os != self.id:
            return False
        if not version:
            return self.before is None
        return numbers(self.since) <= numbers(version) and (
            self.before is None or numbers(version) < numbers(self.before)
        )


class Repository(_Model):
    """Where a system gets packages from that it does not bring itself.

    Attributes:
        name: For a person.
        baseurl: Its address, with yum's own variables.
        gpgkey: Address or path of the key that signs its packages.
    """

    name: str
    baseurl: str
    gpgkey: str


class System(_Model):
    """An operating system.

    Attributes:
        name: Name of its file.
        match: The machines it is about.
        networking: What configures interfaces there, unless the machine says otherwise.
        packages: Its names of packages, by ours; several with blanks between them.
        lacking: What it has no package of, by our name, and what to do instead.
        units: Its names of systemd units, by ours.
        paths: Its paths, by our names.
        repositories: Where its packages come from that it does not bring itself, or no longer, by the name of yum's
            section.
    """

    name: str
    match: tuple[Match, ...] = Field(min_length=1)
    networking: Networking
    packages: dict[str, str]
    lacking: dict[str, str] = {}
    units: dict[str, str]
    paths: dict[str, str]
    repositories: dict[str, Repository] = {}

    def packages_of(self, *names: str) -> tuple[str, ...]:
        """Its packages for some of our names.

        Raises:
            ConfigError: It has no package of one.
        """
        for name in names:
            if name in self.lacking:
                raise ConfigError(f"{name} is not packaged for {self.name}", todo=self.lacking[name])
        return tuple(dict.fromkeys(package for name in names for package in self.packages[name].split()))


@dataclass(frozen=True, slots=True)
class SysctlLine:
    """A line of a machine's files that sets something of the kernel at every start (sysctl.d(5)).

    Attributes:
        path: The file.
        number: Of the line, from 1.
        key: The setting with dots between its names, or a pattern of settings.
        value: What it is set to.
        wins: Whether it is read after our own file.
    """

    path: str
    number: int
    key: str
    value: str
    wins: bool = False


@dataclass(frozen=True, slots=True)
class Machine:
    """What a machine says of itself before anything is planned for it. The default is a machine that was not asked.

    Nothing here that its state depends on is changed by what is done to the machine, so that the next run plans the
    same.

    Attributes:
        os: ``ID`` of os-release(5).
        version: ``VERSION_ID`` of os-release(5).
        networking: What configures its interfaces; empty to leave that to its system.
        beside: What configures interfaces there too.
        interfaces: Names of all its interfaces; empty when it was not asked.
        details: Those of which more is to be known than the name.
        claims: The files that configure interfaces, ours left out.
        not_listening: Those of ifupdown that have the kernel take no router advertisements where it forwards.
        renames: The files by which an interface has another name from the next start on.
        unmanaged: The interfaces that NetworkManager keeps off.
        sources: What its ``/etc/network/interfaces`` reads too, our own line left out: patterns, and directories with
            a slash at their end.
        dhcp: The files of networkd that take addresses or resolvers of others.
        definitions: What netplan's files define, ours left out.
        ssh_ipv4: The interface whose IPv4 address SSH came in by; empty when it came in by IPv6.
        advertised: The interfaces on which the kernel listens to router advertisements, and by which it has an address
            or a route from there; and those on which it listens because of an earlier run.
        ssh_advertised: The interface of SSH, when its address there, or its route to the other end, is an advertised
            one.
        sysctl_lines: The lines of its files that set what nodes need, in the order in which they count, ours left out.
        resolvers: The resolvers that it uses, for DNS64 to forward to when the topology names none.
        resolver_scripts: Its network scripts by which ifup writes resolvers of their own into resolv.conf.
        writers: What writes resolv.conf anew (``dhcpcd``, ``rdnssd``, ``openresolv``) or the names in ``/etc/hosts``:
            ``cloud-init``, and ``user-data`` where that tells it to, which goes before all files.
        resolved: Whether systemd-resolved answers its own questions.
        networkmanager: Whether NetworkManager runs, whatever configures the interfaces that are ours.
        firewalld: Whether firewalld runs.
        zones: Files of firewalld's zones, but for ours, and the interfaces in them; a file is named for each.
        filters: Its packet filters, but for firewalld.
        jool: What it has of Jool.
        registry_certificate: What its registry shows, as PEM, where it is a support node.
        kernel: What its kernel says.
        runtime: Version of the container runtime that it was asked about, such as ``20.10``; empty when it has none.
        packages: Where it has none: the packages that would bring one, and the version of each.
        runtime_in_use: What runs the containers of the cluster that it is a node of; empty when it is none of any.
        iptables: How its iptables keeps its rules; empty without one.
        identity: What no other machine has that runs now, whatever name it was reached by; empty when it does not say.
        membership: The cluster that it is of.
        python: Whether it has what the programs are run with that do the work there.
        ahead: How many seconds its clock goes before the one here, or behind it if negative; None when it does not say.
    """

    os: str = "debian"
    version: str = "12"
    networking: Networking | Unasked = ""
    beside: tuple[Networking, ...] = ()
    interfaces: tuple[str, ...] = ()
    details: tuple[Interface, ...] = ()
    claims: tuple[Claim, ...] = ()
    not_listening: tuple[Claim, ...] = ()
    renames: tuple[Claim, ...] = ()
    unmanaged: tuple[str, ...] = ()
    sources: tuple[str, ...] = ("/etc/network/interfaces.d/*",)
    dhcp: tuple[str, ...] = ()
    definitions: tuple[Definition, ...] = ()
    ssh_ipv4: str = ""
    advertised: tuple[str, ...] = ()
    ssh_advertised: str = ""
    sysctl_lines: tuple[SysctlLine, ...] = ()
    resolvers: tuple[str, ...] = ()
    resolver_scripts: tuple[str, ...] = ()
    writers: tuple[str, ...] = ()
    resolved: bool = False
    networkmanager: bool = False
    firewalld: bool = False
    zones: tuple[tuple[str, str], ...] = ()
    filters: tuple[PacketFilter, ...] = ()
    jool: Jool = field(default_factory=Jool)
    registry_certificate: str = ""
    kernel: Kernel = field(default_factory=Kernel)
    runtime: str = ""
    packages: tuple[tuple[str, str], ...] = ()
    runtime_in_use: Runtime | Unasked = ""
    iptables: Literal["nft", "legacy"] | Unasked = ""
    identity: str = ""
    membership: Membership = field(default_factory=Membership)
    python: bool = False
    ahead: int | None = None

    def interface(self, name: str) -> Interface:
        """What is known of an interface."""
        return next((each for each in self.details if each.name == name), Interface(name))


@cache
def systems() -> tuple[System, ...]:
    """Every system that is known, in the order of their names."""
    files = {path.stem: path for path in sorted((CONFIGS / "systems").glob("*.yaml"))}
    data = {name: validated(path, dict[str, Any], read_yaml(path)) for name, path in files.items()}
    return tuple(checked(path, System, _whole(name, data), name=name) for name, path in files.items())


def _whole(name: str, data: dict[str, dict[str, Any]]) -> dict[str, Any]:
    """A system's data over that of the system it is like. What it says that it lacks it has no package of."""
    own = dict(data[name])
    if (base := own.pop("like", None)) is None:
        return own
    whole = {key: value for key, value in _whole(base, data).items() if key != "match"}
    for key, value in own.items():
        whole[key] = {**whole[key], **value} if key in ("packages", "units", "paths") else value
    whole["packages"] = {name: what for name, what in whole["packages"].items() if name not in whole.get("lacking", {})}
    return whole


def system_of(machine: Machine) -> System:
    """The system that a machine runs.

    Raises:
        ConfigError: It is none that is known; the message lists those that are.
    """
    for system in systems():
        if any(match.covers(machine.os, machine.version) for match in system.match):
            return system
    seen = f"{machine.os} {machine.version}".strip() or "unknown"
    oldest: dict[str, str] = {}
    for match in (match for system in systems() for match in system.match):
        oldest[match.id] = min(match.since, oldest.get(match.id, match.since), key=numbers)
    known = ", ".join(f"{name} from {since}" for name, since in sorted(oldest.items()))
    raise ConfigError(f"its operating system is {seen}, and known here are {known}", todo="install one of those")


def networking_of(machine: Machine) -> Networking:
    """What configures the interfaces of a machine.

    Raises:
        ConfigError: Nobody knows its operating system.
    """
    return machine.networking or system_of(machine).networking


def runtime_version(machine: Machine, runtime: Runtime) -> str:
    """Version of a machine's container runtime: what is installed, else what would be; empty when neither is known.

    Args:
        machine: What the machine says of itself.
        runtime: What is to run the containers there.
    """
    if machine.runtime or not machine.packages:
        return machine.runtime
    return dict(machine.packages).get(system_of(machine).packages.get(runtime, runtime), "")


def machine_running(name: str) -> Machine:
    """A machine of a system, for what is rendered without asking one.

    Args:
        name: ``ID`` of os-release(5), and behind a dash its ``VERSION_ID``, such as ``centos-7``; the newest without.

    Raises:
        ConfigError: No such system is known.
    """
    os, dash, version = name.rpartition("-")
    machine = Machine(os, version) if dash and re.fullmatch(r"[0-9.]+", version) else Machine(name, "")
    system_of(machine)
    return machine
