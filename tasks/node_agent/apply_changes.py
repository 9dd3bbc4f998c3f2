"""A program: makes the changes of one stage in their order, and stops at the first that fails.

What was there before is written to the record *before* it is changed, so a run that dies at any moment loses nothing,
and the whole can be undone.
"""

import errno
import itertools
import json
from typing import Callable, List, Optional

from tasks.node_agent.commands import prepare
from tasks.node_agent.lock import alone
from tasks.node_agent.protocol import Failed, Json, made
from tasks.node_agent.record import FILE, Record, read_json, read_record, refuse_other_cluster
from tasks.node_agent.resources.kinds import KINDS
from tasks.node_agent.resources.service import reload_units
from tasks.node_agent.rollback import arm
from tasks.node_agent.undo import remove_partials

UNITS = "/etc/systemd/system/"
TODO = {
    errno.ENOSPC: "free some space there",
    errno.EDQUOT: "free some space there",
    errno.EPERM: "it may be one that nobody can change (`lsattr` tells): take that off by `chattr -i`",
    errno.EROFS: "see why that file system is read-only (`dmesg`, /etc/fstab) and mount it for writing",
}
"""What is to be done, by the number of an error of the system's."""


def note(changes: List[Json], record: Record) -> None:
    """Write down what the changes are about to replace, and make the copies."""
    if not changes:
        return
    for name, kind in KINDS.items():
        kind.note_all([change for change in changes if change["kind"] == name], record)
    record.save()


def make(changes: List[Json], record: Record, doing: Callable[[int], None], rollback: Optional[Json] = None) -> None:
    """Make the changes in their order. ``doing`` hears of the number of each before it is begun."""
    remove_partials(record)
    before = read_json(FILE)
    note([change for change in changes if KINDS[change["kind"]].noted_first], record)
    count = len([change for change in changes if change["kind"] == "package"])
    if count:
        # It starts services as it is installed (deb-systemd-invoke(1p)).
        record.begin(["services"], list(record.stage.get("services", {})))
        doing(0)
        KINDS["package"].make_all(changes[:count], record)
        made(count)
        before = read_json(FILE)  # what was installed stays
    # Only now: a package may have brought a file that is about to be replaced.
    if changes[count:]:
        doing(count)
        if rollback:
            arm(record.name, changes[count:], before, **rollback)
        note([change for change in changes if not KINDS[change["kind"]].noted_first], record)
    begun = count
    reloaded = not any(change["kind"] == "service" or change["subject"].startswith(UNITS) for change in changes)
    try:
        for part in parts_of(changes[count:]):
            doing(begun)
            begun += len(part)
            kind, first = KINDS[part[0]["kind"]], part[0]
            record.begin([notes for notes, _ in kind.undoes], [kind.subject(change) for change in part])
            if first["kind"] == "service" and first["action"] != "undo" and not reloaded:
                reload_units()
                reloaded = True
            if kind.at_once:
                kind.make_all(part, record)
            else:
                kind.make(first, record)
            made(begun)
        if not reloaded:
            reload_units()
    finally:
        record.drop_unbegun()


def parts_of(changes: List[Json]) -> List[List[Json]]:
    """The changes, one by one or together with those that are made at once with them."""
    parts: List[List[Json]] = []
    for name, group in itertools.groupby(changes, lambda change: change["kind"]):
        together = list(group)
        parts += [together] if KINDS[name].at_once else [[change] for change in together]
    return parts


def apply(stage: str, changes: List[Json], cluster: Optional[Json] = None, rollback: Optional[Json] = None) -> Json:
    """Make the changes of one stage for a cluster; says which failed and why, if one did.

    Args:
        stage: Its name.
        changes: The changes.
        cluster: The cluster, which the record names from now on.
        rollback: With what the node puts the changes back by itself, as :func:`tasks.node_agent.rollback.arm` takes it;
            nothing when it need not.
    """
    current: Json = {}

    def doing(number: int) -> None:
        current["number"] = number

    try:
        with alone():
            record = read_record(stage)
            if cluster:
                refuse_other_cluster(record.all, cluster)
                record.all["cluster"] = cluster
            make(changes, record, doing, rollback)
    except Failed as error:
        return dict(current, seen=error.seen, todo=error.todo, detail=error.detail, transient=error.transient)
    except OSError as error:
        where = error.filename2 or error.filename or ""
        seen = "{}: {}".format(where, error.strerror) if where else str(error) or type(error).__name__
        return dict(current, seen=seen, todo=TODO.get(error.errno or 0, ""), detail="", transient=False)
    return {}


def main(stage: str, changes: List[Json], cluster: Optional[Json], rollback: Json) -> None:
    """Print what :func:`apply` says, as JSON."""
    prepare()
    print(json.dumps(apply(stage, changes, cluster, rollback)))


if "PAYLOAD" in globals():
    main(**PAYLOAD)  # type: ignore[name-defined]
