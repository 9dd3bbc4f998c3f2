"""Which machines another one may take the place of, as tables; and what is refused in one line."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import pytest

from configs.errors import ConfigError, KubeV6Error, NodeError
from configs.schema.cluster import Cluster
from configs.schema.loading import load_cluster, load_release
from tasks import deployed
from tasks.kubernetes import control_planes, etcd, replacement
from tasks.kubernetes.etcd import Member, Told
from tasks.release import choose
from tasks.ssh.connection import Connection, Result
from tests.fakes import fake_of, substitute
from tests.unit.sample import manifest

HA = load_cluster("lab-ha")
FIRST, SECOND, THIRD = (node.name for node in HA.control_planes)
WORKER = "kube-worker-1"


def told(*names: str, dead: tuple[str, ...] = ()) -> Told:
    """What etcd tells of some members, of which some do not answer."""
    return Told(
        [
            Member(name, f"https://{name}", name == names[0], "9", 7, 4, "d", "timed out" if name in dead else "")
            for name in names
        ],
        "",
    )


@pytest.mark.parametrize(
    ("members", "dead", "name", "why"),
    [
        ("abc", "b", "b", ""),
        ("ac", "", "b", ""),  # its member is gone already
        ("a", "", "b", ""),  # as when one becomes two
        ("abcde", "bc", "b", ""),
        ("abc", "bc", "b", "1 of 3 members of etcd would answer, and 2 are wanted (silent: c, b)"),
        ("ab", "b", "b", "1 of 2 members of etcd would answer, and 2 are wanted (silent: b)"),
        ("abcd", "bc", "b", "2 of 4 members of etcd would answer, and 3 are wanted (silent: c, b)"),
        # Two of three are a majority until the new one is added as a fourth, and then wanted.
        ("acd", "d", "b", "2 of 4 members of etcd would answer, and 3 are wanted (silent: d, b)"),
        ("ac", "c", "b", "1 of 3 members of etcd would answer, and 2 are wanted (silent: c, b)"),
    ],
)
def test_etcd_keeps_a_majority_while_another_member_joins(members: str, dead: str, name: str, why: str) -> None:
    assert replacement.no_majority(told(*members, dead=tuple(dead)).members, name) == why


@fake_of(Connection)
@dataclass(frozen=True)
class Fake:
    node: str
    _kubelets: tuple[str, ...] = ()
    _has_api: bool = True

    def run(self, command: str, *, step: str, timeout: float = 0, check: bool) -> Result:  # noqa: ARG002
        if not self._has_api:
            return Result(replacement.NO_API, "", "connection refused\n")
        said = any(f"/nodes/{name}/proxy/healthz" in command for name in self._kubelets)
        return Result(0 if said else 1, "ok" if said else "", "")


def refused(
    monkeypatch: pytest.MonkeyPatch,
    cluster: Cluster,
    name: str,
    seen: Told,
    *,
    kubelets: tuple[str, ...] = (),
    has_api: bool = True,
) -> KubeV6Error | None:
    """Why a replacement is refused, of a cluster whose etcd tells something and some of whose kubelets answer."""

    @contextmanager
    def connected(cluster: Cluster, *, but: str = "") -> Iterator[Fake]:
        assert but == name
        yield Fake(next(node.name for node in cluster.control_planes if node.name != but), kubelets, has_api)

    substitute(monkeypatch, control_planes, "connected", connected)
    substitute(monkeypatch, etcd, "ask", lambda _: seen)
    try:
        replacement.refuse(cluster, name)
    except KubeV6Error as error:
        return error
    return None


ALL = told(FIRST, SECOND, THIRD)


@pytest.mark.parametrize(
    ("name", "seen", "kubelets", "why"),
    [
        (SECOND, told(FIRST, SECOND, THIRD, dead=(SECOND,)), (), ""),
        (SECOND, ALL, (), f"{SECOND}: replace: it is alive: its member of etcd answers; `kubev6 deploy` mends what"),
        (SECOND, told(FIRST, THIRD), (SECOND,), f"{SECOND}: replace: it is alive: its kubelet answers; "),
        (WORKER, ALL, (WORKER,), f"{WORKER}: replace: it is alive: its kubelet answers; .*`kubev6 reset {WORKER}`"),
        (WORKER, ALL, (), ""),
        (WORKER, Told([], "timed out"), (), ""),  # nothing of etcd is changed
        (SECOND, Told([], "timed out"), (), f"{FIRST}: replace: its etcd does not answer: timed out; see what runs"),
        (
            SECOND,
            told(FIRST, SECOND, THIRD, dead=(SECOND, THIRD)),
            (),
            "1 of 3 members of etcd would answer, and 2 are",
        ),
        ("kube-support", ALL, (), "kube-support is the support node, and no member"),
        ("nobody", ALL, (), f"cluster lab-ha has no node 'nobody'; there are {FIRST}, {SECOND}, {THIRD}, {WORKER}$"),
    ],
)
def test_only_what_is_dead_is_replaced(
    monkeypatch: pytest.MonkeyPatch, name: str, seen: Told, kubelets: tuple[str, ...], why: str
) -> None:
    error = refused(monkeypatch, HA, name, seen, kubelets=kubelets)
    if why:
        with pytest.raises(KubeV6Error, match=why):
            raise error or AssertionError("it was not refused")
        assert "\n" not in str(error)
    else:
        assert error is None


def test_nothing_is_taken_for_dead_while_no_api_server_can_ask_it(monkeypatch: pytest.MonkeyPatch) -> None:
    error = refused(monkeypatch, HA, WORKER, ALL, has_api=False)
    assert str(error).startswith(f"{FIRST}: replace: its API server does not answer: connection refused; bring it up")


def test_with_the_only_control_plane_all_is_lost(monkeypatch: pytest.MonkeyPatch) -> None:
    lab = load_cluster("lab")
    error = refused(monkeypatch, lab, lab.control_plane.name, ALL)
    assert isinstance(error, ConfigError)
    assert str(error).startswith("kube-control-plane is the only control plane, and what the cluster knows is lost")


@pytest.mark.parametrize("is_former", [True, False])
def test_a_machine_that_has_a_kubelets_kubeconfig_is_no_new_one(
    monkeypatch: pytest.MonkeyPatch, is_former: bool
) -> None:
    class Machine(Fake):
        def run(self, command: str, *, step: str, timeout: float = 0, check: bool) -> Result:  # noqa: ARG002
            assert command == "[ -s /etc/kubernetes/kubelet.conf ]"
            return Result(0 if is_former else 1, "", "")

    @contextmanager
    def connection(cluster: Cluster, node: str) -> Iterator[Fake]:  # noqa: ARG001
        yield Machine(node)

    substitute(monkeypatch, replacement, "connection", connection)
    if is_former:
        with pytest.raises(NodeError, match=f"{SECOND}: replace: the machine there is no new one: it has /etc/kub"):
            replacement.refuse_former_machine(HA, SECOND)
    else:
        replacement.refuse_former_machine(HA, SECOND)


@pytest.mark.usefixtures("own_data")
def test_the_new_machine_gets_what_the_cluster_runs_and_nothing_in_the_middle_of_an_upgrade() -> None:
    with pytest.raises(KubeV6Error, match="lab-ha has not been deployed from here"):
        choose.running(HA)
    release = load_release("debian-1.20")
    deployed.remember(HA, manifest(), release)
    decision = choose.running(HA)
    assert (decision.release, decision.prebuilt, decision.build) == (release, True, manifest().key)
    deployed.begin_upgrade(HA, manifest().model_copy(update={"key": "1" * 64}), release)
    with pytest.raises(KubeV6Error, match="in the middle of an upgrade that did not come to its end; bring that"):
        choose.running(HA)
