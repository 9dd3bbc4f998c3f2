"""Every kind of resource that the agent knows. A new one is a module beside this one and its name here."""

from typing import Dict, Tuple

from tasks.node_agent.resources.address import Addresses
from tasks.node_agent.resources.binary import Binaries
from tasks.node_agent.resources.certificate import Certificates
from tasks.node_agent.resources.command import Commands
from tasks.node_agent.resources.directory import Directories
from tasks.node_agent.resources.file import Files
from tasks.node_agent.resources.ipv4_address import Ipv4Addresses
from tasks.node_agent.resources.ipv4_default_route import Ipv4DefaultRoutes
from tasks.node_agent.resources.ipv4_name import Ipv4Names
from tasks.node_agent.resources.kind import Kind
from tasks.node_agent.resources.link import Links
from tasks.node_agent.resources.module import Modules
from tasks.node_agent.resources.package import Packages
from tasks.node_agent.resources.route import Routes
from tasks.node_agent.resources.selinux import Selinux
from tasks.node_agent.resources.service import Services
from tasks.node_agent.resources.swap import Swap
from tasks.node_agent.resources.sysctl import Sysctls

BEFORE_THE_NETWORK: Tuple[Kind, ...] = (
    Services(),
    Commands(),
    Binaries(),
    Swap(),
    Selinux(),
    Ipv4Names(),
    Certificates(),
    Directories(),
    Files(),
    Sysctls(),
)
"""In the order in which they are undone."""
NETWORK: Tuple[Kind, ...] = (Ipv4Addresses(), Ipv4DefaultRoutes(), Routes(), Addresses(), Links())
"""Undone after all others, when the services that were there before run as they did."""
LEFT: Tuple[Kind, ...] = (Packages(), Modules())
"""What stays when all is undone."""
KINDS: Dict[str, Kind] = {kind.name: kind for kind in BEFORE_THE_NETWORK + NETWORK + LEFT}
"""By the kind of their changes. In which order these are made the controller says."""
