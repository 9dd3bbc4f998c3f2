"""Types of single fields. Each refuses what cannot be right, and says what would be."""

from __future__ import annotations

import re
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address
from typing import Annotated
from urllib.parse import urlsplit

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, GetJsonSchemaHandler
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import CoreSchema

from configs.plan.versions import parse_version
from configs.schema.docstrings import described
from configs.schema.special_purpose import TRANSLATION, unusable, unusable_ipv4

_ADDRESS = r"[0-9a-fA-F:.]*:[0-9a-fA-F:.]*"
_HOSTNAME = r"[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?"
_INTERFACE = r"[A-Za-z][A-Za-z0-9_.-]{0,14}"
_IMAGE_NAME = r"[a-z0-9]+(?:[._-]+[a-z0-9]+)*"
_IMAGE = rf"{_IMAGE_NAME}(?::[0-9]+)?(?:/{_IMAGE_NAME})*:[A-Za-z0-9_][A-Za-z0-9_.-]{{0,127}}"


def _ipv6_address(value: object) -> object:
    if not isinstance(value, str):
        raise ValueError("not text; an IPv6 address such as fd00::100 is wanted, in quotes if YAML needs them")
    if "/" in value:
        raise ValueError("has a prefix length; an address alone is wanted, such as fd00::100")
    if "%" in value:
        raise ValueError("has a scope; an address alone is wanted, such as fd00::100")
    if re.fullmatch(r"[0-9.]+", value):
        raise ValueError("is IPv4; this cluster is IPv6-only, an address such as fd00::100 is wanted")
    return value


def _ipv6_network(value: object) -> object:
    if not isinstance(value, str) or "/" not in value:
        raise ValueError("not a prefix with its length; such as fd00::/64 is wanted")
    if re.fullmatch(r"[0-9.]+/[0-9]+", value):
        raise ValueError("is IPv4; this cluster is IPv6-only, a prefix such as fd00::/64 is wanted")
    if "%" in value:
        raise ValueError("has a scope; a prefix alone is wanted, such as fd00::/64")
    try:
        IPv6Network(value)
    except ValueError as error:
        if "host bits set" in str(error):
            raise ValueError(f"has host bits set; {IPv6Network(value, strict=False)} is the prefix") from None
        raise ValueError("is no IPv6 prefix; such as fd00::/64 is wanted") from None
    return value


def _interface(value: str) -> str:
    if value in ("lo", "all", "default"):
        raise ValueError("is no interface to another machine")
    return value


def _own(value: IPv6Network) -> IPv6Network:
    if why := unusable(value):
        raise ValueError(f"{why}; a prefix of your own is wanted, such as fd00::/64")
    return value


def _own_address(value: IPv6Address) -> IPv6Address:
    if why := unusable(value):
        raise ValueError(f"{why}; a machine's own address is wanted, such as fd00::100")
    return value


def _translation_prefix(value: IPv6Network) -> IPv6Network:
    return value if any(value.overlaps(known) for known in TRANSLATION) else _own(value)


def _pool(value: IPv4Network) -> IPv4Network:
    if why := unusable_ipv4(value):
        raise ValueError(why)
    return value


def _hostname(value: str) -> str:
    if not re.fullmatch(_HOSTNAME, value):
        raise ValueError("is no host name; lower-case letters, digits and inner dashes are wanted, at most 63")
    return value


def _kubernetes_version(value: str) -> str:
    parse_version(value)
    if len(value) > 100 or not value.isprintable():  # it becomes the tag of images
        raise ValueError("is no version of a release")
    return value


def _url(value: str) -> str:
    parts = urlsplit(value)
    if parts.scheme not in ("http", "https") or not parts.hostname or re.search(r"\s", value):
        raise ValueError("is no address; such as https://dl.k8s.io/release/v1.34.2/bin/linux/amd64/kubeadm is wanted")
    if parts.port == 0 or not value.isprintable():
        raise ValueError("is no address")
    if parts.username is not None:
        raise ValueError("holds a login; that belongs into ~/.netrc")
    # A mirror is laid out by host and path, so the path has to be that of a file.
    if parts.query or parts.fragment or {"", ".", ".."} & set(parts.path.split("/")[1:]) or not parts.path:
        raise ValueError("is not host and path of a file alone")
    return value


def image_reference(value: str) -> str:
    """An image's name with its tag.

    Raises:
        ValueError: It is none.
    """
    if not re.fullmatch(_IMAGE, value):
        raise ValueError("is no image with its tag; such as registry.k8s.io/pause:3.10.1 is wanted")
    return value


def _not_one_word(value: str) -> bool:
    """Whether a text may be taken for an option or for several words, or holds what nobody sees."""
    return not value or value.startswith("-") or " " in value or not value.isprintable()


def _ssh_host(value: str) -> str:
    # What ssh refuses too (its valid_hostname): it comes into command lines, such as that of a ProxyCommand.
    named = re.search(r"""['"`$\\;&<>|(){}\[\]@/]""", value) is None
    if _not_one_word(value) or not named or (":" in value and not _is_address(value)):
        raise ValueError("is no host; a name, an address without brackets or a Host of ~/.ssh/config is wanted")
    return value


def _is_address(value: str) -> bool:
    try:
        ip_address(value)
    except ValueError:
        return False
    return True


def _ssh_user(value: str) -> str:
    if _not_one_word(value) or re.search(r"""['"`;&<>|(){}]|\\$""", value):  # its valid_ruser
        raise ValueError("is no login name")
    return value


def _path(value: str) -> str:
    if not value or not value.isprintable():
        raise ValueError("is no path")
    return value


def _domain(value: str) -> str:
    if len(value) > 200 or not all(re.fullmatch(_HOSTNAME, label) for label in value.split(".")):
        raise ValueError("is no domain; names of letters, digits and inner dashes between dots, such as cluster.local")
    return value


def _outside(value: str) -> str:
    try:
        parts = urlsplit(value)
        name, port = parts.hostname or "", parts.port
    except ValueError:
        name, port = "", None
    if not value.isascii() or not value.isprintable() or not value.startswith("http://") or " " in value:
        raise ValueError("is no address of a page; such as http://example.com/ is wanted")
    if not name or port == 0 or not re.fullmatch(r"[a-z0-9._-]+|[0-9a-f:.]+", name):
        raise ValueError("names no host; such as http://example.com/ is wanted")
    if parts.username is not None:
        raise ValueError("holds a login, and whoever reads this file would have it")
    return value


def _resolver(value: str) -> str:
    try:
        found = ip_address(value)
    except ValueError:
        raise ValueError("is no address; a resolver's IPv4 or IPv6 address is wanted") from None
    if isinstance(found, IPv4Address):
        if not (found.is_link_local or found.is_loopback) and (why := unusable_ipv4(found)):
            raise ValueError(f"{why}; a resolver's address is wanted")
        return str(found)
    if found.scope_id is not None and not (found.is_link_local and re.fullmatch(_INTERFACE, found.scope_id)):
        raise ValueError("has a scope that is no interface, or needs none")
    if found.is_link_local and found.scope_id is None:
        raise ValueError("is no address of a resolver; a link-local one needs its interface, such as fe80::1%eth0")
    translated = any(found in known for known in TRANSLATION)  # what an existing translator leads to
    if not (found.is_link_local or found.is_loopback or translated) and (why := unusable(found)):
        raise ValueError(f"{why}; a resolver's address is wanted")
    return str(found)


def _shown(pattern: str, example: str) -> object:
    """What a type's JSON Schema says besides; the validators above say more, in words."""
    return Field(json_schema_extra={"pattern": f"^{pattern}$"}, examples=[example])


Interface = Annotated[str, Field(pattern=f"^{_INTERFACE}$", examples=["eth1"]), AfterValidator(_interface)]
_Address = Annotated[IPv6Address, BeforeValidator(_ipv6_address), _shown(_ADDRESS, "fd00::100")]
_Network = Annotated[IPv6Network, BeforeValidator(_ipv6_network), _shown(_ADDRESS + "/[0-9]{1,3}", "fd00::/64")]
Address6 = Annotated[_Address, AfterValidator(_own_address)]
Gateway6 = _Address
Network6 = Annotated[_Network, AfterValidator(_own)]
TranslationPrefix = Annotated[_Network, AfterValidator(_translation_prefix)]
Resolver = Annotated[str, AfterValidator(_resolver), _shown("[0-9a-fA-F:.]+(%.+)?", "9.9.9.9")]
Hostname = Annotated[str, AfterValidator(_hostname), _shown(_HOSTNAME, "kube-1")]
SshHost = Annotated[str, AfterValidator(_ssh_host)]
SshUser = Annotated[str, AfterValidator(_ssh_user)]
FilePath = Annotated[str, AfterValidator(_path)]
Domain = Annotated[str, AfterValidator(_domain), _shown(rf"{_HOSTNAME}(\.{_HOSTNAME})*", "cluster.local")]
OutsideUrl = Annotated[str, AfterValidator(_outside), _shown(r"http://[^/\s]+(/\S*)?", "http://example.com/")]
Pool4 = Annotated[IPv4Network, AfterValidator(_pool)]
KubernetesVersion = Annotated[
    str, AfterValidator(_kubernetes_version), _shown("v?[0-9]+\\.[0-9]+\\.[0-9]+.*", "1.34.2")
]
Url = Annotated[
    str, AfterValidator(_url), _shown("https?://\\S+/\\S+", "https://dl.k8s.io/release/v1.34.2/bin/kubeadm")
]
ImageReference = Annotated[str, AfterValidator(image_reference), _shown(_IMAGE, "registry.k8s.io/pause:3.10.1")]


class Model(BaseModel):
    """What is read from a file: frozen, and with no key that is not known."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    @classmethod
    def __get_pydantic_json_schema__(cls, core_schema: CoreSchema, handler: GetJsonSchemaHandler) -> JsonSchemaValue:
        """Its JSON Schema, with what its docstring says; asked by pydantic."""
        schema = handler(core_schema)
        own = handler.resolve_ref_schema(schema)
        own["description"], fields = described(cls)
        for name, about in own["properties"].items():
            about.pop("title", None)
            about["description"] = fields[name]
        return schema
