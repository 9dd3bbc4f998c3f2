"""The certificates that a cluster lives by: who has which, until when each is good, and what is to be said of that.

kubeadm's end after a year, and then nothing works. A kubelet renews the one that it shows to the API server by itself.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Literal

from configs.errors import NodeError
from configs.plan.derived import REGISTRY_CERTIFICATE, registry_name
from configs.schema.cluster import Cluster
from tasks.kubernetes import certificate
from tasks.kubernetes.certificate import Certificate
from tasks.kubernetes.checks import Check
from tasks.ssh.connection import Connection
from tasks.ssh.program import program

WARNED = timedelta(days=30)
"""How long before its end a certificate is warned of."""
PART_LEFT = 10
"""A kubelet asks for its next certificate at the latest when a tenth of the last one's time is left (client-go's
certificate manager); only of one that has not done so is warned, however short its certificates are."""
NAMED = 3
"""So many certificates are named in one line; `kubev6 certs` shows all."""
CHECK = "certificates"
KUBELET_CLIENT, KUBELET_SERVER, REGISTRY = "kubelet client", "kubelet server", "registry"
AUTHORITIES = ("ca", "etcd/ca", "front-proxy-ca")
State = Literal["good", "ends soon", "ended", "not good yet", "no certificate"]


@dataclass(frozen=True, slots=True)
class Told:
    """What a node tells (:mod:`tasks.node_agent.certificates`).

    Attributes:
        now: When, in seconds since 1970 by its clock, by which its certificates end.
        certificates: Each in PEM by its name; empty where none is in its file.
    """

    now: float
    certificates: dict[str, str]


class CertificatesEndedError(NodeError):
    """Certificates have ended, so that whatever else is seen comes of that."""


@dataclass(frozen=True, slots=True)
class Dated:
    """A certificate of a node.

    Attributes:
        node: The node.
        name: What it is, as kubeadm calls it.
        certificate: What it says; None when its file holds none.
        now: When it was looked at, by the node's clock.
    """

    node: str
    name: str
    certificate: Certificate | None
    now: datetime

    @property
    def days(self) -> int:
        """How many whole days are left; of one that has ended how many have gone since, as a number below 0."""
        return int((self.certificate.ends - self.now) / timedelta(days=1)) if self.certificate else 0

    @property
    def state(self) -> State:
        """How it is."""
        if self.certificate is None:
            return "no certificate"
        if self.certificate.ends <= self.now:
            return "ended"
        if self.certificate.begins > self.now + timedelta(minutes=1):  # as far as clocks of nodes may be apart
            return "not good yet"
        left, whole = self.certificate.ends - self.now, self.certificate.ends - self.certificate.begins
        warned = min(WARNED, whole / PART_LEFT) if self.name == KUBELET_CLIENT else WARNED
        return "ends soon" if left <= warned else "good"

    @property
    def renewed_by(self) -> str:
        """What renews it, for a person."""
        if self.name in AUTHORITIES:
            return "no command renews an authority; see Manual Rotation of CA Certificates in the docs of Kubernetes"
        return "run `kubev6 deploy`, which makes another one" if self.name == REGISTRY else "run `kubev6 certs renew`"

    def as_json(self) -> dict[str, object]:
        """For machines."""
        told: dict[str, object] = {"node": self.node, "name": self.name, "state": self.state}
        if self.certificate:
            told["begins"], told["ends"] = self.certificate.begins.isoformat(), self.certificate.ends.isoformat()
            told |= {"days": self.days, "issuer": self.certificate.issuer, "serial": f"{self.certificate.serial:x}"}
        return told


def registry_files(cluster: Cluster, node: str) -> list[str]:
    """Where the registry's certificate may be on a machine: its own there, or a copy by which a node knows it.

    Args:
        cluster: The topology.
        node: The machine's name.
    """
    if node == cluster.support.name:
        return [REGISTRY_CERTIFICATE]
    return [f"/etc/{runtime}/certs.d/{registry_name(cluster)}/ca.crt" for runtime in ("containerd", "docker")]


def ask(connection: Connection, cluster: Cluster) -> tuple[Dated, ...]:
    """The certificates of a machine, in one round trip.

    Args:
        connection: To it.
        cluster: The topology.

    Raises:
        NodeError: It cannot be asked.
    """
    asked = {"registry": registry_files(cluster, connection.node)}
    told: Told = connection.run_python(program("read_certificates"), asked, step="certificates", timeout=60, kind=Told)
    return dated(connection.node, told)


def dated(node: str, told: Told) -> tuple[Dated, ...]:
    """The certificates that a node tells of, those that end first before the others.

    Args:
        node: The node.
        told: What it tells.
    """
    now = datetime.fromtimestamp(told.now, UTC)
    all_of_them = [Dated(node, name, _read(pem), now) for name, pem in told.certificates.items()]
    return tuple(sorted(all_of_them, key=lambda each: (each.certificate.ends if each.certificate else now, each.name)))


def _read(pem: str) -> Certificate | None:
    with suppress(ValueError):
        return certificate.read(pem)
    return None


def judge(node: str, certificates: Sequence[Dated]) -> Check:
    """Whether a node can live by its certificates, and for how long.

    Args:
        node: The node.
        certificates: All of its, in the order of their ends.
    """
    bad = [each for each in certificates if each.state not in ("good", "ends soon")]
    soon = [each for each in certificates if each.state == "ends soon"]
    if bad or soon or not certificates:
        seen = in_words(bad or soon) if certificates else "none"
    else:
        first = certificates[0]
        assert first.certificate is not None
        seen = f"the first ends on {first.certificate.ends:%Y-%m-%d}: {first.name}"
    return Check(CHECK, "files", node, bool(certificates) and not bad, seen, warns=bool(soon) and not bad)


def in_words(certificates: Iterable[Dated]) -> str:
    """Some certificates that are not as they should be, or not for long, and what to do: one line."""
    certificates = tuple(certificates)
    return "; ".join([_named(certificates), *dict.fromkeys(each.renewed_by for each in certificates)])


def _named(certificates: Sequence[Dated]) -> str:
    told = []
    for state in dict.fromkeys(each.state for each in certificates):
        same = [each for each in certificates if each.state == state]
        more = [f"and {len(same) - NAMED} more"] * (len(same) > NAMED)
        told.append(f"{state}: {', '.join([*map(_phrase, same[:NAMED]), *more])}")
    return "; ".join(told)


def _phrase(each: Dated) -> str:
    if each.certificate is None:
        return each.name
    if each.state == "not good yet":
        return f"{each.name} from {each.certificate.begins:%Y-%m-%d %H:%M} UTC on"
    return f"{each.name} on {each.certificate.ends:%Y-%m-%d}"


def refuse_ended(connection: Connection, cluster: Cluster) -> None:
    """Tell that certificates of a machine have ended, where something has failed that may be because of that.

    Args:
        connection: To the machine. When it cannot be asked, whatever has failed tells that.
        cluster: The topology.

    Raises:
        CertificatesEndedError: Some have.
    """
    try:
        found = ask(connection, cluster)
    except NodeError:
        return
    refuse(connection.node, found)


def refuse(node: str, certificates: Iterable[Dated]) -> None:
    """Refuse a node whose certificates for Kubernetes have ended.

    Raises:
        CertificatesEndedError: Some have.
    """
    ended = [each for each in certificates if each.state == "ended" and each.name not in (KUBELET_SERVER, REGISTRY)]
    if ended:
        # By an authority that has ended nothing can be signed.
        decisive = next((each for each in ended if each.name in AUTHORITIES), ended[0])
        raise CertificatesEndedError(node, "certificates", _named(ended), todo=decisive.renewed_by)
