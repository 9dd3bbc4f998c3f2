"""What a certificate says: who signed it and until when it is good, and the public key that it is for."""

from __future__ import annotations

import hashlib
import ssl
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Annotated

from cryptography.hazmat import asn1
from cryptography.x509 import ObjectIdentifier
from cryptography.x509.oid import NameOID


@asn1.sequence
class _Validity:
    """``Validity`` (RFC 5280, 4.1.2.5)."""

    begins: asn1.UTCTime | asn1.GeneralizedTime
    ends: asn1.UTCTime | asn1.GeneralizedTime


@asn1.sequence
class _Attribute:
    """``AttributeTypeAndValue`` (RFC 5280, 4.1.2.4)."""

    kind: ObjectIdentifier
    value: asn1.TLV


@asn1.sequence
class _Signed:
    """``TBSCertificate`` (RFC 5280, 4.1)."""

    version: Annotated[int | None, asn1.Explicit(0)]
    serial_number: int
    signature: asn1.TLV
    issuer: list[asn1.SetOf[_Attribute]]
    validity: _Validity
    subject: asn1.TLV
    public_key: asn1.TLV
    extensions: Annotated[asn1.TLV, asn1.Explicit(3)]


@asn1.sequence
class _Certificate:
    """``Certificate`` (RFC 5280, 4.1)."""

    signed: _Signed
    algorithm: asn1.TLV
    signature: asn1.TLV


@dataclass(frozen=True, slots=True)
class Certificate:
    """What a certificate says of itself.

    Attributes:
        begins: From when on it is good.
        ends: Until when.
        issuer: The common name of who has signed it.
        serial: Its serial number.
    """

    begins: datetime
    ends: datetime
    issuer: str
    serial: int


def read(pem: str) -> Certificate:
    """What a certificate says of itself.

    Args:
        pem: The certificate; of several the first counts, as it does where a server shows them.

    Raises:
        ValueError: It is none.
    """
    signed = _decoded(pem).signed
    names = [each for part in signed.issuer for each in part.as_list() if each.kind == NameOID.COMMON_NAME]
    issuer = bytes(names[0].value.data).decode("utf-8", "replace") if names else ""
    begins, ends = (each.as_datetime().replace(tzinfo=UTC) for each in (signed.validity.begins, signed.validity.ends))
    return Certificate(begins, ends, issuer, signed.serial_number)


def public_key_hash(certificate: str) -> str:
    """``sha256:...`` of a certificate's public key (RFC 7469, 2.4).

    kubeadm prints it too, but only since 1.9 whenever it is asked for.

    Args:
        certificate: In PEM.
    """
    return "sha256:" + hashlib.sha256(asn1.encode_der(_decoded(certificate).signed.public_key)).hexdigest()


def _decoded(pem: str) -> _Certificate:
    """A certificate by its parts.

    Libraries for certificates are about to refuse kubeadm's, whose serial number is 0; one that reads ASN.1 does not.
    """
    first, end, _ = pem.strip().partition(ssl.PEM_FOOTER)
    return asn1.decode_der(_Certificate, ssl.PEM_cert_to_DER_cert(first + end))
