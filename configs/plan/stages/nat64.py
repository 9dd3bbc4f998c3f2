"""NAT64 on the support node, as a part of its support stage."""

from __future__ import annotations

from configs.plan.derived import Derived
from configs.plan.state import File, Service, StageState
from configs.plan.translation import tayga_address

UNIT = "kubev6-nat64.service"
UNIT_FILE = f"/etc/systemd/system/{UNIT}"


def nat64(derived: Derived) -> StageState:
    """What translates on the support node; nothing when an existing translator does."""
    match derived.cluster.nat64.by:
        case "tayga":
            return _tayga(derived)
        case "jool":
            return _jool(derived)
        case "existing":
            return StageState("support")


def _tayga(derived: Derived) -> StageState:
    """tayga translates every IPv6 source to a pool address of its own; that one is masqueraded by the kernel."""
    cluster = derived.cluster
    values = {
        "tayga_ipv4": cluster.nat64.pool.network_address + 1,
        "tayga_ipv6": tayga_address(cluster),
    }
    settings = File("/etc/kubev6/tayga.conf", derived.render("tayga.conf", **values))
    unit = File(UNIT_FILE, derived.render("nat64-tayga.service", **values))
    return StageState(
        name="support",
        packages=derived.system.packages_of("tayga", "iptables"),
        files=(settings, unit),
        services=(Service(UNIT, restart_on=(settings.path, unit.path)),),
    )


def _jool(derived: Derived) -> StageState:
    """Jool translates in the kernel to ports of the node's own IPv4 address: there is no pool, and no masquerading.

    Packages bring 4.x where there are any; what somebody built there past them, or without there being any, is used.
    """
    jool, system = derived.machine.jool, derived.system
    built_there = jool.built_there or (jool.tool and "jool" in system.lacking)
    template = "nat64-jool.service" if not built_there or jool.has_instances else "nat64-jool-3.service"
    unit = File(UNIT_FILE, derived.render(template, jool=jool.tool if built_there else "/usr/bin/jool"))
    return StageState(
        name="support",
        packages=() if built_there else system.packages_of("jool", "jool_module"),
        modules=("jool",),
        files=(unit,),
        services=(Service(UNIT, restart_on=(unit.path,)),),
    )
