"""Operating systems as data: what a package, a unit and a file is called on each (``configs/systems/*.yaml``)."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import Literal

import yaml
from pydantic import BaseModel, ConfigDict, Field

from configs.errors import ConfigError
from configs.schema import CONFIGS

Networking = Literal["networkd"]
"""What configures the interfaces of a machine."""


class _Model(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Match(_Model):
    """Which machines a system file is about.

    Attributes:
        id: ``ID`` of os-release(5).
    """

    id: str


class System(_Model):
    """An operating system.

    Attributes:
        name: Name of its file.
        match: The machines it is about.
        networking: What configures interfaces there, unless the machine says otherwise.
        packages: Its names of packages, by ours.
        units: Its names of systemd units, by ours.
        paths: Its paths, by our names.
    """

    name: str
    match: tuple[Match, ...] = Field(min_length=1)
    networking: Networking
    packages: dict[str, str]
    units: dict[str, str]
    paths: dict[str, str]

    def packages_of(self, *names: str) -> tuple[str, ...]:
        """Its packages for some of our names."""
        return tuple(self.packages[name] for name in names)


@dataclass(frozen=True, slots=True)
class Machine:
    """What a machine says of itself that its state depends on. The default is a machine that was not asked.

    Attributes:
        os: ``ID`` of os-release(5).
        version: ``VERSION_ID`` of os-release(5).
        networking: What configures its interfaces; empty to leave that to its system.
        resolvers: The resolvers that it uses, for DNS64 to forward to when the topology names none.
    """

    os: str = "debian"
    version: str = "12"
    networking: str = ""
    resolvers: tuple[str, ...] = ()


@cache
def systems() -> tuple[System, ...]:
    """Every system that is known, in the order of their names."""
    files = sorted((CONFIGS / "systems").glob("*.yaml"))
    return tuple(System.model_validate({"name": path.stem, **yaml.safe_load(path.read_text())}) for path in files)


def system_of(machine: Machine) -> System:
    """The system that a machine runs.

    Raises:
        ConfigError: It is none that is known; the message lists those that are.
    """
    for system in systems():
        if any(match.id == machine.os for match in system.match):
            return system
    seen = f"{machine.os} {machine.version}".strip() or "unknown"
    known = ", ".join(system.name for system in systems())
    raise ConfigError(f"the operating system is {seen}, and known here are {known}", todo="install one of those")
