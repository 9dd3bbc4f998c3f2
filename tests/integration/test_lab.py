"""A small real lab: two machines, brought up, disturbed, and taken down without a trace."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network
from typing import Any

import docker
import pytest

from configs.errors import ConfigError, KubeV6Error, NodeError
from configs.schema.cluster import Cluster, Lab
from configs.schema.loading import load_cluster, load_release
from flows.run.context import run_context
from flows.run.lock import locked
from tasks.docker import container_engine
from tasks.lab import lab
from tasks.lab import machine as lab_machine
from tasks.lab import record as lab_record
from tasks.lab.record import LabRecord
from tasks.paths import cluster_dir, cluster_lock
from tasks.ssh import connection as ssh

NAME = "kubev6-lab-test"
SUPPORT, CONTROL_PLANE = "kube-support", "kube-control-plane"


@dataclass(frozen=True)
class Small:
    """A lab under test."""

    cluster: Cluster
    record: LabRecord
    client: docker.DockerClient

    def run(self, node: str, command: str) -> str:
        """What a shell command on a node prints, by the SSH that everybody else uses too."""
        with ssh.connect(lab.endpoints(NAME)[node]) as connection:
            done = connection.run(["sh", "-ec", command], step="test", timeout=60)
        return done.stdout

    def container(self, node: str) -> Any:
        return self.client.containers.get(lab_machine.container_name(NAME, node))

    def leftovers(self, name: str = NAME) -> list[str]:
        """Whatever Docker still has of a lab."""
        label: Any = {"label": f"{lab_record.LAB_LABEL}={name}"}
        return [
            *(str(container.name) for container in self.client.containers.list(all=True, filters=label)),
            *(str(network.name) for network in self.client.networks.list(filters=label)),
            *(str(volume.name) for volume in self.client.volumes.list(filters=label)),
        ]


def small_cluster(name: str, nodes: int) -> Cluster:
    whole = load_cluster("lab")
    return whole.model_copy(update={"name": name, "nodes": whole.nodes[:nodes], "workers": 0})


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Small]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("KUBEV6_DATA", str(tmp_path_factory.mktemp("data")))
        cluster = small_cluster(NAME, 2)
        try:
            yield Small(cluster, lab.up(cluster), container_engine.client())
        finally:
            lab.down(NAME)


def interfaces(small: Small, node: str) -> dict[str, list[IPv4Address]]:
    links = json.loads(small.run(node, "ip -j -4 address"))
    return {
        link["ifname"]: [IPv4Address(address["local"]) for address in link["addr_info"]]
        for link in links
        if link["ifname"] != "lo"
    }


def test_machines_boot_without_a_failed_unit_and_let_the_recorded_key_in(small: Small) -> None:
    for node in (SUPPORT, CONTROL_PLANE):
        assert small.run(node, "hostname; systemctl is-system-running --wait").split() == [node, "running"]


def test_each_machine_has_a_host_key_and_an_identity_of_its_own(small: Small) -> None:
    keys = {node.host_key for node in small.record.nodes}
    identities = {small.run(node.name, "cat /etc/machine-id") for node in small.record.nodes}
    assert (len(keys), len(identities)) == (2, 2)


@pytest.mark.parametrize("restarted", [False, True], ids=["at first", "after a restart"])
def test_eth0_is_management_and_eth1_the_fabric(small: Small, restarted: bool) -> None:
    if restarted:
        small.container(CONTROL_PLANE).restart()
        lab.up(small.cluster)
    found = interfaces(small, CONTROL_PLANE)
    management = IPv4Network(small.record.management)
    assert set(found) == {"eth0", "eth1"}
    assert all(address in management for address in found["eth0"])
    assert not any(address in management for address in found["eth1"])


def test_files_that_docker_mounts_are_the_machines_own(small: Small) -> None:
    changed = "mv /etc/hosts /etc/h && echo '::1 mine' >> /etc/h && mv /etc/h /etc/hosts"
    small.run(CONTROL_PLANE, f"{changed}; echo 'nameserver fd00::64' > /etc/resolv.conf")
    small.container(CONTROL_PLANE).restart()
    lab.up(small.cluster)
    assert "::1 mine" in small.run(CONTROL_PLANE, "cat /etc/hosts")
    assert small.run(CONTROL_PLANE, "cat /etc/resolv.conf") == "nameserver fd00::64\n"
    # Kubernetes would take an IPv4 address of the host's own name for the node's.
    assert CONTROL_PLANE not in small.run(CONTROL_PLANE, "cat /etc/hosts")


def test_the_network_service_configures_the_fabric_and_leaves_management_alone(small: Small) -> None:
    small.run(
        CONTROL_PLANE,
        "printf '[Match]\\nName=eth1\\n[Network]\\nAddress=fd00::100/64\\nIPv6AcceptRA=no\\n'"
        " > /etc/systemd/network/50-eth1.network; systemctl enable --now systemd-networkd",
    )
    before = interfaces(small, CONTROL_PLANE)["eth0"]
    small.container(CONTROL_PLANE).restart()
    lab.up(small.cluster)
    small.run(CONTROL_PLANE, "/lib/systemd/systemd-networkd-wait-online --interface=eth1 --timeout=30")
    assert "fd00::100" in small.run(CONTROL_PLANE, "ip -6 address show dev eth1 scope global")
    assert interfaces(small, CONTROL_PLANE)["eth0"] == before


def test_what_the_machines_are_for_starts_under_systemd(small: Small) -> None:
    assert "overlayfs" in small.run(
        CONTROL_PLANE, "systemctl start containerd; ctr plugins ls | grep -w overlayfs | grep -w ok"
    )
    units = "tayga named docker-registry"
    assert small.run(SUPPORT, f"systemctl is-enabled {units} || true").split()[1:] == ["disabled", "disabled"]
    small.run(SUPPORT, "sed -i 's/^prefix .*/prefix fd00:64:ff9b::\\/96/' /etc/tayga.conf")
    small.run(SUPPORT, "echo 'ipv6-addr fd00::6464' >> /etc/tayga.conf")
    assert small.run(SUPPORT, f"systemctl start {units}; systemctl is-active {units}").split() == ["active"] * 3


def test_the_outside_has_an_ipv4_address_only(small: Small) -> None:
    fetched = small.run(SUPPORT, f"curl -sS --max-time 10 http://{lab_machine.OUTSIDE_NAME}/")
    assert fetched == lab_machine.OUTSIDE_PAGE
    addresses = small.run(SUPPORT, f"getent ahosts {lab_machine.OUTSIDE_NAME} | cut -d' ' -f1 | sort -u").split()
    assert addresses == [small.record.outside]


def test_up_on_a_lab_that_is_up_changes_nothing(small: Small) -> None:
    before = [small.container(node).attrs["State"]["StartedAt"] for node in (SUPPORT, CONTROL_PLANE)]
    record = lab.up(small.cluster)
    after = [small.container(node).attrs["State"]["StartedAt"] for node in (SUPPORT, CONTROL_PLANE)]
    assert (after, record) == (before, lab_record.read(NAME))


def test_up_renews_keys_that_do_not_fit_any_more(small: Small) -> None:
    small.run(CONTROL_PLANE, "echo 'ssh-ed25519 AAAA a person' >> /root/.ssh/authorized_keys")
    lab_record.key_file(NAME).unlink()
    lab_record.ensure_key(NAME)  # another one, as when the record was moved here from elsewhere
    lab_record.known_hosts(NAME).write_text("")
    with pytest.raises(NodeError, match=r"is not known: .*; `kubev6 lab up`"):
        small.run(CONTROL_PLANE, "true")
    lab.up(small.cluster)
    assert "a person" in small.run(CONTROL_PLANE, "cat /root/.ssh/authorized_keys")


def test_up_starts_what_is_stopped_and_makes_what_is_gone(small: Small) -> None:
    before = {node.name: node for node in lab.up(small.cluster).nodes}
    small.container(SUPPORT).stop(timeout=5)
    small.container(CONTROL_PLANE).remove(force=True)
    assert {machine.name: machine.state for machine in lab.status(NAME).machines} == {
        SUPPORT: "exited",
        CONTROL_PLANE: "missing",
        lab_machine.OUTSIDE: "running",
    }
    after = {node.name: node for node in lab.up(small.cluster).nodes}
    assert after[SUPPORT] == before[SUPPORT]
    assert after[CONTROL_PLANE].address == before[CONTROL_PLANE].address
    assert after[CONTROL_PLANE].host_key != before[CONTROL_PLANE].host_key
    assert small.run(CONTROL_PLANE, "hostname").strip() == CONTROL_PLANE
    assert lab.status(NAME).up


def test_nodes_are_made_for_the_container_runtime_of_the_run_and_refused_to_another(small: Small) -> None:
    with_docker, with_containerd = load_release("v1.9.0-alpha.0.ipv6.0"), load_release("debian-1.20")
    with pytest.raises(ConfigError) as caught:
        lab.up(small.cluster, with_docker)
    assert str(caught.value) == (
        f"the lab {NAME} has machines made for containerd ({CONTROL_PLANE}), and {with_docker.name} is to run on docker"
        f"; run `kubev6 lab down --cluster {NAME}`, and they are made again"
    )
    assert lab.status(NAME).up
    small.container(CONTROL_PLANE).remove(force=True)
    lab.refuse_other_machines(small.cluster, with_docker)
    try:
        lab.up(small.cluster, with_docker)
        assert small.run(CONTROL_PLANE, "docker --version")
        with pytest.raises(ConfigError, match=r"made for docker .*, and debian-1\.20 is to run on containerd"):
            lab.refuse_other_machines(small.cluster, with_containerd)
        with pytest.raises(ConfigError, match=r"made for docker .*, and by its file it is"):
            lab.up(small.cluster.model_copy(update={"runtime": "containerd"}))
        small.container(CONTROL_PLANE).stop(timeout=5)
        lab.up(small.cluster)  # by a person who names no release: they stay what they are
        assert small.run(CONTROL_PLANE, "docker --version")
    finally:
        small.container(CONTROL_PLANE).remove(force=True)
        lab.up(small.cluster)


@pytest.mark.parametrize(
    ("other", "seen"),
    [
        ({"networking": "netplan"}, "kube-support with networking: networkd, and it is to be netplan"),
        ({"debian": "trixie"}, "kube-support with debian: bookworm, and it is to be trixie"),
        ({"containerd": "2"}, f"{CONTROL_PLANE} with containerd: absent, and it is to be 2"),
    ],
)
def test_machines_that_were_made_with_another_lab_are_refused(small: Small, other: dict[str, str], seen: str) -> None:
    changed = small.cluster.model_copy(update={"lab": Lab.model_validate(other)})
    for refused in (lab.up, lambda cluster: lab.refuse_other_machines(cluster, load_release("debian-1.20"))):
        with pytest.raises(ConfigError) as caught:
            refused(changed)
        assert str(caught.value) == (
            f"the lab {NAME} has machines that were made with another `lab:` ({seen}); "
            f"run `kubev6 lab down --cluster {NAME}`, and they are made again"
        )
    assert lab.status(NAME).up


def test_a_containerd_is_refused_where_docker_runs_the_nodes(small: Small) -> None:
    with pytest.raises(ConfigError, match=r"^lab.containerd is 2, and docker is to run the containers of the nodes; "):
        lab.up(small.cluster.model_copy(update={"name": f"{NAME}-3", "runtime": "docker", "lab": Lab(containerd="2")}))
    assert f"{NAME}-3" not in lab_record.names()
    assert not container_engine.client().networks.list(names=[f"kubev6-{NAME}-3-mgmt", f"kubev6-{NAME}-3-fabric"])


def test_a_second_lab_stands_beside_it_and_goes_without_a_trace(small: Small) -> None:
    other = f"{NAME}-2"
    try:
        record = lab.up(small_cluster(other, 1))
        assert not IPv4Network(record.management).overlaps(IPv4Network(small.record.management))
        assert {other, NAME} <= {found.name for found in lab.status_all()}
        # Half of it is gone already, and so is everything that was written down.
        small.client.containers.get(lab_machine.container_name(other, SUPPORT)).remove(force=True)
        (lab_record.directory(other) / "record.json").unlink()
    finally:
        lab.down(other)
    assert small.leftovers(other) == []
    assert not lab_record.directory(other).exists()
    assert lab.status(NAME).up
    lab.down(other)


def test_no_such_lab_names_those_there_are(small: Small) -> None:
    assert small.record.name == NAME
    with pytest.raises(KubeV6Error, match=NAME):
        lab.status("nonesuch")


def test_a_cluster_of_real_machines_is_no_lab(small: Small) -> None:
    with pytest.raises(ConfigError, match="machines of its own"):
        lab.up(small.cluster.model_copy(update={"lab": None}))
    fabric = small.cluster.fabric.model_copy(update={"interface": "eth2"})
    with pytest.raises(ConfigError, match="eth2"):
        lab.up(small.cluster.model_copy(update={"fabric": fabric, "lab": Lab()}))


def test_down_leaves_nothing_but_the_lock_that_others_may_wait_for(small: Small) -> None:
    with run_context(), locked(NAME, "kubev6 lab down", "refuse"):
        (cluster_dir(NAME) / "kubeconfig").touch()
        lab.down(NAME)
    assert small.leftovers() == []
    assert list(cluster_dir(NAME).iterdir()) == [cluster_lock(NAME)]
    assert not lab_record.directory(NAME).exists()
