"""The typed form of ``clusters/*.yaml`` and ``releases/*.yaml``.

Reading a file either gives a value that can be right, or one :class:`ConfigError` that names the file, the path
of the field, the value seen there and what would be right. Nothing here contacts anything.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from ipaddress import IPv4Network, IPv6Address, IPv6Network, ip_address
from pathlib import Path
from typing import Annotated, Any, Literal, Self, TypeVar
from urllib.parse import urlsplit

import yaml
from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, ValidationError, model_validator
from pydantic_core import ErrorDetails

from configs.errors import ConfigError
from configs.manifest import SHA256
from configs.translation import problems as translation_problems
from configs.versions import Runtime, parse_version

CONFIGS = Path(__file__).resolve().parent
Role = Literal["support", "control-plane", "worker"]


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
KubernetesVersion = Annotated[str, AfterValidator(_kubernetes_version)]
Url = Annotated[str, AfterValidator(_url)]
ImageReference = Annotated[str, AfterValidator(_image_reference)]


class _Model(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


# --- clusters/*.yaml -------------------------------------------------------------------------------------


class Ssh(_Model):
    """How the controller reaches a machine. Passwords come from the environment or a file, never from here.

    Attributes:
        host: Address or name; the node's own fabric address when absent.
        port: TCP port.
        user: Login; anyone but root needs sudo.
        key_file: Private key; the agent's and the user's own keys when absent.
        known_hosts: File of accepted host keys; the user's own when absent.
    """

    host: str | None = None
    port: int | None = Field(default=None, ge=1, le=65535)
    user: str | None = None
    key_file: str | None = None
    known_hosts: str | None = None

    def over(self, base: Ssh) -> Ssh:
        """These settings, with ``base`` where one is absent here."""
        return Ssh(**{**base.model_dump(exclude_none=True), **self.model_dump(exclude_none=True)})


class Node(_Model):
    """One machine.

    Attributes:
        name: Host name; also its name in Kubernetes.
        roles: What it does.
        address: Its address on the fabric.
        pod_subnet: Subnet of its pods; derived from ``pods.prefix`` and the address when absent.
        uplink_address: Its address on the uplink, where these are static.
        ssh: What differs from the cluster's own ssh settings.
    """

    name: Hostname
    roles: tuple[Role, ...] = Field(min_length=1)
    address: Address6
    pod_subnet: Network6 | None = None
    uplink_address: Address6 | None = None
    ssh: Ssh = Ssh()

    @property
    def in_kubernetes(self) -> bool:
        """True when this machine is a node of Kubernetes, as opposed to a support node only."""
        return "control-plane" in self.roles or "worker" in self.roles


class Fabric(_Model):
    """The cluster's IPv6 network (the how-to's eth1)."""

    interface: Interface = "eth1"
    subnet: Network6


class Uplink(_Model):
    """A second network on which the nodes have IPv6 addresses to be reached by (the how-to's eth2).

    Attributes:
        interface: Its interface.
        addressing: ``slaac`` when addresses and default route come from router advertisements (RFC 4862).
        subnet: Where the nodes' static addresses are.
        gateway: Next hop of the default route that goes with static addresses; none when absent.
    """

    interface: Interface = "eth2"
    addressing: Literal["slaac", "static"] = "slaac"
    subnet: Network6 | None = None
    gateway: Address6 | None = None


class Pods(_Model):
    """Addresses of pods.

    Attributes:
        prefix: A /16 to /48 prefix; a node's pod subnet is the /64 in which the last 16 bits of the node's
            address follow the prefix: ``fd00::/16`` and ``fd00::101`` give ``fd00:101::/64``.
        masquerade: Whether pods leave their node under its address (CNI ``ipMasq``).
    """

    prefix: Network6
    masquerade: bool = False


class Services(_Model):
    """Addresses and names of Services."""

    subnet: Network6
    domain: str = Field(default="cluster.local", pattern=r"^[a-z0-9]([-a-z0-9.]*[a-z0-9])?$")


class Nat64(_Model):
    """The translator that carries the cluster to IPv4 destinations.

    Attributes:
        prefix: Prefix that embeds IPv4 addresses (RFC 6052).
        by: What translates on the support node; ``existing`` for a translator that is there already and only checked.
        pool: IPv4 addresses that stand for IPv6 sources, for tayga; at least as many as there are sources.
        address: Address on the fabric of an existing translator, which must route the pod subnets back.
    """

    prefix: Network6
    by: Literal["tayga", "jool", "existing"] = "tayga"
    pool: IPv4Network = IPv4Network("192.168.255.0/24")
    address: Address6 | None = None


class Dns64(_Model):
    """The resolver that gives names with IPv4 addresses only an address inside the NAT64 prefix.

    Attributes:
        by: What answers on the support node; ``existing`` for a server that is there already and only checked.
        address: Address of an existing server.
        exclude_any: Synthesise also for names that have real IPv6 addresses (``exclude { any; }``).
        forwarders: Resolvers to ask, IPv4 or IPv6; the support node's own when empty.
    """

    by: Literal["bind", "unbound", "existing"] = "bind"
    address: Address6 | None = None
    exclude_any: bool = True
    forwarders: tuple[Resolver, ...] = ()


class Registry(_Model):
    """The registry on the support node."""

    port: int = Field(default=5000, ge=1, le=65535)


class Verify(_Model):
    """What the proof fetches from outside: a URL whose name has an IPv4 address only."""

    outside: str = Field(pattern=r"^http://[^/\s]+(/\S*)?$")


class Lab(_Model):
    """Present when the cluster's machines are containers on this machine."""


class Cluster(_Model):
    """A cluster. ``nodes`` holds those generated for ``workers`` too once the file has been read.

    Attributes:
        runtime: What runs the containers on its nodes; what its release is used to when absent.
        images: Where its nodes take the images of Kubernetes from: the cluster's own registry, which is filled with
            them, or their publishers through NAT64. Executables come from the registry in any case.
        cni: Whose CNI plugins its nodes use: those of the release if it names any, or in any case those of the nodes'
            own distribution. Absent, it is the release's, but for plugins that cannot work with a lab's Docker.
    """

    name: Hostname
    description: str = ""
    release: str
    fabric: Fabric
    uplink: Uplink | None = None
    pods: Pods
    services: Services
    nat64: Nat64
    dns64: Dns64 = Dns64()
    registry: Registry = Registry()
    verify: Verify
    runtime: Runtime | None = None
    images: Literal["registry", "upstream"] = "registry"
    cni: Literal["release", "system"] | None = None
    ssh: Ssh = Ssh()
    nodes: tuple[Node, ...]
    workers: int = Field(default=0, ge=0, le=200)
    lab: Lab | None = None

    @property
    def support(self) -> Node:
        """The NAT64/DNS64 node."""
        return next(node for node in self.nodes if "support" in node.roles)

    @property
    def control_plane(self) -> Node:
        """The how-to's master."""
        return next(node for node in self.nodes if "control-plane" in node.roles)

    @property
    def worker_nodes(self) -> tuple[Node, ...]:
        """The how-to's minions."""
        return tuple(node for node in self.nodes if "worker" in node.roles and "control-plane" not in node.roles)

    @property
    def kubernetes_nodes(self) -> tuple[Node, ...]:
        """Every machine that is a node of Kubernetes."""
        return tuple(node for node in self.nodes if node.in_kubernetes)

    @property
    def translator(self) -> IPv6Address:
        """Next hop of the route to the NAT64 prefix."""
        return self.nat64.address or self.support.address

    @property
    def resolver(self) -> IPv6Address:
        """The DNS64 that every node of Kubernetes asks."""
        return self.dns64.address or self.support.address

    @property
    def existing_servers(self) -> tuple[str, ...]:
        """What of ``NAT64`` and ``DNS64`` is there already and only checked."""
        by = {"DNS64": self.dns64.by, "NAT64": self.nat64.by}
        return tuple(name for name, means in by.items() if means == "existing")

    def node(self, name: str) -> Node:
        """The node called ``name``.

        Raises:
            ConfigError: There is none; the message lists the names there are.
        """
        for node in self.nodes:
            if node.name == name:
                return node
        names = ", ".join(node.name for node in self.nodes)
        raise ConfigError(f"cluster {self.name} has no node {name!r}", todo=f"its nodes are {names}")


def pod_subnet(prefix: IPv6Network, address: IPv6Address) -> IPv6Network:
    """A node's pod subnet: ``prefix``, then the last 16 bits of its address, as a /64.

    Args:
        prefix: The cluster's pod prefix, /16 to /48.
        address: The node's fabric address.
    """
    host_id = int(address) & 0xFFFF
    return IPv6Network((int(prefix.network_address) | host_id << (128 - prefix.prefixlen - 16), 64))


# --- releases/*.yaml -------------------------------------------------------------------------------------


class DebianSource(_Model):
    """A source package of the machine's own Debian archive.

    Attributes:
        package: Source package name.
        version: Exact version; the newest that the archive offers when absent.
    """

    package: str
    version: str | None = None


class Source(_Model):
    """Where the source tree comes from, for a series that does not name remotes of its own."""

    debian: DebianSource


class GoImage(_Model):
    """An image that compiles: with Go, and with bash, gcc and make, which Kubernetes' makefiles call.

    Attributes:
        image: Its name and tag, such as ``golang:1.8.3``; pulled when the engine does not hold it.
    """

    image: ImageReference


class Build(_Model):
    """What a release is compiled from, a tree and the series of patches picked onto it, and what compiles it.

    Attributes:
        series: Name of a file in ``build/series``, or a path.
        source: Which version of the series' source package; absent for the newest that the archive offers, and for
            a series of commits, whose file names its base and its remotes.
        toolchain: What compiles; absent for Debian's Go.
    """

    series: str
    source: Source | None = None
    toolchain: GoImage | None = None


class Download(_Model):
    """A file to download, and what says that it came whole.

    Without ``sha256`` and ``sha256_url`` its publisher gives none: the one of the first download is recorded, and
    enforced from then on.

    Attributes:
        url: Its address.
        sha256: The checksum that it must have.
        sha256_url: Where its publisher gives that checksum.
    """

    url: Url
    sha256: str | None = Field(default=None, pattern=SHA256)
    sha256_url: Url | None = None

    @model_validator(mode="after")
    def _one_checksum(self) -> Self:
        if self.sha256 and self.sha256_url:
            raise ValueError("names both sha256 and sha256_url; the first alone is wanted, it is the stronger")
        return self


class CniPlugins(Download):
    """The archive of CNI plugins as their project publishes it.

    Attributes:
        version: Their version, on which depends what they can do.
    """

    version: str = Field(pattern=r"^[0-9]+\.[0-9]+\.[0-9]+$")


class Fetch(_Model):
    """Where a prebuilt release is downloaded from.

    Attributes:
        binaries: Its executables, by name.
        images: References of its images, with their tags; a name without a registry is one of ``docker.io``. A release
            that is built takes from here those that do not come from Kubernetes' own tree.
    """

    binaries: dict[str, Download] = Field(min_length=1)
    images: tuple[ImageReference, ...] = ()


class ReleaseImages(_Model):
    """Images that are not part of Kubernetes itself.

    Attributes:
        coredns: Tag of CoreDNS's own image; None where the release brings kube-dns.
    """

    coredns: str | None = None


class Release(_Model):
    """A Kubernetes release: what to build it from or where to fetch it, and how it wants to be configured.

    Attributes:
        name: Name of the file and of the release in the store.
        description: For a person.
        kubernetes: The version.
        runtime: What runs the containers on its nodes.
        build: What it is built from.
        fetch: Where it is published.
        cni: The CNI plugins it wants; those that the nodes' own packages bring when absent.
        images: Images that are not part of Kubernetes itself.
    """

    name: str = Field(pattern=r"^[a-z0-9][a-z0-9.-]*$")
    description: str = ""
    kubernetes: KubernetesVersion
    runtime: Runtime = "containerd"
    build: Build | None = None
    fetch: Fetch | None = None
    cni: CniPlugins | None = None
    images: ReleaseImages = ReleaseImages()


# --- reading ---------------------------------------------------------------------------------------------

M = TypeVar("M", bound=BaseModel)


def load_cluster(where: str | Path) -> Cluster:
    """Read and check a cluster file.

    Args:
        where: A path, or the bare name of a file shipped in ``configs/clusters``.

    Raises:
        ConfigError: The file cannot be read or cannot be right.
    """
    path = _find(where, "clusters")
    cluster = _parse(path, Cluster)
    cluster = cluster.model_copy(update={"nodes": (*_with_pod_subnets(cluster, _all_nodes(cluster)),)})
    _check_cluster(path, cluster)
    return cluster


def load_release(where: str | Path) -> Release:
    """Read and check a release file.

    Args:
        where: A path, or the bare name of a file shipped in ``configs/releases``.

    Raises:
        ConfigError: The file cannot be read or cannot be right.
    """
    path = _find(where, "releases")
    release = _parse(path, Release)
    if release.build is None and release.fetch is None:
        raise ConfigError(f"{path}: has neither build nor fetch", todo="say what to build it from or where to fetch it")
    return release


def shipped(kind: Literal["clusters", "releases"]) -> tuple[str, ...]:
    """Names of the files shipped in ``configs/clusters`` or ``configs/releases``."""
    return tuple(sorted(path.stem for path in (CONFIGS / kind).glob("*.yaml")))


def _find(where: str | Path, kind: Literal["clusters", "releases"]) -> Path:
    path = Path(where)
    if path.suffix in (".yaml", ".yml") or len(path.parts) > 1:
        return path
    found = CONFIGS / kind / f"{where}.yaml"
    if not found.exists():
        known = ", ".join(shipped(kind))
        raise ConfigError(f"there is no {kind[:-1]} called {where}", todo=f"name a file, or one of: {known}")
    return found


def _parse(path: Path, model: type[M]) -> M:
    try:
        text = path.read_text(encoding="utf-8")
    except OSError as error:
        raise ConfigError(f"{path}: cannot be read: {error.strerror}", todo="check the path") from None
    except UnicodeDecodeError:
        raise ConfigError(f"{path}: is not text (UTF-8)", todo="a YAML file is wanted") from None
    try:
        data = yaml.safe_load(text)
    except yaml.MarkedYAMLError as error:
        line = f"line {error.problem_mark.line + 1}" if error.problem_mark else "somewhere"
        raise ConfigError(f"{path}: is not YAML: {line}: {error.problem}", todo="mend that line") from None
    except yaml.YAMLError as error:
        raise ConfigError(f"{path}: is not YAML: {error}".replace("\n", " "), todo="mend the file") from None
    if data is None:
        raise ConfigError(f"{path}: is empty", todo="start from configs/clusters/bare-metal.yaml")
    if not isinstance(data, dict):
        raise ConfigError(f"{path}: holds a {type(data).__name__}", todo="a mapping with keys such as name: is wanted")
    try:
        return model.model_validate(data)
    except ValidationError as error:
        lines = [_explain(model, detail) for detail in error.errors()]
        raise ConfigError(f"{path}: " + "; ".join(lines)) from None


def _explain(model: type[BaseModel], detail: ErrorDetails) -> str:
    where = _field_path(detail["loc"])
    seen = detail["input"]
    if detail["type"] == "missing":
        return f"{where}: is missing"
    if detail["type"] == "extra_forbidden":
        return f"{where}: no such key; known here: {', '.join(_known_keys(model, detail['loc'][:-1]))}"
    if detail["type"] == "value_error":
        return f"{where}: {seen!r} {detail['ctx']['error']}"
    return f"{where}: {seen!r}: {detail['msg'][0].lower()}{detail['msg'][1:]}"


def _field_path(location: Iterable[str | int]) -> str:
    path = ""
    for part in location:
        path += f"[{part}]" if isinstance(part, int) else f".{part}" if path else str(part)
    return path


def _known_keys(model: type[BaseModel], location: Iterable[str | int]) -> list[str]:
    """The keys allowed at ``location``, found by walking the model's annotations."""
    current: Any = model
    for part in location:
        # A number is an item of a list; a name that is no field is a key of a mapping.
        if hasattr(current, "model_fields") and part in current.model_fields:
            current = _model_in(current.model_fields[part].annotation)
    return list(current.model_fields) if hasattr(current, "model_fields") else []


def _model_in(annotation: Any) -> Any:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    for inner in getattr(annotation, "__args__", ()):
        if (found := _model_in(inner)) is not None:
            return found
    return None


def _all_nodes(cluster: Cluster) -> tuple[Node, ...]:
    """The nodes listed, then ``kube-worker-1`` and so on, ``workers`` of them, at ``::101`` and following."""
    base = int(cluster.fabric.subnet.network_address) + 0x100
    generated = (
        Node.model_validate(
            {"name": f"kube-worker-{number}", "roles": ["worker"], "address": str(IPv6Address(base + number))}
        )
        for number in range(1, cluster.workers + 1)
    )
    return (*cluster.nodes, *generated)


def _with_pod_subnets(cluster: Cluster, nodes: Iterable[Node]) -> Iterable[Node]:
    for node in nodes:
        if node.in_kubernetes and node.pod_subnet is None and 16 <= cluster.pods.prefix.prefixlen <= 48:
            yield node.model_copy(update={"pod_subnet": pod_subnet(cluster.pods.prefix, node.address)})
        else:
            yield node


def _check_cluster(path: Path, cluster: Cluster) -> None:
    """Refuse a topology that cannot work. Each rule names the field, the value and what would be right."""
    problems: list[str] = []
    nodes = cluster.nodes
    for field in ("name", "address", "pod_subnet"):
        values = [str(getattr(node, field) or "") for node in nodes]
        for value in sorted({value for value in values if value and values.count(value) > 1}):
            where = ", ".join(f"nodes[{index}]" for index, other in enumerate(values) if other == value)
            owners = ", ".join(node.name for node, other in zip(nodes, values, strict=True) if other == value)
            problems.append(f"{where}: {field} {value} is used twice ({owners}); each node needs its own")
    for role, wanted in (("support", "exactly one"), ("control-plane", "exactly one")):
        holders = [node.name for node in nodes if role in node.roles]
        if len(holders) != 1:
            seen = f"{len(holders)} nodes ({', '.join(holders)})" if holders else "no node"
            problems.append(f"nodes: {seen} with the role {role}; {wanted} is wanted")
    for index, node in enumerate(nodes):
        where = f"nodes[{index}] ({node.name})"
        if len(set(node.roles)) != len(node.roles):
            problems.append(f"{where}.roles: a role is named twice")
        if "support" in node.roles and node.in_kubernetes:
            problems.append(f"{where}.roles: the support node stands outside Kubernetes; give it a machine of its own")
        if node.address not in cluster.fabric.subnet:
            problems.append(f"{where}.address: {node.address} is outside fabric.subnet {cluster.fabric.subnet}")
        elif node.address == cluster.fabric.subnet.network_address:
            problems.append(f"{where}.address: {node.address} is the subnet's own (router anycast) address")
        if node.pod_subnet and node.pod_subnet.prefixlen > 112:
            problems.append(f"{where}.pod_subnet: {node.pod_subnet} is too small; a /64 is usual, /112 the least")
    if not 108 <= cluster.services.subnet.prefixlen <= 120:
        problems.append(
            f"services.subnet: {cluster.services.subnet} has length /{cluster.services.subnet.prefixlen}; "
            "/108 to /120 is wanted: API servers refuse more than 20 host bits"
        )
    if not 16 <= cluster.pods.prefix.prefixlen <= 48:
        problems.append(
            f"pods.prefix: {cluster.pods.prefix} has length /{cluster.pods.prefix.prefixlen}; /16 to /48 is wanted"
        )
    problems += translation_problems(cluster)
    problems += (*_uplink(cluster), *_uplink_addresses(cluster, nodes))
    problems += _overlaps(cluster)
    if problems:
        raise ConfigError(f"{path}: " + "; ".join(problems))


def _uplink(cluster: Cluster) -> Iterable[str]:
    if (uplink := cluster.uplink) is None:
        return
    if uplink.interface == cluster.fabric.interface:
        yield f"uplink.interface: {uplink.interface} is the fabric's; another interface is wanted"
    if uplink.addressing == "slaac" and (uplink.subnet or uplink.gateway):
        yield "uplink: with slaac the routers say subnet and gateway; leave both out, or let addressing be static"
    if uplink.addressing == "static" and uplink.subnet is None:
        yield "uplink.subnet: is missing; static addresses are in one, such as 2001:db8:1::/64"
    if uplink.subnet and uplink.gateway and uplink.gateway not in uplink.subnet and not uplink.gateway.is_link_local:
        yield f"uplink.gateway: {uplink.gateway} is neither in uplink.subnet {uplink.subnet} nor link-local"


def _uplink_addresses(cluster: Cluster, nodes: Iterable[Node]) -> Iterable[str]:
    static = cluster.uplink is not None and cluster.uplink.addressing == "static"
    subnet = cluster.uplink.subnet if cluster.uplink else None
    taken: dict[IPv6Address, str] = {}
    for index, node in enumerate(nodes):
        where, address = f"nodes[{index}] ({node.name}).uplink_address", node.uplink_address
        if address is None:
            if static:
                yield f"{where}: is missing; uplink.addressing is static"
        elif not static:
            yield f"{where}: {address} has no uplink to be on whose addressing is static"
        elif subnet and address not in subnet:
            yield f"{where}: {address} is outside uplink.subnet {subnet}"
        elif address in taken:
            yield f"{where}: {address} is used twice, by {taken[address]} too"
        else:
            taken[address] = node.name


def _overlaps(cluster: Cluster) -> list[str]:
    subnets = [
        ("fabric.subnet", cluster.fabric.subnet),
        *([("uplink.subnet", cluster.uplink.subnet)] if cluster.uplink and cluster.uplink.subnet else []),
        ("services.subnet", cluster.services.subnet),
        ("nat64.prefix", cluster.nat64.prefix),
        *((f"pod_subnet of {node.name}", node.pod_subnet) for node in cluster.nodes if node.pod_subnet),
    ]
    return [
        f"{name}: {subnet} overlaps {other_name} {other}; they must be apart"
        for index, (name, subnet) in enumerate(subnets)
        for other_name, other in subnets[:index]
        if subnet.overlaps(other) and not ("pod_subnet" in name and subnet == other)
    ]
