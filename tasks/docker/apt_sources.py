"""The distribution's own archive, as apt on this machine is configured for it.

Images are made from the very archive, mirror and proxy that this machine uses, whichever they are. Archives of
others that the machine knows do not get into images.
"""

from __future__ import annotations

import hashlib
import re
import subprocess
from dataclasses import dataclass, replace
from pathlib import Path

from configs.errors import KubeV6Error
from configs.render import render
from tasks.docker.root import by_root

CODENAME = "bookworm"
"""The Debian release that all images are made of, but those of a lab whose machines are to have another."""

_FORMAT = "$(REPO_URI)|$(RELEASE)|$(COMPONENT)|$(ORIGIN)|$(CODENAME)"
KEYRING = "/usr/share/keyrings/debian-archive-keyring.gpg"
_CARRIED = re.compile(
    r"^Acquire::(?:(?:http|https)::(?:Proxy|Verify-Peer|Verify-Host|Timeout)(?:::[^ ]+)?|Check-Valid-Until|Check-Date"
    r'|Retries|ForceIPv4) "[^"]+";$',
    re.IGNORECASE,
)


@dataclass(frozen=True, slots=True)
class Suite:
    """One suite of the archive.

    Attributes:
        uri: Address of the archive or mirror, ending in ``/``.
        suite: For example ``bookworm-security``.
        components: For example ``("main",)``.
    """

    uri: str
    suite: str
    components: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class AptSources:
    """What apt in an image needs.

    Attributes:
        suites: The distribution's suites, in this machine's order; empty when this machine is no Debian of
            :data:`CODENAME`, which means the image's own sources.
        settings: Lines for an ``apt.conf``: proxies, and how the age of indices is judged.
        codename: Whose suites they are.
    """

    suites: tuple[Suite, ...]
    settings: tuple[str, ...]
    codename: str = CODENAME

    def of(self, codename: str) -> AptSources:
        """The same archive's suites of another Debian, of those that have a codename in their names."""
        if codename == self.codename:
            return self
        named = (each for each in self.suites if self.codename in each.suite)
        suites = (replace(each, suite=each.suite.replace(self.codename, codename, 1)) for each in named)
        return AptSources(tuple(suites), self.settings, codename)

    def newer(self, suite: str) -> dict[str, bytes]:
        """What tells apt in an image of a newer suite of this archive, pinned low: files by name.

        Args:
            suite: For example ``trixie-backports``.

        Raises:
            KubeV6Error: This machine uses none of Debian's.
        """
        uri = next((each.uri for each in self.suites if each.suite == self.codename), "")
        if not uri:
            raise KubeV6Error(
                f"apt on this machine has no source for Debian {CODENAME}, so it is not known where {suite} is",
                todo="add one to /etc/apt/sources.list",
            )
        listed = render("apt-sources.list", keyring=KEYRING, suites=[Suite(uri, suite, ("main",))])
        return {"kubev6-newer.list": listed.encode(), "kubev6-newer": render("apt-preferences", suite=suite).encode()}

    @property
    def main(self) -> Suite:
        """The suite to debootstrap from.

        Raises:
            KubeV6Error: This machine knows none.
        """
        for suite in self.suites:
            if suite.suite == self.codename:
                return suite
        raise KubeV6Error(
            f"apt on this machine has no source for Debian {CODENAME}, so no base image can be made from it",
            todo=f"add one to /etc/apt/sources.list, or have a registry reachable for debian:{self.codename}-slim",
        )

    def sources_list(self) -> str:
        """Text of ``/etc/apt/sources.list``."""
        return render("apt-sources.list", keyring=KEYRING, suites=self.suites)

    def apt_conf(self) -> str:
        """Text of a file in ``/etc/apt/apt.conf.d``: what was carried over, and nothing that is not needed."""
        return render("apt.conf", settings=self.settings)

    def proxy(self, scheme: str) -> str:
        """Address of the proxy for ``http`` or ``https``; empty when there is none."""
        for line in self.settings:
            key, _, value = line.partition(" ")
            if key.lower() == f"acquire::{scheme}::proxy":
                address = value.strip(' ";')
                return "" if address.upper() == "DIRECT" else address
        return ""

    def digest(self) -> str:
        """sha256 of all of it."""
        return hashlib.sha256((self.sources_list() + "\n" + self.apt_conf()).encode()).hexdigest()


def read() -> AptSources:
    """What apt on this machine is configured with.

    Raises:
        KubeV6Error: apt does not answer, or has not got its indices and cannot get them.
    """
    settings = parse_settings(_apt(["apt-config", "dump"]))
    if not _is_debian(Path("/etc/os-release").read_text()):
        return AptSources((), settings)
    suites = parse_targets(_targets())
    if not suites:
        # Without its indices apt does not know whose archive is whose.
        _apt(by_root(["apt-get", "update", "-q"]), deadline=300)
        suites = parse_targets(_targets())
    return AptSources(suites, settings)


def parse_targets(text: str) -> tuple[Suite, ...]:
    """The distribution's suites from ``apt-get indextargets``; those of other origins are left out.

    Args:
        text: Lines of ``uri|release|component|origin|codename``.
    """
    found: dict[tuple[str, str], list[str]] = {}
    for line in text.splitlines():
        fields = line.strip().split("|")
        if len(fields) != 5:
            continue
        uri, release, component, origin, codename = fields
        if origin != "Debian" or codename.removesuffix("-security").removesuffix("-updates") != CODENAME:
            continue
        components = found.setdefault((uri, release), [])
        if component not in components:
            components.append(component)
    return tuple(Suite(uri, release, tuple(components)) for (uri, release), components in found.items())


def parse_settings(text: str) -> tuple[str, ...]:
    """Proxies and the like from ``apt-config dump``."""
    return tuple(line.strip() for line in text.splitlines() if _CARRIED.match(line.strip()))


def _is_debian(os_release: str) -> bool:
    values = dict(line.split("=", 1) for line in os_release.splitlines() if "=" in line)
    return values.get("ID", "").strip('"') == "debian" and values.get("VERSION_CODENAME", "").strip('"') == CODENAME


def _targets() -> str:
    return _apt(["apt-get", "indextargets", "--format", _FORMAT, "Created-By: Packages"])


def _apt(command: list[str], deadline: float = 30) -> str:
    shown = " ".join(command[:3])
    try:
        done = subprocess.run(command, check=False, capture_output=True, text=True, timeout=deadline)
    except FileNotFoundError:
        raise KubeV6Error(f"{command[0]} is not on this machine", todo="kubev6 runs on Debian 12") from None
    except subprocess.TimeoutExpired:
        raise KubeV6Error(
            f"`{shown}` did not end in {deadline:.0f} s",
            todo="see whether the mirror answers",
            transient=True,
        ) from None
    if done.returncode != 0:
        first = next((line for line in done.stderr.splitlines() if line.strip()), f"status {done.returncode}")
        raise KubeV6Error(f"`{shown}` failed: {first}", detail=done.stdout + done.stderr)
    return done.stdout
