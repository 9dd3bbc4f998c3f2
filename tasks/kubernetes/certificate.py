"""The public key of a certificate, by which a node that joins knows the cluster's certificate authority."""

from __future__ import annotations

import hashlib
import ssl
from typing import Annotated

from cryptography.hazmat import asn1


@asn1.sequence
class _Signed:
    """``TBSCertificate`` (RFC 5280, 4.1)."""

    version: Annotated[int | None, asn1.Explicit(0)]
    serial_number: int
    signature: asn1.TLV
    issuer: asn1.TLV
    validity: asn1.TLV
    subject: asn1.TLV
    public_key: asn1.TLV
    extensions: Annotated[asn1.TLV, asn1.Explicit(3)]


@asn1.sequence
class _Certificate:
    """``Certificate`` (RFC 5280, 4.1)."""

    signed: _Signed
    algorithm: asn1.TLV
    signature: asn1.TLV


def public_key_hash(certificate: str) -> str:
    """``sha256:...`` of a certificate's public key (RFC 7469, 2.4).

    kubeadm prints it too, but only since 1.9 whenever it is asked for. Libraries for certificates are about to refuse
    kubeadm's, whose serial number is 0; one that reads ASN.1 does not.

    Args:
        certificate: In PEM.
    """
    found = asn1.decode_der(_Certificate, ssl.PEM_cert_to_DER_cert(certificate))
    return "sha256:" + hashlib.sha256(asn1.encode_der(found.signed.public_key)).hexdigest()
