"""Desired state minus facts, as a table: what is asked for, what is there, what must be done."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

from configs.state import Address, Binary, File, Reload, Route, Service, StageState, Sysctl
from tasks.node.change import Change
from tasks.node.diff import diff, sha256
from tasks.node.facts import Added, Facts, FileFact, ServiceFact, parse_address, parse_route, route_words

GOOD = "a" * 64
BAD = "b" * 64
RUNS = ServiceFact("active", "enabled")
FILE = File("/etc/x.conf", "x\n")
AS_WANTED = FileFact("file", sha256("x\n"), 0o644)
OTHER = FileFact("file", BAD, 0o644)
BLOCK = File("/etc/hosts", "fd00::1 a\n", block=True)
BINARY = Binary("/usr/bin/kubelet", GOOD, 100, "http://[fd00::64]:5000/blob")
SERVICE = Service("kubelet.service", restart_on=("/etc/x.conf", "/usr/bin/kubelet"))
RELOAD = Reload(("netplan", "apply"), when=("/etc/x.conf",))
ROUTE = Route("fd00:101::/64", "fd00::101", "eth1")
ADDRESS = Address("eth1", "fd00::100/64")


def stage(**wanted: object) -> StageState:
    return replace(StageState(name="network"), **wanted)  # type: ignore[arg-type]


def facts(**there: object) -> Facts:
    return replace(Facts(), **there)  # type: ignore[arg-type]


NO_OPS: dict[str, tuple[StageState, Facts]] = {
    "nothing is wanted": (stage(), facts(packages=frozenset({"vim"}), swaps=("/dev/sda2",))),
    "package": (stage(packages=("tayga",)), facts(packages=frozenset({"tayga"}))),
    "module": (stage(modules=("br_netfilter",)), facts(modules=frozenset({"br_netfilter"}))),
    "file": (stage(files=(FILE,)), facts(files={FILE.path: AS_WANTED})),
    "block": (stage(files=(BLOCK,)), facts(blocks={BLOCK.path: sha256(BLOCK.content)})),
    "only our files in a directory": (
        stage(files=(FILE,), only_files_in=(FILE.path.rpartition("/")[0],)),
        facts(files={FILE.path: AS_WANTED, f"{FILE.path}.d": FileFact("other"), "/etc/elsewhere/x": OTHER}),
    ),
    "swap that nobody asked about": (stage(), facts(swaps=("/dev/sda2",), fstab_swaps=("/dev/sda2 none swap sw 0 0",))),
    "no swap": (stage(swap_off=True), facts()),
    "no SELinux": (stage(selinux_permissive=True), facts()),
    "permissive SELinux": (stage(selinux_permissive=True), facts(selinux="permissive", selinux_at_boot="permissive")),
    "SELinux that may enforce": (stage(), facts(selinux="enforcing", selinux_at_boot="enforcing")),
    "name without an IPv4 address": (stage(no_ipv4_names=("kube-1",)), facts()),
    "interface that is up": (stage(links_up=("eth2",)), facts(links_up=frozenset({"eth2"}))),
    "command whose file stays": (stage(files=(FILE,), reloads=(RELOAD,)), facts(files={FILE.path: AS_WANTED})),
    "sysctl": (stage(sysctls=(Sysctl("a.b", "1"),)), facts(sysctls={"a.b": "1"})),
    "sysctl of several words": (stage(sysctls=(Sysctl("a.b", "1  2"),)), facts(sysctls={"a.b": "1 2"})),
    "address": (stage(addresses=(ADDRESS,)), facts(addresses=frozenset({ADDRESS}))),
    "address written otherwise": (
        stage(addresses=(Address("eth1", "FD00:0::0100/64"),)),
        facts(addresses=frozenset({ADDRESS})),
    ),
    "foreign address": (stage(), facts(addresses=frozenset({ADDRESS}))),
    "IPv4 elsewhere": (stage(no_ipv4_on=("eth1",)), facts(ipv4_addresses={"eth0": ("10.0.2.15/24",)})),
    "no IPv4 default route": (stage(no_ipv4_default_route=True), facts()),
    "IPv4 default route that may stay": (stage(), facts(ipv4_default_routes=("default via 10.0.2.2 dev eth0",))),
    "route": (stage(routes=(ROUTE,)), facts(routes=frozenset({ROUTE}))),
    "route written otherwise": (
        stage(routes=(Route("fd00:0101:0::/64", "fd00::0101", "eth1"),)),
        facts(routes=frozenset({ROUTE})),
    ),
    "default route": (
        stage(routes=(Route("::/0", "fd00::64", "eth1"),)),
        facts(routes=frozenset({Route("::/0", "fd00::64", "eth1")})),
    ),
    "on-link route": (
        stage(routes=(Route("fd00:1234::/110", "", "eth1"),)),
        facts(routes=frozenset({Route("fd00:1234::/110", "", "eth1")})),
    ),
    "foreign route": (stage(), facts(routes=frozenset({ROUTE}))),
    "binary": (stage(binaries=(BINARY,)), facts(binaries={BINARY.path: GOOD})),
    "service": (stage(services=(SERVICE,)), facts(services={SERVICE.unit: RUNS})),
    "service that keeps starting": (
        stage(services=(SERVICE,)),
        facts(services={SERVICE.unit: ServiceFact("activating", "enabled")}),
    ),
    "service under another name": (
        stage(services=(Service("bind9.service"),)),
        facts(services={"bind9.service": ServiceFact("active", "alias")}),
    ),
    "service that needs no enabling": (
        stage(services=(Service("dbus.service"),)),
        facts(services={"dbus.service": ServiceFact("active", "static")}),
    ),
    "service whose conditions are not met yet": (
        stage(services=(SERVICE,)),
        facts(services={SERVICE.unit: ServiceFact("inactive", "enabled", held_back=True)}),
    ),
    "restart owed to another stage": (
        stage(services=(SERVICE,)),
        facts(services={SERVICE.unit: RUNS}, pending_restarts=frozenset({"named.service"})),
    ),
    "recorded and still wanted": (
        stage(files=(FILE,), routes=(ROUTE,), addresses=(ADDRESS,)),
        facts(
            files={FILE.path: AS_WANTED},
            routes=frozenset({ROUTE}),
            addresses=frozenset({ADDRESS}),
            added={"network": Added({FILE.path: (False, True)}, frozenset({ADDRESS}), frozenset({ROUTE}))},
        ),
    ),
    "recorded, unwanted and already gone": (
        stage(),
        facts(
            files={"/etc/gone": None},
            blocks={"/etc/hosts": None},
            added={
                "network": Added(
                    {"/etc/gone": (False, False), "/etc/hosts": (True, True)},
                    frozenset({ADDRESS}),
                    frozenset({ROUTE}),
                )
            },
        ),
    ),
    "recorded for another stage": (
        stage(),
        facts(
            files={FILE.path: AS_WANTED},
            routes=frozenset({ROUTE}),
            added={"runtime": Added({FILE.path: (False, False)}, routes=frozenset({ROUTE}))},
        ),
    ),
}


@pytest.mark.parametrize(("desired", "there"), NO_OPS.values(), ids=NO_OPS.keys())
def test_what_is_there_needs_no_change(desired: StageState, there: Facts) -> None:
    assert diff(desired, there) == ()


CHANGES: dict[str, tuple[StageState, Facts, tuple[tuple[str, str, str], ...]]] = {
    "packages": (
        stage(packages=("bind9", "tayga")),
        facts(packages=frozenset({"bind9"})),
        (("package", "tayga", "install"),),
    ),
    "module": (stage(modules=("br_netfilter",)), facts(), (("module", "br_netfilter", "load"),)),
    "new file": (stage(files=(FILE,)), facts(files={FILE.path: None}), (("file", FILE.path, "create"),)),
    "file with other content": (
        stage(files=(FILE,)),
        facts(files={FILE.path: OTHER}),
        (("file", FILE.path, "replace"),),
    ),
    "file with another mode": (
        stage(files=(replace(FILE, mode=0o600),)),
        facts(files={FILE.path: AS_WANTED}),
        (("file", FILE.path, "replace"),),
    ),
    "link in the place of a file": (
        stage(files=(FILE,)),
        facts(files={FILE.path: FileFact("link", target="/run/x")}),
        (("file", FILE.path, "replace"),),
    ),
    "new block": (stage(files=(BLOCK,)), facts(blocks={BLOCK.path: None}), (("file", BLOCK.path, "create"),)),
    "other block": (stage(files=(BLOCK,)), facts(blocks={BLOCK.path: BAD}), (("file", BLOCK.path, "replace"),)),
    "somebody else's file in a directory of ours": (
        stage(only_files_in=("/etc/cni/net.d",)),
        facts(files={"/etc/cni/net.d/99-x.conf": OTHER}),
        (("file", "/etc/cni/net.d/99-x.conf", "delete"),),
    ),
    "swap in use": (stage(swap_off=True), facts(swaps=("/dev/sda2",)), (("swap", "/dev/sda2", "off"),)),
    "swap at boot": (
        stage(swap_off=True),
        facts(fstab_swaps=("/dev/sda2 none swap sw 0 0",)),
        (("swap", "/dev/sda2", "off"),),
    ),
    "SELinux that enforces": (
        stage(selinux_permissive=True),
        facts(selinux="enforcing", selinux_at_boot="enforcing"),
        (("selinux", "mode", "set"),),
    ),
    "SELinux that enforces again after the next start": (
        stage(selinux_permissive=True),
        facts(selinux="permissive", selinux_at_boot="enforcing"),
        (("selinux", "mode", "set"),),
    ),
    "a name with an IPv4 address": (
        stage(no_ipv4_names=("kube-1", "kube-2")),
        facts(ipv4_names={"kube-1": ("127.0.1.1",)}),
        (("ipv4-name", "kube-1", "remove"),),
    ),
    "interface that is down": (
        stage(links_up=("eth1", "eth2")),
        facts(links_up=frozenset({"eth1"})),
        (("link", "eth2", "set up"),),
    ),
    "command whose file changes": (
        stage(files=(FILE,), reloads=(RELOAD, Reload(("other",), when=("/etc/y.conf",)))),
        facts(files={FILE.path: OTHER}),
        (("file", FILE.path, "replace"), ("command", "netplan apply", "run")),
    ),
    "command owed by an earlier run": (
        stage(files=(FILE,), reloads=(RELOAD,)),
        facts(files={FILE.path: AS_WANTED}, pending_restarts=frozenset({"netplan apply"})),
        (("command", "netplan apply", "run"),),
    ),
    "sysctl": (stage(sysctls=(Sysctl("a.b", "1"),)), facts(sysctls={"a.b": "0"}), (("sysctl", "a.b", "set"),)),
    "sysctl that comes with a module": (
        stage(modules=("br_netfilter",), sysctls=(Sysctl("net.bridge.x", "1"),)),
        facts(sysctls={"net.bridge.x": None}),
        (("module", "br_netfilter", "load"), ("sysctl", "net.bridge.x", "set")),
    ),
    "address": (stage(addresses=(ADDRESS,)), facts(), (("address", "fd00::100/64 dev eth1", "add"),)),
    "address with another prefix length": (
        stage(addresses=(ADDRESS,)),
        facts(addresses=frozenset({Address("eth1", "fd00::100/128")})),
        (("address", "fd00::100/64 dev eth1", "add"),),
    ),
    "duplicate address": (
        stage(addresses=(ADDRESS,)),
        facts(failed_addresses=frozenset({ADDRESS})),
        (("address", "fd00::100/64 dev eth1", "add"),),
    ),
    "IPv4 on the fabric": (
        stage(no_ipv4_on=("eth1",)),
        facts(ipv4_addresses={"eth1": ("172.18.0.2/16",), "eth0": ("10.0.2.15/24",)}),
        (("ipv4-address", "eth1", "remove"),),
    ),
    "IPv4 default routes": (
        stage(no_ipv4_default_route=True),
        facts(ipv4_default_routes=("default via 10.0.2.2 dev eth0", "default via 10.0.3.2 dev eth2 metric 100")),
        (
            ("ipv4-default-route", "default via 10.0.2.2 dev eth0", "remove"),
            ("ipv4-default-route", "default via 10.0.3.2 dev eth2 metric 100", "remove"),
        ),
    ),
    "new route": (stage(routes=(ROUTE,)), facts(), (("route", route_words(ROUTE), "add"),)),
    "route by another gateway": (
        stage(routes=(ROUTE,)),
        facts(routes=frozenset({replace(ROUTE, via="fd00::9")})),
        (("route", route_words(ROUTE), "replace"),),
    ),
    "route with another metric": (
        stage(routes=(ROUTE,)),
        facts(routes=frozenset({replace(ROUTE, metric=10)})),
        (("route", route_words(ROUTE), "add"),),
    ),
    "our route by a former gateway": (
        stage(routes=(ROUTE,)),
        facts(
            routes=frozenset({replace(ROUTE, via="fd00::9")}),
            added={"network": Added(routes=frozenset({replace(ROUTE, via="fd00::9")}))},
        ),
        (("route", route_words(ROUTE), "replace"),),
    ),
    "our route, no longer wanted": (
        stage(),
        facts(routes=frozenset({ROUTE}), added={"network": Added(routes=frozenset({ROUTE}))}),
        (("route", route_words(ROUTE), "remove"),),
    ),
    "our address, no longer wanted": (
        stage(),
        facts(addresses=frozenset({ADDRESS}), added={"network": Added(addresses=frozenset({ADDRESS}))}),
        (("address", "fd00::100/64 dev eth1", "remove"),),
    ),
    "our file, no longer wanted": (
        stage(),
        facts(files={FILE.path: AS_WANTED}, added={"network": Added({FILE.path: (False, False)})}),
        (("file", FILE.path, "take back"),),
    ),
    "our file in the place of another, no longer wanted and gone": (
        stage(),
        facts(files={FILE.path: None}, added={"network": Added({FILE.path: (False, True)})}),
        (("file", FILE.path, "take back"),),
    ),
    "our block, no longer wanted": (
        stage(),
        facts(blocks={BLOCK.path: BAD}, added={"network": Added({BLOCK.path: (True, True)})}),
        (("file", BLOCK.path, "take back"),),
    ),
    "missing binary": (stage(binaries=(BINARY,)), facts(), (("binary", BINARY.path, "fetch"),)),
    "other binary": (
        stage(binaries=(BINARY,)),
        facts(binaries={BINARY.path: BAD}),
        (("binary", BINARY.path, "fetch"),),
    ),
    "unknown service": (
        stage(services=(SERVICE,)),
        facts(),
        (("service", SERVICE.unit, "enable"), ("service", SERVICE.unit, "start")),
    ),
    "stopped service": (
        stage(services=(SERVICE,)),
        facts(services={SERVICE.unit: ServiceFact("failed", "enabled")}),
        (("service", SERVICE.unit, "start"),),
    ),
    "service that is not started at boot": (
        stage(services=(SERVICE,)),
        facts(services={SERVICE.unit: ServiceFact("active", "disabled")}),
        (("service", SERVICE.unit, "enable"),),
    ),
    "service whose file changes": (
        stage(files=(FILE,), services=(SERVICE, Service("other.service"))),
        facts(files={FILE.path: OTHER}, services={SERVICE.unit: RUNS, "other.service": RUNS}),
        (("file", FILE.path, "replace"), ("service", SERVICE.unit, "restart")),
    ),
    "service whose binary changes": (
        stage(binaries=(BINARY,), services=(SERVICE,)),
        facts(binaries={BINARY.path: BAD}, services={SERVICE.unit: RUNS}),
        (("binary", BINARY.path, "fetch"), ("service", SERVICE.unit, "restart")),
    ),
    "service whose drop-in is taken back": (
        stage(services=(SERVICE,)),
        facts(
            files={"/etc/systemd/system/kubelet.service.d/20-x.conf": OTHER},
            services={SERVICE.unit: RUNS},
            added={"network": Added({"/etc/systemd/system/kubelet.service.d/20-x.conf": (False, False)})},
        ),
        (
            ("file", "/etc/systemd/system/kubelet.service.d/20-x.conf", "take back"),
            ("service", SERVICE.unit, "restart"),
        ),
    ),
    "restart owed by an earlier run": (
        stage(services=(SERVICE,)),
        facts(services={SERVICE.unit: RUNS}, pending_restarts=frozenset({SERVICE.unit})),
        (("service", SERVICE.unit, "restart"),),
    ),
}


@pytest.mark.parametrize(("desired", "there", "expected"), CHANGES.values(), ids=CHANGES.keys())
def test_what_is_not_there_is_changed(
    desired: StageState, there: Facts, expected: tuple[tuple[str, str, str], ...]
) -> None:
    assert tuple((change.kind, change.subject, change.action) for change in diff(desired, there)) == expected


def test_changes_come_in_the_order_in_which_they_must_be_made() -> None:
    desired = StageState(
        name="all",
        packages=("p",),
        modules=("m",),
        files=(FILE,),
        only_files_in=("/etc/only",),
        swap_off=True,
        sysctls=(Sysctl("a.b", "1"),),
        addresses=(ADDRESS,),
        no_ipv4_on=("eth1",),
        no_ipv4_default_route=True,
        routes=(ROUTE,),
        binaries=(BINARY,),
        services=(SERVICE,),
    )
    there = facts(
        files={"/etc/only/y": OTHER},
        swaps=("/dev/sda2",),
        ipv4_addresses={"eth1": ("10.0.0.1/8",)},
        ipv4_default_routes=("default dev eth0",),
    )
    order = [change.kind for change in diff(desired, there)]
    assert order == [
        *("package", "module", "file", "file", "swap", "sysctl", "address", "ipv4-address", "ipv4-default-route"),
        *("route", "binary", "service", "service"),
    ]


@pytest.mark.parametrize(
    ("change", "line"),
    [
        (Change("package", "tayga", "install"), "install package tayga"),
        (Change("sysctl", "a.b", "set", "0", "1"), "set sysctl a.b (0 -> 1)"),
        (Change("file", "/etc/x", "create", after="mode 0644"), "create file /etc/x (mode 0644)"),
    ],
)
def test_a_change_is_one_line_for_a_person_and_the_same_for_machines(change: Change, line: str) -> None:
    assert change.describe() == line
    assert Change(**json.loads(json.dumps(change.as_json()))) == change


@pytest.mark.parametrize("route", [ROUTE, Route("::/0", "fd00::64", "eth1", 1), Route("fd00:1234::/110", "", "eth1")])
def test_a_route_in_words_is_read_back(route: Route) -> None:
    assert parse_route(route_words(route)) == route


def test_an_address_in_words_is_read_back() -> None:
    assert parse_address("fd00::100/64 dev eth1") == ADDRESS
