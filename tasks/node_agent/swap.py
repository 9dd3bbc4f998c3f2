"""Swap, in use and at boot."""

from typing import List

from tasks.node_agent.commands import run
from tasks.node_agent.files import text_of, write_atomically
from tasks.node_agent.protocol import Json

OFF = "# kubev6: "
"""Stands before each line of fstab(5) that was taken out of use."""


def swap_devices() -> List[str]:
    return [line.split()[0] for line in text_of("/proc/swaps").splitlines()[1:] if line.strip()]


def fstab_swaps(text: str) -> List[str]:
    """The lines of an fstab(5) that turn swap on at boot."""
    found = []
    for line in text.splitlines():
        words = line.split()
        if len(words) >= 3 and not words[0].startswith("#") and words[2] == "swap":
            found.append(line)
    return found


def swap_off(_: Json) -> None:
    if swap_devices():
        run(["swapoff", "-a"], timeout=300)
    text = text_of("/etc/fstab")
    if fstab_swaps(text):
        turned_off = set(fstab_swaps(text))
        lines = [OFF + line if line in turned_off else line for line in text.splitlines()]
        write_atomically("/etc/fstab", ("\n".join(lines) + "\n").encode(), 0o644)


def swap_on(devices: List[str]) -> None:
    """Turn swap on again as it was, now and at boot."""
    text = text_of("/etc/fstab")
    if OFF in text:
        lines = [line[len(OFF) :] if line.startswith(OFF) else line for line in text.splitlines()]
        write_atomically("/etc/fstab", ("\n".join(lines) + "\n").encode(), 0o644)
    for device in devices:
        if device not in swap_devices():
            run(["swapon", device])
