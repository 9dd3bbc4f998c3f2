"""A key and a certificate that it has signed itself, made on the node."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from ipaddress import IPv6Address

from configs.plan.derived import registry_certificate
from configs.plan.state import Certificate, StageState
from configs.plan.systems import Machine
from configs.schema.cluster import Cluster
from tasks.node.resources.kind import Changes, Earlier, Kind

RENEWED_BEFORE = timedelta(days=365)
"""The first deploy of a certificate's last year makes another one, for every node at once."""


class Certificates(Kind[Mapping[str, str]]):
    """The facts are the certificates by path, as PEM; empty where there is none, or no key with it."""

    name = "certificate"
    field = "certificates"
    key = "path"
    line = "certificate {0.path} for {0.name} and {0.address}, its key made there"

    def changes(self, stage: StageState, facts: Mapping[str, str], earlier: Earlier) -> Changes:
        """Make one that is not there, ends soon, or is for somebody else."""
        for wanted in stage.certificates:
            if why := problem(facts[wanted.path], wanted):
                yield self.change(wanted.path, "make", why, resource=wanted)


def problem(pem: str, wanted: Certificate) -> str:
    """Why a certificate will not do; empty when it will.

    Args:
        pem: The certificate.
        wanted: What it is to be.
    """
    from cryptography import x509  # a tenth of a second, and most machines have no certificate of ours

    if not pem:
        return "none"
    try:
        certificate = x509.load_pem_x509_certificate(pem.encode())
        named = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
        names, addresses = named.get_values_for_type(x509.DNSName), named.get_values_for_type(x509.IPAddress)
    except (ValueError, x509.ExtensionNotFound):
        return "damaged"
    if (names, addresses) != ([wanted.name], [IPv6Address(wanted.address)]):
        return f"one for {', '.join(map(str, [*names, *addresses]))}"
    end = certificate.not_valid_after_utc
    return f"one until {end:%Y-%m-%d}" if end - datetime.now(UTC) < RENEWED_BEFORE else ""


def lasting_certificate(cluster: Cluster, support: Machine | None) -> str:
    """What the registry shows, as PEM; empty when a deploy makes another one, which every node is then to know.

    Args:
        cluster: The topology.
        support: What the support node's machine says of itself; None when it could not be asked.
    """
    shown = support.registry_certificate if support else ""
    return "" if problem(shown, registry_certificate(cluster)) else shown
