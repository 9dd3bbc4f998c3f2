"""Host facts: what a machine says of itself before anything is planned for it."""

from __future__ import annotations

import base64
import re
import time
from collections.abc import Mapping
from ipaddress import IPv6Address, ip_address
from pathlib import Path
from types import MappingProxyType
from typing import Literal

from configs.membership import Identity, Membership
from configs.plan.jool import jool_of
from configs.plan.kernel import Kernel
from configs.plan.systems import Machine, Networking, Unasked, systems
from configs.plan.versions import Runtime
from tasks import bounded
from tasks.node import network_files
from tasks.node.network_files import ifupdown, netplan, network_scripts, networkd
from tasks.node.network_files.links import links_of
from tasks.node.packet_filters import packet_filters
from tasks.node.sysctl_files import sysctl_lines
from tasks.node_agent import ip
from tasks.ssh.connection import Connection

SCRIPT = Path(__file__).with_suffix(".sh").read_text()

RULES = ("active", "enabled", "enabled-runtime")
"""Words of systemctl(1) for a unit that runs now or at the next start."""


def ask(connection: Connection, runtime: Runtime | Unasked = "") -> Machine:
    """What a machine says of itself, in one round trip. Changes nothing there.

    One that kubev6 has changed before remembers until its next start what versions its programs said they are.

    Args:
        connection: To the machine.
        runtime: What is to run the containers of a node of Kubernetes.

    Raises:
        NodeError: The machine could not be asked.
    """
    # Which of them is its own package is only known when it has said which system it is.
    packages = sorted({system.packages[runtime] for system in systems() if runtime in system.packages})
    about = [runtime, *packages] if runtime else []
    asked = time.time()
    return parse(connection.run(["sh", "-c", SCRIPT, "host-facts", *about], step="host facts").stdout, asked)


def parse(text: str, asked: float = 0.0) -> Machine:
    """The machine that gave an answer. Pure.

    Args:
        text: The answer: for each question a line ``=== NAME``, and lines below it.
        asked: When it was asked, in seconds since 1970 by the clock here.
    """
    said = _sections(text)
    clock = said.get("clock", "").strip()
    release = assignments(said.get("release", ""))
    units = _units(said.get("units", ""))
    networking = _networking(units, netplan.is_there(said.get("netplan", "")))
    shown = said.get("interfaces", "")
    links = links_of(shown, said.get("drivers", ""))
    return Machine(
        os=release.get("ID", ""),
        version=release.get("VERSION_ID", ""),
        networking=networking,
        beside=_beside(units, networking),
        interfaces=tuple(name for name, _ in ip.links_of(shown)),
        details=network_files.interfaces(said, links, networking),
        claims=network_files.claims(said, links, networking),
        not_listening=tuple(ifupdown.not_listening(said.get("ifupdown", ""), links)),
        renames=tuple(networkd.renames(said.get("renames", ""), links)),
        unmanaged=tuple(said.get("unmanaged", "").split()),
        sources=tuple(ifupdown.sources(said.get("ifupdown", ""))),
        dhcp=networkd.asking(said.get("networkd", "")) if networking == "networkd" else (),
        definitions=netplan.definitions(said.get("netplan", "")) if networking == "netplan" else (),
        ssh_ipv4=_ssh_ipv4(said.get("ssh", "")),
        advertised=_advertised(said.get("advertised", "")),
        ssh_advertised=_ssh_advertised(said.get("ssh", ""), said.get("advertised", "")),
        sysctl_lines=sysctl_lines(said.get("sysctl", "")),
        resolvers=resolvers(said.get("resolvers", ""), dict(re.findall(r"(?m)^(\d+): ([^:@\s]+)", shown))),
        resolver_scripts=tuple(network_scripts.with_resolvers(said.get("network-scripts", ""))),
        writers=tuple(said.get("writers", "").split()),
        resolved="active" in units.get("systemd-resolved", ()),
        networkmanager=_rules(units, "NetworkManager"),
        firewalld=_rules(units, "firewalld"),
        zones=tuple(re.findall(r"""(?m)^([^:\n]+):.*\bname\s*=\s*["']([^"'\n]+)""", said.get("firewalld-zones", ""))),
        filters=packet_filters(said, firewalld=_rules(units, "firewalld")),
        jool=jool_of(assignments(said.get("jool", ""))),
        registry_certificate="".join(f"{line}\n" for line in said.get("registry-certificate", "").splitlines()),
        kernel=_kernel(said),
        runtime=_version(said.get("runtime", "")),
        packages=_packages(said.get("packages", "")),
        runtime_in_use=_runtime_in_use(said.get("kubelet", "")),
        iptables=_iptables(said.get("iptables", "")),
        identity=_identity(said.get("identity", "")),
        membership=_membership(said.get("kubernetes", ""), said.get("record", "")),
        python="python3" in said.get("python", ""),
        ahead=int(clock) - round(asked) if clock.isdigit() and asked else None,
    )


def assignments(text: str) -> dict[str, str]:
    """The assignments of os-release(5), without their quotes; other lines are left out."""
    lines = (line.partition("=") for line in text.splitlines())
    return {key: value.strip().strip("\"'") for key, equals, value in lines if equals and key.isidentifier()}


def resolvers(text: str, names: Mapping[str, str] = MappingProxyType({})) -> tuple[str, ...]:
    """The addresses of the ``nameserver`` lines of a resolv.conf (resolv.conf(5)), in order.

    A link-local address is none without its interface (RFC 4007, 11), which is told by its name: systemd-resolved
    writes a number, and that is another one after the next start. What names no interface is left out, and so is
    what is no machine's address; one of IPv4 that is written as one of IPv6 is told as what it is.

    Args:
        text: The file's content.
        names: The interfaces' names by their numbers.
    """
    found = []
    for line in text.splitlines():
        words = line.split()
        if len(words) < 2 or words[0] != "nameserver":
            continue
        address, _, scope = words[1].partition("%")
        try:
            parsed = ip_address(address)
        except ValueError:
            continue
        parsed = (isinstance(parsed, IPv6Address) and parsed.ipv4_mapped) or parsed
        if parsed.is_unspecified or parsed.is_multicast:
            continue
        scope = names.get(scope, "" if scope.isdigit() else scope)
        if not parsed.is_link_local or parsed.version == 4:
            found.append(str(parsed))
        elif scope:
            found.append(f"{parsed}%{scope}")
    return tuple(dict.fromkeys(found))


def _sections(text: str) -> dict[str, str]:
    found: dict[str, str] = {}
    for part in ("\n" + text).split("\n=== ")[1:]:
        name, _, lines = part.partition("\n")
        found[name.strip()] = lines
    return found


def _units(text: str) -> dict[str, tuple[str, ...]]:
    return {words[0]: tuple(words[1:]) for line in text.splitlines() if (words := line.split())}


def _rules(units: Mapping[str, tuple[str, ...]], unit: str) -> bool:
    return any(word in RULES for word in units.get(unit, ()))


def _networking(units: Mapping[str, tuple[str, ...]], has_netplan: bool) -> Networking | Unasked:
    """What configures interfaces. What stands further up makes or overrules the configuration of what comes later.

    netplan writes for networkd or NetworkManager; the network scripts tell NetworkManager to keep off; NetworkManager
    and networkd run beside ifupdown where somebody chose them over it.
    """
    if has_netplan:
        return "netplan"
    if _rules(units, "network"):
        return "network-scripts"
    if _rules(units, "NetworkManager"):
        return "networkmanager"
    if _rules(units, "systemd-networkd"):
        return "networkd"
    return "ifupdown" if _rules(units, "networking") else ""


def _beside(units: Mapping[str, tuple[str, ...]], networking: Networking | Unasked) -> tuple[Networking, ...]:
    """What runs of those that go by files of their own, whatever else configures interfaces."""
    found: list[Networking] = []
    if networking not in ("networkd", "netplan") and _rules(units, "systemd-networkd"):
        found.append("networkd")
    if networking != "ifupdown" and _rules(units, "networking"):
        found.append("ifupdown")
    return tuple(found)


def _ssh_ipv4(text: str) -> str:
    """The interface that has the IPv4 address by which SSH came in."""
    connection, _, shown = text.partition("\n")
    words = connection.replace("::ffff:", "").split()
    here = words[2] if len(words) == 4 else ""
    for interface, address, _ in ip.addresses_of(shown):
        if address.split("/")[0] == here:
            return interface
    return ""


def _ssh_advertised(text: str, advertised: str) -> str:
    """The interface of SSH, when its address there, or its route to the other end, is an advertised one."""
    here = dict(enumerate(text.partition("\n")[0].split())).get(2, "")
    if found := re.search(r"(?m)^route .*\bdev (\S+).* proto ra\b", text):
        return found[1]
    return next((name for name, address, _ in ip.addresses_of(advertised) if address.split("/")[0] == here), "")


def _advertised(text: str) -> tuple[str, ...]:
    """The interfaces on which the kernel has to go on listening to router advertisements."""
    found = dict.fromkeys(re.findall(r"(?m)^/proc/sys/net/ipv6/conf/(.+)/accept_ra:", text), False)
    for line in text.splitlines():
        routes, ours = re.findall(r"\bdev (\S+)", line), re.match(r"net\.ipv6\.conf\.(\S+)\.accept_ra", line)
        names = (*routes, ours and ours[1].replace("/", "."), *(each[0] for each in ip.addresses_of(line)))
        found |= {name: True for name in names if name in found}
    return tuple(name for name, listens in found.items() if listens)


def _kernel(said: Mapping[str, str]) -> Kernel:
    values = assignments(said.get("kernel", ""))
    swaps = said.get("swaps", "").splitlines()[1:]
    return Kernel(
        processor=values.get("PROCESSOR", "unknown"),
        memory=int(values.get("MEMORY", "0 kB").removesuffix(" kB")) * 1024,
        cgroup=int(values.get("CGROUP", "1")),
        ipv6="IPV6" in values,
        lacking=tuple(said.get("lacking", "").split()),
        without_ipv6=tuple(re.findall(r"conf/(.+)/disable_ipv6", said.get("without-ipv6", ""))),
        ipv6_off=tuple(" ".join(line.split()) for line in said.get("ipv6-off", "").splitlines()),
        swaps=tuple(line.split()[0] for line in swaps if line.strip()),
        release=values.get("RELEASE", "0"),
    )


def _version(text: str) -> str:
    """The first two numbers of a runtime's version, of what it says itself."""
    found = re.search(r"(?:version|containerd\S*) v?(\d+\.\d+)", text)
    return found[1] if found else ""


def _packages(text: str) -> tuple[tuple[str, str], ...]:
    """Name and version of packages, from lines that alternate; without the epoch, and the first of each."""
    found = re.findall(r"(?m)^(\S+)\n(?:\d+:)?(\d+\.\d+)", text)
    return tuple(dict(reversed(found)).items())


def _runtime_in_use(text: str) -> Runtime | Unasked:
    """What kubeadm has told the kubelet to speak to."""
    if "containerd.sock" in text:
        return "containerd"
    return "docker" if "network-plugin=cni" in text else ""


def _iptables(text: str) -> Literal["nft", "legacy"] | Unasked:
    if not text.startswith("iptables v"):
        return ""
    return "nft" if "nf_tables" in text else "legacy"


def _identity(text: str) -> str:
    """The kernel's boot and the network that the machine is in, when it says both."""
    words = text.split()
    return " ".join(words) if len(words) == 2 else ""


def _membership(kubernetes: str, record: str) -> Membership:
    said: dict[str, list[str]] = {}
    for line in kubernetes.splitlines():
        key, _, value = line.partition(" ")
        said.setdefault(key, []).append(value.strip())
    authorities = (_certificate(text) for text in said.get("authority", ()))
    return Membership(
        recorded=_recorded(record),
        server=next(iter(said.get("server", ())), ""),
        is_node="node" in said,
        is_control_plane="control-plane" in said,
        authorities=frozenset(filter(None, authorities)),
        static_pods=tuple(_image(line) for line in said.get("image", ())),
        version=" ".join(said.get("node", ())).removeprefix("Kubernetes").strip(),
        cni=tuple(said.get("cni", ())),
        pods=tuple(said.get("pod", ())),
        **{each: said.get(each, [""])[0].strip("\"'") for each in ("address", "domain", "services")},
    )


def _image(line: str) -> tuple[str, str]:
    """A static pod and the image of its container, of which kubeadm gives each one."""
    pod, _, image = line.partition(" ")
    return pod, image.strip().strip("'\"")


def _certificate(text: str) -> str:
    """The first certificate of a PEM file (RFC 7468) that is told as base64: what is between its marks."""
    try:
        pem = base64.b64decode(text).decode("ascii", "replace")
    except ValueError:
        return ""
    found = re.search("-----BEGIN CERTIFICATE-----(.*?)-----END CERTIFICATE-----", pem, re.DOTALL)
    return "".join(found[1].split()) if found else ""


def _recorded(text: str) -> Identity | None:
    """The cluster that kubev6's record on the machine names. One that is damaged is told when it is needed."""
    try:
        named = bounded.parsed(text)["cluster"]
        return Identity(str(named["name"]), str(named["server"]))
    except (ValueError, KeyError, TypeError):
        return None
