"""Modules and settings of the kernel."""

import os
import platform
from typing import Optional

from tasks.node_agent.commands import run
from tasks.node_agent.files import text_of
from tasks.node_agent.protocol import Failed, Json

EVIDENCE = {
    "br_netfilter": "/proc/sys/net/bridge",
    "nf_conntrack": "/proc/sys/net/netfilter/nf_conntrack_max",
    "tun": "/sys/class/misc/tun",
}
"""Where a module that is built into the kernel shows itself, when the machine has no list of built-in modules."""
FILESYSTEMS = {"overlay"}


def module_present(name: str) -> bool:
    plain = name.replace("-", "_")
    if os.path.isdir("/sys/module/" + plain):
        return True
    if plain in EVIDENCE and os.path.exists(EVIDENCE[plain]):
        return True
    if plain in FILESYSTEMS and plain in text_of("/proc/filesystems").split():
        return True
    built_in = text_of("/lib/modules/{}/modules.builtin".format(platform.release()))
    return any(line.rsplit("/", 1)[-1].split(".ko")[0].replace("-", "_") == plain for line in built_in.splitlines())


def load_module(change: Json) -> None:
    name = change["subject"]
    if not module_present(name):
        todo = "install the kernel's modules, or load {} on the host when this node is a container".format(name)
        run(["modprobe", name], todo=todo)


def sysctl_path(key: str) -> str:
    """``a.b.c`` as a path; a slash in a key stands for a dot in an interface's name, as in sysctl.d(5)."""
    return "/proc/sys/" + "/".join(part.replace("/", ".") for part in key.split("."))


def sysctl_value(key: str) -> Optional[str]:
    try:
        with open(sysctl_path(key)) as file:
            return " ".join(file.read().split())
    except OSError:
        return None


def set_sysctl(change: Json) -> None:
    write_sysctl(change["subject"], change["value"])


def write_sysctl(key: str, value: str) -> None:
    try:
        with open(sysctl_path(key), "w") as file:
            file.write(value + "\n")
    except FileNotFoundError:
        todo = "load the module or make the interface that brings it"
        raise Failed("the kernel has no setting {}".format(key), todo) from None
    except OSError as error:
        raise Failed("{} = {}: {}".format(key, value, error.strerror)) from None
