"""Names in ``/etc/hosts`` that have an IPv4 address there."""

from typing import Any, Dict, List, Tuple

from tasks.node_agent.files import exact_text_of, lines_of, rewrite
from tasks.node_agent.protocol import Json
from tasks.node_agent.record import Record, back_up
from tasks.node_agent.resources.kind import Kind

HOSTS = "/etc/hosts"
OFF = "# kubev6: "
"""Stands before each line that was taken out of use."""


def undo_ipv4_name(name: str, _: Any) -> List[str]:
    """All names of ours at once: one line may hold several."""
    text = exact_text_of(HOSTS)
    if OFF not in text:
        return []
    rewrite(HOSTS, with_ipv4(text))
    return ["IPv4 address of {}".format(name)]


class Ipv4Names(Kind):
    """Noted by name; their lines stay in the file as comments."""

    name = "ipv4-name"
    undoes = (("ipv4_names", undo_ipv4_name),)

    def facts(self, query: List[str], records: List[Record], answers: List[str]) -> Dict[str, List[str]]:
        return ipv4_names(exact_text_of(HOSTS), query)

    def note(self, change: Json, record: Record) -> None:
        if not record.wrote(HOSTS) and OFF not in exact_text_of(HOSTS):
            back_up(HOSTS)
        record.note_ahead("ipv4_names", change["subject"], None)

    def make(self, change: Json, record: Record) -> None:
        rewrite(HOSTS, without_ipv4(exact_text_of(HOSTS), change["subject"]))


def entry_of(line: str) -> Tuple[str, List[str]]:
    """Address and names of a line of hosts(5); empty where it has none."""
    words = line.split("#")[0].split()
    return (words[0], words[1:]) if words else ("", [])


def ipv4_names(text: str, names: List[str]) -> Dict[str, List[str]]:
    """Of some names those that have IPv4 addresses, and these."""
    found: Dict[str, List[str]] = {}
    for address, others in map(entry_of, lines_of(text)):
        for name in names:
            if ":" not in address and name.lower() in (other.lower() for other in others):
                found.setdefault(name, []).append(address)
    return found


def without_ipv4(text: str, name: str) -> str:
    """The text in which a name has no IPv4 address; what is changed stays as a comment."""
    lines = []
    for line in lines_of(text):
        address, names = entry_of(line)
        if name not in ipv4_names(line, [name]):
            lines.append(line)
            continue
        others = [other for other in names if other.lower() != name.lower()]
        if others:
            end = "\n" if line.endswith("\n") else ""
            lines += [OFF + line + "\n"[len(end) :], " ".join([address] + others) + end]
        else:
            lines.append(OFF + line)
    return "".join(lines)


def with_ipv4(text: str) -> str:
    """The inverse of :func:`without_ipv4`."""
    lines: List[str] = []
    before = ""
    for line in lines_of(text):
        if line.startswith(OFF):
            before = line[len(OFF) :]
            lines.append(before)
            continue
        (address, names), (old_address, old_names) = entry_of(line), entry_of(before)
        if not (address and address == old_address and set(names) < set(old_names)):
            lines.append(line)
        elif not line.endswith("\n"):
            lines[-1] = lines[-1][:-1]  # the newline that our line behind it needed
        before = ""
    return "".join(lines)
