"""Packages of the node's own distribution."""

import os
import shutil
from typing import Any, List

from tasks.node_agent.commands import run, run_shown
from tasks.node_agent.protocol import Failed, Json, progress
from tasks.node_agent.record import Record
from tasks.node_agent.resources.kind import Kind


def leave_installed(_name: str, _before: Any) -> List[str]:
    """Others may use it by now."""
    return []


class Packages(Kind):
    """Noted by name."""

    name = "package"
    noted_first = True
    at_once = True
    undoes = (("packages", leave_installed),)

    def questions(self, query: List[str]) -> List[List[str]]:
        if not query:
            return []
        if shutil.which("dpkg-query"):
            return [["dpkg-query", "-W", "-f", "${db:Status-Status} ${Package}\n"] + query]
        return [["rpm", "-q", "--qf", "installed %{NAME}\n"] + query]

    def facts(self, query: List[str], records: List[Record], answers: List[str]) -> List[str]:
        """Those that are installed."""
        return sorted({line.split()[1] for line in "".join(answers).splitlines() if line.startswith("installed ")})

    def note(self, change: Json, record: Record) -> None:
        record.note("packages", change["subject"], None)

    def make_all(self, changes: List[Json], record: Record) -> None:
        names = [change["subject"] for change in changes]
        progress("installing " + " ".join(names))
        install(names)


def package_manager() -> str:
    """The first that is here of those we know; empty for none."""
    return next((name for name in ("apt-get", "dnf", "yum", "zypper") if shutil.which(name)), "")


def install(names: List[str]) -> None:
    """Install packages by the node's own tool, without what apt and zypper call recommended."""
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
    """Install by apt, after an installation that broke off; its lists are fetched when they have to be."""
    os.environ.update(DEBIAN_FRONTEND="noninteractive", NEEDRESTART_MODE="a", APT_LISTCHANGES_FRONTEND="none")
    apt = ["apt-get", "-o", "Acquire::Retries=2", "-y"]
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
    """Of some packages those that apt could not install, by its own lists."""
    text = run(["apt-cache", "policy"] + names)
    known = set()
    name = ""
    for line in text.splitlines():
        if line and not line[0].isspace():
            name = line.rstrip(":")
        elif line.strip().startswith("Candidate:") and "(none)" not in line:
            known.add(name)
    return [name for name in names if name not in known]
