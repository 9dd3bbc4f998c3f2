"""Units of systemd."""

import shutil
import subprocess
from typing import Dict, List, Optional

from tasks.node_agent.commands import answer, ask, run
from tasks.node_agent.protocol import Failed, Json, progress
from tasks.node_agent.record import Record

SERVICE_SECONDS = 180
RUNNING = ("active", "activating", "reloading")
"""``activating`` is also where the kubelet is until kubeadm tells it what to do: it keeps starting again."""
STARTS_AT_BOOT = ("enabled", "static", "alias", "indirect", "generated", "transient")


def ask_services(units: List[str]) -> "Optional[subprocess.Popen[bytes]]":
    if not units or not shutil.which("systemctl"):
        return None
    return ask(
        [
            "systemctl",
            "show",
            "--property=ActiveState,UnitFileState,ConditionResult,ConditionTimestampMonotonic",
        ]
        + units
    )


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


def change_service(change: Json, record: Record) -> None:
    unit, action = change["subject"], change["action"]
    progress("{} {}".format(action, unit))
    if action == "enable":
        run(["systemctl", "enable", unit], timeout=SERVICE_SECONDS)
        return
    subprocess.run(["systemctl", "reset-failed", unit], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        # restart also starts; a package may have started the unit with a configuration that has changed since.
        run(["systemctl", "restart", unit], timeout=SERVICE_SECONDS)
    except Failed as error:
        logged = answer(ask(["journalctl", "-u", unit, "-n", "30", "--no-pager", "-o", "cat"]))
        own = [line for line in logged.splitlines() if line.strip() and not line.startswith((unit, "Failed to start"))]
        said = "systemctl restart {} failed: {}".format(unit, own[-1] if own else error.seen)
        raise Failed(said, "see `journalctl -u {}` on the node".format(unit), logged) from None
    if unit in record.all["pending_restarts"]:
        record.all["pending_restarts"].remove(unit)
        record.save()


def triggers(unit: str) -> Dict[str, str]:
    """The sockets and the like that start a unit when it is stopped, each with its state."""
    if not shutil.which("systemctl"):
        return {}
    told = answer(ask(["systemctl", "show", "--property=TriggeredBy", unit]))
    names = told.partition("=")[2].split()
    facts = service_facts(names, answer(ask_services(names)))
    return {name: fact["active"] for name, fact in facts.items()}


def run_command(change: Json, record: Record) -> None:
    """Run a command that makes a program take over its changed files."""
    progress(change["subject"])
    run(change["subject"].split(), timeout=SERVICE_SECONDS)
    if change["subject"] in record.all["pending_restarts"]:
        record.all["pending_restarts"].remove(change["subject"])
        record.save()


def take_back_service(change: Json, record: Record) -> None:
    """Make a unit that is no longer wanted what it was before us."""
    unit = change["subject"]
    restore_service(unit, record.stage.get("services", {}).get(unit, {}))
    record.forget("services", unit)
    record.save()


def restore_service(unit: str, before: Json) -> List[str]:
    """Stop and disable a unit, as far as it was not running or enabled before us; says what was done."""
    seen = service_facts([unit], answer(ask_services([unit]))).get(unit, {})
    done = []
    if before.get("active") not in RUNNING and seen.get("active") in RUNNING + ("failed", "deactivating"):
        were = before.get("triggers", {})
        woken_by = [
            each for each, state in triggers(unit).items() if state in RUNNING and were.get(each) not in RUNNING
        ]
        run(["systemctl", "stop"] + woken_by + [unit], timeout=SERVICE_SECONDS)
        subprocess.run(["systemctl", "reset-failed", unit], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        done.append("service {} stopped".format(unit))
    if before.get("enabled") not in STARTS_AT_BOOT and seen.get("enabled") == "enabled":
        run(["systemctl", "disable", unit], timeout=SERVICE_SECONDS)
        done.append("service {} disabled".format(unit))
    return done


def reload_units(changes: List[Json]) -> None:
    if any(c["kind"] == "service" or c["subject"].startswith("/etc/systemd/system/") for c in changes):
        run(["systemctl", "daemon-reload"], timeout=SERVICE_SECONDS)
