"""What a machine's site has configured before kubev6 comes, in the words of each networking tool."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from configs.schema.cluster import LabNetworking
from tests.racks.rack import GATEWAY, MACS, SITE_PREFIX, VLAN, Addressing

Fabric = Literal["plain", "bond", "VLAN", "bridge"]
Claimed = Literal["name", "glob", "MAC", "driver", "type"]
Uplinks = Literal["none", "slaac", "static"]
Files = Mapping[str, tuple[int, str]]

SITE, FIRST, SECOND, UPLINK = "ens3", "ens4", "ens5", "ens6"
"""The machine's cards: for SSH, two of the fabric, and the uplink."""
FABRICS: dict[Fabric, str] = {"plain": FIRST, "bond": "bond0", "VLAN": f"{FIRST}.{VLAN}", "bridge": "br0"}
"""The interface that the cluster file names as the fabric's."""
STATIC = f"{SITE_PREFIX}20/64"


@dataclass(frozen=True, slots=True)
class Case:
    """A machine and its network.

    Attributes:
        tool: What configures its interfaces.
        fabric: What the fabric's interface is.
        addressing: By what the interface of SSH has its address.
        claimed: By what the site's file is about that interface.
        uplink: The addresses of the cluster file's uplink, on a card of its own.
    """

    tool: LabNetworking
    fabric: Fabric
    addressing: Addressing
    claimed: Claimed
    uplink: Uplinks

    def __str__(self) -> str:
        return f"{self.tool}-{self.fabric}-{self.addressing}-{self.claimed}-{self.uplink}".replace("_", "-")

    @property
    def title(self) -> str:
        """The same in words, for docs/racks.md."""
        by = {"dhcp4": "DHCPv4", "dhcp6": "DHCPv6", "both": "DHCPv4 and DHCPv6", "slaac": "SLAAC"}
        words = (by.get(self.addressing, self.addressing), self.claimed, by.get(self.uplink, self.uplink))
        return ", ".join((self.tool, self.fabric, *words))

    @property
    def files(self) -> Files:
        """What the site has configured."""
        return {"networkd": networkd, "ifupdown": ifupdown, "netplan": netplan, "networkmanager": networkmanager}[
            self.tool
        ](self)


def networkd(case: Case) -> Files:
    """systemd-networkd. What claims more than the card of SSH sorts behind the names of kubev6's files."""
    match = {
        "name": f"Name={SITE}",
        "glob": "Name=ens*",
        "MAC": f"MACAddress={MACS[0]}",
        "driver": "Driver=virtio_net",
        "type": "Type=ether",
    }[case.claimed]
    address = {
        "dhcp4": "DHCP=ipv4\nIPv6AcceptRA=no",
        "dhcp6": "DHCP=ipv6",
        "both": "DHCP=yes",
        "slaac": "IPv6AcceptRA=yes",
        "static": f"Address={STATIC}\nGateway={GATEWAY}",
    }[case.addressing]
    files = {"80-site.network": f"[Match]\n{match}\n[Network]\n{address}\n"}
    match case.fabric:
        case "bond":
            files["20-bond0.netdev"] = (
                "[NetDev]\nName=bond0\nKind=bond\n[Bond]\nMode=active-backup\nMIIMonitorSec=100ms\n"
            )
            files["20-ports.network"] = f"[Match]\nName={FIRST} {SECOND}\n[Network]\nBond=bond0\n"
        case "VLAN":
            files["20-vlan.netdev"] = f"[NetDev]\nName={FABRICS['VLAN']}\nKind=vlan\n[VLAN]\nId={VLAN}\n"
            files["20-trunk.network"] = f"[Match]\nName={FIRST}\n[Network]\nVLAN={FABRICS['VLAN']}\n"
        case "bridge":
            files["20-br0.netdev"] = "[NetDev]\nName=br0\nKind=bridge\n"
            files["20-ports.network"] = f"[Match]\nName={FIRST}\n[Network]\nBridge=br0\n"
    return {f"/etc/systemd/network/{name}": (0o644, text) for name, text in files.items()}


def ifupdown(case: Case) -> Files:
    """ifupdown, whose patterns give an interface the name of a stanza."""
    name = SITE if case.claimed == "name" else "site"
    auto = {"glob": f"/{SITE}*=site", "MAC": f"mac/{MACS[0]}=site"}.get(case.claimed, SITE)
    inet, inet6 = f"iface {name} inet dhcp\n", f"iface {name} inet6 dhcp\n    accept_ra 2\n"
    stanzas = {
        "dhcp4": inet,
        "dhcp6": inet6,
        "both": inet + inet6,
        "slaac": f"iface {name} inet6 auto\n    accept_ra 2\n",
        "static": f"iface {name} inet6 static\n    address {STATIC}\n    gateway {GATEWAY}\n",
    }[case.addressing]
    made = {
        "plain": "",
        "bond": f"bond-slaves {FIRST} {SECOND}\n    bond-mode active-backup\n    bond-miimon 100",
        "VLAN": f"vlan-raw-device {FIRST}",
        "bridge": f"bridge_ports {FIRST}\n    bridge_stp off\n    bridge_fd 0",
    }[case.fabric]
    fabric = FABRICS[case.fabric]
    text = f"source /etc/network/interfaces.d/*\nauto lo\niface lo inet loopback\nauto {auto}\n{stanzas}"
    text += f"auto {fabric}\niface {fabric} inet manual\n    {made}\n" * bool(made)
    return {"/etc/network/interfaces": (0o644, text)}


def netplan(case: Case) -> Files:
    """netplan, which has no condition of a type."""
    match = {
        "name": "",
        "glob": f"      match: {{name: '{SITE}*'}}\n",
        "MAC": f"      match: {{macaddress: '{MACS[0]}'}}\n",
        "driver": f"      match: {{driver: virtio_net, name: {SITE}}}\n",
    }[case.claimed]
    address = {
        "dhcp4": "dhcp4: true\n      accept-ra: false",
        "dhcp6": "dhcp6: true",
        "both": "dhcp4: true\n      dhcp6: true",
        "slaac": "accept-ra: true",
        "static": f"addresses: ['{STATIC}']\n      routes: [{{to: '::/0', via: '{GATEWAY}'}}]",
    }[case.addressing]
    ports = "".join(f"    {port}: {{}}\n" for port in (FIRST, SECOND)[: 2 if case.fabric == "bond" else 1])
    made = {
        "plain": "",
        "bond": f"{ports}  bonds:\n    bond0:\n      interfaces: [{FIRST}, {SECOND}]\n"
        "      parameters: {mode: active-backup, mii-monitor-interval: 100}\n",
        "VLAN": f"{ports}  vlans:\n    {FABRICS['VLAN']}: {{id: {VLAN}, link: {FIRST}}}\n",
        "bridge": f"{ports}  bridges:\n    br0: {{interfaces: [{FIRST}]}}\n",
    }[case.fabric]
    name = "site" if match else SITE
    text = f"network:\n  version: 2\n  ethernets:\n    {name}:\n{match}      {address}\n{made}"
    return {"/etc/netplan/10-site.yaml": (0o600, text)}


def networkmanager(case: Case) -> Files:
    """NetworkManager. A profile that claims more than one card is brought up on each."""
    match = {
        "name": f"interface-name={SITE}\n",
        "glob": "multi-connect=3\n[match]\ninterface-name=ens*;\n",
        "MAC": f"[ethernet]\nmac-address={MACS[0]}\n",
        "driver": "multi-connect=3\n[match]\ndriver=virtio_net;\n",
        "type": "multi-connect=3\n",
    }[case.claimed]
    inet = "auto" if case.addressing in ("dhcp4", "both") else "disabled"
    inet6 = {"dhcp4": "disabled", "dhcp6": "auto", "both": "auto", "slaac": "auto"}.get(
        case.addressing, f"manual\naddress1={STATIC}\ngateway={GATEWAY}"
    )
    text = (
        "[connection]\nid=site\nuuid=4a3c6d1e-6a0c-4c1c-9e55-0d6f2d1f6c01\ntype=ethernet\n"
        f"{match}[ipv4]\nmethod={inet}\n[ipv6]\nmethod={inet6}\naddr-gen-mode=0\n"
    )
    files = {"site": text}
    if case.fabric == "bond":
        files["bond0"] = (
            "[connection]\nid=bond0\nuuid=4a3c6d1e-6a0c-4c1c-9e55-0d6f2d1f6c02\ntype=bond\ninterface-name=bond0\n"
            "[bond]\nmode=active-backup\nmiimon=100\n[ipv4]\nmethod=disabled\n[ipv6]\nmethod=link-local\n"
        )
        files["port"] = (
            "[connection]\nid=port\nuuid=4a3c6d1e-6a0c-4c1c-9e55-0d6f2d1f6c03\ntype=ethernet\n"
            f"interface-name={SECOND}\nmaster=bond0\nslave-type=bond\n"
        )
    return {
        f"/etc/NetworkManager/system-connections/{name}.nmconnection": (0o600, each) for name, each in files.items()
    }


CASES = (
    Case("networkd", "plain", "dhcp4", "glob", "slaac"),
    Case("networkd", "bond", "dhcp6", "MAC", "static"),
    Case("networkd", "VLAN", "both", "driver", "none"),
    Case("networkd", "bridge", "slaac", "type", "static"),
    Case("networkd", "bond", "static", "name", "slaac"),
    Case("ifupdown", "plain", "dhcp4", "name", "static"),
    Case("ifupdown", "bond", "both", "glob", "slaac"),
    Case("ifupdown", "VLAN", "slaac", "MAC", "static"),
    Case("ifupdown", "bridge", "dhcp6", "name", "none"),
    Case("ifupdown", "VLAN", "static", "glob", "slaac"),
    Case("netplan", "plain", "dhcp6", "glob", "slaac"),
    Case("netplan", "bond", "slaac", "driver", "none"),
    Case("netplan", "VLAN", "dhcp4", "MAC", "static"),
    Case("netplan", "bridge", "both", "name", "slaac"),
    Case("netplan", "bond", "static", "MAC", "static"),
    Case("networkmanager", "plain", "dhcp4", "driver", "slaac"),
    Case("networkmanager", "plain", "dhcp6", "glob", "static"),
    Case("networkmanager", "plain", "both", "MAC", "none"),
    Case("networkmanager", "plain", "slaac", "type", "static"),
    Case("networkmanager", "plain", "static", "name", "slaac"),
)
"""Every pair of a tool with a fabric, with an addressing, with a claim that it knows and with an uplink. Of
NetworkManager's bonds, VLANs and bridges none is configured: they are refused."""
REFUSED = (
    (Case("networkmanager", "bond", "dhcp4", "name", "none"), "bond0", "profiles of NetworkManager's for cards alone"),
    (Case("netplan", "bridge", "dhcp6", "name", "none"), FIRST, f"{FIRST} is a port of br0: name br0 as"),
)
"""Machines that cannot be kept, the interface that the cluster file names as the fabric's, and what is said."""
