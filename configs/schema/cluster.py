"""The typed form of a cluster: its machines and networks, and what is to run there."""

from __future__ import annotations

from ipaddress import IPv4Network, IPv6Address, IPv6Network
from typing import Literal

from pydantic import Field, field_validator

from configs.errors import ConfigError
from configs.plan.versions import KubeProxyMode, Runtime
from configs.schema.field_types import (
    Address6,
    Domain,
    FilePath,
    Gateway6,
    Hostname,
    Interface,
    Model,
    Network6,
    OutsideUrl,
    Pool4,
    Resolver,
    SshHost,
    SshUser,
    TranslationPrefix,
)

Role = Literal["support", "control-plane", "worker"]
LabNetworking = Literal["networkd", "ifupdown", "netplan", "networkmanager"]
"""What may configure the interfaces of a lab's machines: what Debian has packages of."""
API_PORT = 6443
"""Where an API server listens (kubeadm's ``bindPort``)."""
LabDebian = Literal["bookworm", "trixie"]
"""Which Debian a lab's machines may have: 12 and 13."""


class ClusterSsh(Model):
    """How the controller reaches the machines. Passwords come from the environment or a file, never from here.

    What is absent is as the user's ``~/.ssh/config`` says of the host, and then as described here.

    Attributes:
        port: TCP port; 22 when absent.
        user: Login, root when absent; anyone but root needs sudo.
        key_file: Private key; the agent's and the user's own keys when absent.
        known_hosts: File of accepted host keys; the user's own when absent.
    """

    port: int | None = Field(default=None, ge=1, le=65535, examples=[2222])
    user: SshUser | None = Field(default=None, examples=["admin"])
    key_file: FilePath | None = Field(default=None, examples=["~/.ssh/id_ed25519"])
    known_hosts: FilePath | None = Field(default=None, examples=["~/.ssh/known_hosts"])


class Ssh(ClusterSsh):
    """How the controller reaches one machine: the same settings, and where it is.

    Attributes:
        host: Address, name, or a ``Host`` of ``~/.ssh/config``; the node's own fabric address when absent.
    """

    host: SshHost | None = Field(default=None, examples=["rack-1-worker-1.example.org"])

    def over(self, base: ClusterSsh) -> Ssh:
        """These settings, with ``base`` where one is absent here."""
        return Ssh(**{**base.model_dump(exclude_none=True), **self.model_dump(exclude_none=True)})


class Node(Model):
    """One machine.

    Attributes:
        name: Host name; also its name in Kubernetes.
        roles: What it does. One machine is ``support`` (NAT64, DNS64 and the registry, outside Kubernetes), one is the
            ``control-plane``, or three or five are with an ``endpoint``, the others are ``worker``.
        address: Its address on the fabric, inside ``fabric.subnet``.
        pod_subnet: Subnet of its pods, at least a /112, within ``pods.prefix``; derived from that and the address when
            absent.
        uplink_address: Its address on the uplink, where these are static.
        ssh: What differs from the cluster's own ssh settings.
    """

    name: Hostname
    roles: tuple[Role, ...] = Field(min_length=1, examples=[["worker"]])
    address: Address6
    pod_subnet: Network6 | None = Field(default=None, examples=["fd00:100::/64"])
    uplink_address: Address6 | None = Field(default=None, examples=["2001:db8:1::100"])
    ssh: Ssh = Ssh()

    @property
    def in_kubernetes(self) -> bool:
        """True when this machine is a node of Kubernetes, as opposed to a support node only."""
        return "control-plane" in self.roles or "worker" in self.roles


LEAST_MTU, LARGEST_MTU = 1280, 65535
"""Bytes: IPv6 wants the former of every link (RFC 8200, section 5), and its length field ends at the latter."""


class Fabric(Model):
    """The cluster's IPv6 network (the how-to's eth1), on which kubev6 gives the machines their addresses.

    Attributes:
        interface: Its interface, of the same name on every machine.
        subnet: Its prefix, in which every node has its address.
        mtu: Bytes of the largest packet on its links. A machine whose interface has another is refused, and a lab is
            made so. Where it is absent, the pods of each machine have what its interface has.
    """

    interface: Interface = "eth1"
    subnet: Network6
    mtu: int | None = Field(default=None, ge=LEAST_MTU, le=LARGEST_MTU, examples=[9000])


class Uplink(Model):
    """A second network on which the nodes have IPv6 addresses to be reached by (the how-to's eth2).

    Attributes:
        interface: Its interface.
        addressing: ``slaac`` when addresses and default route come from router advertisements (RFC 4862).
        subnet: Where the nodes' static addresses are; absent with ``slaac``.
        gateway: Next hop of the default route that goes with static addresses; none when absent.
    """

    interface: Interface = Field(default="eth2", examples=["eth2"])
    addressing: Literal["slaac", "static"] = "slaac"
    subnet: Network6 | None = Field(default=None, examples=["2001:db8:1::/64"])
    gateway: Gateway6 | None = Field(default=None, examples=["fe80::1"])


class Pods(Model):
    """Addresses of pods.

    Attributes:
        prefix: The prefix of all pods. A node's pod subnet is the /64 in which the last 16 bits of the node's address
            follow the prefix: ``fd00::/16`` and ``fd00::101`` give ``fd00:101::/64``. So it is a /16 to /48, or has
            any length where every node of Kubernetes names its ``pod_subnet``.
        masquerade: Whether pods leave their node under its address (CNI ``ipMasq``).
    """

    prefix: Network6 = Field(examples=["fd00::/16"])
    masquerade: bool = False


class Services(Model):
    """Addresses and names of Services.

    Attributes:
        subnet: Their addresses: /108 to /120, since API servers refuse more than 20 host bits. It is apart from every
            other prefix.
        domain: The domain of their names.
    """

    subnet: Network6 = Field(examples=["fd00:1234::/110"])
    domain: Domain = "cluster.local"


class Nat64(Model):
    """The translator that carries the cluster to IPv4 destinations.

    Attributes:
        prefix: Prefix that embeds IPv4 addresses: a /32, /40, /48, /56, /64 or /96 (RFC 6052). The well-known
            ``64:ff9b::/96`` must not carry private IPv4 addresses (RFC 6052, 3.1); a prefix of ULA may.
        by: What translates on the support node; ``existing`` for a translator that is there already and only checked.
        pool: IPv4 addresses that stand for IPv6 sources, for tayga; at least as many as there are sources within two
            hours, so long does it keep one after its source was last heard. They never leave the node. The default is
            of the range for measurements (RFC 2544, C.2.2), which no network uses that has to be reached.
        address: Address on the fabric of an existing translator, which must route the pod subnets back.
    """

    prefix: TranslationPrefix = Field(examples=["64:ff9b::/96"])
    by: Literal["tayga", "jool", "existing"] = "tayga"
    pool: Pool4 = IPv4Network("198.18.0.0/16")
    address: Address6 | None = Field(default=None, examples=["fd00::64"])


class Dns64(Model):
    """The resolver that gives names with IPv4 addresses only an address inside the NAT64 prefix.

    Attributes:
        by: What answers on the support node; ``existing`` for a server that is there already and only checked.
        address: Address of an existing server, which must answer nodes and pods.
        exclude_any: Synthesise also for names that have real IPv6 addresses (``exclude { any; }``).
        forwarders: Resolvers to ask, IPv4 or IPv6; the support node's own when empty.
    """

    by: Literal["bind", "unbound", "existing"] = "bind"
    address: Address6 | None = Field(default=None, examples=["fd00::53"])
    exclude_any: bool = True
    forwarders: tuple[Resolver, ...] = Field(default=(), examples=[["2620:fe::fe", "9.9.9.9"]])


class Endpoint(Model):
    """Where the API of a cluster is that has several control planes, or is to have some.

    A cluster keeps what it was made with: every certificate and kubeconfig in it goes by that.

    Attributes:
        name: Its name, which the API servers' certificates hold, and ``/etc/hosts`` of every machine.
        address: Its address. keepalived holds one of the fabric that no machine has, on a control plane that answers.
        by: What brings it to a control plane; ``existing`` for a load balancer that is there already.
        port: Where an existing load balancer listens.
    """

    name: Domain = Field(examples=["api.rack-1"])
    address: Address6 = Field(examples=["fd00::6443"])
    by: Literal["keepalived", "existing"] = "keepalived"
    port: int = Field(default=API_PORT, ge=1, le=65535)


class Registry(Model):
    """The registry on the support node, from which the nodes get executables and images.

    Attributes:
        port: Where it listens.
    """

    port: int = Field(default=5000, ge=1, le=65535)


class Verify(Model):
    """How the finished cluster is proved.

    Attributes:
        outside: What the proof fetches from outside: a URL whose name has an IPv4 address only, or any with
            ``dns64.exclude_any``.
    """

    outside: OutsideUrl


class KubeProxy(Model):
    """What carries Services on the nodes.

    Attributes:
        mode: By what: ``nftables`` for Kubernetes 1.31 and newer on kernels from 5.13 on, ``ipvs`` from 1.11 on.
    """

    mode: KubeProxyMode = Field(default="iptables", examples=["nftables"])


class Cni(Model):
    """What connects pods.

    Attributes:
        by: ``bridge`` for a bridge on each node and static routes between nodes; ``manifests`` for a CNI that
            ``manifests`` install; ``none`` for one that a person installs when the nodes are there, which are not Ready
            until then. For these two every node's ``spec.podCIDR`` is its pod subnet.
        manifests: Files of Kubernetes' objects, or directories of them, that are applied in this order; a relative path
            begins at the directory of this file.
        plugins: Whose plugins the nodes have: those of the release if it names any, or in any case those of the nodes'
            own distribution. Absent, it is the release's, but for plugins that cannot work with a lab's Docker.
    """

    by: Literal["bridge", "manifests", "none"] = Field(default="bridge", examples=["manifests"])
    manifests: tuple[FilePath, ...] = Field(default=(), examples=[["cni.yaml"]])
    plugins: Literal["release", "system"] | None = Field(default=None, examples=["system"])


class Lab(Model):
    """Present, though empty, when the cluster's machines are containers on this machine.

    Attributes:
        networking: What configures the interfaces of its machines, as on a machine of one's own.
        debian: Which Debian they have.
        containerd: ``"2"`` for a containerd 2 of a newer Debian on its nodes; absent, they have their own Debian's.
    """

    networking: LabNetworking = Field(default="networkd", examples=["netplan"])
    debian: LabDebian = Field(default="bookworm", examples=["trixie"])
    containerd: Literal["2"] | None = Field(default=None, examples=["2"])


class Cluster(Model):
    """A cluster: its machines, its networks, and what is to run there.

    Attributes:
        name: Its name, which labels, locks and the kubeconfig carry.
        description: For a person.
        release: What it runs: the name of a shipped release, or the path of a release file; a relative one begins at
            the directory of this file.
        fabric: Its own IPv6 network.
        uplink: A second network, by whose addresses its nodes are reached from outside.
        pods: Addresses of its pods.
        services: Addresses and names of its Services.
        kube_proxy: What carries its Services on the nodes.
        nat64: What carries it to IPv4 destinations.
        dns64: What resolves names for it.
        registry: Where its nodes get executables and images.
        endpoint: Where its API is when it has several control planes, or is to have some; absent, it is at the only
            one's own address.
        verify: How it is proved.
        ssh: How its machines are reached; any of it can stand under a node too, and ``host`` only there.
        nodes: Its machines. Once the file has been read, those generated for ``workers`` too.
        workers: How many more workers there are, called ``kube-worker-1`` and so on, at ``::101`` and following.
        cgroup_v1: Whether its kubelets run on machines with cgroup v1 too, which Kubernetes refuses from 1.35 on unless
            told (``failCgroupV1``). A lab's do in any case.
        lab: Present, though empty (``{}``), when its machines are containers on this machine.
        runtime: What runs the containers on its nodes; what its release is used to when absent.
        images: Where its nodes take the images of Kubernetes from: the cluster's own registry, which is filled with
            them, or their publishers through NAT64. Executables come from the registry in any case.
        cni: What connects its pods.
    """

    name: Hostname = Field(examples=["rack-1"])
    description: str = Field(default="", examples=["A rack in the lab"])
    release: FilePath = Field(examples=["debian-1.20"])
    fabric: Fabric
    uplink: Uplink | None = None
    pods: Pods
    services: Services
    kube_proxy: KubeProxy = KubeProxy()
    nat64: Nat64
    dns64: Dns64 = Dns64()
    registry: Registry = Registry()
    endpoint: Endpoint | None = None
    verify: Verify
    runtime: Runtime | None = Field(default=None, examples=["docker"])
    images: Literal["registry", "upstream"] = "registry"
    cni: Cni = Cni()
    ssh: ClusterSsh = ClusterSsh()
    nodes: tuple[Node, ...]
    workers: int = Field(default=0, ge=0, le=200, examples=[2])
    cgroup_v1: bool = False
    lab: Lab | None = None

    @field_validator("cni", mode="before")
    @classmethod
    def _cni_by_plugins_alone(cls, value: object) -> object:
        """As files of 0.1 say it, for one version more: ``cni: system``."""
        return {"plugins": value} if isinstance(value, str) else value

    @property
    def support(self) -> Node:
        """The NAT64/DNS64 node."""
        return next(node for node in self.nodes if "support" in node.roles)

    @property
    def control_plane(self) -> Node:
        """The how-to's master; of several control planes the first in the file, by which a new cluster begins."""
        return self.control_planes[0]

    @property
    def control_planes(self) -> tuple[Node, ...]:
        """All control planes, in the order of the file."""
        return tuple(node for node in self.nodes if "control-plane" in node.roles)

    @property
    def api(self) -> tuple[IPv6Address, int]:
        """Address and port by which everything in the cluster finds its API."""
        if self.endpoint:
            return self.endpoint.address, self.endpoint.port
        return self.control_plane.address, API_PORT

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
