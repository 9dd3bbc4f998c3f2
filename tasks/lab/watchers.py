"""Whether this machine has enough of what systemd, kubelets and container runtimes watch files by, which labs share."""

from __future__ import annotations

import logging
from pathlib import Path

import docker

from configs.words import counted
from tasks.lab.record import NODE_LABEL

log = logging.getLogger("kubev6.lab")
LIMIT = Path("/proc/sys/fs/inotify/max_user_instances")
"""How many inotify instances all processes of a user may have together, those in containers too (inotify(7))."""
OF_A_MACHINE = 14
"""So many a control plane has; workers and support nodes have half of it (counted in labs of 1.20)."""
ENOUGH = 1024


def warn(client: docker.DockerClient) -> None:
    """Say so when the machines of all labs that run may have too few.

    Args:
        client: Of the engine on this machine.
    """
    try:
        limit = int(LIMIT.read_text())
    except (OSError, ValueError):
        return
    running = client.containers.list(ignore_removed=True, filters={"label": NODE_LABEL})
    if told := complaint(len(running), limit):
        log.warning("%s", told)


def complaint(machines: int, limit: int) -> str:
    """What is to be said of so many machines; empty when there is enough for them. Pure.

    Args:
        machines: Of all labs that run.
        limit: How many inotify instances a user may have.
    """
    if machines * OF_A_MACHINE <= limit:
        return ""
    return (
        f"labs have {counted(machines, 'machine')}, and {limit} inotify instances may be too few for them: then "
        f'kube-proxy ends with "too many open files"; `sudo sysctl fs.inotify.max_user_instances={ENOUGH}`, or take a '
        "lab down"
    )
