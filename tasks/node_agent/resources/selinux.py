"""SELinux, now and at boot."""

import os
import re
from typing import Any, Dict, List

from tasks.node_agent.files import exact_text_of, lines_of, rewrite, text_of
from tasks.node_agent.protocol import Failed, Json
from tasks.node_agent.record import Record, back_up
from tasks.node_agent.resources.kind import Kind

ENFORCE = "/sys/fs/selinux/enforce"
CONFIG = "/etc/selinux/config"


def undo_selinux(_: str, before: Any) -> List[str]:
    """Bring SELinux back to its modes of before, now and at boot."""
    set_selinux(before)
    return ["SELinux"]


class Selinux(Kind):
    """Noted with its modes ``now`` and ``boot``; its configuration is backed up."""

    name = "selinux"
    undoes = (("selinux", undo_selinux),)

    def facts(self, query: Any, records: List[Record], answers: List[str]) -> Dict[str, str]:
        return selinux_facts()

    def note(self, change: Json, record: Record) -> None:
        if os.path.lexists(CONFIG) and change["subject"] not in record.stage.get("selinux", {}):
            back_up(os.path.realpath(CONFIG))
        record.note_ahead("selinux", change["subject"], selinux_facts())

    def make(self, change: Json, record: Record) -> None:
        set_selinux({"now": "permissive", "boot": "permissive"})


def selinux_facts() -> Dict[str, str]:
    """``now`` and ``boot``: ``enforcing``, ``permissive``, or empty where there is none."""
    now = {"1": "enforcing", "0": "permissive"}.get(text_of(ENFORCE).strip(), "")
    return {"now": now, "boot": mode_of(exact_text_of(CONFIG))}


def mode_of(text: str) -> str:
    """What a configuration says of the next start; empty when it switches SELinux off or says nothing."""
    modes = [line.split("=", 1)[1].strip() for line in lines_of(text) if line.startswith("SELINUX=")]
    return modes[-1] if modes and modes[-1] in ("enforcing", "permissive") else ""


def with_mode(text: str, mode: str) -> str:
    """A configuration that says another mode."""
    return "".join(re.sub(r"^(SELINUX=\s*)[a-z]+", r"\g<1>" + mode, line) for line in lines_of(text))


def set_selinux(wanted: Dict[str, str]) -> None:
    """Bring SELinux to a mode now and at boot, where it is there at all."""
    seen = selinux_facts()
    if seen["now"] and wanted["now"] and seen["now"] != wanted["now"]:
        try:
            with open(ENFORCE, "w") as file:
                file.write("1" if wanted["now"] == "enforcing" else "0")
        except OSError as error:
            raise Failed("SELinux cannot be made {}: {}".format(wanted["now"], error.strerror)) from None
    if seen["boot"] and wanted["boot"] and seen["boot"] != wanted["boot"]:
        rewrite(CONFIG, with_mode(exact_text_of(CONFIG), wanted["boot"]))
