"""Secrets: passwords and their like, from the environment, from files, or given to the run to keep in memory.

None is ever a parameter, a result or a word of a command line. Those that were asked for are known here, so that what
is told of a run can be told without them.
"""

from __future__ import annotations

import os
import stat
import threading
from pathlib import Path
from urllib.parse import quote

from configs.errors import ConfigError
from tasks import bounded, scope
from tasks.paths import expanded

SSH_PASSWORD = "KUBEV6_SSH_PASSWORD"
KEY_PASSPHRASE = "KUBEV6_SSH_KEY_PASSPHRASE"
SUDO_PASSWORD = "KUBEV6_SUDO_PASSWORD"
REGISTRY_PASSWORD = "KUBEV6_REGISTRY_PASSWORD"
NOTIFY_URL = "KUBEV6_NOTIFY_URL"
BACKUP_PASSPHRASE = "KUBEV6_BACKUP_PASSPHRASE"
KINDS = (SSH_PASSWORD, KEY_PASSPHRASE, SUDO_PASSWORD, REGISTRY_PASSWORD, NOTIFY_URL, BACKUP_PASSPHRASE)
"""The variables that hold secrets; with ``_FILE`` behind it, one names a file, with ``_BLOCK`` a block of Prefect's."""
OTHERS = 0o077
"""The rights of everybody but the owner."""
LARGEST = 1 << 16
"""Bytes of a file with one."""
SHORTEST = 4
"""What is shorter than this is not hidden: it would be found everywhere."""
HIDDEN = "•••"


class Secrets:
    """The secrets of one run: those that it was given, and all that it has seen and that nothing may show."""

    def __init__(self) -> None:
        self.held: dict[str, str] = {}
        self.known: tuple[str, ...] = ()  # the longest first, as one may be a part of another
        self._changing = threading.Lock()

    def add(self, value: str) -> None:
        """Let a secret be known."""
        with self._changing:
            self.known = tuple(sorted({*self.known, value, quote(value, safe="")}, key=len, reverse=True))


def secret(variable: str) -> str | None:
    """A secret: from the environment, else from the file that it names, else what the run was given.

    Args:
        variable: Which, one of :data:`KINDS`.

    Returns:
        The secret; None when there is none.

    Raises:
        ConfigError: Its file cannot be read, is empty or others may read it, or it is no single line of text.
    """
    if value := os.environ.get(variable):
        return _taken(value, variable)
    if path := os.environ.get(f"{variable}_FILE"):
        return _taken(_read(Path(expanded(path)), f"{variable}_FILE"), f"{path} ({variable}_FILE)")
    if (value := _held().get(variable)) is not None:
        return value
    if name := block_of(variable):
        raise ConfigError(
            f"{variable}_BLOCK names the block {name!r} of Prefect's, and nobody has read it for this run",
            todo=f"name a file by {variable}_FILE",
        )
    return None


def block_of(variable: str) -> str:
    """The name of the block that is still to be read for a secret; empty when there is none.

    Args:
        variable: Which, one of :data:`KINDS`.
    """
    given = os.environ.get(variable) or os.environ.get(f"{variable}_FILE") or variable in _held()
    return "" if given else os.environ.get(f"{variable}_BLOCK", "")


def hold(variable: str, value: str, source: str) -> None:
    """Keep a secret in the memory of the run, and nowhere else.

    Args:
        variable: Which, one of :data:`KINDS`.
        value: The secret.
        source: Where it came from, for the error.

    Raises:
        ConfigError: It is no single line of text.
    """
    run = scope.find(Secrets)
    if run is None:
        raise RuntimeError("a secret is held by a run, and here is none")
    run.held[variable] = _taken(value, source)


def remember(value: str) -> None:
    """Let the run know a secret that was not asked for here. Outside a run nothing is told, and nothing known.

    Args:
        value: The secret, such as a token that was made for a few minutes.
    """
    run = scope.find(Secrets)
    if run is not None and len(value) >= SHORTEST and value not in run.known:
        run.add(value)


def any_known() -> bool:
    """Whether there is anything to hide."""
    return bool(_known())


def hide(text: str) -> str:
    """A text without the secrets that are known.

    Args:
        text: What is to be told.
    """
    for value in _known():
        text = text.replace(value, HIDDEN)
    return text


def open_to_others(path: Path) -> str:
    """The mode of a file that more than its owner may read or change, in octal; empty when nobody else may.

    Args:
        path: The file.

    Raises:
        OSError: There is no such file.
    """
    mode = stat.S_IMODE(path.stat().st_mode)
    return f"{mode:04o}" if mode & OTHERS else ""


def _read(path: Path, variable: str) -> str:
    try:
        if not path.is_file():
            path.stat()  # one that is not there raises
            raise ConfigError(f"{path} ({variable}) is no file", todo="write the secret into a file of mode 0600")
        if mode := open_to_others(path):
            raise ConfigError(f"others may read {path} ({variable}): its mode is {mode}", todo=f"chmod 600 {path}")
        return bounded.content(path, LARGEST).decode()
    except UnicodeDecodeError:
        raise ConfigError(f"{path} ({variable}) holds no text", todo="write the secret as one line of UTF-8") from None
    except bounded.TooMuchError as error:
        raise ConfigError(f"{path} ({variable}): {error}", todo="write the secret alone into it") from None
    except OSError as error:
        raise ConfigError(f"cannot read {path} ({variable}): {error.strerror}", todo="check its path") from None


def _taken(value: str, source: str) -> str:
    line = value.rstrip("\r\n")
    if not line:
        raise ConfigError(f"{source} is empty", todo="write the secret there, or do not name it")
    if any(each in line for each in "\r\n\0"):  # what follows would be taken for something else, by sudo for instance
        raise ConfigError(f"{source} holds more than one line of text", todo="leave only the secret there")
    remember(line)
    return line


def _held() -> dict[str, str]:
    run = scope.find(Secrets)
    return run.held if run else {}


def _known() -> tuple[str, ...]:
    run = scope.find(Secrets)
    return run.known if run else ()
