"""Swap, in use and at boot."""

from typing import Any, List

from tasks.node_agent.commands import run
from tasks.node_agent.files import exact_text_of, lines_of, rewrite, text_of
from tasks.node_agent.protocol import Json
from tasks.node_agent.record import Record, back_up
from tasks.node_agent.resources.kind import Kind

FSTAB = "/etc/fstab"
OFF = "# kubev6: "
"""Stands before each line of fstab(5) that was taken out of use."""


def undo_swap(_: str, devices: Any) -> List[str]:
    """Turn swap on again as it was, now and at boot."""
    text = exact_text_of(FSTAB)
    if OFF in text:
        rewrite(FSTAB, "".join(line[len(OFF) :] if line.startswith(OFF) else line for line in lines_of(text)))
    for device in devices:
        if device not in swap_devices():
            run(["swapon", device])
    return ["swap"]


class Swap(Kind):
    """Noted with the devices in use; their lines stay in fstab(5) as comments."""

    name = "swap"
    undoes = (("swap", undo_swap),)

    def facts(self, query: Any, records: List[Record], answers: List[str]) -> Json:
        return {"devices": swap_devices(), "fstab": fstab_swaps(exact_text_of(FSTAB))}

    def note(self, change: Json, record: Record) -> None:
        text = exact_text_of(FSTAB)
        if fstab_swaps(text) and OFF not in text:
            back_up(FSTAB)
        record.note_ahead("swap", "devices", swap_devices())

    def subject(self, change: Json) -> str:
        return "devices"

    def make(self, change: Json, record: Record) -> None:
        if swap_devices():
            run(["swapoff", "-a"], timeout=300)
        text = exact_text_of(FSTAB)
        turned_off = set(fstab_swaps(text))
        if turned_off:
            rewrite(FSTAB, "".join(OFF + line if line in turned_off else line for line in lines_of(text)))


def swap_devices() -> List[str]:
    """The devices and files in use (proc(5))."""
    return [line.split()[0] for line in text_of("/proc/swaps").splitlines()[1:] if line.strip()]


def fstab_swaps(text: str) -> List[str]:
    """The lines of an fstab(5) that turn swap on at boot."""
    found = []
    for line in lines_of(text):
        words = line.split()
        if len(words) >= 3 and not words[0].startswith("#") and words[2] == "swap":
            found.append(line)
    return found
