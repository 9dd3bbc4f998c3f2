"""Types of single fields. Each refuses what cannot be right, and says what would be."""

from __future__ import annotations

import re
from ipaddress import IPv6Address, IPv6Network, ip_address
from typing import Annotated
from urllib.parse import urlsplit

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field

from configs.versions import parse_version


def _ipv6_address(value: object) -> object:
    if not isinstance(value, str):
        raise ValueError("not text; an IPv6 address such as fd00::100 is wanted, in quotes if YAML needs them")
    if "/" in value:
        raise ValueError("has a prefix length; an address alone is wanted, such as fd00::100")
    if re.fullmatch(r"[0-9.]+", value):
        raise ValueError("is IPv4; this cluster is IPv6-only, an address such as fd00::100 is wanted")
    return value


def _ipv6_network(value: object) -> object:
    if not isinstance(value, str) or "/" not in value:
        raise ValueError("not a prefix with its length; such as fd00::/64 is wanted")
    if re.fullmatch(r"[0-9.]+/[0-9]+", value):
        raise ValueError("is IPv4; this cluster is IPv6-only, a prefix such as fd00::/64 is wanted")
    try:
        IPv6Network(value)
    except ValueError as error:
        if "host bits set" in str(error):
            raise ValueError(f"has host bits set; {IPv6Network(value, strict=False)} is the prefix") from None
        raise ValueError("is no IPv6 prefix; such as fd00::/64 is wanted") from None
    return value


def _hostname(value: str) -> str:
    if not re.fullmatch(r"[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?", value):
        raise ValueError("is no host name; lower-case letters, digits and inner dashes are wanted, at most 63")
    return value


def _kubernetes_version(value: str) -> str:
    parse_version(value)
    return value


def _url(value: str) -> str:
    parts = urlsplit(value)
    if parts.scheme not in ("http", "https") or not parts.hostname or re.search(r"\s", value):
        raise ValueError("is no address; such as https://dl.k8s.io/release/v1.34.2/bin/linux/amd64/kubeadm is wanted")
    if parts.username is not None:
        raise ValueError("holds a login; that belongs into ~/.netrc")
    # A mirror is laid out by host and path, so the path has to be that of a file.
    if parts.query or parts.fragment or {"", ".", ".."} & set(parts.path.split("/")[1:]) or not parts.path:
        raise ValueError("is not host and path of a file alone")
    return value


def _image_reference(value: str) -> str:
    name = r"[a-z0-9]+(?:[._-]+[a-z0-9]+)*"
    if not re.fullmatch(rf"{name}(?::[0-9]+)?(?:/{name})*:[A-Za-z0-9_][A-Za-z0-9_.-]{{0,127}}", value):
        raise ValueError("is no image with its tag; such as registry.k8s.io/pause:3.10.1 is wanted")
    return value


def _ssh_host(value: str) -> str:
    # What ssh refuses too (its valid_hostname): it comes into command lines, such as that of a ProxyCommand.
    if value.startswith("-") or not value or re.search(r"""[\s\x00-\x1f'"`$\\;&<>|(){}\[\]]""", value):
        raise ValueError("is no host; a name, an address without brackets or a Host of ~/.ssh/config is wanted")
    return value


def _ssh_user(value: str) -> str:
    if value.startswith("-") or not value or re.search(r"""[\s\x00-\x1f'"`;&<>|(){}]|\\$""", value):  # its valid_ruser
        raise ValueError("is no login name")
    return value


def _resolver(value: str) -> str:
    try:
        return str(ip_address(value))
    except ValueError:
        raise ValueError("is no address; a resolver's IPv4 or IPv6 address is wanted") from None


Interface = Annotated[str, Field(pattern=r"^[A-Za-z][A-Za-z0-9_.-]{0,14}$")]
Address6 = Annotated[IPv6Address, BeforeValidator(_ipv6_address)]
Network6 = Annotated[IPv6Network, BeforeValidator(_ipv6_network)]
Resolver = Annotated[str, AfterValidator(_resolver)]
Hostname = Annotated[str, AfterValidator(_hostname)]
SshHost = Annotated[str, AfterValidator(_ssh_host)]
SshUser = Annotated[str, AfterValidator(_ssh_user)]
KubernetesVersion = Annotated[str, AfterValidator(_kubernetes_version)]
Url = Annotated[str, AfterValidator(_url)]
ImageReference = Annotated[str, AfterValidator(_image_reference)]


class Model(BaseModel):
    """What is read from a file: frozen, and with no key that is not known."""

    model_config = ConfigDict(frozen=True, extra="forbid")
