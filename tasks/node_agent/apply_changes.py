"""A program: makes the changes of one stage in their order, and stops at the first that fails.

What was there before is written to the record *before* it is changed, so a run that dies at any moment loses nothing,
and the whole can be undone.
"""

import errno
import json
import os
from typing import Callable, Dict, List, Tuple

from tasks.node_agent.addresses import add_address, remove_address, remove_ipv4, set_link_up
from tasks.node_agent.binaries import fetch_binaries
from tasks.node_agent.commands import answer, prepare
from tasks.node_agent.files import missing_directories, text_of
from tasks.node_agent.hosts import HOSTS, remove_ipv4_name
from tasks.node_agent.kernel import load_module, module_present, set_sysctl, sysctl_value
from tasks.node_agent.lock import alone
from tasks.node_agent.packages import install_packages
from tasks.node_agent.protocol import Failed, Json, made, progress
from tasks.node_agent.record import Record, back_up, read_record
from tasks.node_agent.routes import add_route, remove_ipv4_default_route, remove_route
from tasks.node_agent.selinux import CONFIG, selinux_facts, set_permissive
from tasks.node_agent.services import (
    ask_services,
    change_service,
    reload_units,
    run_command,
    service_facts,
    take_back_service,
    triggers,
)
from tasks.node_agent.stage_files import remove_file, undo_file, write_file
from tasks.node_agent.swap import fstab_swaps, swap_devices, swap_off


def note_services(changes: List[Json], record: Record) -> None:
    """Before a package is installed, too: what it brings and starts was not there before us."""
    units = [change["subject"] for change in changes if change["kind"] == "service"]
    services = service_facts(units, answer(ask_services(units)))
    for unit in units:
        if unit not in record.stage.get("services", {}):
            record.note("services", unit, dict(services.get(unit, {}), triggers=triggers(unit)))


def note_before(changes: List[Json], record: Record) -> None:
    """Write down what each change is about to replace, and make the copies."""
    for change in changes:
        kind, subject, action = change["kind"], change["subject"], change["action"]
        if kind == "file" and action in ("create", "replace", "delete"):
            note_file(change, record)
        elif kind == "module" and not module_present(subject):
            record.note("modules", subject, None)
        elif kind == "swap":
            if fstab_swaps(text_of("/etc/fstab")):
                back_up("/etc/fstab")
            record.note("swap", "devices", swap_devices())
        elif kind == "selinux":
            if os.path.lexists(CONFIG):
                back_up(os.path.realpath(CONFIG))
            record.note("selinux", subject, selinux_facts())
        elif kind == "ipv4-name":
            back_up(HOSTS)
            record.note("ipv4_names", subject, None)
        elif kind == "sysctl":
            record.note("sysctls", subject, sysctl_value(subject))
        elif kind == "address" and action == "add":
            record.note("addresses", subject, None)
        elif kind == "ipv4-address":
            record.note("ipv4_addresses", subject, change["before"])
        elif kind == "ipv4-default-route":
            record.note("ipv4_default_routes", subject, None)
        elif kind == "route" and action != "remove":
            record.note("routes", subject, None)
        elif kind == "binary":
            # The executable itself is noted once all have been fetched.
            note_directories(subject, record)
    record.save()


def note_file(change: Json, record: Record) -> None:
    path = change["subject"]
    there = os.path.lexists(path)
    if there and not os.path.islink(path) and not os.path.isfile(path):
        raise Failed("{} is a directory or a device, not a file".format(path), "move it away")
    original = there and not record.owns(path)
    if original:
        back_up(path)
    note_directories(path, record)
    notes = "deleted_files" if change["action"] == "delete" else "files"
    record.note(notes, path, {"before": "backup" if original else "", "block": False})
    if change.get("block"):
        record.stage["files"][path]["block"] = True


def note_directories(path: str, record: Record) -> None:
    for directory in missing_directories(path):
        record.note("directories", directory, None)


def owe_restarts(changes: List[Json], record: Record) -> None:
    owed = {c["subject"] for c in changes if c["kind"] == "service" and c["action"] in ("start", "restart")}
    owed |= {c["subject"] for c in changes if c["kind"] == "command"}
    record.all["pending_restarts"] = sorted(owed | set(record.all["pending_restarts"]))


SIMPLE: Dict[Tuple[str, str], Callable[[Json], None]] = {
    ("module", "load"): load_module,
    ("swap", "off"): swap_off,
    ("sysctl", "set"): set_sysctl,
    ("selinux", "set"): set_permissive,
    ("ipv4-name", "remove"): remove_ipv4_name,
    ("link", "set up"): set_link_up,
    ("address", "add"): add_address,
    ("address", "remove"): remove_address,
    ("ipv4-address", "remove"): remove_ipv4,
    ("route", "add"): add_route,
    ("route", "replace"): add_route,
    ("route", "remove"): remove_route,
    ("file", "create"): write_file,
    ("file", "replace"): write_file,
    ("file", "delete"): remove_file,
}
RECORDED: Dict[Tuple[str, str], Callable[[Json, Record], None]] = {
    ("file", "take back"): undo_file,
    ("ipv4-default-route", "remove"): remove_ipv4_default_route,
    ("service", "take back"): take_back_service,
    ("command", "run"): run_command,
    ("service", "enable"): change_service,
    ("service", "start"): change_service,
    ("service", "restart"): change_service,
}


def make(changes: List[Json], record: Record, doing: Callable[[Json], None]) -> None:
    """Make the changes in their order. ``doing`` hears of each before it is begun."""
    packages = [change for change in changes if change["kind"] == "package"]
    rest = [change for change in changes if change["kind"] != "package"]
    owe_restarts(changes, record)
    for change in packages:
        record.note("packages", change["subject"], None)
    note_services(rest, record)
    record.save()
    if packages:
        doing(packages[0])
        progress("installing " + " ".join(change["subject"] for change in packages))
        install_packages(packages)
        made(len(packages))
    # Only now: a package may have brought a file that is about to be replaced.
    if rest:
        doing(rest[0])
        note_before(rest, record)
    begun = 0
    try:
        reloaded = False
        for change in rest:
            begun += 1
            doing(change)
            if change["kind"] == "service" and change["action"] != "take back" and not reloaded:
                reload_units(changes)
                reloaded = True
            make_one(change, rest, record)
            made(len(packages) + begun)
        if not reloaded:
            reload_units(changes)
    except (Failed, OSError):
        # Executables are put in place all at once, at the turn of the first.
        record.drop_fresh([change["subject"] for change in rest[begun:] if change["kind"] != "binary"])
        raise


def make_one(change: Json, rest: List[Json], record: Record) -> None:
    done_by = (change["kind"], change["action"])
    if change["kind"] == "binary":
        binaries = [other for other in rest if other["kind"] == "binary"]
        if change is binaries[0]:
            fetch_binaries(binaries, record)
    elif done_by in SIMPLE:
        SIMPLE[done_by](change)
    else:
        RECORDED[done_by](change, record)
    if done_by in (("route", "remove"), ("address", "remove")):
        record.forget({"route": "routes", "address": "addresses"}[change["kind"]], change["subject"])
        record.save()


def apply(stage: str, changes: List[Json]) -> Json:
    """Make the changes of one stage; says which failed and why, if one did."""
    current: Json = {}

    def doing(change: Json) -> None:
        current["change"] = "{} {}".format(change["kind"], change["subject"])

    try:
        with alone():
            make(changes, read_record(stage), doing)
    except Failed as error:
        return dict(current, seen=error.seen, todo=error.todo, detail=error.detail, transient=error.transient)
    except OSError as error:
        where = error.filename2 or error.filename or ""
        seen = "{}: {}".format(where, error.strerror) if where else str(error)
        todo = "free some space there" if error.errno in (errno.ENOSPC, errno.EDQUOT) else ""
        return dict(current, seen=seen, todo=todo, detail="", transient=False)
    return {}


def main(stage: str, changes: List[Json]) -> None:
    prepare()
    print(json.dumps(apply(stage, changes)))


if "PAYLOAD" in globals():
    main(**PAYLOAD)  # type: ignore[name-defined]
