"""What is replaced of a cluster that is up, in which order, what is refused, and what it can go back to: tables."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime
from hashlib import sha256
from pathlib import Path
from typing import cast

import pytest

from configs.errors import KubeV6Error, NodeError
from configs.manifest import BinaryEntry, ImageEntry, Manifest, SourceEntry
from configs.membership import Membership, identity
from configs.plan.stages.kubernetes import STATIC_PODS
from configs.plan.systems import Machine
from configs.plan.upgrade import Step, build, is_same_image, refusal, steps
from configs.schema.loading import load_cluster, load_release, shipped
from tasks import deployed
from tasks.deployed import Deployed
from tasks.kubernetes import upgrade
from tasks.kubernetes.upgrade import line_of_log
from tasks.node_agent.static_pods import replace_images, with_image
from tasks.paths import cluster_dir
from tasks.release import choose
from tasks.ssh.connection import Connection
from tests.fakes import substitute
from tests.unit.shell import Shell

LAB, RELEASE = load_cluster("lab"), load_release("debian-1.20")
OLD, NEW = "v1.20.2+kubev6.old", "v1.20.2+kubev6.new"
COMPONENTS = ("kube-apiserver", "kube-controller-manager", "kube-scheduler", "kube-proxy")
CONTROL_PLANE, *WORKERS = (node.name for node in LAB.kubernetes_nodes)


def manifest(version: str, etcd: str = "3.4.23", **digests: str) -> Manifest:
    """A release whose images are each called by its version, unless they have a digest of their own."""
    tag = version.replace("+", "_")

    def image(name: str, its_tag: str) -> ImageEntry:
        digest = digests.get(name.replace("-", "_"), sha256(f"{name}:{its_tag}".encode()).hexdigest())
        return ImageEntry(name=name, tag=its_tag, digest=f"sha256:{digest}", size=1)

    return Manifest(
        name="debian-1.20",
        version=version,
        key=sha256(version.encode()).hexdigest(),
        created="now",
        source=SourceEntry(kind="built", origin="here"),
        binaries=(),
        images=(image("etcd", etcd), *(image(name, tag) for name in COMPONENTS)),
    )


def stand_in(of: Manifest) -> Manifest:
    """The same release where CoreDNS could not be had."""
    image = ImageEntry(name="dns", tag="1", digest=f"sha256:{1:064x}", size=1, stand_in_for="CoreDNS")
    return of.model_copy(update={"images": (*of.images, image)})


def pods(runs: Manifest) -> tuple[tuple[str, str], ...]:
    return tuple(
        (image.name, f"kube-support:5000/{image.name}:{image.tag}@{image.digest}")
        for image in runs.images
        if image.name in STATIC_PODS
    )


def machines(runs: Manifest, **kubelets: str) -> dict[str, Machine | None]:
    """Machines of a cluster that runs a release; some of its kubelets may be of another version."""
    found: dict[str, Machine | None] = {"kube-support": Machine()}
    for node in LAB.kubernetes_nodes:
        is_control_plane = node.name == CONTROL_PLANE
        found[node.name] = Machine(
            membership=Membership(
                server=identity(LAB).server,
                is_node=True,
                is_control_plane=is_control_plane,
                static_pods=pods(runs) if is_control_plane else (),
                version=kubelets.get(node.name.replace("-", "_"), runs.version),
            )
        )
    return found


def ordered(wanted: Manifest, former: Manifest | None, found: Mapping[str, Machine | None]) -> tuple[Step, ...]:
    return steps(LAB, build(LAB, RELEASE, wanted), build(LAB, RELEASE, former) if former else None, found)


def titles(wanted: Manifest, former: Manifest | None, found: Mapping[str, Machine | None]) -> list[str]:
    return [f"{each.title} of {each.node}" for each in ordered(wanted, former, found)]


ALL = [
    f"kube-apiserver of {CONTROL_PLANE}",
    f"kube-controller-manager and kube-scheduler of {CONTROL_PLANE}",
    *(f"kubelet of {node.name}" for node in LAB.kubernetes_nodes),
    f"kube-proxy of {CONTROL_PLANE}",
]


def machines_with(directory: Path, **programs: str) -> Shell:
    """The control plane and a node at once."""
    silent = dict.fromkeys(("kubelet", "systemctl", "kubectl", "journalctl"), "")
    return Shell("kube-worker-1", directory, {**silent, **programs})


@pytest.mark.parametrize(
    ("heard", "told"),
    [
        ("v1.20.2+x True 2026-01-01T00:00:05Z", ""),
        ("v1.20.2+x True 2026-01-01T00:00:09Z", ""),
        ("v1.20.2+x True 2026-01-01T00:00:04Z", "is not Ready after 1 s (the API server knows of: v1.20.2+x True 2026"),
        ("v1.20.2+x False 2026-01-01T00:00:09Z", "is not Ready after 1 s"),
        ("v1.20.1+x True 2026-01-01T00:00:09Z", "its kubelet of v1.20.2+x is not Ready"),
        ("", "the API server knows of: nothing"),
    ],
)
def test_a_kubelet_runs_when_its_api_server_has_heard_from_it_since_it_was_started(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, heard: str, told: str
) -> None:
    substitute(monkeypatch, upgrade, "KUBELET_SECONDS", 1)
    substitute(monkeypatch, upgrade, "STARTED", "kubelet --version; echo 2026-01-01T00:00:05Z")
    machines = machines_with(tmp_path, kubelet="echo Kubernetes v1.20.2+x", kubectl=f"printf '{heard}'")
    connection = cast(Connection, machines)
    if not told:
        upgrade.await_kubelet(connection, connection)
        return
    with pytest.raises(NodeError) as caught:
        upgrade.await_kubelet(connection, connection)
    assert told in str(caught.value)


def test_when_a_kubelet_was_started_is_told_by_the_clock_of_its_node(tmp_path: Path) -> None:
    ago = int((time.monotonic() - 100) * 1e6)
    machines = machines_with(
        tmp_path, kubelet="echo Kubernetes v1.20.2+x", systemctl=f"echo ActiveEnterTimestampMonotonic={ago}"
    )
    *_, version, started = machines.run(upgrade.STARTED, step="test").stdout.split()
    assert version == "v1.20.2+x"
    assert abs(datetime.fromisoformat(started).timestamp() - (time.time() - 100)) < 2


def test_a_kubelet_that_panics_says_so_itself(tmp_path: Path) -> None:
    machines = cast(Connection, machines_with(tmp_path, kubelet="echo 'panic: of an edit' >&2; exit 2"))
    with pytest.raises(NodeError, match="panic: of an edit"):
        upgrade.await_kubelet(machines, machines)


def test_of_two_builds_of_one_version_what_has_other_bytes_is_replaced() -> None:
    """As those of a working tree are: nothing but the bytes tells them apart."""

    def build_of(kubelet: str, **digests: str) -> Manifest:
        binary = BinaryEntry(name="kubelet", sha256=kubelet * 64, size=1)
        return manifest(OLD, **digests).model_copy(update={"binaries": (binary,)})

    before = build_of("a")
    after = build_of("b", kube_scheduler="5" * 64, kube_proxy="6" * 64)
    builds = [build(LAB, RELEASE, each) for each in (after, before)]
    ordered = steps(LAB, builds[0], builds[1], machines(before))
    kubelets = [("kubelet", node) for node in (CONTROL_PLANE, *WORKERS)]
    assert [(each.title, each.node) for each in ordered] == [
        ("kube-scheduler", CONTROL_PLANE),
        *kubelets,
        ("kube-proxy", CONTROL_PLANE),
    ]
    assert steps(LAB, builds[1], builds[1], machines(before)) == ()


def test_another_build_replaces_all_that_differs_in_the_order_of_the_skew_policy() -> None:
    assert titles(manifest(NEW), manifest(OLD), machines(manifest(OLD))) == ALL
    assert titles(manifest(NEW, "3.4.24"), manifest(OLD), machines(manifest(OLD))) == [f"etcd of {CONTROL_PLANE}", *ALL]


def test_what_runs_already_is_not_replaced() -> None:
    assert titles(manifest(NEW), manifest(NEW), machines(manifest(NEW))) == []
    assert titles(manifest(NEW), None, dict.fromkeys(machines(manifest(NEW)), Machine())) == []
    lacking = machines(manifest(NEW), kube_worker_1="")  # somebody has removed its kubelet, which a deploy puts back
    assert titles(manifest(NEW), manifest(NEW), lacking) == []


def test_an_upgrade_that_was_cut_off_goes_on_where_it_was() -> None:
    halfway = machines(manifest(NEW), **{WORKERS[-1].replace("-", "_"): OLD})
    assert titles(manifest(NEW), manifest(OLD), halfway) == [f"kubelet of {WORKERS[-1]}", ALL[-1]]
    # And back, from what was written down before it began:
    assert titles(manifest(OLD), manifest(OLD), halfway) == [*ALL[:2], ALL[2], ALL[3]]


A_MINOR, NEXT = "v1.34.2", "v1.35.0"


def test_to_the_next_minor_version_the_control_plane_goes_at_once_and_each_kubelet_by_kubeadm() -> None:
    way = ordered(manifest(NEXT, "3.6.6"), manifest(A_MINOR, "3.6.5"), machines(manifest(A_MINOR, "3.6.5")))
    at_once = "etcd and kube-apiserver and kube-controller-manager and kube-scheduler"
    assert [(each.title, each.node, each.is_minor) for each in way] == [
        (at_once, CONTROL_PLANE, True),
        *(("kubelet", node.name, True) for node in LAB.kubernetes_nodes),
        ("kube-proxy", CONTROL_PLANE, False),
    ]
    assert not any(each.is_minor for each in ordered(manifest(NEW), manifest(OLD), machines(manifest(OLD))))


def test_an_upgrade_to_the_next_minor_version_that_was_cut_off_goes_on_where_it_was() -> None:
    """Its kubelets are the former version's still, and a control plane that is half of each is kubeadm's again."""
    former, wanted = manifest(A_MINOR), manifest(NEXT)
    found = machines(wanted, kube_control_plane=A_MINOR, kube_worker_1=A_MINOR)
    way = [(each.title, each.node, each.is_minor) for each in ordered(wanted, former, found)]
    kubelets = [("kubelet", CONTROL_PLANE, True), ("kubelet", WORKERS[0], True)]
    assert way == [*kubelets, ("kube-proxy", CONTROL_PLANE, False)]
    control_plane = found[CONTROL_PLANE]
    assert control_plane is not None
    scheduler = next(pod for pod in pods(former) if pod[0] == "kube-scheduler")
    mixed = (*(pod for pod in pods(wanted) if pod[0] != "kube-scheduler"), scheduler)
    half = replace(control_plane, membership=replace(control_plane.membership, static_pods=mixed))
    first = ordered(wanted, former, {**found, CONTROL_PLANE: half})[0]
    assert (first.title, first.is_minor) == ("kube-scheduler", True)


def test_only_images_that_differ_are_replaced() -> None:
    runs = manifest(OLD)
    proxy = next(image for image in runs.images if image.name == "kube-proxy")
    images = tuple(image for image in runs.images if image != proxy)
    other = runs.model_copy(update={"images": (*images, proxy.model_copy(update={"tag": "v1.20.2_dev"}))})
    assert titles(other, runs, machines(runs)) == [ALL[-1]]


@pytest.mark.parametrize(
    ("seen", "wanted", "same"),
    [
        ("a:5000/etcd:1", "a:5000/etcd:1", True),
        ("a:5000/etcd:1", "b/etcd:1@sha256:aa", True),  # kubeadm before 1.19 takes no digests
        ("a:5000/etcd:1@sha256:aa", "a:5000/etcd:1@sha256:aa", True),
        ("a:5000/etcd:1@sha256:aa", "a:5000/etcd:1@sha256:bb", False),
        ("a:5000/etcd:1", "a:5000/etcd:2", False),
    ],
)
def test_when_two_references_are_of_one_image(seen: str, wanted: str, same: bool) -> None:
    assert is_same_image(seen, wanted) is same


def without(found: dict[str, Machine | None], name: str) -> dict[str, Machine | None]:
    return {**found, name: None}


@pytest.mark.parametrize(
    ("wanted", "former", "found", "why"),
    [
        (manifest(NEW), manifest(OLD), machines(manifest(OLD)), ""),
        (manifest(NEW), None, machines(manifest(OLD)), "was not deployed from here"),
        (manifest(NEW), manifest(NEW), machines(manifest(OLD)), "old, which was not deployed from here"),
        (manifest(OLD), manifest(OLD, kube_apiserver="2" * 64), machines(manifest(OLD, kube_apiserver="3" * 64)),
            "old, which was not deployed from here"),
        (manifest(OLD), manifest(OLD, kube_apiserver="2" * 64), machines(manifest(OLD, kube_apiserver="2" * 64)), ""),
        (manifest("v1.21.0"), manifest(OLD), machines(manifest(OLD)), "from before 1.31 no cluster"),
        (manifest("v1.32.0"), manifest("v1.31.9"), machines(manifest("v1.31.9")), ""),
        (manifest("v1.35.0", "3.6.6"), manifest("v1.34.2", "3.5.21"), machines(manifest("v1.34.2", "3.5.21")), ""),
        (manifest("v1.36.0"), manifest("v1.34.2"), machines(manifest("v1.34.2")), "goes one minor version at a time"),
        (manifest("v1.35.0"), manifest("v1.35.0"), machines(manifest("v1.35.0"), kube_worker_1="v1.33.7"),
            "kube-worker-1 runs v1.33.7, and the release is v1.35.0: Kubernetes goes one minor version at a time"),
        (manifest("v1.34.2"), manifest("v1.35.0"), machines(manifest("v1.35.0")),
            "runs v1.35.0, and the release is v1.34.2: Kubernetes does not go back to an older minor version"),
        (manifest(NEW), manifest(OLD), machines(manifest(OLD), kube_worker_1="v1.19.3"), "worker-1 runs v1.19.3"),
        (manifest(NEW), manifest(OLD), without(machines(manifest(OLD)), WORKERS[0]), "kube-worker-1 could"),
        (manifest(NEW), manifest(OLD), without(machines(manifest(OLD)), CONTROL_PLANE), "could not be asked"),
        (manifest(NEW, "3.3.25"), manifest(OLD), machines(manifest(OLD)), "its etcd is 3.4.23, that"),
        (manifest(NEW, "3.5.1"), manifest(OLD), machines(manifest(OLD)), "its etcd is 3.4.23, that"),
        (manifest(NEW, "3.4.1"), manifest(OLD), machines(manifest(OLD)), ""),
        (manifest(NEW), stand_in(manifest(OLD)), machines(manifest(OLD)), "has CoreDNS and the other its stand-in"),
        (stand_in(manifest(NEW)), stand_in(manifest(OLD)), machines(manifest(OLD)), ""),
    ],
)  # fmt: skip
def test_what_cannot_be_done_in_place(
    wanted: Manifest, former: Manifest | None, found: dict[str, Machine | None], why: str
) -> None:
    known, way = [former] if former else [], ordered(wanted, former, found)
    said = refusal(LAB, build(LAB, RELEASE, wanted), known, found, way)
    assert bool(said) == bool(why)
    assert why in said


MANIFEST = """\
spec:
  containers:
  - command:
    - kube-apiserver
    - --image=not-this
    image: r:1/kube-apiserver:v1{end}
    imagePullPolicy: IfNotPresent
"""


def test_a_static_pod_gets_another_image_and_keeps_the_rest(tmp_path: Path) -> None:
    path = tmp_path / "kube-apiserver.yaml"
    path.write_text(MANIFEST.format(end=""))
    path.chmod(0o600)
    wanted = {"kube-apiserver": "r:1/kube-apiserver:v2@sha256:aa"}
    assert replace_images(wanted, str(tmp_path)) == ["kube-apiserver"]
    assert path.read_text() == MANIFEST.format(end="").replace("r:1/kube-apiserver:v1", wanted["kube-apiserver"])
    assert path.stat().st_mode & 0o777 == 0o600
    assert [each.name for each in tmp_path.iterdir()] == ["kube-apiserver.yaml"]
    assert replace_images(wanted, str(tmp_path)) == []


def test_nothing_is_replaced_when_one_manifest_cannot_be_understood(tmp_path: Path) -> None:
    whole = tmp_path / "kube-apiserver.yaml"
    whole.write_text(MANIFEST.format(end=""))
    (tmp_path / "etcd.yaml").write_text("spec:\n  containers:\n  - image: a:1\n  - image: b:1\n")
    with pytest.raises(SystemExit, match=r"etcd.yaml: it names 2 images"):
        replace_images({"kube-apiserver": "c:1", "etcd": "c:1"}, str(tmp_path))
    with pytest.raises(SystemExit, match=r"kube-scheduler.yaml: it names 0 images"):
        replace_images({"kube-apiserver": "c:1", "kube-scheduler": "c:1"}, str(tmp_path))
    assert whole.read_text() == MANIFEST.format(end="")
    assert with_image("  - image: a:1\n", "b:2") == "  - image: b:2\n"


def known() -> tuple[str, str, str]:
    """The versions of what the lab runs, of what it ran before, and of what it is being brought to."""
    last, before = (each.manifest.version if each else "" for each in (deployed.last(LAB), deployed.previous(LAB)))
    return last, before, " ".join(each.manifest.version for each in deployed.upgrading(LAB))


@pytest.mark.usefixtures("own_data")
def test_what_ran_before_is_kept_until_the_cluster_has_gone_back_to_it() -> None:
    assert known() == ("", "", "")
    for _ in range(2):
        deployed.remember(LAB, manifest(OLD), RELEASE)
        assert known() == (OLD, "", "")
    deployed.begin_upgrade(LAB, manifest(NEW), RELEASE)
    assert known() == (OLD, "", NEW)
    deployed.end_upgrade(LAB, manifest(NEW), RELEASE)
    assert known() == (NEW, OLD, "")
    assert deployed.deployed_on() == {"lab": manifest(NEW), "lab before": manifest(OLD)}
    deployed.begin_upgrade(LAB, manifest("v1.20.2+kubev6.bad"), RELEASE)
    deployed.begin_upgrade(LAB, manifest(NEW), RELEASE)  # it was cut off, and so was the way back from it
    assert known() == (NEW, OLD, f"v1.20.2+kubev6.bad {NEW}")
    assert set(deployed.deployed_on()) == {"lab", "lab before", "lab in upgrade 1", "lab in upgrade 2"}
    deployed.end_upgrade(LAB, manifest(NEW), RELEASE)  # which went on to its end
    assert known() == (NEW, OLD, "")
    deployed.end_upgrade(LAB, manifest(OLD), RELEASE)
    assert known() == (OLD, "", "")
    deployed.forget(LAB)
    assert (known(), deployed.deployed_on()) == (("", "", ""), {})


@pytest.mark.usefixtures("own_data")
@pytest.mark.parametrize("name", shipped("releases"))
def test_a_release_is_remembered_as_its_file_said_then(name: str) -> None:
    release = load_release(name)
    deployed.remember(LAB, manifest(OLD), release)
    assert deployed.last(LAB) == Deployed(manifest=manifest(OLD), release=release)
    deployed.remember(LAB, manifest(OLD), release, proved=True)
    deployed.remember(LAB, manifest(OLD), release)
    assert deployed.last(LAB) == Deployed(manifest=manifest(OLD), release=release, proved=True), "once is enough"


@pytest.mark.usefixtures("own_data")
def test_what_an_older_kubev6_has_written_down_is_understood_and_what_is_damaged_stops_no_deploy() -> None:
    deployed.remember(LAB, manifest(OLD), RELEASE)
    path = cluster_dir("lab") / "release.json"
    path.write_text(manifest(OLD).model_dump_json())
    assert deployed.last(LAB) == Deployed(manifest=manifest(OLD))
    assert deployed.deployed(LAB) == manifest(OLD)
    path.write_text("{")
    assert deployed.last(LAB) is None
    with pytest.raises(KubeV6Error, match=r"release.json cannot be understood"):
        deployed.deployed(LAB)
    path.unlink()
    path.with_name("upgrade.json").write_text("[")
    assert deployed.upgrading(LAB) == ()
    with pytest.raises(KubeV6Error, match=r"upgrade.json cannot be understood"):
        deployed.deployed_on()


@pytest.mark.usefixtures("own_data")
def test_what_a_rollback_takes() -> None:
    with pytest.raises(KubeV6Error, match="has no build to go back to"):
        choose.former(LAB)
    deployed.remember(LAB, manifest(OLD), RELEASE)
    deployed.begin_upgrade(LAB, manifest(NEW), RELEASE)
    assert choose.former(LAB).build == manifest(OLD).key, "of an upgrade that was cut off, what ran before it"
    deployed.end_upgrade(LAB, manifest(NEW), RELEASE)
    assert choose.former(LAB).build == manifest(OLD).key
    deployed.begin_upgrade(LAB, manifest(OLD), RELEASE)
    assert choose.former(LAB).build == manifest(OLD).key, "a way back that was cut off goes on"
    deployed.end_upgrade(LAB, manifest(OLD), RELEASE)
    with pytest.raises(KubeV6Error, match="went back already"):
        choose.former(LAB)


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("2026-01-02T03:04:05.6Z stderr F invalid flag: --no", "invalid flag: --no"),
        ('{"log":"invalid flag: --no\\n","stream":"stderr","time":"2026"}', "invalid flag: --no"),
        ("invalid flag: --no", "invalid flag: --no"),
        ("[]", "[]"),
    ],
)
def test_the_last_line_of_a_containers_log_is_what_the_container_said(line: str, said: str) -> None:
    assert line_of_log(line) == said
