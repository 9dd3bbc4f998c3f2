"""What has read our files reads its own again, now that ours are gone, as far as that cannot cut the connection."""

import os
import shutil
from functools import partial
from typing import List

from tasks.node_agent.commands import run
from tasks.node_agent.ip import addresses_of
from tasks.node_agent.resources.kind import Stays
from tasks.node_agent.resources.service import RUNNING, SERVICE_SECONDS, state_of
from tasks.node_agent.ssh_connection import connected
from tasks.node_agent.undo import Attempt

PROFILES = "/etc/NetworkManager/system-connections/"
NETPLAN = "/etc/netplan/"


def reread(paths: List[str], attempt: Attempt) -> None:
    """Have the tools of a machine read their files again.

    Args:
        paths: The files that were ours.
        attempt: Runs a step, and remembers what it did or why it could not.
    """
    if any(path.startswith(NETPLAN) for path in paths):
        attempt(generate)
    if any(path.startswith(PROFILES) for path in paths):
        attempt(partial(reload_profiles, paths))


def generate() -> List[str]:
    """Let netplan write the files of the others anew: what has read them goes by the old ones until its next start.

    Raises:
        Stays: Always: to apply them may cut the connection, and nothing would put that back (netplan-apply(8)).
    """
    if not shutil.which("netplan"):
        return []
    run(["netplan", "generate"], timeout=SERVICE_SECONDS)
    why = "its files are as they were, and `netplan apply`, which takes them over now, may cut this connection"
    raise Stays("what netplan has told of kubev6's interfaces", why)


def reload_profiles(paths: List[str]) -> List[str]:
    """Let NetworkManager forget our profiles. It may take what they set off their interfaces, and bring up others.

    Raises:
        Stays: The connection comes by such an interface.
    """
    if state_of(["NetworkManager.service"]).get("NetworkManager.service", {}).get("active") not in RUNNING:
        return []
    here = connected()[1]
    for interface, address, _ in addresses_of(run(["ip", "-o", "addr"])):
        if address.split("/")[0] == here and any(
            path.startswith(PROFILES) and is_of(path, interface) for path in paths
        ):
            raise Stays("NetworkManager's profile of {}".format(interface))
    run(["nmcli", "connection", "reload"], timeout=SERVICE_SECONDS)
    return ["nmcli connection reload"]


def is_of(path: str, interface: str) -> bool:
    """Whether a profile of ours is that of an interface."""
    return os.path.basename(path) == "kubev6-{}.nmconnection".format(interface)
