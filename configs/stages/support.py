"""The support stage: NAT64, DNS64 and the registry, all on the support node."""

from __future__ import annotations

from ipaddress import IPv6Address

from configs.derived import Derived
from configs.state import File, Service, StageState


def support(derived: Derived) -> StageState:
    """The support stage of the support node."""
    cluster, system = derived.cluster, derived.system
    values = {
        "tayga_ipv4": cluster.nat64.pool.network_address + 1,
        # tayga needs an IPv6 address of its own outside its prefix when that may not embed its (private) IPv4 one.
        "tayga_ipv6": IPv6Address(int(cluster.fabric.subnet.network_address) | 0x64_0064),
        "forwarders": cluster.dns64.forwarders or derived.machine.resolvers,
        "pod_subnets": [node.pod_subnet for node in cluster.kubernetes_nodes if node.pod_subnet],
    }
    registry_dropin = f"/etc/systemd/system/{system.units['registry']}.d/20-kubev6.conf"
    files = (
        File("/etc/kubev6/tayga.conf", derived.render("tayga.conf", **values)),
        File("/etc/systemd/system/kubev6-nat64.service", derived.render("nat64.service", **values)),
        File(system.paths["bind"], derived.render("named.conf.options", **values)),
        File(system.paths["registry"], derived.render("registry.yml", **values)),
        File(registry_dropin, derived.render("registry.service-dropin", **values)),
    )
    tayga, nat64_unit, named, registry, registry_unit = (file.path for file in files)
    return StageState(
        name="support",
        packages=system.packages_of("tayga", "bind", "registry", "iptables"),
        files=files,
        services=(
            Service("kubev6-nat64.service", restart_on=(tayga, nat64_unit)),
            Service(system.units["bind"], restart_on=(named,)),
            Service(system.units["registry"], restart_on=(registry, registry_unit)),
        ),
    )
