"""The support stage: NAT64, DNS64 and the registry, all on the support node."""

from __future__ import annotations

from configs.derived import Derived
from configs.stages.dns64 import dns64
from configs.stages.nat64 import nat64
from configs.state import File, Service, StageState


def support(derived: Derived) -> StageState:
    """The support stage of the support node."""
    parts = (nat64(derived), dns64(derived), _registry(derived))
    return StageState(
        name="support",
        packages=tuple(package for part in parts for package in part.packages),
        modules=tuple(module for part in parts for module in part.modules),
        files=tuple(file for part in parts for file in part.files),
        services=tuple(service for part in parts for service in part.services),
    )


def _registry(derived: Derived) -> StageState:
    system = derived.system
    settings = File(system.paths["registry"], derived.render("registry.yml"))
    dropin = File(
        f"/etc/systemd/system/{system.units['registry']}.d/20-kubev6.conf", derived.render("registry.service-dropin")
    )
    return StageState(
        name="support",
        packages=system.packages_of("registry"),
        files=(settings, dropin),
        services=(Service(system.units["registry"], restart_on=(settings.path, dropin.path)),),
    )
