"""Units of systemd."""

from typing import Any, Dict, List

from tasks.node_agent.commands import run, said
from tasks.node_agent.protocol import Failed, Json, progress
from tasks.node_agent.record import Record
from tasks.node_agent.resources.kind import Kind

SERVICE_SECONDS = 180
RUNNING = ("active", "activating", "reloading")
"""``activating`` is also where the kubelet is until kubeadm tells it what to do: it keeps starting again."""
STARTS_AT_BOOT = ("enabled", "static", "alias", "indirect", "generated", "transient")


PROPERTIES = "ActiveState,UnitFileState,ConditionResult,ConditionTimestampMonotonic"


def undo_service(unit: str, before: Any) -> List[str]:
    """Stop and disable a unit, as far as it was not running or enabled before us."""
    seen = state_of([unit]).get(unit, {})
    done = []
    if before.get("active") not in RUNNING and seen.get("active") in RUNNING + ("failed", "deactivating"):
        were = before.get("triggers", {})
        woken_by = [
            each for each, state in triggers(unit).items() if state in RUNNING and were.get(each) not in RUNNING
        ]
        run(["systemctl", "stop"] + woken_by + [unit], timeout=SERVICE_SECONDS)
        reset_failed(unit)
        done.append("service {} stopped".format(unit))
    if before.get("enabled") not in STARTS_AT_BOOT and seen.get("enabled") == "enabled":
        run(["systemctl", "disable", unit], timeout=SERVICE_SECONDS)
        done.append("service {} disabled".format(unit))
        done += undo_enabled_with(before.get("also", {}))
    return done


def undo_enabled_with(before: Dict[str, Json]) -> List[str]:
    """Have units as they were that are enabled and disabled with another (``Also=``): each by its state before that."""
    names = sorted(before)
    seen = state_of(names)
    done = []
    for name in names:
        was, now = before[name], seen.get(name, {})
        if was["enabled"] == "enabled" != now.get("enabled"):
            run(["systemctl", "enable", name], timeout=SERVICE_SECONDS)
            done.append("service {} enabled".format(name))
        elif was["enabled"] not in STARTS_AT_BOOT and was["active"] not in RUNNING and now.get("active") in RUNNING:
            run(["systemctl", "stop", name], timeout=SERVICE_SECONDS)  # the last start of the machine has started it
            done.append("service {} stopped".format(name))
    return done


class Services(Kind):
    """Noted by unit with its state and that of what starts it; a restart is owed until it is done."""

    name = "service"
    noted_first = True
    undoes = (("services", undo_service),)

    def questions(self, query: List[str]) -> List[List[str]]:
        return [["systemctl", "show", "--property=" + PROPERTIES] + query] if query else []

    def facts(self, query: List[str], records: List[Record], answers: List[str]) -> Json:
        """The units, and those whose restart an earlier run owes."""
        return {"units": service_facts(query, "".join(answers)), "owed": records[0].owed()}

    def added(self, record: Record) -> List[str]:
        return sorted(record.stage.get("services", {}))

    def note_all(self, changes: List[Json], record: Record) -> None:
        units = [change["subject"] for change in changes]
        seen = state_of(units)
        for unit in units:
            note = dict(seen.get(unit, {}), triggers=triggers(unit), also=enabled_with(unit))
            record.note_ahead("services", unit, note)
        for change in changes:
            if change["action"] in ("start", "restart"):
                record.owe(change["subject"])

    def make(self, change: Json, record: Record) -> None:
        unit, action = change["subject"], change["action"]
        if action == "undo":
            undo_service(unit, record.stage.get("services", {}).get(unit, {}))
            record.forget("services", unit)
            record.save()
            return
        progress("{} {}".format(action, unit))
        if action == "enable":
            run(["systemctl", "enable", unit], timeout=SERVICE_SECONDS)
            return
        restart(unit)
        record.paid(unit)


def restart(unit: str) -> None:
    """Start a unit, also one that a package has started with a configuration that has changed since."""
    reset_failed(unit)
    try:
        run(["systemctl", "restart", unit], timeout=SERVICE_SECONDS)
    except Failed as error:
        logged = said(["journalctl", "-u", unit, "-n", "30", "--no-pager", "-o", "cat"])
        own = [line for line in logged.splitlines() if line.strip() and not line.startswith((unit, "Failed to start"))]
        seen = "systemctl restart {} failed: {}".format(unit, own[-1] if own else error.seen)
        raise Failed(seen, "see `journalctl -u {}` on the node".format(unit), logged) from None


def reload_units() -> List[str]:
    """Let systemd read the files of units again; a step of a reset that there is nothing to say of."""
    run(["systemctl", "daemon-reload"], timeout=SERVICE_SECONDS)
    return []


def reset_failed(unit: str) -> None:
    """Let a unit that systemd has given up on start again (systemctl(1))."""
    said(["systemctl", "reset-failed", unit])


def state_of(units: List[str]) -> Dict[str, Json]:
    """The facts of some units; none where there is no systemd."""
    return service_facts(units, "".join(map(said, Services().questions(units))))


def service_facts(units: List[str], text: str) -> Dict[str, Json]:
    """The blocks of ``systemctl show``, in the order of the units asked for."""
    found = {}
    for unit, block in zip(units, text.strip().split("\n\n")):  # noqa: B905 - strict is newer than 3.5
        values = dict(line.split("=", 1) for line in block.splitlines() if "=" in line)
        found[unit] = {
            "active": values.get("ActiveState", ""),
            "enabled": values.get("UnitFileState", ""),
            # A unit whose conditions were looked at and not met is not meant to run yet.
            "held_back": values.get("ConditionResult") == "no"
            and values.get("ConditionTimestampMonotonic", "0") != "0",
        }
    return found


def triggers(unit: str) -> Dict[str, str]:
    """The sockets and the like that start a unit when it is stopped, each with its state."""
    names = said(["systemctl", "show", "--property=TriggeredBy", unit]).partition("=")[2].split()
    return {name: fact["active"] for name, fact in state_of(names).items()}


def enabled_with(unit: str) -> Dict[str, Json]:
    """The facts of units that systemd enables and disables together with one (``Also=`` of systemd.unit(5))."""
    found = []  # type: List[str]
    left = [unit]
    while left:
        lines = said(["systemctl", "cat", left.pop()]).splitlines()
        names = [name for line in lines if line.startswith("Also=") for name in line.partition("=")[2].split()]
        new = [name for name in names if name != unit and name not in found]
        found += new
        left += new
    return state_of(sorted(found))
