"""The support stage: NAT64, DNS64 and the registry, all on the support node."""

from __future__ import annotations

from dataclasses import replace

from configs.plan.derived import Derived, registry_certificate
from configs.plan.stages.dns64 import dns64
from configs.plan.stages.nat64 import nat64
from configs.plan.state import File, Service, StageState


def support(derived: Derived) -> StageState:
    """The support stage of the support node."""
    parts = (nat64(derived), dns64(derived), _registry(derived))
    return StageState(
        name="support",
        packages=tuple(package for part in parts for package in part.packages),
        modules=tuple(module for part in parts for module in part.modules),
        files=tuple(file for part in parts for file in part.files),
        certificates=tuple(certificate for part in parts for certificate in part.certificates),
        services=tuple(service for part in parts for service in part.services),
    )


def _unit(derived: Derived, settings: str, *, to_write: bool = False) -> str:
    """A unit of our own for one of them, where no package brings it."""
    if to_write:
        what = "the registry's other half, by which a deploy writes what is read over the fabric"
        return derived.render("registry.service", settings=settings, address="::1", title="Writing to", what=what)
    address, what = derived.cluster.support.address, "the registry as the fabric reads it"
    return derived.render("registry.service", settings=settings, address=address, title="Reading", what=what)


def _registry(derived: Derived) -> StageState:
    """Two servers of one storage: one is read over the fabric, the other written by who comes by SSH."""
    system = derived.system
    reader, writer = system.units["registry"], "kubev6-registry-writer.service"
    certificate = replace(registry_certificate(derived.cluster), unit=reader)
    reading = derived.render("registry.yml", address=derived.cluster.support.address, certificate=certificate.path)
    read = File(system.paths["registry"], reading)
    if system.paths["registry_image"]:
        unit = File(f"/etc/systemd/system/{reader}", _unit(derived, read.path))
    else:
        unit = File(f"/etc/systemd/system/{reader}.d/20-kubev6.conf", derived.render("registry.service-dropin"))
    written = File("/etc/kubev6/registry-writer.yml", derived.render("registry.yml", address="::1"))
    writer_unit = File(f"/etc/systemd/system/{writer}", _unit(derived, written.path, to_write=True))
    return StageState(
        name="support",
        packages=system.packages_of("registry", "openssl"),
        files=(read, unit, written, writer_unit),
        certificates=(certificate,),
        services=(
            Service(reader, restart_on=(read.path, unit.path, certificate.path)),
            Service(writer, restart_on=(written.path,)),
        ),
    )
