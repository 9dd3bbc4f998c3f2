"""What a machine is. Nothing here is ever changed."""

import os
import platform
from typing import Dict

from tasks.on_node.files import text_of
from tasks.on_node.packages import package_manager
from tasks.on_node.protocol import Json


def os_release() -> Dict[str, str]:
    values = {}
    for line in (text_of("/etc/os-release") or text_of("/usr/lib/os-release")).splitlines():
        key, equals, value = line.partition("=")
        if equals:
            values[key] = value.strip().strip("\"'")
    return values


def system_facts() -> Json:
    release = os_release()
    memory = [line.split()[1] for line in text_of("/proc/meminfo").splitlines() if line.startswith("MemTotal:")]
    return {
        "os": release.get("ID", ""),
        "os_version": release.get("VERSION_ID", ""),
        "kernel": platform.release(),
        "machine": platform.machine(),
        "hostname": platform.node(),
        "cgroup": 2 if os.path.exists("/sys/fs/cgroup/cgroup.controllers") else 1,
        "container": text_of("/run/systemd/container").strip(),
        "package_manager": package_manager(),
        "memory": int(memory[0]) * 1024 if memory else 0,
        "processors": os.cpu_count() or 1,
    }
