"""What pods are on a node: processes, mounts, control groups, network namespaces.

All of it can be ended here, whether or not a kubelet and a runtime still know of it.
"""

import os
import shutil
import signal
import time
from contextlib import suppress
from typing import List, Set

from tasks.node_agent.commands import run
from tasks.node_agent.files import text_of
from tasks.node_agent.protocol import Failed

CGROUPS = "/sys/fs/cgroup"
NETWORK_NAMESPACES = ("/run/netns", "/var/run/netns")
MOUNTS = (
    "/var/lib/kubelet/",
    "/run/containerd/io.containerd.runtime.v2.task/k8s.io/",
    "/run/containerd/io.containerd.grpc.v1.cri/",
    "/run/netns/cni-",
    "/var/run/netns/cni-",
)
SECONDS_TO_DIE = 10.0


def end_pods() -> List[str]:
    """End every pod on this node.

    Returns:
        What was done.
    """
    done = end_containers() + kill_processes()
    unmounted = unmount()
    if unmounted:
        done.append("mounts of pods removed: {}".format(unmounted))
    for directory in NETWORK_NAMESPACES:
        for name in names_in(directory):
            if name.startswith("cni-"):
                os.unlink(os.path.join(directory, name))
    remove_control_groups()
    return done


def end_containers() -> List[str]:
    """By way of the runtimes, as long as they answer."""
    done = []
    if shutil.which("ctr") and os.path.exists("/run/containerd/containerd.sock"):
        ctr = ["ctr", "--connect-timeout", "5s", "-n", "k8s.io"]
        tasks = asked(ctr + ["tasks", "ls", "-q"])
        containers = asked(ctr + ["containers", "ls", "-q"])
        if tasks:
            tried(ctr + ["tasks", "rm", "--force"] + tasks)
        if containers:
            tried(ctr + ["containers", "rm"] + containers)
            done.append("containers removed: {}".format(len(containers)))
    if shutil.which("docker") and (os.path.exists("/run/docker.sock") or os.path.exists("/var/run/docker.sock")):
        containers = asked(["docker", "ps", "-aq", "--filter", "name=^/k8s_"])
        if containers:
            tried(["docker", "rm", "-f", "-v"] + containers)
            done.append("containers removed: {}".format(len(containers)))
    return done


def asked(words: List[str]) -> List[str]:
    """The words of an answer; none when the runtime does not give one."""
    try:
        return run(words, timeout=15).split()
    except Failed:
        return []


def tried(words: List[str]) -> None:
    """What a runtime does not do is done without it afterwards."""
    with suppress(Failed):
        run(words, timeout=30)


def pod_control_groups() -> List[str]:
    """The control groups below which the kubelet has put pods, of every hierarchy."""
    places = [CGROUPS] + [os.path.join(CGROUPS, name) for name in names_in(CGROUPS)]
    return [
        os.path.join(place, name)
        for place in places
        if not os.path.islink(place)
        for name in names_in(place)
        if name.startswith("kubepods") and os.path.isdir(os.path.join(place, name))
    ]


def kill_processes() -> List[str]:
    """Kill what runs in the control groups of pods, and the shims that a runtime which is gone has left."""
    killed = set()
    deadline = time.monotonic() + SECONDS_TO_DIE
    while True:
        alive = processes()
        for process in alive:
            try:
                os.kill(process, signal.SIGKILL)
            except ProcessLookupError:
                continue
            killed.add(process)
        if not alive:
            break
        if time.monotonic() > deadline:
            raise Failed("processes of pods do not end: {}".format(" ".join(str(each) for each in alive)))
        time.sleep(0.05)
    return ["processes of pods ended: {}".format(len(killed))] if killed else []


def processes() -> List[int]:
    """Those in the control groups of pods, and the shims of Kubernetes containers."""
    found: Set[int] = set()
    for group in pod_control_groups():
        for directory, _, _ in os.walk(group):
            found.update(int(word) for word in text_of(os.path.join(directory, "cgroup.procs")).split())
    for name in names_in("/proc"):
        if name.isdigit():
            words = text_of("/proc/{}/cmdline".format(name)).split("\0")
            if "containerd-shim" in os.path.basename(words[0]) and "k8s.io" in words:
                found.add(int(name))
    # Those of another process namespace are told as 0.
    return sorted(found - {0})


def mount_points() -> List[str]:
    """Where something is mounted, in the order in which it was."""
    return [line.split()[1].replace("\\040", " ") for line in text_of("/proc/self/mounts").splitlines()]


def unmount() -> int:
    """Take away the mounts of pods, the innermost first; says how many."""
    mine = [point for point in mount_points() if point.startswith(MOUNTS)]
    for point in reversed(mine):
        try:
            # One may have gone with another that showed it a second time.
            if point in mount_points():
                run(["umount", "-l", point])
        except Failed:
            # A runtime that lives takes them away too, once it has heard that their containers have ended.
            if point in mount_points():
                raise
    return len(mine)


def remove_control_groups() -> None:
    """Remove those of pods, the innermost first."""
    for group in pod_control_groups():
        for directory, _, _ in os.walk(group, topdown=False):
            with suppress(OSError):  # still in use somewhere; empty ones do no harm
                os.rmdir(directory)


def names_in(directory: str) -> List[str]:
    """What is in a directory, sorted; nothing when it cannot be read."""
    try:
        return sorted(os.listdir(directory))
    except OSError:
        return []
