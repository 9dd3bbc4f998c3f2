"""Hashes of public keys, against those that OpenSSL tells."""

from __future__ import annotations

import pytest

from tasks.kubernetes.certificate import public_key_hash

ELLIPTIC = """\
-----BEGIN CERTIFICATE-----
MIIBbzCCARSgAwIBAgIBAzAKBggqhkjOPQQDAjAVMRMwEQYDVQQDDAprdWJlcm5l
dGVzMCAXDTI2MTEyMzA5MDUyMFoYDzIxMjYxMDMwMDkwNTIwWjAVMRMwEQYDVQQD
DAprdWJlcm5ldGVzMFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAEXpj+lyU8Gwax
LEnTuo56egW2rb3ENSSArKID6rJhG3NYxcOC1G0o08qUEEIPkMV69GEQtNSTJzfR
LI4SDdMwjKNTMFEwHQYDVR0OBBYEFDqt6aQxGnGpiV1OHxXqOgkDZiaiMB8GA1Ud
IwQYMBaAFDqt6aQxGnGpiV1OHxXqOgkDZiaiMA8GA1UdEwEB/wQFMAMBAf8wCgYI
KoZIzj0EAwIDSQAwRgIhAON3shxc/uTlZZac0fmBL4U66/AaPy5nZFtTe2Ep3a+L
AiEAzXuSKF0rK51QdWLlE4NwcVqXBNmPennlWsfC2r9/hTY=
-----END CERTIFICATE-----
"""
RSA_WITH_SERIAL_0 = """\
-----BEGIN CERTIFICATE-----
MIIC+jCCAeKgAwIBAgIBADANBgkqhkiG9w0BAQsFADAVMRMwEQYDVQQDDAprdWJl
cm5ldGVzMCAXDTI2MTEyMzA5MDUyMFoYDzIxMjYxMDMwMDkwNTIwWjAVMRMwEQYD
VQQDDAprdWJlcm5ldGVzMIIBIjANBgkqhkiG9w0BAQEFAAOCAQ8AMIIBCgKCAQEA
wq3FO1qAkd9RdhC96w5QDNcQYikeR5wfuVRTS/wTc4RotrstzDm3qc49Q796NWfQ
B4QPJcFYtM1CkfCGgZm5/IzevnIfFgtlRbnE09pS9HQ8YPqzV1JldkSMwI1Oi9v4
RqDCQihepsKu4N3Gxx+aX0oa/w2MgnG6vGca2af41Baq9sFfTm4tvjJr3JJhVLZH
JT3C5llAi/ywHZAjQtR6vxLaMqNvBQ1O+LkdTB3rHpcNyBm+EudS7pLeKPz7pv21
n8ZlfuJPioEEvChS4Oufx89O+pzRLfWlCcu4emA0EyRfYWv4GaKBrtzQcVczvKJp
BJpyeYEVJ9/TfSuM9rsbtwIDAQABo1MwUTAdBgNVHQ4EFgQU/ey8vxYnUzlGb97C
ItHbMgYH3wkwHwYDVR0jBBgwFoAU/ey8vxYnUzlGb97CItHbMgYH3wkwDwYDVR0T
AQH/BAUwAwEB/zANBgkqhkiG9w0BAQsFAAOCAQEAJ0v0VjvuXwwNxZxtr4fOvwow
1QEKeHCSkK8n2ke6gvd/sdAKOIIIc4y+2zzGqBFyBtM5FBnGmCjzwTC28EvNmeXD
DCbnNwPHGPmC2AKigslI4RLDadaVbOy4Tgz8moJBPF831OjeYY9K5dd/ghdXQwb/
/G74aNQL+X+dtZQudXwQ68G9GXIqK0YOcodT3BmHYw//JEPldffiKBpexgvB6Hil
Xc1rhmpbT32zezTgeWbU/1Vw2/NWfgCS155btC5MdqggOhg865ECpCfbAjJpNNd7
XEf1RNCZ3j1W/6ZsEW31tZhdeUu1nK9Rz5Fak75KLH4YNOeFKk5LdgMb0YQcrg==
-----END CERTIFICATE-----
"""


@pytest.mark.parametrize(
    ("certificate", "digest"),
    [
        (ELLIPTIC, "e3448185261f976d3a493f5f5c9321c667cf58f1c16416f819284281e4ba536b"),
        (RSA_WITH_SERIAL_0, "92744a3df607ae1a083dd22eabbef545abdb25142a2b6ee3067aa17161135303"),
    ],
    ids=["elliptic", "RSA with the serial number of kubeadm"],
)
def test_the_hash_is_that_of_the_public_key_alone(certificate: str, digest: str) -> None:
    assert public_key_hash(certificate) == f"sha256:{digest}"
