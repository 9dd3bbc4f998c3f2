"""Until when certificates are good, and what is said of that."""

from __future__ import annotations

from contextlib import nullcontext
from datetime import UTC, datetime, timedelta
from typing import cast

import pytest

from configs.errors import NodeError
from configs.schema.loading import load_cluster
from kubev6.console import tables
from tasks.kubernetes import certificates, renewal
from tasks.kubernetes.certificate import Certificate, read
from tasks.kubernetes.certificates import CertificatesEndedError, Dated, Told
from tasks.ssh.connection import Connection
from tests.fakes import substitute
from tests.unit.test_certificate import ELLIPTIC, RSA_WITH_SERIAL_0

LAB = load_cluster("lab")
NOW = datetime(2026, 11, 27, 12, tzinfo=UTC)
YEAR = timedelta(days=365)


def dated(name: str, ends: timedelta, *, whole: timedelta = YEAR, node: str = "kube-control-plane") -> Dated:
    return Dated(node, name, Certificate(NOW + ends - whole, NOW + ends, "kubernetes", 7), NOW)


@pytest.mark.parametrize("pem", [ELLIPTIC, RSA_WITH_SERIAL_0, ELLIPTIC + RSA_WITH_SERIAL_0, f"\n{ELLIPTIC}"])
def test_a_certificate_says_when_it_ends_and_who_has_signed_it(pem: str) -> None:
    seen = read(pem)
    assert (seen.begins, seen.issuer) == (datetime(2026, 11, 23, 9, 5, 20, tzinfo=UTC), "kubernetes")
    assert seen.ends == datetime(2126, 10, 30, 9, 5, 20, tzinfo=UTC)


@pytest.mark.parametrize(
    ("name", "ends", "whole", "state", "days"),
    [
        ("apiserver", timedelta(days=30, seconds=1), YEAR, "good", 30),
        ("apiserver", timedelta(days=30), YEAR, "ends soon", 30),
        ("apiserver", timedelta(hours=1), YEAR, "ends soon", 0),
        ("apiserver", timedelta(0), YEAR, "ended", 0),
        ("apiserver", timedelta(days=-1, hours=-1), YEAR, "ended", -1),
        ("apiserver", timedelta(days=366), YEAR, "not good yet", 366),
        ("apiserver", YEAR + timedelta(seconds=50), YEAR, "good", 365),
        # A kubelet that renews its own has never less than a tenth left.
        ("kubelet client", timedelta(days=30), YEAR, "ends soon", 30),
        ("kubelet client", timedelta(days=2), timedelta(days=10), "good", 2),
        ("kubelet client", timedelta(hours=20), timedelta(days=10), "ends soon", 0),
        ("kubelet server", timedelta(days=2), timedelta(days=10), "ends soon", 2),
    ],
)
def test_a_certificate_is_warned_of_from_thirty_days_on(
    name: str, ends: timedelta, whole: timedelta, state: str, days: int
) -> None:
    seen = dated(name, ends, whole=whole)
    assert (seen.state, seen.days) == (state, days)


AUTHORITY = dated("ca", 10 * YEAR, whole=10 * YEAR)
RENEW = "run `kubev6 certs renew`"


@pytest.mark.parametrize(
    ("found", "ok", "warns", "seen"),
    [
        ([dated("apiserver", YEAR), AUTHORITY], True, False, "the first ends on 2027-11-27: apiserver"),
        (
            [dated("apiserver", timedelta(days=14)), AUTHORITY],
            True,
            True,
            f"ends soon: apiserver on 2026-12-11; {RENEW}",
        ),
        (
            [*(dated(f"{n}.conf", timedelta(days=n)) for n in range(1, 6)), AUTHORITY],
            True,
            True,
            f"ends soon: 1.conf on 2026-11-28, 2.conf on 2026-11-29, 3.conf on 2026-11-30, and 2 more; {RENEW}",
        ),
        (
            [dated("apiserver", timedelta(days=-7)), dated("admin.conf", timedelta(days=1))],
            False,
            False,
            f"ended: apiserver on 2026-11-20; {RENEW}",
        ),
        (
            [dated("registry", timedelta(days=1))],
            True,
            True,
            "ends soon: registry on 2026-11-28; run `kubev6 deploy`, which makes another one",
        ),
        (
            [dated("ca", timedelta(days=-1))],
            False,
            False,
            "ended: ca on 2026-11-26; no command renews an authority; "
            "see Manual Rotation of CA Certificates in the docs of Kubernetes",
        ),
        ([Dated("n", "apiserver", None, NOW)], False, False, f"no certificate: apiserver; {RENEW}"),
        (
            [dated("apiserver", timedelta(days=366))],
            False,
            False,
            f"not good yet: apiserver from 2026-11-28 12:00 UTC on; {RENEW}",
        ),
        ([], False, False, "none"),
    ],
)
def test_a_node_has_one_check_which_names_what_ends(found: list[Dated], ok: bool, warns: bool, seen: str) -> None:
    check = certificates.judge("kube-control-plane", found)
    assert (check.ok, check.warns, check.seen) == (ok, warns, seen)
    assert (check.name, check.source, check.target) == ("certificates", "files", "kube-control-plane")
    told = tables.warnings([check])
    assert told == ((f"kube-control-plane: certificates: {seen}",) if warns else ())


def test_what_a_node_tells_is_in_the_order_of_the_ends_and_what_cannot_be_read_comes_first() -> None:
    told = Told(NOW.timestamp(), {"ca": ELLIPTIC, "apiserver": "", "etcd/ca": "no PEM"})
    found = certificates.dated("n", told)
    assert [(each.name, each.state) for each in found] == [
        ("apiserver", "no certificate"),
        ("etcd/ca", "no certificate"),
        ("ca", "good"),
    ]
    assert found[2].as_json() == {
        "node": "n",
        "name": "ca",
        "state": "good",
        "begins": "2026-11-23T09:05:20+00:00",
        "ends": "2126-10-30T09:05:20+00:00",
        "days": 36495,
        "issuer": "kubernetes",
        "serial": "3",
    }


ENDED = timedelta(days=-1)
WHOLE = {
    "kube-control-plane": (
        dated("apiserver", YEAR),
        dated("admin.conf", YEAR),
        dated("kubelet client", YEAR),
        dated("kubelet server", YEAR),
        AUTHORITY,
        dated("registry", YEAR),
    ),
    "kube-worker-1": (dated("kubelet client", ENDED, node="kube-worker-1"), dated("ca", YEAR, node="kube-worker-1")),
    "kube-worker-2": (dated("kubelet server", timedelta(days=9), node="kube-worker-2"),),
    "kube-support": (dated("registry", timedelta(days=9), node="kube-support"),),
}


def test_all_of_kubeadms_are_renewed_and_of_the_kubelets_those_that_have_not_renewed_theirs() -> None:
    assert [(each.node, each.name) for each in renewal.chosen(LAB, WHOLE)] == [
        ("kube-control-plane", "apiserver"),
        ("kube-control-plane", "admin.conf"),
        ("kube-worker-1", "kubelet client"),
        ("kube-worker-2", "kubelet server"),
    ]


def test_a_machine_that_cannot_be_asked_keeps_the_others_from_nothing() -> None:
    there = {"kube-control-plane": WHOLE["kube-control-plane"]}
    assert {each.node for each in renewal.chosen(LAB, there)} == {"kube-control-plane"}


def test_nothing_is_renewed_where_there_is_no_control_plane_or_nobody_to_sign() -> None:
    with pytest.raises(NodeError, match="there is no API server; `kubev6 deploy` makes one"):
        renewal.chosen(LAB, {**WHOLE, "kube-control-plane": ()})
    authority = (dated("apiserver", ENDED), dated("ca", ENDED))
    with pytest.raises(CertificatesEndedError, match="ended: ca on 2026-11-26; no command renews an authority"):
        renewal.chosen(LAB, {**WHOLE, "kube-control-plane": authority})


def test_several_control_planes_are_renewed_only_while_all_of_them_still_hold() -> None:
    cluster = load_cluster("lab-ha")
    names = [node.name for node in cluster.control_planes]
    found = {name: (dated("apiserver", timedelta(days=3), node=name),) for name in names}
    assert [each.node for each in renewal.chosen(cluster, found)] == names
    with pytest.raises(NodeError, match=f"{names[1]}: renew certificates: there is no API server"):
        renewal.chosen(cluster, {**found, names[1]: ()})
    ended = {**found, names[2]: (dated("apiserver", YEAR), dated("etcd/peer", ENDED, node=names[2]))}
    with pytest.raises(NodeError, match=f"{names[2]}: renew certificates: its certificate etcd/peer has ended, and"):
        renewal.chosen(cluster, ended)


def test_what_fails_because_certificates_have_ended_says_that(monkeypatch: pytest.MonkeyPatch) -> None:
    found: list[Dated] = [dated("kubelet server", ENDED), dated("registry", ENDED)]

    def ask(connection: Connection, cluster: object) -> tuple[Dated, ...]:  # noqa: ARG001
        return tuple(found)

    substitute(monkeypatch, certificates, "ask", ask)
    there = cast(Connection, type("", (), {"node": "kube-control-plane"})())
    certificates.refuse_ended(there, LAB)  # nobody asks for these two with a certificate
    found.append(dated("apiserver", ENDED))
    with pytest.raises(CertificatesEndedError) as caught:
        certificates.refuse_ended(there, LAB)
    assert str(caught.value) == f"kube-control-plane: certificates: ended: apiserver on 2026-11-26; {RENEW}"

    def unreachable(connection: Connection, cluster: object) -> tuple[Dated, ...]:  # noqa: ARG001
        raise NodeError("kube-control-plane", "certificates", "there is no python3")

    substitute(monkeypatch, certificates, "ask", unreachable)
    certificates.refuse_ended(there, LAB)


def test_the_registry_is_known_by_its_own_file_or_by_a_nodes_copy() -> None:
    assert certificates.registry_files(LAB, "kube-support") == ["/etc/kubev6/registry.pem"]
    assert certificates.registry_files(LAB, "kube-worker-1") == [
        "/etc/containerd/certs.d/kube-support:5000/ca.crt",
        "/etc/docker/certs.d/kube-support:5000/ca.crt",
    ]


def test_a_renewal_tells_the_errors_of_all_machines_that_could_not_be_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    def ask(connection: Connection, cluster: object) -> tuple[Dated, ...]:  # noqa: ARG001
        if connection.node == "kube-worker-2":
            raise NodeError(connection.node, "connect", "no route to host")
        return (dated("ca", YEAR, node=connection.node),)

    substitute(monkeypatch, certificates, "ask", ask)
    found, errors = renewal.find(LAB, lambda name: nullcontext(cast(Connection, type("", (), {"node": name})())))
    assert list(found) == ["kube-support", "kube-control-plane", "kube-worker-1"]
    assert [str(error) for error in errors] == ["kube-worker-2: connect: no route to host"]
