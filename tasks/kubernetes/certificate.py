"""The public key of a certificate, by which a node that joins knows the cluster's certificate authority."""

from __future__ import annotations

import hashlib
import ssl
from collections.abc import Iterator

VERSION = 0xA0
"""Tag of the field of a certificate that may be left out (RFC 5280, 4.1)."""
PUBLIC_KEY = 5
"""Place of the public key behind it: serial number, signature, issuer, validity and subject are before."""


def public_key_hash(certificate: str) -> str:
    """``sha256:...`` of a certificate's public key (RFC 7469, 2.4).

    kubeadm prints it too, but only since 1.9 whenever it is asked for. Libraries for certificates are about to refuse
    kubeadm's, whose serial number is 0.

    Args:
        certificate: In PEM.
    """
    (whole,) = _elements(ssl.PEM_cert_to_DER_cert(certificate))
    signed, *_signature = _elements(_content(whole))
    fields = list(_elements(_content(signed)))
    if fields[0][0] == VERSION:
        del fields[0]
    return "sha256:" + hashlib.sha256(fields[PUBLIC_KEY]).hexdigest()


def _elements(encoded: bytes) -> Iterator[bytes]:
    """The elements of some DER (X.690, 8.1), each with its tag and length."""
    while encoded:
        end = sum(_header(encoded))
        yield encoded[:end]
        encoded = encoded[end:]


def _content(element: bytes) -> bytes:
    return element[_header(element)[0] :]


def _header(encoded: bytes) -> tuple[int, int]:
    """How many bytes tag and length of the first element take, and how many its content."""
    length = encoded[1]
    if length < 0x80:
        return 2, length
    long = length - 0x80
    return 2 + long, int.from_bytes(encoded[2 : 2 + long], "big")
