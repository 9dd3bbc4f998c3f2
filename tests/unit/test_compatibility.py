"""What a machine's host facts say against it, as tables."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, Literal

import pytest

from configs.errors import NodeError
from configs.manifest import ImageEntry, Manifest, SourceEntry
from configs.plan.interfaces import Interface
from configs.plan.kernel import Kernel
from configs.plan.systems import Machine, SysctlLine
from configs.plan.versions import KubeProxyMode, Runtime
from configs.schema.cluster import Cluster, Cni, KubeProxy
from configs.schema.loading import load_cluster, load_release
from configs.schema.release import Release
from tasks.node.compatibility import Candidate, problems, warnings
from tasks.node.survey import check

CLUSTER = load_cluster("lab")
RELEASE = load_release("debian-1.20")
GOOD = Machine(interfaces=("lo", "eth0", "eth1"), resolvers=("2001:db8::53",))
SUPPORT, CONTROL_PLANE, WORKER = "kube-support", "kube-control-plane", "kube-worker-1"


def found_against(cluster: Cluster, release: Release, node: str, machine: Machine) -> tuple[str, ...]:
    return problems(Candidate(cluster, release, cluster.node(node), machine))


def release(version: str) -> Release:
    return RELEASE.model_copy(update={"kubernetes": version})


def machine(**kernel: Any) -> Machine:
    return replace(GOOD, kernel=Kernel(**kernel))


def lines(*given: tuple[str, str, str]) -> Machine:
    """A machine whose files have these settings: name of the file, key and value."""
    found = [SysctlLine(f"/etc/sysctl.d/{name}.conf", 1, key, value, name > "zz-kubev6") for name, key, value in given]
    return replace(GOOD, sysctl_lines=tuple(found))


CASES: dict[str, tuple[str, Release, Machine, tuple[str, ...]]] = {
    "a machine as it should be": (CONTROL_PLANE, RELEASE, GOOD, ()),
    "another processor": (WORKER, RELEASE, machine(processor="aarch64"), ("processor is aarch64",)),
    "another processor, where none of the release's binaries run": (SUPPORT, RELEASE, machine(processor="aarch64"), ()),
    "a kernel without IPv6": (SUPPORT, RELEASE, machine(ipv6=False), ("kernel runs without IPv6",)),
    "IPv6 that is switched off from the next start on": (
        SUPPORT,
        RELEASE,
        machine(ipv6_off=("/etc/default/grub:3:ipv6.disable=1",)),
        ("from the next start on: take away /etc/default/grub:3:ipv6.disable=1",),
    ),
    "all interfaces without IPv6 are told once": (
        WORKER,
        RELEASE,
        machine(without_ipv6=("all", "default", "eth0", "eth1")),
        ("net.ipv6.conf.all.disable_ipv6 is 1",),
    ),
    "interfaces that are made later without IPv6": (
        WORKER,
        RELEASE,
        machine(without_ipv6=("default", "eth0")),
        ("default.disable_ipv6=0",),
    ),
    "the fabric without IPv6 now": (WORKER, RELEASE, machine(without_ipv6=("eth1",)), ("eth1.disable_ipv6 is 1",)),
    "the same by a profile of NetworkManager's, in whose place comes ours": (
        WORKER,
        RELEASE,
        replace(machine(without_ipv6=("eth1",)), networking="networkmanager", networkmanager=True),
        (),
    ),
    "the same by one that netplan has written": (
        WORKER,
        RELEASE,
        replace(machine(without_ipv6=("eth1",)), networking="netplan", networkmanager=True),
        (),
    ),
    "the fabric without IPv6 from the next start on": (
        WORKER,
        RELEASE,
        lines(("50-a", "net.ipv6.conf.all.disable_ipv6", "0"), ("60-b", "net.ipv6.conf.eth*.disable_ipv6", "1")),
        ("eth1.disable_ipv6 is 1, and the cluster needs IPv6 there: set it to 0 in /etc/sysctl.d/60-b.conf:1",),
    ),
    "the same by other numbers": (
        WORKER,
        RELEASE,
        lines(("60-b", "net.ipv6.conf.eth1.disable_ipv6", "0x1"), ("70-b", "net.ipv6.conf.default.disable_ipv6", "02")),
        ("set it to 0 in /etc/sysctl.d/70-b.conf:1", "set it to 0 in /etc/sysctl.d/60-b.conf:1"),
    ),
    "no number, which the kernel takes for none": (
        WORKER,
        RELEASE,
        lines(("60-b", "net.ipv6.conf.eth1.disable_ipv6", "yes"), ("70-b", "net.ipv6.conf.default.disable_ipv6", "00")),
        (),
    ),
    "the same, and a later file that makes it good": (
        WORKER,
        RELEASE,
        lines(("60-b", "net.ipv6.conf.eth1.disable_ipv6", "1"), ("70-a", "net.ipv6.conf.all.disable_ipv6", "0")),
        (),
    ),
    "settings that ours win over": (SUPPORT, RELEASE, lines(("99-a", "net.ipv6.conf.all.forwarding", "0")), ()),
    "settings that win over ours": (
        SUPPORT,
        RELEASE,
        lines(("zzz", "net.ipv6.conf.all.forwarding", "0"), ("zzz", "net.ipv4.conf.all.forwarding", "0")),
        ("/etc/sysctl.d/zzz.conf:1 sets net.ipv6.conf.all.forwarding = 0", "sets net.ipv4.conf.all.forwarding = 0"),
    ),
    "one interface that shall not forward": (
        WORKER,
        RELEASE,
        lines(("zzz", "net.ipv6.conf.eth1.forwarding", "0"), ("zzz", "net.ipv6.conf.eth0.forwarding", "0")),
        ("sets net.ipv6.conf.eth1.forwarding = 0",),
    ),
    "a setting of the bridge where there is none": (
        SUPPORT,
        RELEASE,
        lines(("zzz", "net.bridge.bridge-nf-call-ip6tables", "0")),
        (),
    ),
    "a file that is right in the end": (
        WORKER,
        RELEASE,
        lines(("zza", "net.ipv4.ip_forward", "0"), ("zzz", "net.ipv4.ip_forward", "1")),
        (),
    ),
    "SSH by an advertised route over the fabric": (
        WORKER,
        RELEASE,
        replace(GOOD, ssh_advertised="eth1"),
        ("SSH comes in over eth1 by an address or a route that a router advertises",),
    ),
    "SSH by an advertised route over another interface": (WORKER, RELEASE, replace(GOOD, ssh_advertised="eth0"), ()),
    "cgroup v2 and a release that does not know it": (
        WORKER,
        release("1.18.20"),
        GOOD,
        ("cgroup v2, and Kubernetes 1.18.20 knows only v1",),
    ),
    "cgroup v2 on the support node": (SUPPORT, release("1.18.20"), GOOD, ()),
    "cgroup v1 and an old release": (WORKER, release("1.9.0-alpha.0.ipv6.0"), machine(cgroup=1), ()),
    "cgroup v2 and the first release that knows it": (WORKER, release("1.19.0"), GOOD, ()),
    "cgroup v1 in a lab, whose kubelets are told to take it": (WORKER, release("1.35.0"), machine(cgroup=1), ()),
    "cgroup v1 on the support node": (SUPPORT, release("1.35.0"), machine(cgroup=1), ()),
    "a kernel without a module": (
        WORKER,
        RELEASE,
        machine(lacking=("br_netfilter", "something")),
        ("no module br_netfilter, without which packets between pods",),
    ),
    "no device for tayga": (SUPPORT, RELEASE, machine(lacking=("tun",)), ("no /dev/net/tun, by which tayga",)),
    "no such device where nothing wants it": (WORKER, RELEASE, machine(lacking=("tun",)), ()),
    "little memory for a control plane": (
        CONTROL_PLANE,
        RELEASE,
        machine(memory=1024 << 20),
        ("1024 MB of memory, and a control plane needs 1700 MB",),
    ),
    "just enough memory": (CONTROL_PLANE, RELEASE, machine(memory=1700 << 20), ()),
    "the same memory, enough for a worker": (WORKER, RELEASE, machine(memory=1024 << 20), ()),
    "several at once": (
        CONTROL_PLANE,
        RELEASE,
        machine(processor="aarch64", memory=1 << 29),
        ("aarch64", "512 MB"),
    ),
}


@pytest.mark.parametrize(
    ("swaps", "seen"), [((), 0), (("/dev/sda2",), 0), (("/dev/sda2", "/dev/zram0"), 1)], ids=["none", "disk", "zram"]
)
def test_swap_that_nothing_here_can_keep_off_is_named(swaps: tuple[str, ...], seen: int) -> None:
    own = CLUSTER.model_copy(update={"lab": None})
    found = found_against(own, RELEASE, WORKER, machine(swaps=swaps))
    assert len(found) == seen
    assert all("its swap on /dev/zram0 comes back at every start" in problem for problem in found)
    assert found_against(own, RELEASE, SUPPORT, machine(swaps=swaps)) == ()
    assert found_against(CLUSTER, RELEASE, WORKER, machine(swaps=swaps)) == ()


@pytest.mark.parametrize(("node", "release", "asked", "seen"), CASES.values(), ids=CASES.keys())
def test_what_stands_against_a_machine_is_named(
    node: str, release: Release, asked: Machine, seen: tuple[str, ...]
) -> None:
    found = found_against(CLUSTER, release, node, asked)
    assert len(found) == len(seen)
    for problem, part in zip(found, seen, strict=True):
        assert part in problem


@pytest.mark.parametrize(
    ("wanted", "there", "refused"),
    [(None, 9000, False), (9000, 9000, False), (1500, 1500, False), (1500, 9000, True), (9000, 1500, True)],
)
def test_a_machine_whose_fabric_takes_other_packets_is_refused(wanted: int | None, there: int, refused: bool) -> None:
    cluster = CLUSTER.model_copy(update={"fabric": CLUSTER.fabric.model_copy(update={"mtu": wanted})})
    found = found_against(cluster, RELEASE, WORKER, replace(GOOD, details=(Interface("eth1", mtu=there),)))
    assert [f"an MTU of {there}, and `fabric.mtu` says {wanted}" in problem for problem in found] == [True] * refused


def test_one_line_names_the_node_and_every_reason() -> None:
    with pytest.raises(NodeError) as error:
        check(Candidate(CLUSTER, RELEASE, CLUSTER.node(WORKER), machine(processor="aarch64", ipv6=False)))
    text = str(error.value)
    assert text.startswith("kube-worker-1: preflight: its kernel runs without IPv6")
    assert "; its processor is aarch64" in text
    assert "nothing was changed there" in text
    assert "\n" not in text
    assert not error.value.transient


def test_a_machine_as_it_should_be_passes() -> None:
    check(Candidate(CLUSTER, RELEASE, CLUSTER.node(CONTROL_PLANE), GOOD))


def test_jool_translates_without_the_device_that_tayga_needs() -> None:
    by_jool = CLUSTER.model_copy(update={"nat64": CLUSTER.nat64.model_copy(update={"by": "jool"})})
    assert found_against(by_jool, RELEASE, SUPPORT, machine(lacking=("tun",))) == ()


@pytest.mark.parametrize(
    ("mode", "kernel", "seen"),
    [
        ("nftables", {"release": "5.13.0"}, ()),
        ("nftables", {"release": "6.1.0-38-amd64"}, ()),
        (
            "nftables",
            {"release": "5.10.0-33-amd64"},
            ("its kernel is 5.10.0-33-amd64, and kube-proxy's",),
        ),
        ("nftables", {"release": "4.18.0-553.el8"}, ("its kernel is 4.18.0-553.el8, and kube-proxy's mode nftables",)),
        ("iptables", {"release": "4.18.0-553.el8", "lacking": ("ip_vs",)}, ()),
        ("ipvs", {"lacking": ("ip_vs",)}, ("its kernel has no module ip_vs, by which kube-proxy's mode ipvs works",)),
        ("ipvs", {}, ()),
    ],
)
def test_what_kube_proxys_mode_wants_of_the_kernel_is_asked_of_each_node_that_runs_it(
    mode: KubeProxyMode, kernel: dict[str, Any], seen: tuple[str, ...]
) -> None:
    cluster = CLUSTER.model_copy(update={"kube_proxy": KubeProxy(mode=mode)})
    for node, expected in ((CONTROL_PLANE, seen), (WORKER, seen), (SUPPORT, ())):
        found = found_against(cluster, release("1.34.2"), node, machine(**kernel))
        assert len(found) == len(expected)
        assert all(text.startswith(start) for text, start in zip(found, expected, strict=True))
        assert all("write `kube_proxy: {mode: iptables}` into the cluster's file" in text for text in found)


def test_a_mode_that_kubernetes_will_do_without_is_warned_of_once() -> None:
    cluster = CLUSTER.model_copy(update={"kube_proxy": KubeProxy(mode="ipvs")})
    there = replace(GOOD, runtime="2.3")
    told = [
        warnings(Candidate(cluster, release(version), node, there))
        for version in ("1.34.2", "1.35.0")
        for node in cluster.nodes
    ]
    assert [text for texts in told for text in texts if "ipvs" in text] == [
        "kube-proxy's mode ipvs is deprecated in Kubernetes v1.35.0: nftables is to take its place"
    ]


# --- the container runtime -------------------------------------------------------------------------------------------

HOW_TO = load_cluster("kube-v6")
OF_2017 = load_release(HOW_TO.release)
DEBIAN = replace(GOOD, kernel=Kernel(cgroup=1))
ITS_PACKAGE = {"docker": "docker.io", "containerd": "containerd"}
"""What the machine's own system calls a runtime, beside which others may have candidates too."""


def with_runtime(runtime: Runtime, version: str, there: Machine = DEBIAN) -> tuple[Machine, Machine]:
    """Machines that have a version of it, and that would get it."""
    packages = (("docker", "99.0"), (ITS_PACKAGE[runtime], version), ("docker-ce", "99.0"))
    return replace(there, runtime=version), replace(there, packages=packages if version else ())


def against_runtime(runtime: Runtime, release: Release, machine: Machine) -> str:
    """What is said against the container runtime of a worker."""
    cluster = CLUSTER.model_copy(update={"runtime": runtime, "cni": Cni(plugins="release")})
    return "; ".join(each for each in found_against(cluster, release, WORKER, machine) if "cgroup" not in each)


@pytest.mark.parametrize(
    ("docker", "cni", "wrong"),
    [
        ("1.13", "0.6.0", False),
        ("17.03", "0.6.0", False),
        ("17.06", "0.6.0", True),
        ("20.10", "0.6.0", True),
        ("20.10", "0.7.0", False),
        ("20.10", "1.8.0", False),
        ("20.10", "", False),
        ("", "0.6.0", False),
    ],
)
def test_a_docker_that_hides_ipv6_is_refused_with_plugins_that_do_not_show_it(
    docker: str, cni: str, wrong: bool
) -> None:
    plugins = OF_2017.cni.model_copy(update={"version": cni}) if OF_2017.cni and cni else None
    for machine in with_runtime("docker", docker):
        found = against_runtime("docker", OF_2017.model_copy(update={"cni": plugins}), machine)
        assert bool(found) is wrong
        if wrong:
            assert f"its Docker is {docker} and the release's CNI plugins are {cni}" in found
            assert "`cni: {plugins: system}`" in found
            assert "where it has none deploy a copy of the release's file with newer ones under `cni:`" in found


@pytest.mark.parametrize(
    ("containerd", "version", "wrong"),
    [
        ("1.6", "1.20.2", ""),
        ("2.0", "1.20.2", "wants one before 2.0"),
        ("2.0", "1.23.17", ""),
        ("1.4", "1.25.16", "works here with 1.5 and newer"),
        ("1.4", "1.20.2", "or write `runtime: docker`"),
        ("1.5", "1.20.2", ""),
        ("1.4", "1.34.2", "works here with 1.6 and newer"),
        ("1.7", "1.35.0", ""),
        ("1.7", "1.36.0", ""),
        ("1.7", "1.37.0", ""),
        ("1.7", "1.38.0", "works here with 2.0 and newer"),
        ("2.1", "1.38.0", ""),
        ("", "1.38.0", ""),
    ],
)
def test_a_containerd_that_speaks_another_interface_is_refused(containerd: str, version: str, wrong: str) -> None:
    for machine in with_runtime("containerd", containerd):
        found = against_runtime("containerd", release(version), machine)
        assert bool(found) is bool(wrong)
        assert wrong in found


@pytest.mark.parametrize(
    ("containerd", "version", "told"),
    [("1.7", "1.35.0", False), ("1.7", "1.36.0", True), ("2.0", "1.36.0", False), ("", "1.37.0", False)],
)
def test_a_containerd_that_the_next_kubernetes_does_without_is_warned_of(
    containerd: str, version: str, told: bool
) -> None:
    cluster = CLUSTER.model_copy(update={"runtime": "containerd"})
    for machine in with_runtime("containerd", containerd):
        found = warnings(Candidate(cluster, release(version), cluster.node(WORKER), machine))
        assert [each for each in found if "Kubernetes 1.38 will want 2.0 or newer" in each] == list(found)
        assert bool(found) is told
        assert warnings(Candidate(cluster, release(version), cluster.support, machine)) == ()


def test_a_version_newer_than_any_rule_is_said_once_to_be() -> None:
    told = {
        node.name: warnings(Candidate(CLUSTER, release("1.38.1"), node, replace(GOOD, runtime="2.3")))
        for node in CLUSTER.nodes
    }
    assert {name for name, found in told.items() if found} == {CONTROL_PLANE}
    assert told[CONTROL_PLANE] == (
        "Kubernetes v1.38.1 is newer than what is known here, and is configured as 1.37 would be",
    )
    newest = Candidate(CLUSTER, release("1.37.9"), CLUSTER.control_plane, replace(GOOD, runtime="2.3"))
    assert warnings(newest) == ()


@pytest.mark.parametrize(
    ("version", "node", "told", "refused"),
    [
        ("1.34.2", WORKER, False, False),
        ("1.35.0", WORKER, False, True),
        ("1.35.0", WORKER, True, False),
        ("1.35.0", SUPPORT, False, False),
    ],
)
def test_a_machine_of_ones_own_with_cgroup_v1_is_refused_from_1_35_on_unless_told(
    version: str, node: str, told: bool, refused: bool
) -> None:
    own = CLUSTER.model_copy(update={"lab": None, "cgroup_v1": told})
    found = found_against(own, release(version), node, machine(cgroup=1))
    assert bool(found) is refused
    for problem in found:
        assert "it runs cgroup v1, which Kubernetes 1.35.0 refuses: boot it with" in problem
        assert "`cgroup_v1: true` into the cluster's file" in problem


@pytest.mark.parametrize(
    ("etcd", "version", "refused"),
    [
        ("3.4.23", "1.30.9", False),
        ("3.4.23", "1.34.2", True),
        ("3.5.24-0", "1.36.0", True),
        ("3.6.8-0", "1.36.0", False),
    ],
)
def test_an_etcd_too_old_for_its_kubeadm_is_refused_before_anything_is_touched(
    etcd: str, version: str, refused: bool
) -> None:
    image = ImageEntry(name="etcd", tag=etcd, digest=f"sha256:{0:064x}", size=1)
    held = manifest_of("built", f"v{version}").model_copy(update={"images": (image,)})
    found = problems(Candidate(CLUSTER, release(version), CLUSTER.control_plane, GOOD, held))
    assert bool(found) is refused
    for problem in found:
        assert f"its etcd is {etcd}, and kubeadm v{version} runs 3." in problem
        assert "under `fetch.images`" in problem
    assert problems(Candidate(CLUSTER, release(version), CLUSTER.node(WORKER), GOOD, held)) == ()


def test_what_is_installed_goes_before_what_would_be() -> None:
    machine = replace(GOOD, runtime="1.6", packages=(("containerd", "2.0"),))
    assert against_runtime("containerd", release("1.20.2"), machine) == ""


@pytest.mark.parametrize("runtime", ["docker", "containerd"])
def test_the_runtime_under_a_node_of_a_cluster_is_not_changed(runtime: Runtime) -> None:
    other: Runtime = "containerd" if runtime == "docker" else "docker"
    found = against_runtime(runtime, RELEASE, replace(GOOD, runtime="1.6", runtime_in_use=other))
    assert f"containers {other} runs, not {runtime}" in found
    assert against_runtime(runtime, RELEASE, replace(GOOD, runtime="1.6", runtime_in_use=runtime)) == ""


def test_a_support_node_runs_no_containers() -> None:
    machine = replace(GOOD, runtime="0.1", runtime_in_use="docker", iptables="nft")
    candidate = Candidate(HOW_TO, OF_2017, HOW_TO.support, machine)
    assert (problems(candidate), warnings(candidate)) == ((), ())


def test_the_exact_version_of_a_release_counts_when_it_is_known() -> None:
    machine = replace(GOOD, runtime="2.0")
    cluster = CLUSTER.model_copy(update={"runtime": "containerd"})
    manifest = manifest_of("built", "v1.23.17+kubev6.0000000")
    node = cluster.node(WORKER)
    assert problems(Candidate(cluster, RELEASE, node, machine)) != ()
    assert problems(Candidate(cluster, RELEASE, node, machine, manifest)) == ()


@pytest.mark.parametrize(
    ("iptables", "version", "doubtful"),
    [
        ("nft", "1.9.0-alpha.0.ipv6.0", True),
        ("nft", "1.16.15", True),
        ("nft", "1.17.0", False),
        ("legacy", "1.9.0-alpha.0.ipv6.0", False),
        ("", "1.9.0-alpha.0.ipv6.0", False),
    ],
)
def test_an_old_kube_proxy_and_a_node_with_the_other_iptables_are_warned_of(
    iptables: Literal["nft", "legacy", ""], version: str, doubtful: bool
) -> None:
    machine = replace(GOOD, iptables=iptables)
    published = OF_2017.model_copy(update={"kubernetes": version, "build": None})
    for release, manifest, told in (
        (published, None, doubtful),
        (OF_2017.model_copy(update={"kubernetes": version}), None, False),
        (OF_2017, manifest_of("fetched", f"v{version}"), doubtful),
        (published, manifest_of("built", f"v{version}"), False),
    ):
        found = warnings(Candidate(CLUSTER, release, CLUSTER.node(WORKER), machine, manifest))
        assert bool(found) is told, (release.build, manifest)


def manifest_of(kind: Literal["built", "fetched"], version: str) -> Manifest:
    source = SourceEntry(kind=kind, origin="nowhere")
    created = "2024-01-01T00:00:00+00:00"
    return Manifest(name="any", version=version, key="0" * 64, created=created, source=source, binaries=(), images=())


def test_what_nobody_knows_is_said_once_and_with_everything_else() -> None:
    found = problems(
        Candidate(HOW_TO, OF_2017, HOW_TO.control_plane, Machine("void", "", kernel=Kernel(memory=1, cgroup=1)))
    )
    assert [each.partition(",")[0] for each in found] == [
        "its operating system is void",
        "it has 0 MB of memory",
    ]
    assert found[0].endswith("; install one of those")
