"""What the user's SSH configuration says of a host: ``~/.ssh/config``, then ``/etc/ssh/ssh_config`` (ssh_config(5)).

paramiko's SSHConfig decides which blocks count and which value wins. Done here is what it does not do: files that are
included, the place of a mistake, and conditions that it does not know, which it would take for met.

A block under ``Match exec`` is passed over, and the log says so. paramiko would run its command in a shell, without a
deadline, for every machine and each time that one is looked for. Names are not made canonical either, for which it
would ask name servers.
"""

from __future__ import annotations

import glob
import logging
import os
import re
import shlex
import stat
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import paramiko

from configs.errors import ConfigError
from tasks.paths import expanded
from tasks.ssh.patterns import among

log = logging.getLogger("kubev6.ssh")

SYSTEM = Path("/etc/ssh/ssh_config")
DEEPEST = 16
"""How deep files may include one another, as with ssh."""
SEPARATOR = "\t"
"""What stands between several values of one keyword in :meth:`SshConfig.options`."""
JUMP = re.compile(
    r"(?:ssh://)?(?:(?P<user>[^\s,]+)@)?(?:\[(?P<address>[^]\s,]+)\]|(?P<name>[^][:@\s,]+))(?::(?P<port>\d+))?"
)
"""One machine of a ProxyJump."""
_WITH_PATTERN = ("host", "originalhost", "user", "localuser")
_WITHOUT = ("all", "canonical", "final")
_NEVER = ("originalhost", "!*")


class _Config(paramiko.SSHConfig):
    """paramiko's, with values as they are written: it knows few of the tokens, and not what the cluster file says."""

    TOKENS_BY_CONFIG_KEY: dict[str, list[str]] = {}  # noqa: RUF012 - as it is declared there

    def _pattern_matches(self, patterns: str | list[str], target: str) -> bool:
        """As ssh has patterns, where brackets are themselves; a host may have two names, see :meth:`SshConfig.options`.

        Args:
            patterns: With commas between them, or in a list.
            target: What they may be of.
        """
        return among(target.split(SEPARATOR), patterns.split(",") if isinstance(patterns, str) else patterns)


@dataclass(frozen=True, slots=True)
class SshConfig:
    """A user's SSH configuration.

    Attributes:
        text: All that counts here of its files, in a form that paramiko reads; empty when there is nothing.
    """

    text: str

    def options(
        self, host: str, *, user: str | None = None, port: int | None = None, also: str = ""
    ) -> Mapping[str, Any]:
        """What it says of a host.

        Args:
            host: The host as it is written where it is named.
            also: Another name of the same host, if it has one: what is said of either counts.
            user: The login, where that is given already.
            port: The port, where that is given already.

        Returns:
            The values by keyword in small letters, in the order in which they were found, as they are written; those of
            ``identityfile`` in a list.

        Raises:
            ConfigError: The user who runs this has no name, by which blocks may be chosen.
        """
        if not self.text:
            return {}
        given = (f"{keyword} {value}\n" for keyword, value in (("user", user), ("port", port)) if value)
        try:
            return _options("".join(given) + self.text, SEPARATOR.join([host, *[also] * bool(also)]))
        except (KeyError, OSError):
            raise ConfigError(
                f"user {os.getuid()} has no name, by which the SSH configuration may choose", todo="set LOGNAME"
            ) from None


def read() -> SshConfig:
    """Read the user's SSH configuration.

    Raises:
        ConfigError: A file cannot be read or understood, or others may change it; names file and line.
    """
    own = Path.home() / ".ssh" / "config"
    lines = [*_Files(own.parent, private=True).lines(own), *_Files(SYSTEM.parent, private=False).lines(SYSTEM)]
    return SshConfig("\n".join(lines) if any(not line.startswith("match ") for line in lines) else "")


@cache
def _parsed(text: str) -> _Config:
    return _Config.from_text(text)


@cache
def _options(text: str, host: str) -> Mapping[str, Any]:
    found = dict(_parsed(text).lookup(host))
    if found["hostname"] == host:  # paramiko's, who has found none
        del found["hostname"]
    return found


class _Files:
    """A configuration file and those that it includes.

    Args:
        directory: Where the included ones are that are named without a directory.
        private: Whether they are the user's, so that nobody else may be able to change them.
    """

    def __init__(self, directory: Path, *, private: bool) -> None:
        self._directory = directory
        self._private = private

    def lines(self, path: Path, within: tuple[str, ...] = (), depth: int = 0) -> Iterator[str]:
        """The lines that count, with each block under all conditions that it is under.

        Args:
            path: The file; when it is not there, it has none.
            within: The conditions under which it is included, as words of ``Match``.
            depth: How deep it is included.
        """
        here = within
        yield _match(here)
        for number, line in enumerate(self._read(path), 1):
            line = line.strip()
            where = f"{path}, line {number}"
            if not line or line.startswith("#"):
                continue
            found = _Config.SETTINGS_REGEX.fullmatch(line)
            if found is None:
                raise ConfigError(
                    f"{where}: {line!r} is no setting", todo="write a keyword and its value, or remove it"
                )
            keyword, value = found[1].lower(), found[2]
            if keyword == "include":
                for included in self._included(_words(value, where)):
                    if depth == DEEPEST:
                        raise ConfigError(f"{where}: files include one another too deep", todo="remove that line")
                    yield from self.lines(included, here, depth + 1)
                yield _match(here)
            elif keyword == "host":
                here = (*within, "originalhost", ",".join(_words(value, where)))
                yield _match(here)
            elif keyword == "match":
                here = (*within, *_conditions(_words(value, where), where))
                yield _match(here)
            elif keyword in _VALUES:
                yield f"{keyword} {_value(keyword, value, where)}"

    def _read(self, path: Path) -> list[str]:
        try:
            about = path.stat()
            if self._private and (about.st_uid not in (0, os.getuid()) or about.st_mode & 0o022):
                mode = f"{stat.S_IMODE(about.st_mode):04o}"
                raise ConfigError(f"{path}: others may change it, its mode is {mode}", todo=f"chmod go-w {path}")
            return path.read_text(encoding="utf-8", errors="replace").split("\n")
        except FileNotFoundError:
            return []
        except OSError as error:
            raise ConfigError(f"{path}: cannot be read: {error.strerror}", todo="correct its rights") from None

    def _included(self, names: list[str]) -> Iterator[Path]:
        for name in names:
            whole = self._directory / (expanded(name) if self._private else name)
            yield from map(Path, sorted(glob.glob(str(whole))))  # noqa: PTH207 - Path's takes hidden files too


def _match(conditions: tuple[str, ...]) -> str:
    return f"match {shlex.join(conditions or ('all',))}"


def _conditions(words: list[str], where: str) -> tuple[str, ...]:
    """The words of a ``Match``, of which ``all`` is none; what never matches where they cannot be judged here."""
    found: list[str] = []
    rest = list(words)
    while rest:
        word = rest.pop(0).lower()
        name = word.removeprefix("!")
        if name in _WITH_PATTERN and rest:
            found += [word, rest.pop(0)]
        elif name in _WITHOUT:
            found += [word] if word != "all" else []
        else:
            _passed_over(where, name)
            return _NEVER
    return tuple(found)


@cache
def _passed_over(where: str, condition: str) -> None:
    """Say it once."""
    log.warning("%s: Match %s is not judged here: what stands under it does not count", where, condition)


def _is_port(value: str) -> bool:
    return value.isdecimal() and 0 < int(value) < 1 << 16


def _are_jumps(value: str) -> bool:
    found = [JUMP.fullmatch(each) for each in value.split(",")]
    return all(each and (not each["port"] or _is_port(each["port"])) for each in found)


_VALUES: dict[str, tuple[Callable[[str], object], str]] = {
    "connecttimeout": (re.compile(r"none|(\d+[smhdw]?)+").fullmatch, "a time such as 10 or 1m30s"),
    "hostkeyalias": (bool, "a name"),
    "globalknownhostsfile": (bool, "files"),
    "hostname": (bool, "a name or an address"),
    "identitiesonly": (re.compile("yes|no|true|false").fullmatch, "yes or no"),
    "identityfile": (bool, "a file"),
    "port": (_is_port, "a port"),
    "proxycommand": (bool, "a command"),
    "proxyjump": (_are_jumps, "none, or hosts such as user@host:port,[fd00::1]:port,"),
    "revokedhostkeys": (bool, "files"),
    "user": (bool, "a login name"),
    "userknownhostsfile": (bool, "files"),
}
"""The keywords that count here, what their values look like, and how that is told."""


def _value(keyword: str, written: str, where: str) -> str:
    """The value of a keyword without quotes and comment."""
    looks_right, wanted = _VALUES[keyword]
    if keyword == "proxycommand":  # the rest of the line as it is
        return written
    words = _words(written, where)
    value = SEPARATOR.join(words)
    if (len(words) > 1 and _VALUES[keyword][1] != "files") or not looks_right(value):
        raise ConfigError(f"{where}: {keyword} is {written!r}", todo=f"{wanted} is wanted there")
    return value


def _words(text: str, where: str) -> list[str]:
    """The words of a line, which may be in quotes, without the comment behind them."""
    reader = shlex.shlex(text, posix=True)
    reader.whitespace_split, reader.escape, reader.commenters = True, "", ""
    try:
        words = list(reader)
    except ValueError:
        raise ConfigError(f"{where}: {text!r} has a quote that does not end", todo="end it") from None
    comment = next((place for place, word in enumerate(words) if word.startswith("#")), len(words))
    return words[:comment]
