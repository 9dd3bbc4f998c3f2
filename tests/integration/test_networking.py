"""Each networking tool that Debian has, on a machine of the lab that runs it: what is written for it holds."""

from __future__ import annotations

import hashlib
import io
import tarfile
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import Any

import pytest

from configs.errors import NodeError
from configs.plan.networking import tools
from configs.plan.node import plan_node
from configs.plan.state import StageState
from configs.schema.cluster import Cluster, LabNetworking, Uplink
from configs.schema.loading import load_cluster, load_release
from tasks.docker import build as docker_build
from tasks.docker import container_engine
from tasks.docker.apt_sources import CODENAME
from tasks.lab import lab
from tasks.lab import machine as lab_machine
from tasks.lab import record as lab_record
from tasks.lab.images import LabImages, Made, lab_images, with_tool
from tasks.node import host_facts
from tasks.node.engine import bring_to, plan_changes
from tasks.ssh.connection import Connection, connect
from tasks.ssh.endpoint import Endpoint
from tasks.steps import step
from tests.fakes import substitute
from tests.integration.router import router_program
from tests.waiting import eventually

NAME = "kubev6-systems-test"
MACHINES: dict[str, LabNetworking] = {
    "kube-worker-1": "ifupdown",
    "kube-worker-2": "netplan",
    "kube-worker-3": "networkmanager",
    "kube-worker-4": "networkd",
}
"""The tool of each machine."""
INSTALL = "apt-get install -y firewalld nftables && systemctl enable systemd-networkd"
"""On the machine of networkd, which is guarded too."""

WITH_DHCP = {
    "netplan": "printf 'network:\\n  ethernets:\\n    away0:\\n      dhcp4: true\\n' > /etc/netplan/50-away.yaml",
    "networkd": "printf '[Match]\\nName=away0\\n[Network]\\nDHCP=ipv4\\n' > /etc/systemd/network/50-away.network",
}
"""An interface that asks for an address, and is not there now."""
NO_DEFAULT_ROUTE = {
    "netplan": "grep -q UseRoutes=false /run/systemd/network/10-netplan-away0.network",
    # networkd tells of everything in a file that it does not understand.
    "networkd": "test -s /etc/systemd/network/50-away.network.d/90-kubev6.conf && ! journalctl -u systemd-networkd"
    " -o cat | grep -E 'kubev6.*(Unknown|Invalid|Failed|ignoring)'",
}
"""What shows that the tool knows to take an address from DHCP and nothing more."""
ALSO_ETH1 = {
    "ifupdown": "printf 'iface eth1 inet6 auto\\n' > /etc/network/other;"
    " printf 'source oth*\\n' >> /etc/network/interfaces",
    "netplan": "printf 'network: {ethernets: {}}\\n' > /etc/netplan/70-none.yaml;"
    " printf 'network:\\n  ethernets:\\n    \"eth1\":\\n      mtu: 1400\\n' > /etc/netplan/60-other.yaml",
    "networkmanager": "nmcli connection add type ethernet ifname eth1 con-name other autoconnect no",
    "networkd": "printf '[Match]\\nName=eth*\\n' > /etc/systemd/network/05-other.network",
}
"""What configures the fabric's interface by another file."""
OTHER = {
    "ifupdown": "/etc/network/other",
    "netplan": "/etc/netplan/60-other.yaml /etc/netplan/70-none.yaml",
    "networkmanager": "/etc/NetworkManager/system-connections/other.nmconnection",
    "networkd": "/etc/systemd/network/05-other.network",
}
"""That file, and what came with it."""
SECONDS = 60
"""Four machines of systemd start again at once."""


@pytest.fixture(scope="module")
def cluster() -> Cluster:
    whole = load_cluster("lab")
    return whole.model_copy(update={"name": NAME, "nodes": (*whole.nodes[:2], *_workers(whole, len(MACHINES)))})


def _workers(cluster: Cluster, count: int) -> Iterator[Any]:
    first = cluster.worker_nodes[0]
    for number in range(1, count + 1):
        yield first.model_copy(
            update={
                "name": f"kube-worker-{number}",
                "address": first.address + number - 1,
                "pod_subnet": type(cluster.fabric.subnet)(f"fd00:{100 + number}::/64"),
            }
        )


def image_with(tool: LabNetworking, machine: str) -> str:
    """An image of the lab's with a networking tool."""
    if tool != "networkd":
        return with_tool(machine, tool)
    client = container_engine.client()
    dockerfile = (
        f"FROM {machine}\nRUN printf '#!/bin/sh\\nexit 101\\n' > /usr/sbin/policy-rc.d"
        f" && chmod 755 /usr/sbin/policy-rc.d && apt-get update && {INSTALL}"
        " && apt-get clean && rm -rf /var/lib/apt/lists/* /usr/sbin/policy-rc.d\n"
    ).encode()
    inputs = hashlib.sha256(f"{client.images.get(machine).id}\0".encode() + dockerfile).hexdigest()
    reference = f"kubev6/test-{tool}:{CODENAME}"
    if not docker_build.is_current(client, reference, inputs):
        context = io.BytesIO()
        with tarfile.open(fileobj=context, mode="w") as archive:
            entry = tarfile.TarInfo("Dockerfile")
            entry.size = len(dockerfile)
            archive.addfile(entry, io.BytesIO(dockerfile))
        context.seek(0)
        with step("docker", f"test image {tool}") as shown:
            docker_build.build(client, reference, context, inputs=inputs, shown=shown)
    return reference


@pytest.fixture(scope="module")
def endpoints(cluster: Cluster, tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Endpoint]]:
    machine = lab_images(Made()).machine
    with ThreadPoolExecutor() as pool:
        image_of = dict(zip(MACHINES, pool.map(lambda tool: image_with(tool, machine), MACHINES.values()), strict=True))
    make_node = lab_machine.make_node

    def make(client: Any, lab: str, node: Any, images: LabImages, *rest: Any) -> Any:
        return make_node(client, lab, node, replace(images, node=image_of[node.name]), *rest)

    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("KUBEV6_DATA", str(tmp_path_factory.mktemp("data")))
        substitute(patch, lab_machine, "make_node", make)
        try:
            lab.up(cluster.model_copy(update={"nodes": cluster.worker_nodes}))
            yield lab.endpoints(NAME)
        finally:
            lab.down(NAME)


def network_stage(cluster: Cluster, machine: Connection) -> StageState:
    surveyed = host_facts.ask(machine)
    assert surveyed.networking == MACHINES[machine.node]
    # Of the how-to's own release, which wants a default route on the fabric too.
    state = plan_node(cluster, load_release("v1.9.0-alpha.0.ipv6.0"), None, machine.node, surveyed).stage("network")
    assert state is not None
    return state


def said(machine: Connection, command: str) -> str:
    return machine.run(command, step="test").stdout.strip()


def put(machine: Connection, path: str, content: str) -> None:
    machine.run(["sh", "-c", 'cat > "$1"', "sh", path], step="test", stdin=content.encode())


def restart(endpoint: Endpoint) -> None:
    """Start a machine again, as after a power cut, and wait until it has come up."""
    container = container_engine.client().containers.get(lab_machine.container_name(NAME, endpoint.node))
    container.restart(timeout=10)
    lab_machine.wait_for_ssh(endpoint.node, container, endpoint.host)
    lab_machine.booted(endpoint.node, container, lab_record.ensure_key(NAME))


def check_that_it_holds(cluster: Cluster, endpoint: Endpoint) -> None:
    with connect(endpoint) as machine:
        # As the installer of Debian writes it.
        said(machine, f"echo '127.0.1.1 {machine.node}.example.org {machine.node}' >> /etc/hosts")
        said(machine, WITH_DHCP.get(MACHINES[machine.node], "true"))
        stage = network_stage(cluster, machine)
        assert len(stage.routes) == 7
        gateway = said(machine, "ip -4 route show default").split()[2]
        bring_to(machine, stage)
        assert bring_to(machine, network_stage(cluster, machine)) == ()
        assert {line.split()[0] for line in said(machine, f"getent ahosts {machine.node}").splitlines()} == {
            str(cluster.node(machine.node).address)
        }
        # Whoever brings the IPv4 default route back does so for a moment only.
        said(machine, f"ip -4 route replace default via {gateway} dev eth0")
        eventually(lambda: said(machine, "ip -4 route show default") == "", SECONDS)
    restart(endpoint)
    with connect(endpoint) as machine:
        eventually(lambda: plan_changes(machine, (network_stage(cluster, machine),)) == {"network": ()}, SECONDS)
        assert said(machine, "ip -4 route show default") == ""
        said(machine, NO_DEFAULT_ROUTE.get(MACHINES[machine.node], "true"))


def test_what_is_written_for_each_tool_holds_and_comes_back_by_itself(
    cluster: Cluster, endpoints: dict[str, Endpoint]
) -> None:
    with ThreadPoolExecutor() as pool:
        for done in [pool.submit(check_that_it_holds, cluster, endpoints[node]) for node in MACHINES]:
            done.result()


@pytest.mark.parametrize("node", MACHINES, ids=MACHINES.get)
def test_another_file_that_configures_the_fabric_is_found_and_named(
    cluster: Cluster, endpoints: dict[str, Endpoint], node: str
) -> None:
    with connect(endpoints[node]) as machine:
        assert tools.problems(cluster, host_facts.ask(machine)) == ()
        said(machine, ALSO_ETH1[MACHINES[node]])
        (problem,) = tools.problems(cluster, host_facts.ask(machine))
        assert "other" in problem
        assert "configures eth1 already" in problem
        said(machine, f"rm {OTHER[MACHINES[node]]}")


REFUSED = {
    # A file that is only sourced it leaves out, and reads the others.
    "ifupdown": ("echo 'iface away0 inet6 statik' >> /etc/network/interfaces", "ifup: /etc/network/interfaces:"),
    "netplan": (
        "printf 'network:\\n  ethernets:\\n    away0:\\n      dhcp4: perhaps\\n' > /etc/netplan/60-other.yaml",
        "/etc/netplan/60-other.yaml",
    ),
}
"""What a tool refuses to read, with which it would bring up no interface at the next start; and its words."""
MENDED = {"ifupdown": "sed -i /statik/d /etc/network/interfaces", "netplan": "rm /etc/netplan/60-other.yaml"}


@pytest.mark.parametrize("node", ["kube-worker-1", "kube-worker-2"], ids=MACHINES.get)
def test_files_that_a_tool_cannot_read_are_refused_in_its_words_before_any_is_written(
    cluster: Cluster, endpoints: dict[str, Endpoint], node: str
) -> None:
    with connect(endpoints[node]) as machine:
        stage = network_stage(cluster, machine)
        bring_to(machine, stage)
        assert stage.trial
        ours = stage.trial.files[0].path
        breaks, words = REFUSED[MACHINES[node]]
        said(machine, f"{breaks}; rm {ours}")
        with pytest.raises(NodeError) as error:
            bring_to(machine, stage)
        assert f"{stage.trial.tool} refuses the files that would be there: " in str(error.value)
        assert words in str(error.value)
        assert "nothing was changed there" in str(error.value)
        assert said(machine, f"ls {ours} /tmp/kubev6-trial-* 2>/dev/null || :") == ""
        said(machine, MENDED[MACHINES[node]])
        assert [change.subject for change in bring_to(machine, stage) if change.kind == "file"] == [ours]


def test_dhclient_brings_neither_the_default_route_nor_its_resolvers(
    cluster: Cluster, endpoints: dict[str, Endpoint]
) -> None:
    with connect(endpoints["kube-worker-1"]) as machine:
        bring_to(machine, network_stage(cluster, machine))
        resolvers = said(machine, "cat /etc/resolv.conf")
        address, gateway = endpoints["kube-worker-1"].host, endpoints["kube-worker-1"].host.rpartition(".")[0] + ".1"
        # What takes the route away again is not what is looked at here.
        said(machine, "systemctl stop kubev6-ipv6-only.service")
        lease = f"interface=eth0 new_ip_address={address} new_subnet_mask=255.255.240.0 new_routers={gateway}"
        said(machine, f"env reason=BOUND {lease} new_domain_name_servers=192.0.2.53 /sbin/dhclient-script")
        assert said(machine, "ip -4 route show default") == ""
        assert said(machine, "cat /etc/resolv.conf") == resolvers
        said(machine, "systemctl start kubev6-ipv6-only.service")


def test_firewalld_lets_the_fabric_through_and_goes_on_guarding_the_rest(
    cluster: Cluster, endpoints: dict[str, Endpoint]
) -> None:
    guarded = "kube-worker-4"
    with connect(endpoints["kube-worker-1"]) as other, connect(endpoints[guarded]) as machine:
        bring_to(other, network_stage(cluster, other))
        bring_to(machine, network_stage(cluster, machine))
        said(machine, "systemd-run -q --unit page python3 -m http.server -b :: 8000")

        def answers(host: str) -> bool:
            return "200" in said(other, f"curl -s -m 5 -o /dev/null -w '%{{http_code}}' http://{host}:8000/ || :")

        eventually(lambda: answers(f"[{cluster.node(guarded).address}]"), SECONDS)
        assert not answers(endpoints[guarded].host)
        said(machine, "systemctl stop page")


@pytest.mark.parametrize("node", ["kube-worker-1", "kube-worker-3", "kube-worker-4"], ids=MACHINES.get)
def test_an_uplink_by_router_advertisements_is_kept_by_a_machine_that_forwards(
    cluster: Cluster, endpoints: dict[str, Endpoint], node: str
) -> None:
    with_uplink = cluster.model_copy(update={"uplink": Uplink(interface="eth2")})
    with connect(endpoints[node]) as machine:
        put(machine, "/root/advertise.py", router_program("2001:db8:7::", "router"))
        said(machine, "ip netns add beyond && ip link add eth2 type veth peer name router netns beyond")
        said(machine, "ip netns exec beyond ip link set router up")
        said(machine, "systemd-run -q --unit beyond ip netns exec beyond python3 /root/advertise.py")
        stage = network_stage(with_uplink, machine)
        bring_to(machine, stage)
        eventually(lambda: "2001:db8:7:" in said(machine, "ip -6 addr show dev eth2 scope global"), SECONDS)
        eventually(lambda: "proto ra" in said(machine, "ip -6 route show default dev eth2"), SECONDS)
        assert said(machine, "sysctl -n net.ipv6.conf.all.forwarding") == "1"
        assert bring_to(machine, network_stage(with_uplink, machine)) == ()
        said(machine, "systemctl stop beyond; ip link del eth2; ip netns del beyond")
        bring_to(machine, network_stage(cluster, machine))
