"""What takes the way of SSH away from a machine, as somebody might write it who is wrong, for each networking tool."""

from __future__ import annotations

from dataclasses import replace

from configs.plan.networking.networkd import UNIT
from configs.plan.state import File, Reload, StageState
from configs.schema.cluster import LabNetworking
from tests.racks.sites import SITE, Case

_OFF = f"[connection]\nid=cut\nuuid=4a3c6d1e-6a0c-4c1c-9e55-0d6f2d1f6c09\ntype=ethernet\ninterface-name={SITE}\n"
_NM = "/etc/NetworkManager/system-connections/cut.nmconnection"
FILES: dict[LabNetworking, File] = {
    "networkd": File(
        "/etc/systemd/network/05-cut.network",
        f"[Match]\nName={SITE}\n[Network]\nLinkLocalAddressing=no\nIPv6AcceptRA=no\nDHCP=no\n",
    ),
    "ifupdown": File("/etc/network/interfaces", "auto lo\niface lo inet loopback\n"),
    "netplan": File(
        "/etc/netplan/95-cut.yaml",
        "network:\n  ethernets:\n    {name}:\n      dhcp4: false\n      dhcp6: false\n      accept-ra: false\n",
        0o600,
    ),
    "networkmanager": File(
        _NM, f"{_OFF}autoconnect-priority=200\n[ipv4]\nmethod=disabled\n[ipv6]\nmethod=disabled\n", 0o600
    ),
}
COMMANDS: dict[LabNetworking, tuple[tuple[str, ...], ...]] = {
    "networkd": (),  # it is restarted because of the file
    "ifupdown": (("ip", "link", "set", SITE, "down"),),  # it would bring down only what it still knows
    "netplan": (),  # whose command is in the stage
    "networkmanager": (("nmcli", "connection", "load", _NM), ("nmcli", "connection", "up", "id", "cut")),
}


def cutting(stage: StageState, case: Case, *then: tuple[str, ...]) -> StageState:
    """A stage with a file that takes the way of SSH away, and commands that come after it has been read."""
    file = FILES[case.tool]
    name = SITE if case.claimed == "name" else "site"
    file = replace(file, content=file.content.replace("{name}", name))
    by_tool = [replace(each, when=(*each.when, file.path)) for each in stage.reloads if each.command[0] == "netplan"]
    others = [each for each in stage.reloads if each.command[0] != "netplan"]
    cuts = [Reload(words, when=(file.path,)) for words in (*COMMANDS[case.tool], *then)]
    services = [
        replace(each, restart_on=(*each.restart_on, file.path)) if each.unit == UNIT else each
        for each in stage.services
    ]
    return replace(
        stage,
        files=(*stage.files, file),
        reloads=(*others, *by_tool, *cuts),
        services=tuple(services),
    )
