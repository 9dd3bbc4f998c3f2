"""Units of systemd that are enabled and running."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from configs.plan.state import Service, StageState
from tasks.node.resources.command import OWED, changed_paths
from tasks.node.resources.kind import Changes, Earlier, Kind
from tasks.node_agent.resources.service import RUNNING, STARTS_AT_BOOT


@dataclass(frozen=True, slots=True)
class ServiceFact:
    """A systemd unit.

    Attributes:
        active: Its ``ActiveState``.
        enabled: Its ``UnitFileState``.
        held_back: True when its conditions were looked at and not met, so that it is not meant to run yet.
    """

    active: str = "inactive"
    enabled: str = ""
    held_back: bool = False


@dataclass(frozen=True, slots=True)
class ServiceFacts:
    """The units that a stage speaks of.

    Attributes:
        units: By name.
        added: Those that earlier runs enabled or started for this stage.
        owed: Those whose restart an earlier run owes.
    """

    units: Mapping[str, ServiceFact]
    added: frozenset[str]
    owed: frozenset[str]


class Services(Kind[ServiceFacts]):
    """A unit is restarted when what it reads changes; its own unit file and drop-ins belong to that."""

    name = "service"
    field = "services"
    key = "unit"

    def parse(self, there: Any, added: Any) -> ServiceFacts:
        units = {unit: ServiceFact(**fact) for unit, fact in there["units"].items()}
        return ServiceFacts(units, frozenset(added), frozenset(there["owed"]))

    def changes(self, stage: StageState, facts: ServiceFacts, earlier: Earlier) -> Changes:
        changed = changed_paths(earlier)
        for service in stage.services:
            fact = facts.units.get(service.unit, ServiceFact())
            if fact.enabled not in STARTS_AT_BOOT:
                yield self.change(service.unit, "enable", fact.enabled)
            reasons = [path for path in changed if _reads(service, path)]
            if fact.active not in RUNNING and not fact.held_back:
                yield self.change(service.unit, "start", fact.active)
            elif reasons:
                more = f" and {len(reasons) - 1} more" if len(reasons) > 1 else ""
                yield self.change(service.unit, "restart", after=f"{reasons[0]}{more} changes")
            elif service.unit in facts.owed:
                yield self.change(service.unit, "restart", after=OWED)

    def lines(self, stage: StageState) -> Iterable[str]:
        for service in stage.services:
            after = f", restarted after a change of {', '.join(service.restart_on)}" if service.restart_on else ""
            yield f"service {service.unit}{after}"


class UnwantedServices(Services):
    """What earlier runs enabled or started and nobody wants any more: undone before the file that says what it is."""

    def changes(self, stage: StageState, facts: ServiceFacts, earlier: Earlier) -> Changes:
        for unit in sorted(facts.added - {service.unit for service in stage.services}):
            yield self.change(unit, "undo", "no longer wanted")

    def lines(self, stage: StageState) -> Iterable[str]:
        return ()


def _reads(service: Service, path: str) -> bool:
    own = f"/etc/systemd/system/{service.unit}"
    return path in service.restart_on or path == own or path.startswith(f"{own}.d/")
