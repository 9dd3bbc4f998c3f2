"""Settings of the kernel."""

from typing import Any, Dict, List, Optional

from tasks.node_agent.protocol import Failed, Json
from tasks.node_agent.record import Record
from tasks.node_agent.resources.kind import Kind


def undo_sysctl(key: str, before: Any) -> List[str]:
    """Set back a setting that was there before, and is there now with another value."""
    if before is None or sysctl_value(key) in (None, before):
        return []
    write_sysctl(key, before)
    return ["sysctl {}".format(key)]


class Sysctls(Kind):
    """Noted by key with the value; None where the kernel had no such setting."""

    name = "sysctl"
    undoes = (("sysctls", undo_sysctl),)

    def facts(self, query: List[str], records: List[Record], answers: List[str]) -> Dict[str, Optional[str]]:
        """Values by key; None where the kernel has no such setting."""
        return {key: sysctl_value(key) for key in query}

    def note(self, change: Json, record: Record) -> None:
        record.note_ahead("sysctls", change["subject"], sysctl_value(change["subject"]))

    def make(self, change: Json, record: Record) -> None:
        write_sysctl(change["subject"], change["resource"]["value"])


def sysctl_path(key: str) -> str:
    """``a.b.c`` as a path; a slash in a key stands for a dot in an interface's name, as in sysctl.d(5)."""
    return "/proc/sys/" + "/".join(part.replace("/", ".") for part in key.split("."))


def sysctl_value(key: str) -> Optional[str]:
    """A value, its words with one space between; None where the kernel has no such setting."""
    try:
        with open(sysctl_path(key)) as file:
            return " ".join(file.read().split())
    except OSError:
        return None


def write_sysctl(key: str, value: str) -> None:
    """Set a setting of the running kernel.

    Raises:
        Failed: There is none, or the kernel does not take the value.
    """
    try:
        with open(sysctl_path(key), "w") as file:
            file.write(value + "\n")
    except FileNotFoundError:
        todo = "load the module or make the interface that brings it"
        raise Failed("the kernel has no setting {}".format(key), todo) from None
    except OSError as error:
        raise Failed("{} = {}: {}".format(key, value, error.strerror)) from None
