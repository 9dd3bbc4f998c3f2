"""`kubev6 deploy` and `reset` with machines that are fakes, for the tests of the flows themselves.

Everything of the run is real (command line, Prefect and its server, threads, screen, log) except what touches a
machine. Run as a program: the first word says how the machines behave, the rest is the command line.
"""

from __future__ import annotations

import gzip
import hashlib
import importlib
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from configs.backup import Backup
from configs.errors import KubeV6Error, NodeError
from configs.manifest import BinaryEntry, ImageEntry, Manifest, SourceEntry
from configs.membership import Identity, Membership, identity
from configs.plan.kernel import Kernel
from configs.plan.state import StageState
from configs.plan.systems import Machine
from configs.schema.cluster import Cluster, Node
from configs.schema.e2e import Profile
from configs.schema.loading import load_cluster, load_release
from configs.schema.release import Release
from kubev6.cli import main
from kubev6.server.orchestration import Orchestration
from tasks import deployed, inventory
from tasks.events import ReleaseChosen, emit
from tasks.kubernetes import (
    addons,
    backup,
    certificates,
    cluster_dns,
    etcd,
    kubeadm,
    members,
    probe_pods,
    replacement,
    restore,
    upgrade,
)
from tasks.kubernetes.addons import Mend
from tasks.kubernetes.checks import Check
from tasks.kubernetes.e2e_results import TestResult
from tasks.kubernetes.etcd import Told
from tasks.kubernetes.kubeadm import JoinCredentials
from tasks.kubernetes.members import Members
from tasks.lab import lab
from tasks.lab.lab import LabStatus, MachineStatus
from tasks.node import endpoint, engine, host_facts
from tasks.node import reset as task_of_reset
from tasks.node.change import Change
from tasks.node.reset import Reset
from tasks.paths import data_dir
from tasks.release import choose, registry
from tasks.release.choose import Decision
from tasks.release.compile import CompileError
from tasks.release.registry import Pushed
from tasks.release.series import series_file, working_tree
from tasks.ssh.connection import Connection, Result
from tasks.ssh.endpoint import Endpoint
from tasks.steps import step
from tests.fakes import fake_of, substitute_for_good
from tests.unit import sample_backup
from tests.unit.test_certificate import ELLIPTIC
from tests.waiting import eventually

if TYPE_CHECKING:  # they import Prefect, which has to be started first
    from flows.e2e import Tested
    from flows.steps.job import Job

TOKEN = "abcdef.0123456789abcdef"
CERTIFICATE_KEY = "0123456789abcdef" * 4
ORPHAN = "kube-worker-9"
"""A member that the cluster's file does not name."""
UNFIT = {"unknown-system": Machine("void", ""), "other-processor": Machine(kernel=Kernel(processor="aarch64"))}
"""What a machine says that cannot become a node."""
OURS = "https://[fd00::100]:6443"
VERSION, FORMER = "v1.20.2+kubev6.0000000", "v1.20.2+kubev6.aaaaaaa"
BUILT = Manifest(
    name="debian-1.20",
    version=VERSION,
    key="0" * 64,
    created="2024-01-01T00:00:00+00:00",
    source=SourceEntry(kind="built", origin="nowhere"),
    binaries=(BinaryEntry(name="kubelet", sha256="0" * 64, size=1),),
    images=(),
)
OTHER_API = (("kube-apiserver", f"kube-support:5000/kube-apiserver:{FORMER.replace('+', '_')}"),)
MISPLACED = {
    "another-cluster": {"kube-worker-2": Machine(membership=Membership(server="https://[fd00:9::1]:6443"))},
    "another-build": {"kube-control-plane": Machine(membership=Membership(server=OURS, static_pods=OTHER_API))},
    "one-machine": dict.fromkeys(("kube-control-plane", "kube-worker-1"), Machine(identity="boot network")),
}
"""What machines say that cannot be brought in place to what the file says."""
UPGRADED = (
    *("upgrade", "upgrade-fails", "upgrade-ends-badly", "upgrade-stays-broken", "upgrade-of-a-broken-one"),
    *("commits", "upgrade-replaced", "upgrade-to-a-dead-kubelet"),
)
"""Of machines that run another build: all goes well; the API server's new image does not come up; the proof does not
hold any more with the new kube-proxy; or with a new kubelet, which the disk is too full to replace again; or it did
not hold before; or the new build is a commit that says itself what comes of it; or an upgrade has replaced all that
differs, the API server, and was cut off then; or the new kubelet does not even start."""
HA = ("ha", "ha-ready", "ha-replaced", "ha-half-joined")
"""Of a cluster with three control planes: all is new, or as it should be, or the first is another machine by now, or
the join of the second died when its etcd had joined."""
FIRST, SECOND = "kube-control-plane-1", "kube-control-plane-2"
READY = (
    "ha-ready",
    "ha-replaced",
    "ha-half-joined",
    "ready",
    "ready-but-one",
    "ready-but-one-fails",
    "ready-but-silent",
    "ready-but-reset",
    *UPGRADED,
)
"""Of machines that are as they should be, all or all but one. Of kube-worker-2 the cluster hears nothing in one; in the
last it has been reset, which the cluster has yet to notice."""
GO_ON = data_dir() / "go-on"
"""What the support node of ``held`` machines waits for."""
AT_WORK = data_dir() / "at-work"
"""What shows that the support node of ``endless`` machines is at work."""
behaviour = ""  # set from the command line
tried: set[tuple[str, str]] = set()


def topology() -> Cluster:
    """What the machines are of."""
    return load_cluster("lab-ha" if behaviour in HA else "lab")


have_joined: set[str] = set()
"""Of a cluster with three control planes those that have become members; no process has two runs of that."""


def is_member(connection: FakeConnection, *_: object) -> bool:
    first = connection.node == topology().control_plane.name
    ready = behaviour in READY and behaviour != "ready-but-reset" and not (behaviour == "ha-replaced" and first)
    return ready or (behaviour in HA and connection.node in have_joined)


@fake_of(Connection)
@dataclass(frozen=True)
class FakeConnection:
    endpoint: Endpoint
    is_open = True

    @property
    def node(self) -> str:
        return self.endpoint.node

    def close(self) -> None:
        pass

    def __enter__(self) -> FakeConnection:
        return self

    def __exit__(self, *_: object) -> None:
        pass

    def provide_python(self, repositories: str) -> bool:  # noqa: ARG002 - they have it
        return False

    def run(self, command: object, **_: object) -> Result:
        assert command == f"[ -s {kubeadm.ADMIN} ]"
        return Result(0 if is_member(self) else 1, "", "")

    @contextmanager
    def forward(self, host: str, port: int) -> Iterator[int]:
        assert (host, port) == ("::1", 5000)
        yield 5000


kubelets: dict[str, str] = {}
"""The versions of those that were replaced, by node."""
running = dict(OTHER_API)
"""What the static pods of ``upgrade`` machines run."""
versions = {"0" * 64: VERSION, "1" * 64: FORMER}
"""Those of builds, by the digest of what they hold."""
faulty: set[str] = set()
"""The versions with which the proof does not hold."""
proxies: list[str] = []
"""The versions that kube-proxy was brought to."""
others_surveyed = threading.Semaphore(0)


def surveyed(connection: FakeConnection, runtime: str = "") -> Machine:  # noqa: ARG001
    if behaviour in UNFIT and connection.node == "kube-worker-2":
        for _ in topology().nodes[1:]:  # when all others have been looked at
            assert others_surveyed.acquire(timeout=60)
        return UNFIT[behaviour]
    others_surveyed.release()
    if behaviour == "unreachable" and connection.node == "kube-worker-2":
        raise NodeError(connection.node, "connect", "no route to host", todo="switch it on", transient=True)
    name, joined = connection.node, Membership()
    others = (("ready-but-reset", "kube-worker-2"), ("ha-replaced", "kube-control-plane-1"))
    if behaviour in READY and name != "kube-support" and (behaviour, name) not in others:
        is_control_plane = name.startswith("kube-control-plane")
        server = identity(topology()).server
        joined = Membership(server=server, is_node=True, is_control_plane=is_control_plane, version=VERSION)
        if behaviour in UPGRADED:
            runs = "" if is_dead(name) else kubelets.get(name, FORMER)
            joined = replace(joined, version=runs, static_pods=tuple(running.items()) if is_control_plane else ())
    return MISPLACED.get(behaviour, {}).get(name, Machine(resolvers=("2001:db8::53",), membership=joined))


def is_dead(name: str) -> bool:
    """Whether a node has a kubelet that does not start."""
    return behaviour == "upgrade-to-a-dead-kubelet" and kubelets.get(name) == VERSION


def bring_to(
    connection: FakeConnection,
    stage: StageState,
    *,
    of: Identity,
    made: Callable[[Change], None],
    reconnect: object = None,  # noqa: ARG001 - they cannot be cut off
) -> None:
    assert of.server == identity(topology()).server
    with step(connection.node, stage.name) as shown:
        here = (connection.node, stage.name)
        if behaviour in ("two-fail", "ready-but-one-fails") and here == ("kube-worker-1", "runtime"):
            raise NodeError(*here, "the disk is full", todo="make room", detail="No space left on device")
        if behaviour == "two-fail" and here == ("kube-worker-2", "network"):
            raise NodeError(*here, "sudo wants a password")
        if behaviour == "defect" and here == ("kube-worker-1", "network"):
            raise LookupError("something nobody thought of")
        if behaviour == "reset-once" and here == ("kube-worker-1", "runtime") and here not in tried:
            tried.add(here)
            made(Change("file", "/etc/first-attempt", "create", node=connection.node, stage=stage.name))
            raise NodeError(*here, "connection reset", transient=True)
        if behaviour in UPGRADED and stage.name == "kubernetes":
            if behaviour == "upgrade-stays-broken" and VERSION in kubelets.values():
                raise NodeError(*here, "the disk is full")
            kubelets[connection.node] = versions[stage.binaries[0].sha256]
            made(Change("binary", "/usr/bin/kubelet", "replace", node=connection.node, stage=stage.name))
        if behaviour == "no-support" and here == ("kube-support", "support"):
            raise NodeError(*here, "there is no tun device")
        while behaviour == "endless" and stage.name == "support":
            AT_WORK.touch()
            shown.progress("still at it")
            time.sleep(0.05)
        if behaviour == "held" and stage.name == "support":
            eventually(GO_ON.exists, 60)
        if behaviour not in READY or (behaviour == "ready-but-one" and here == ("kube-worker-1", "runtime")):
            made(Change("file", f"/etc/{stage.name}", "create", node=connection.node, stage=stage.name))


def replace_static_pods(control_plane: FakeConnection, images: Mapping[str, str]) -> tuple[str, ...]:
    assert control_plane.node == "kube-control-plane"
    running.update(images)
    return tuple(images)


def await_static_pods(control_plane: FakeConnection, images: Mapping[str, str]) -> None:
    assert running.items() >= images.items()
    assert not is_dead(control_plane.node)
    if behaviour == "upgrade-fails" and VERSION.replace("+", "_") in running["kube-apiserver"]:
        raise NodeError(control_plane.node, "upgrade", "kube-apiserver not Ready")


def await_kubelet(_: FakeConnection, node: FakeConnection) -> None:
    if is_dead(node.node):
        raise NodeError(node.node, "upgrade", "kubelet ended with status 126")


def take_out(control_plane: FakeConnection, name: str) -> bool:
    assert control_plane.node == "kube-control-plane"
    with step(name, "drain"):
        if behaviour == "no-api":
            raise NodeError(name, "drain", "the control plane does not answer")
        return True


def remove_machine(name: str, node: str) -> bool:
    assert (name, node) == (("lab-ha", "kube-control-plane-1") if behaviour == "ha-replaced" else ("lab", ORPHAN))
    if behaviour == "orphan-stays":
        raise NodeError(node, "remove", "its disk is in use")
    return True


def reset(connection: FakeConnection, cluster: Cluster) -> Reset:  # noqa: ARG001
    with step(connection.node, "reset"):
        if behaviour == "worker-fails" and connection.node == "kube-worker-1":
            raise NodeError(connection.node, "reset", "its disk is gone")
        if behaviour == "nothing-left":
            return Reset(connection.node, (), ())
        return Reset(connection.node, ("route", "address"), ("address fd00::100/64 stays",))


@contextmanager
def uploaded_certificates(connection: FakeConnection) -> Iterator[str]:
    with step(connection.node, "certificates"):
        yield CERTIFICATE_KEY


def leave_etcd(connection: FakeConnection, name: str, address: str = "") -> bool:
    assert is_member(connection)
    assert behaviour == "ha-half-joined" or not is_member(FakeConnection(Endpoint(name, "::1")))
    assert address == str(topology().node(name).address)
    return False


def join(
    connection: FakeConnection, _: object, __: object, ___: object, node: Node, credentials: JoinCredentials
) -> None:
    is_control_plane = "control-plane" in node.roles
    assert credentials.certificate_key == CERTIFICATE_KEY * is_control_plane
    if is_control_plane:
        assert behaviour in ("ha-replaced", "ha-half-joined") or topology().control_plane.name in have_joined
        have_joined.add(connection.node)


def know_former() -> None:
    """What a cluster that is upgraded has run before."""
    former, release = build_of(BUILT, "1" * 64), load_release("debian-1.20")
    if behaviour == "upgrade-replaced":
        wanted = build_of(BUILT, "0" * 64)
        former = wanted.model_copy(update={"key": former.key, "images": (former.images[0], wanted.images[1])})
        deployed.begin_upgrade(topology(), wanted, release)
        kubelets.update({node.name: VERSION for node in topology().kubernetes_nodes})
        running["kube-apiserver"] = f"kube-support:5000/kube-apiserver:{VERSION.replace('+', '_')}"
    deployed.remember(topology(), former, release, proved=True)


def refuse_replacement(cluster: Cluster, name: str) -> None:
    """As of a cluster whose first control plane is dead."""
    assert (cluster.name, name) == ("lab-ha", "kube-control-plane-1")
    with step(name, "who answers"):
        pass


def asked_for_backup(ssh: FakeConnection, progress: Callable[..., None]) -> tuple[backup._Told, bytes]:
    """What a control plane tells for a backup."""
    assert is_member(ssh)
    progress("1 MiB", 1, 2)
    pki = {"ca.crt": ELLIPTIC, "ca.key": f"-----BEGIN PRIVATE KEY-----\n{TOKEN}\n"}
    return backup._Told(pki, "kind: ClusterConfiguration\n", "3.4.23"), sample_backup.snapshot(
        sample_backup.CHANGES, {}
    )


def begin_restored(ssh: FakeConnection, cluster: Cluster, _: object, restoring: restore.Restoring) -> bool:
    """The first control plane of a cluster that comes back."""
    assert not is_member(ssh)
    assert (ssh.node, restoring.backup.topology) == (cluster.control_plane.name, cluster)
    have_joined.add(ssh.node)
    return True


def of_backup(_made: Backup) -> Decision:
    return Decision(_made.release, True, "as of the backup", _made.manifest.key)


def build_of(manifest: Manifest, digest: str) -> Manifest:
    """A build that holds other bytes than every other one."""
    version = versions[digest]
    names = ("kube-apiserver", "kube-proxy")
    images = (ImageEntry(name=n, tag=version.replace("+", "_"), digest=f"sha256:{digest}", size=1) for n in names)
    binaries = (BinaryEntry(name="kubelet", sha256=digest, size=1),)
    made = {"version": version, "key": digest, "binaries": binaries, "images": tuple(images)}
    return manifest.model_copy(update=made)


def files_of(series: series_file.WorkingTree) -> list[str]:
    """What is at the top of a tree, as it stands or as a commit has it."""
    if not series.commit:
        return [path.name for path in Path(series.path).iterdir()]
    words = ["git", "-C", str(series.path), "ls-tree", "--name-only", series.commit]
    return subprocess.run(words, check=True, capture_output=True, text=True).stdout.split()


def tested(job: Job, profile: Profile, focus: str, *_: object) -> tuple[Tested, bytes]:
    """What comes of upstream's tests: the second fails of a tree with a file ``failing``."""
    from flows.e2e import Tested

    assert job.release.build
    series = series_file.load(job.release.build.series)
    fails = isinstance(series, series_file.WorkingTree) and "failing" in files_of(series)
    names = [f"[{profile.name}] {focus} works {number}" for number in (1, 2)]
    with step("kube-control-plane", "e2e"):
        bad = TestResult(names[1], "failed", message="service.go:7\nIt should hold.") if fails else None
        return Tested((TestResult(names[0], "passed"), bad or TestResult(names[1], "passed")), (), ()), gzip.compress(
            b""
        )


def of_commit(manifest: Manifest, series: series_file.WorkingTree) -> Manifest:
    """What a commit compiles to; the files at the top of its tree say what comes of it."""
    there = files_of(series)
    if "uncompilable" in there:
        raise CompileError(f"compiling {series.commit} failed: proxy.go:7:2: undefined: x")
    if "unreachable" in there:
        raise NodeError("kube-worker-1", "connect", "no route to host")
    digest = hashlib.sha256(series.commit.encode()).hexdigest()
    versions[digest] = f"v1.20.2+kubev6.{series.commit[:7]}"
    if "fault" in there:
        faulty.add(versions[digest])
    return build_of(manifest, digest)


def know_endpoints() -> None:
    """The machines are known without a lab. That is asked for before Prefect is started, too."""
    substitute_for_good(
        inventory, "known_endpoints", lambda cluster: {node.name: Endpoint(node.name, "::1") for node in cluster.nodes}
    )


def install_fakes() -> None:
    know_endpoints()
    deploy = importlib.import_module("flows.deploy")
    from flows.steps import proof
    from flows.steps import upgrade as upgrade_steps
    from tasks.release.choose import Chosen
    from tasks.ssh import pool

    manifest = build_of(BUILT, "0" * 64) if behaviour in (*UPGRADED, "another-build") else BUILT

    def announced(title: str, answer: object) -> Callable[..., object]:
        def work(*_: object) -> object:
            with step("kube-control-plane", title):
                return answer

        return work

    def lab_up(_: Cluster, release: Release) -> None:
        with step("kube-control-plane", "lab") as shown:
            if behaviour == "no-machines":
                raise KubeV6Error("the Docker engine is gone", todo="start it")
            shown.ended_as(f"for {release.name}")

    def init(connection: FakeConnection, *_: object) -> None:
        have_joined.add(connection.node)
        if behaviour == "no-control-plane":
            raise NodeError("kube-control-plane", "kubeadm init", "etcd does not start")

    def plan_changes(connection: FakeConnection, stages: Sequence[StageState]) -> dict[str, tuple[Change, ...]]:
        if behaviour in UPGRADED:
            return {
                stage.name: (Change("file", "/etc/any", "create"),) for stage in stages if stage.name == "kubernetes"
            }
        whole = behaviour in (*HA[1:], "ready", "ready-but-silent", "ready-but-reset")
        as_it_is = whole or (behaviour in READY and connection.node != "kube-worker-1")
        return {stage.name: () if as_it_is else (Change("file", "/etc/any", "create"),) for stage in stages}

    def provide(decision: Decision, *_: object, **__: object) -> Chosen:
        release, made = decision.release, manifest
        if release.build and isinstance(series := series_file.load(release.build.series), series_file.WorkingTree):
            source = made.source.model_copy(update={"tree": working_tree.identity(series), "commit": series.commit})
            made = made.model_copy(update={"name": release.name, "source": source})
            if series.commit:
                made = of_commit(made, series)
        chosen = Chosen(release, made, "built")
        emit(ReleaseChosen(manifest=chosen.manifest, why=chosen.why))
        return chosen

    def apply_add_ons(
        _connection: object, _cluster: object, manifest: Manifest, *_: object, **__: object
    ) -> tuple[Mend, ...]:
        if behaviour not in UPGRADED:
            return ()
        proxies.append(manifest.version)
        return (Mend("daemonset/kube-proxy", "image", ()),)

    def verify_upgrade(_cluster: object, manifest: Manifest, *_: object, **__: object) -> tuple[Check, ...]:
        broken = {
            "upgrade-of-a-broken-one": True,
            "upgrade-ends-badly": proxies[-1:] == [VERSION],
            "upgrade-stays-broken": VERSION in kubelets.values(),
            "commits": proxies[-1:] and proxies[-1] in faulty,
        }
        with step("kube-control-plane", "proof"):
            return (Check("pod to pod", "pod on kube-worker-1", "x", not broken.get(behaviour), manifest.version),)

    def verify(
        _cluster: object, _manifest: object, _connection: object, namespace: str, **_: object
    ) -> tuple[Check, ...]:
        with step("kube-control-plane", "proof") as shown:
            shown.ended_as(f"with pods {'made ahead' if namespace else 'of its own'}")
            return checks

    ready = behaviour in READY
    machines = [MachineStatus(node.name, (), "running", "") for node in topology().nodes] if ready else []
    known = Members(("kube-control-plane", ORPHAN)) if behaviour in ("orphan", "orphan-stays", *UNFIT) else Members()
    if ready:
        names = [node.name for node in topology().nodes if node.in_kubernetes]
        silent = {"kube-worker-2"} if behaviour == "ready-but-silent" else set()
        marked = {node.name for node in topology().control_planes}
        marked -= {"ha-replaced": {FIRST}, "ha-half-joined": {SECOND}}.get(behaviour, set())
        known = Members(tuple(names), frozenset(names) - silent, frozenset(marked))
    checks = tuple(
        Check("pod to pod", f"pod on kube-worker-{n}", "[fd00:100::2]", behaviour != "bad-proof", "fetched", 0.01)
        for n in (1, 2)
    )
    replaced: dict[tuple[object, str], object] = {
        (pool, "connect"): FakeConnection,
        (pool, "machines"): lambda cluster: {
            name: Endpoint(name, "::1") for name in (*(node.name for node in cluster.nodes), ORPHAN)
        },
        (members, "members"): lambda _: known,
        (certificates, "refuse_ended"): lambda *_: None,
        (members, "take_out"): take_out,
        (task_of_reset, "reset"): reset,
        (proof, "verify"): verify,
        (probe_pods, "make"): announced("probe pods", "kubev6-proof-ahead"),
        (probe_pods, "remove"): announced("remove probe pods", None),
        (lab, "up"): lab_up,
        (lab, "refuse_other_machines"): lambda *_: None,
        (lab, "status_all"): lambda: (LabStatus(topology().name, tuple(machines)),),
        (lab, "remove_machine"): remove_machine,
        (deploy, "provide"): provide,
        (importlib.import_module("flows.e2e"), "tested"): tested,
        (host_facts, "ask"): surveyed,
        (engine, "bring_to"): bring_to,
        (engine, "plan_changes"): plan_changes,
        (inventory, "endpoints"): lambda _: {},
        (registry, "certificate"): lambda _: "",
        (registry, "fill"): lambda *_: Pushed(0 if ready else 9, 9, 9),
        (kubeadm, "init"): init,
        (kubeadm, "fetch_kubeconfig"): lambda *_: None,
        (kubeadm, "is_member"): is_member,
        (kubeadm, "join_credentials"): announced("token", JoinCredentials(TOKEN, "sha256:0")),
        (kubeadm, "drop_credentials"): announced("drop token", None),
        (kubeadm, "has_lost_kubeconfig"): lambda *_: False,
        (kubeadm, "join"): join,
        (kubeadm, "uploaded_certificates"): uploaded_certificates,
        (kubeadm, "clear_half_joined"): lambda _: None,
        (members, "forget"): lambda *_: None,
        (members, "expect"): announced("expect", None),
        (restore, "refuse_unfinished"): lambda _: None,
        (restore, "begin"): begin_restored,
        (restore, "state"): lambda _: restore.State("", "", data=False),
        (backup, "_ask"): asked_for_backup,
        (etcd, "leave"): leave_etcd,
        (etcd, "ask"): lambda _: Told([], ""),
        (endpoint, "refuse_taken"): lambda *_: None,
        (addons, "apply"): apply_add_ons,
        (upgrade, "replace_static_pods"): replace_static_pods,
        (upgrade, "await_static_pods"): await_static_pods,
        (upgrade, "await_kubelet"): await_kubelet,
        (upgrade, "upload_configuration"): lambda *_: None,
        (members, "take_pods_again"): lambda _: None,
        (upgrade_steps, "verify"): verify_upgrade,
        (cluster_dns, "apply"): lambda *_: not ready,
    }
    for (owner, name), value in replaced.items():
        substitute_for_good(owner, name, value)


if __name__ == "__main__":
    behaviour = sys.argv[1]
    start_prefect = Orchestration.start

    def start_and_fake(self: Orchestration) -> None:
        start_prefect(self)
        install_fakes()

    substitute_for_good(Orchestration, "start", start_and_fake)
    know_endpoints()
    if behaviour in UPGRADED:
        know_former()
    if "restore" in sys.argv:
        substitute_for_good(choose, "of_backup", of_backup)
    if "backup" in sys.argv:
        deployed.remember(topology(), BUILT, load_release("debian-1.20"), proved=True)
    if "replace" in sys.argv:
        deployed.remember(topology(), BUILT, load_release("debian-1.20"), proved=True)
        substitute_for_good(replacement, "refuse", refuse_replacement)
    sys.exit(main(sys.argv[2:]))
