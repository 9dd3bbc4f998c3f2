"""What would change on machines, and what each must look like: as lines for a person, and as JSON."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import asdict

from configs.state import NodeState, StageState
from configs.words import counted
from tasks.preview import Preview


def as_text(found: Preview) -> str:
    """The changes as lines for a person."""
    lines: list[str] = []
    for node, stages in found.items():
        lines.append(f"{node}: {counted(sum(map(len, stages.values())), 'change')}")
        for stage, changes in stages.items():
            lines += [f"  {stage}"] * bool(changes)
            lines += [f"    {change.describe()}" for change in changes]
    total = sum(len(changes) for stages in found.values() for changes in stages.values())
    return "\n".join([*lines, f"{counted(total, 'change')} in all; nothing was touched"])


def as_json(found: Preview) -> str:
    """The same for machines."""
    data = {
        node: {stage: [change.as_json() for change in changes] for stage, changes in stages.items()}
        for node, stages in found.items()
    }
    return json.dumps(data, indent=2)


def states_as_text(states: Mapping[str, NodeState]) -> str:
    """The desired state of each machine, everything that is written or set there, in the order of its stages."""
    return "\n".join(
        line for state in states.values() for line in (f"node {state.node}", *_stages_as_text(state.stages))
    )


def states_as_json(states: Mapping[str, NodeState]) -> str:
    """The same for machines."""
    return json.dumps({name: asdict(state) for name, state in states.items()}, indent=2)


def _stages_as_text(stages: Iterable[StageState]) -> Iterable[str]:
    for stage in stages:
        yield f"\n  stage {stage.name}"
        yield from (f"    package {package}" for package in stage.packages)
        yield from (f"    module {module}" for module in stage.modules)
        for file in stage.files:
            yield f"    {'block in' if file.block else 'file'} {file.path} ({file.mode:04o})"
            yield from (f"      | {line}" for line in file.content.splitlines())
        yield from (f"    no other file in {directory}" for directory in stage.only_files_in)
        yield from ["    swap off"] * stage.swap_off
        yield from ["    SELinux permissive"] * stage.selinux_permissive
        yield from (f"    no IPv4 address of {name} in /etc/hosts" for name in stage.no_ipv4_names)
        yield from (f"    sysctl {sysctl.key}={sysctl.value}" for sysctl in stage.sysctls)
        yield from (f"    interface {interface} up" for interface in stage.links_up)
        yield from (f"    address {each.address} dev {each.interface}" for each in stage.addresses)
        yield from (f"    no IPv4 address on {interface}" for interface in stage.no_ipv4_on)
        yield from ["    no IPv4 default route"] * stage.no_ipv4_default_route
        for route in stage.routes:
            via = f" via {route.via}" if route.via else ""
            yield f"    route {route.destination}{via} dev {route.interface} metric {route.metric}"
        yield from (f"    binary {each.path} sha256 {each.sha256} from {each.url}" for each in stage.binaries)
        for reload in stage.reloads:
            yield f"    {' '.join(reload.command)}, after a change of {', '.join(reload.when)}"
        for service in stage.services:
            after = f", restarted after a change of {', '.join(service.restart_on)}" if service.restart_on else ""
            yield f"    service {service.unit}{after}"
    yield ""
