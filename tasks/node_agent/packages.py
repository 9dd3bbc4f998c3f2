"""Packages of the node's own distribution."""

import os
import shutil
import subprocess
from typing import List, Optional

from tasks.node_agent.commands import ask, run, run_shown
from tasks.node_agent.protocol import Failed, Json


def package_manager() -> str:
    return next((name for name in ("apt-get", "dnf", "yum", "zypper") if shutil.which(name)), "")


def ask_packages(names: List[str]) -> "Optional[subprocess.Popen[bytes]]":
    if not names:
        return None
    if shutil.which("dpkg-query"):
        return ask(["dpkg-query", "-W", "-f", "${db:Status-Status} ${Package}\n"] + names)
    return ask(["rpm", "-q", "--qf", "installed %{NAME}\n"] + names)


def installed_packages(text: str) -> List[str]:
    return sorted({line.split()[1] for line in text.splitlines() if line.startswith("installed ")})


def install_packages(changes: List[Json]) -> None:
    names = [change["subject"] for change in changes]
    tool = package_manager()
    if tool == "dnf":
        run_shown([tool, "install", "-y"] + names)
    elif tool == "yum":
        # The mirrors of CentOS 7 are gone, and yum gives up at the first repository that does not answer.
        run_shown([tool, "--setopt=*.skip_if_unavailable=1", "install", "-y"] + names)
    elif tool == "zypper":
        run_shown([tool, "--non-interactive", "install", "--no-recommends"] + names)
    elif tool == "apt-get":
        apt_install(names)
    else:
        raise Failed("no apt-get, dnf, yum or zypper here", "install by hand: " + " ".join(names))


def apt_install(names: List[str]) -> None:
    os.environ.update(DEBIAN_FRONTEND="noninteractive", NEEDRESTART_MODE="a", APT_LISTCHANGES_FRONTEND="none")
    apt = ["apt-get", "-o", "DPkg::Lock::Timeout=300", "-o", "Acquire::Retries=2", "-y"]
    keep = ["-o", "Dpkg::Options::=--force-confdef", "-o", "Dpkg::Options::=--force-confold"]
    install = apt + keep + ["--no-install-recommends", "install"] + names
    if os.path.isdir("/var/lib/dpkg/updates") and os.listdir("/var/lib/dpkg/updates"):
        run_shown(["dpkg", "--configure", "-a", "--force-confdef", "--force-confold"])
    fresh = candidates_missing(names)
    if fresh:
        run_shown(apt + ["update"])
        lacking = candidates_missing(names)
        if lacking:
            todo = "add the archive that has it to the node's apt sources"
            raise Failed("apt knows no package {}".format(", ".join(lacking)), todo)
    try:
        run_shown(install)
    except Failed:
        if fresh:
            raise
        # Old lists name versions that the archive no longer holds.
        run_shown(apt + ["update"])
        run_shown(install)


def candidates_missing(names: List[str]) -> List[str]:
    text = run(["apt-cache", "policy"] + names)
    known = set()
    name = ""
    for line in text.splitlines():
        if line and not line[0].isspace():
            name = line.rstrip(":")
        elif line.strip().startswith("Candidate:") and "(none)" not in line:
            known.add(name)
    return [name for name in names if name not in known]
