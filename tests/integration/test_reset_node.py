"""Taking back all that was done to a machine, on a real one of the lab."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from configs.errors import NodeError
from configs.membership import Identity, identity
from configs.plan.state import Address, Binary, File, Route, Service, StageState, Sysctl
from configs.schema.loading import load_cluster
from tasks.events import Bus, Event, StepProgressed
from tasks.lab import lab
from tasks.node import host_facts
from tasks.node.engine import bring_to
from tasks.node.reset import Reset
from tasks.node.reset import reset as reset_machine
from tasks.scope import holding
from tasks.ssh.connection import Connection, connect
from tasks.ssh.endpoint import Endpoint
from tests.integration.beyond import come_from_beyond

CLUSTER = load_cluster("lab").model_copy(update={"name": "kubev6-reset-node-test", "workers": 0})
CLUSTER = CLUSTER.model_copy(update={"nodes": CLUSTER.nodes[:2]})
NODE, OTHER = (node.name for node in CLUSTER.nodes)
SERVER = f"https://[{CLUSTER.control_plane.address}]:6443"
SLEEPER = "[Service]\nExecStart=/bin/sleep infinity\n[Install]\nWantedBy=multi-user.target\n"


@pytest.fixture(scope="module")
def endpoints(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Endpoint]]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("KUBEV6_DATA", str(tmp_path_factory.mktemp("data")))
        try:
            lab.up(CLUSTER)
            yield lab.endpoints(CLUSTER.name)
        finally:
            lab.down(CLUSTER.name)


@pytest.fixture(scope="module")
def machine(endpoints: dict[str, Endpoint]) -> Iterator[Connection]:
    with connect(endpoints[NODE]) as opened:
        yield opened


@pytest.fixture(autouse=True)
def nothing_of_ours(machine: Connection) -> Iterator[None]:
    """Every test begins and ends on a machine that has no record."""
    yield
    said(machine, "rm -rf /var/lib/kubev6 /etc/kubernetes")


def said(machine: Connection, command: str) -> str:
    return machine.run(command, step="test").stdout.strip()


def put(machine: Connection, path: str, content: str, mode: str = "644") -> None:
    script = f'mkdir -p "${{1%/*}}" && cat > "$1" && chmod {mode} "$1"'
    machine.run(["sh", "-c", script, "sh", path], step="test", stdin=content.encode())


def reset(machine: Connection) -> Reset:
    return reset_machine(machine, CLUSTER)


def snapshot(machine: Connection) -> list[str]:
    """Everything that a stage is about: files with content, owner and mode, routes, addresses, settings, units."""
    return said(
        machine,
        "find /etc /usr/local /opt -xdev ! -path '*/.kubev6*' -printf '%p %M %u %g %l\\n' | sort; "
        "find /etc /usr/local /opt -xdev -type f | sort | xargs -d '\\n' sha256sum; "
        "ip -6 route show table main | sort; ip -4 route | sort; ip -br addr; "
        "sysctl net.ipv6.conf.all.forwarding net.ipv4.ip_local_port_range; "
        "for unit in sleeper was-there systemd-networkd systemd-networkd.socket; do "
        "systemctl is-active $unit; systemctl is-enabled $unit 2>&1; done; "
        "ls -A /var/lib/kubev6 2>/dev/null; true",
    ).splitlines()


@pytest.fixture
def files_server(machine: Connection) -> Iterator[Callable[[str, str], Binary]]:
    """Executables served on the machine's own loopback, in the place of the registry."""
    said(
        machine,
        "mkdir -p /srv/files && systemd-run -q --unit files python3 -m http.server -b ::1 -d /srv/files 8000; "
        "until curl -sf -o /dev/null http://[::1]:8000/; do sleep 0.05; done",
    )

    def serve(path: str, content: str) -> Binary:
        digest = hashlib.sha256(content.encode()).hexdigest()
        put(machine, f"/srv/files/{digest}", content)
        return Binary(path, digest, len(content), f"http://[::1]:8000/{digest}")

    yield serve
    said(machine, "systemctl stop files; rm -r /srv/files")


def test_all_that_was_done_is_taken_back_and_a_second_time_nothing_is(
    machine: Connection, files_server: Callable[[str, str], Binary]
) -> None:
    put(machine, "/etc/systemd/system/was-there.service", SLEEPER)
    put(machine, "/etc/was-there.conf", "original\n", mode="640")
    put(machine, "/etc/only-ours/foreign", "somebody's\n")
    put(machine, "/etc/fstab", "/dev/none none swap sw 0 0\n/dev/x / ext4 defaults 0 1\n")
    put(machine, "/usr/local/bin/tool", "#!/bin/sh\necho old\n", mode="755")
    put(machine, "/usr/local/bin/tool.~1~", "kept by somebody\n")
    said(machine, "ln -s /run/somewhere /etc/a-link; systemctl daemon-reload; systemctl enable -q --now was-there")
    before = snapshot(machine)
    hosts = File("/etc/hosts", "fd00::100 kube-control-plane\n", block=True)
    unit = "/etc/systemd/system/sleeper.service"
    stages = [
        StageState(
            name="network",
            files=(hosts, File("/etc/a-link", "no link\n"), File("/etc/kubev6-test/deep/file", "x\n", mode=0o600)),
            only_files_in=("/etc/only-ours",),
            swap_off=True,
            sysctls=(
                Sysctl("net.ipv6.conf.all.forwarding", "1"),
                Sysctl("net.ipv4.ip_local_port_range", "30000 61000"),
            ),
            addresses=(Address("eth1", "fd00::64/64"),),
            no_ipv4_on=("eth1",),
            no_ipv4_default_route=True,
            routes=(Route("fd00:101::/64", "fd00::101", "eth1"), Route("fd00:1234::/110", "", "eth1")),
            services=(Service("systemd-networkd.service"),),
        ),
        StageState(
            name="runtime",
            files=(File("/etc/was-there.conf", "ours\n"), File(unit, SLEEPER)),
            services=(Service("sleeper.service"), Service("was-there.service", restart_on=("/etc/was-there.conf",))),
        ),
        StageState(
            name="kubernetes",
            binaries=(
                files_server("/usr/local/bin/tool", "#!/bin/sh\necho new\n"),
                files_server("/opt/kubev6-test/bin/other", "#!/bin/sh\necho other\n"),
            ),
        ),
    ]
    for stage in stages:
        bring_to(machine, stage)
    newer = replace(stages[2], binaries=(files_server("/usr/local/bin/tool", "#!/bin/sh\necho newer\n"),))
    bring_to(machine, newer)
    assert said(machine, "tool; systemctl is-active sleeper") == "newer\nactive"
    ran_as = said(machine, "systemctl show -p InvocationID --value was-there")

    done = reset(machine)
    assert snapshot(machine) == before
    assert said(machine, "systemctl show -p InvocationID --value was-there") != ran_as, "it reads its own file again"
    assert "service sleeper.service stopped" in done.done
    assert "route fd00:101::/64 via fd00::101 dev eth1 metric 1024" in done.done
    assert reset(machine) == Reset(NODE, (), ())
    assert snapshot(machine) == before

    for stage in stages:
        assert bring_to(machine, stage), "after a reset everything can be done again"
    reset(machine)
    assert snapshot(machine) == before
    said(machine, "systemctl disable -q --now was-there; rm /etc/systemd/system/was-there.service /etc/was-there.conf")


def as_the_version_before_wrote_it(record: dict[str, Any]) -> dict[str, Any]:
    """Routes and addresses by their words alone, IPv4 addresses as one text, as in tests/unit/data."""
    network = record["stages"]["network"]
    for notes in ("routes", "addresses"):
        network[notes] = dict.fromkeys(network[notes])
    network["ipv4_addresses"] = {name: ", ".join(each) for name, each in network["ipv4_addresses"].items()}
    return record


def test_what_the_version_before_has_done_is_known_and_undone(machine: Connection) -> None:
    put(machine, "/etc/a.conf", "original\n")
    before = snapshot(machine)
    stage = StageState(
        name="network",
        files=(File("/etc/a.conf", "ours\n"), File("/etc/kubev6-test/b.conf", "ours\n")),
        sysctls=(Sysctl("net.ipv6.conf.all.forwarding", "1"),),
        addresses=(Address("eth1", "fd00::64/64"), Address("eth1", "fd00::65/64")),
        no_ipv4_on=("eth1",),
        no_ipv4_default_route=True,
        routes=(Route("fd00:101::/64", "fd00::101", "eth1"), Route("fd00:1234::/110", "", "eth1")),
    )
    bring_to(machine, stage)
    record = as_the_version_before_wrote_it(json.loads(said(machine, "cat /var/lib/kubev6/record.json")))
    put(machine, "/var/lib/kubev6/record.json", json.dumps(record, indent=1, sort_keys=True))
    assert bring_to(machine, stage) == ()
    fewer = replace(stage, addresses=stage.addresses[:1], routes=stage.routes[:1], files=stage.files[:1])
    assert [(change.kind, change.action) for change in bring_to(machine, fewer)] == [
        ("file", "undo"),
        ("address", "remove"),
        ("route", "remove"),
    ]
    done = reset(machine).done
    assert "route fd00:101::/64 via fd00::101 dev eth1 metric 1024" in done
    assert "address fd00::64/64 dev eth1" in done
    assert "IPv4 addresses of eth1" in done
    assert snapshot(machine) == before
    said(machine, "rm /etc/a.conf")


def test_the_ipv4_default_route_comes_back_and_the_path_that_was_kept_for_us_goes(
    machine: Connection, endpoints: dict[str, Endpoint], monkeypatch: pytest.MonkeyPatch
) -> None:
    before = said(machine, "ip -4 route")
    beyond, gateway = come_from_beyond(machine, monkeypatch)
    with connect(endpoints[NODE]) as opened:
        bring_to(opened, StageState(name="network", no_ipv4_default_route=True))
        assert f"{beyond} via {gateway}" in said(opened, "ip -4 route")
        assert reset(opened).stays == ()
        assert said(opened, "ip -4 route") == before


def test_the_address_and_the_route_by_which_we_come_stay(
    machine: Connection, endpoints: dict[str, Endpoint], tmp_path: Path
) -> None:
    """SSH over the fabric itself: by way of another machine of it, from an address that a route of ours leads to."""
    stage = StageState(
        name="network",
        addresses=(Address("eth1", "fd00::64/64"),),
        routes=(Route("fd00:100::/64", "fd00::100", "eth1"), Route("fd00:101::/64", "fd00::101", "eth1")),
    )
    host_key = endpoints[NODE].known_hosts
    assert host_key
    key = next(line for line in Path(host_key).read_text().splitlines() if line.startswith(endpoints[NODE].host))
    bring_to(machine, stage)
    with connect(endpoints[OTHER]) as other:
        said(other, "ip -6 addr add fd00::100/64 dev eth1 nodad; ip -6 addr add fd00:100::1/128 dev lo nodad")
        said(other, "ip -6 route replace fd00::64/128 dev eth1 src fd00:100::1")
        with other.forward("fd00::64", 22) as port:
            known_hosts = tmp_path / "known_hosts"
            known_hosts.write_text(f"[127.0.0.1]:{port} {key.partition(' ')[2]}\n")
            through = replace(endpoints[NODE], host="127.0.0.1", port=port, known_hosts=str(known_hosts))
            with connect(through) as over_the_fabric:
                assert said(over_the_fabric, "echo $SSH_CONNECTION").startswith("fd00:100::1 ")
                done = reset(over_the_fabric)
                assert "fd00::64/64" in said(over_the_fabric, "ip -6 addr show dev eth1")
                assert said(
                    over_the_fabric, "ip -6 route show fd00:101::/64; ls -d /var/lib/kubev6 2>&1 || :"
                ).startswith("ls:")
    assert [line.partition(" stays")[0] for line in done.stays] == [
        "route fd00:100::/64 via fd00::100 dev eth1 metric 1024",
        "address fd00::64/64 dev eth1",
    ]
    said(machine, "ip -6 addr del fd00::64/64 dev eth1; ip -6 route del fd00:100::/64")


def test_what_kubernetes_has_left_on_a_half_dead_node_goes_and_what_is_others_stays(machine: Connection) -> None:
    """No kubelet, no runtime, a damaged kubeadm: only what they had made, and what is somebody else's."""
    put(machine, "/etc/kubernetes/kubelet.conf", f"server: {SERVER}\n")
    put(machine, "/etc/kubernetes/manifests/etcd.yaml", "x\n")
    put(machine, "/var/lib/etcd/member/wal", "x\n")
    put(machine, "/var/lib/cni/networks/mynet/fd00:100::2", "x\n")
    put(machine, "/etc/cni/net.d/99-others.conf", "{}\n")
    put(machine, "/usr/local/bin/kubeadm", "damaged", mode="755")
    bring_to(machine, StageState(name="kubernetes", files=(File("/etc/kubernetes/kubev6-kubeadm.yaml", "x\n"),)))
    said(
        machine,
        "ip link add cbr0 type bridge; ip link add veth1 type veth peer name veth2; ip link set veth1 master cbr0; "
        "ip link add theirs type bridge; mkdir -p /var/lib/kubelet/pods/1/volumes/v; "
        "mount -t tmpfs tmpfs /var/lib/kubelet/pods/1/volumes/v; "
        "ip netns add cni-1; for tool in iptables ip6tables; do "
        "$tool -A INPUT -p tcp --dport 22 -m comment --comment 'not KUBE-FIREWALL -j KUBE-X' -j ACCEPT; "
        "$tool -N KUBE-FIREWALL; $tool -N KUBE-MARK; $tool -A KUBE-FIREWALL -j KUBE-MARK; "
        "$tool -A INPUT -m comment --comment 'kubernetes health' -j KUBE-FIREWALL; "
        "$tool -t nat -N CNI-0a1b; "
        "$tool -t nat -A POSTROUTING -m comment --comment 'name: \"mynet\"' -j CNI-0a1b; done",
    )
    done = reset(machine).done
    for place in ("/etc/kubernetes", "/var/lib/etcd", "/var/lib/kubelet", "/var/lib/cni", "/run/netns/cni-1"):
        assert said(machine, f"ls -d {place} 2>/dev/null || echo gone") == "gone", place
    assert said(machine, "ls /sys/class/net").split() == ["eth0", "eth1", "lo", "theirs"]
    rules = said(machine, "iptables-save; ip6tables-save")
    assert "-j KUBE" not in rules.replace("not KUBE-FIREWALL -j KUBE-X", "")
    assert "CNI-" not in rules
    assert ":KUBE" not in rules
    assert rules.count("--dport 22") == 2
    assert said(machine, "cat /etc/cni/net.d/99-others.conf") == "{}"
    assert "bridge cbr0 removed" in done
    assert any(line.startswith("kubeadm reset (which failed: ") for line in done)
    assert reset(machine).done == ()
    said(machine, "rm -r /etc/cni /usr/local/bin/kubeadm; ip link del theirs; iptables -F INPUT; ip6tables -F INPUT")


@contextmanager
def called_first(machine: Connection, tool: str, *instead: str) -> Iterator[None]:
    """Lines of shell that run before a tool of the machine is, with its arguments; ``$real`` is the tool itself."""
    real = said(machine, f"command -v {tool}")
    script = "\n".join(("#!/bin/sh", f"real={real}", *instead, 'exec $real "$@"', ""))
    put(machine, f"/usr/local/sbin/{tool}", script, mode="755")
    try:
        yield
    finally:
        said(machine, f"rm /usr/local/sbin/{tool}")


def test_a_pods_interface_that_goes_by_itself_meanwhile_is_gone_and_one_that_stays_is_an_error(
    machine: Connection,
) -> None:
    put(machine, "/etc/kubernetes/kubelet.conf", f"server: {SERVER}\n")
    said(
        machine,
        "ip link add cbr0 type bridge; "
        "for pod in 1 2; do ip link add veth$pod type veth peer name pod$pod; ip link set veth$pod master cbr0; done",
    )
    goes = '[ "$*" != "link del veth1" ] || $real link del pod1'
    stays = '[ "$*" != "link del veth2" ] || { echo "Device is busy" >&2; exit 2; }'
    with called_first(machine, "ip", goes, stays), pytest.raises(NodeError, match="ip link del veth2: Device is busy"):
        reset(machine)
    assert said(machine, "ls /sys/class/net/cbr0/brif") == "veth2"
    assert reset(machine).done == ("bridge cbr0 removed",)
    assert said(machine, "ls /sys/class/net").split() == ["eth0", "eth1", "lo"]


def test_a_pods_mount_that_the_runtime_takes_away_meanwhile_is_gone_and_one_that_stays_is_an_error(
    machine: Connection,
) -> None:
    put(machine, "/etc/kubernetes/kubelet.conf", f"server: {SERVER}\n")
    pods = "/run/containerd/io.containerd.runtime.v2.task/k8s.io"
    said(machine, f"for pod in 1 2; do mkdir -p {pods}/$pod; mount -t tmpfs tmpfs {pods}/$pod; done")
    goes = f'[ "$2" != {pods}/2 ] || $real $2'
    stays = f'[ "$2" != {pods}/1 ] || {{ echo "target is busy" >&2; exit 32; }}'
    with (
        called_first(machine, "umount", goes, stays),
        pytest.raises(NodeError, match=f"umount -l {pods}/1: target is busy"),
    ):
        reset(machine)
    assert said(machine, f"findmnt -rno TARGET | grep {pods}") == f"{pods}/1"
    assert reset(machine).done == ("mounts of pods removed: 1",)
    assert said(machine, f"findmnt -rno TARGET | grep {pods} || rm -r {pods}") == ""


def test_a_volume_that_is_still_mounted_keeps_its_files(machine: Connection) -> None:
    put(machine, "/etc/kubernetes/kubelet.conf", f"server: {SERVER}\n")
    put(machine, "/srv/volume/data", "precious\n")
    said(machine, "mkdir -p /var/lib/dockershim/v && mount --bind /srv/volume /var/lib/dockershim/v")
    with pytest.raises(NodeError, match="/var/lib/dockershim/v is still mounted, so /var/lib/dockershim stays"):
        reset(machine)
    said(machine, "umount /var/lib/dockershim/v")
    assert reset(machine).done == ("files of Kubernetes removed",)
    assert said(machine, "cat /srv/volume/data; ls -d /var/lib/dockershim 2>/dev/null; rm -r /srv/volume") == "precious"


def test_a_member_of_another_cluster_without_our_record_is_left_alone(machine: Connection) -> None:
    put(machine, "/etc/kubernetes/kubelet.conf", "server: https://[fd00:9::1]:6443\n")
    with pytest.raises(NodeError, match=r"belongs to the cluster at https://\[fd00:9::1\]:6443, not .*kubeadm reset"):
        reset(machine)
    assert said(machine, "ls /etc/kubernetes; ls -d /var/lib/kubev6 2>/dev/null || :") == "kubelet.conf"


def test_the_record_names_the_cluster_and_no_other_changes_or_resets_the_machine(machine: Connection) -> None:
    """A support node has no other sign of whose it is; a record of the version before names none, and is undone."""
    ours, theirs = StageState("network", files=(File("/etc/kubev6-test.conf", "a\n"),)), Identity("rack", SERVER)
    bring_to(machine, ours, of=theirs)
    for change in (reset, lambda to: bring_to(to, replace(ours, files=()), of=identity(CLUSTER))):
        with pytest.raises(NodeError, match=rf"cluster rack at .*, not {CLUSTER.name} at .*kubev6 reset"):
            change(machine)
    assert said(machine, "cat /etc/kubev6-test.conf") == "a"
    assert host_facts.ask(machine).membership.recorded == theirs
    assert host_facts.ask(machine).identity
    record = json.loads(said(machine, "cat /var/lib/kubev6/record.json"))
    del record["cluster"]
    put(machine, "/var/lib/kubev6/record.json", json.dumps(record))
    put(machine, "/etc/kubernetes/kubelet.conf", "server: https://[fd00:9::1]:6443\n")
    with pytest.raises(NodeError, match=r"belongs to the cluster at https://\[fd00:9::1\]:6443, not"):
        reset(machine)
    said(machine, "rm -r /etc/kubernetes")
    assert reset(machine).done == ("file /etc/kubev6-test.conf",)


def test_a_member_without_a_record_is_taken_out_and_it_is_said_what_is_not_known(machine: Connection) -> None:
    put(machine, "/etc/kubernetes/kubelet.conf", f"server: {SERVER}\n")
    with pytest.raises(NodeError, match=r"record\.json is gone: what was there before is not known") as caught:
        reset(machine)
    assert "files of Kubernetes removed" in caught.value.detail
    assert reset(machine) == Reset(NODE, (), ())


def test_a_damaged_record_is_said_and_neither_it_nor_the_copies_are_touched(machine: Connection) -> None:
    put(machine, "/etc/was-there.conf", "original\n")
    bring_to(machine, StageState(name="runtime", files=(File("/etc/was-there.conf", "ours\n"),)))
    whole = said(machine, "cat /var/lib/kubev6/record.json")
    put(machine, "/var/lib/kubev6/record.json", whole[:40])
    for _ in range(2):
        with pytest.raises(NodeError, match=r"record\.json is damaged: .*/var/lib/kubev6/backup"):
            reset(machine)
    assert said(machine, "cat /var/lib/kubev6/record.json") == whole[:40].strip()
    assert said(machine, "cat /var/lib/kubev6/backup/etc/was-there.conf") == "original"
    put(machine, "/var/lib/kubev6/record.json", whole)
    reset(machine)
    assert said(machine, "cat /etc/was-there.conf; rm /etc/was-there.conf") == "original"


def test_what_cannot_be_taken_back_stays_recorded_and_the_rest_is_taken_back(machine: Connection) -> None:
    put(machine, "/etc/was-there.conf", "original\n")
    files = (File("/etc/was-there.conf", "ours\n"), File("/etc/ours.conf", "ours\n"))
    bring_to(machine, StageState(name="runtime", files=files))
    said(machine, "mv /var/lib/kubev6/backup/etc/was-there.conf /root/")
    with pytest.raises(NodeError, match="the copy of what was there before is gone") as caught:
        reset(machine)
    assert "\n" not in str(caught.value)
    assert said(machine, "ls /etc/ours.conf 2>/dev/null; cat /etc/was-there.conf") == "ours"
    said(machine, "mkdir -p /var/lib/kubev6/backup/etc; mv /root/was-there.conf /var/lib/kubev6/backup/etc/")
    assert reset(machine).done == ("file /etc/was-there.conf",)
    assert said(machine, "cat /etc/was-there.conf; ls -d /var/lib/kubev6 2>/dev/null || rm /etc/was-there.conf") == (
        "original"
    )


def test_a_reset_waits_for_a_kubeadm_whose_controller_has_gone_away(
    machine: Connection, endpoints: dict[str, Endpoint]
) -> None:
    put(machine, "/etc/kubernetes/kubelet.conf", f"server: {SERVER}\n")
    put(machine, "/usr/local/bin/kubeadm", "#!/bin/sh\nlog=/run/kubeadm-log\necho $* >>$log\n", mode="755")
    bring_to(machine, StageState(name="kubernetes", files=(File("/etc/kubernetes/kubev6-kubeadm.yaml", "x\n"),)))
    orphan = "read x </run/held; echo join >/run/kubeadm-log"
    said(machine, f"mkfifo /run/held; systemd-run -q flock /run/kubev6-kubeadm.lock sh -c '{orphan}'")
    said(machine, "while flock -n /run/kubev6-kubeadm.lock true; do sleep 0.05; done")
    told: list[str] = []

    def let_go(event: Event) -> None:
        """Let the orphan end once the reset has said that it waits."""
        if isinstance(event, StepProgressed) and "waiting for a kubeadm" in event.text and not told:
            told.append(event.text)
            said(other, "echo go >/run/held")

    bus = Bus()
    with connect(endpoints[NODE]) as other, holding(bus), bus.heard_by(let_go):
        reset(machine)
    assert told
    reset(machine)
    assert said(machine, "cat /run/kubeadm-log").splitlines() == ["join", "reset --help", "reset"]
    said(machine, "rm /usr/local/bin/kubeadm /run/kubeadm-log /run/held")
