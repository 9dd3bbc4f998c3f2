"""Every kind of resource, in the order in which changes are made. A new one is a module and its name here."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict
from typing import Any

from configs.plan.state import StageState
from tasks.node.change import Change
from tasks.node.resources.address import Addresses
from tasks.node.resources.binary import Binaries
from tasks.node.resources.certificate import Certificates
from tasks.node.resources.command import Commands
from tasks.node.resources.directory import Directories
from tasks.node.resources.file import Files
from tasks.node.resources.ipv4_address import Ipv4Addresses
from tasks.node.resources.ipv4_default_route import Ipv4DefaultRoutes
from tasks.node.resources.ipv4_name import Ipv4Names
from tasks.node.resources.kind import Kind
from tasks.node.resources.link import Links
from tasks.node.resources.module import Modules
from tasks.node.resources.package import Packages
from tasks.node.resources.route import Routes
from tasks.node.resources.selinux import Selinux
from tasks.node.resources.service import Services, UnwantedServices
from tasks.node.resources.swap import Swap
from tasks.node.resources.sysctl import Sysctls

KINDS: tuple[Kind[Any], ...] = (
    Packages(),
    Modules(),
    UnwantedServices(),
    Directories(),
    Files(),
    Certificates(),
    Swap(),
    Selinux(),
    Ipv4Names(),
    Sysctls(),
    Links(),
    Addresses(),
    Ipv4Addresses(),
    Ipv4DefaultRoutes(),
    Routes(),
    Binaries(),
    Commands(),
    Services(),
)

Facts = Mapping[str, Any]
"""What is known of a node for a stage: by the name of each kind, what that kind makes of the node's answer."""


def query(stages: Sequence[StageState]) -> dict[str, object]:
    """What is asked of a node: the names of the stages, for all of them by kind what each kind asks, and the trials."""
    return {
        "stages": [stage.name for stage in stages],
        "query": {kind.name: kind.query(stages) for kind in KINDS},
        "trials": [asdict(stage.trial) for stage in stages if stage.trial],
    }


def parse(there: Mapping[str, Any], added: Mapping[str, Any]) -> Facts:
    """The facts of a stage from what the node answered.

    Args:
        there: By kind, what it says of itself.
        added: By kind, what earlier runs did for that stage.
    """
    return {kind.name: kind.parse(there[kind.name], added[kind.name]) for kind in KINDS}


def diff(stage: StageState, facts: Facts) -> tuple[Change, ...]:
    """What has to be done to bring a node to a stage. Pure.

    Args:
        stage: The stage.
        facts: What is known of the node for this stage.

    Returns:
        Changes in the order in which they must be made; none when the node is as it should be.
    """
    changes: list[Change] = []
    for kind in KINDS:
        changes += kind.changes(stage, facts[kind.name], tuple(changes))
    return tuple(changes)


def warnings(stage: StageState, facts: Facts) -> Iterator[str]:
    """What a person should know of that, one line each."""
    return (warning for kind in KINDS for warning in kind.warnings(stage, facts[kind.name]))


def lines(stage: StageState) -> Iterator[str]:
    """What a stage wants of a node, for a person."""
    return (line for kind in KINDS for line in kind.lines(stage))
