"""Keys of backups, and what is encrypted to them: the format is age's (age-encryption.org/v1), the library pyrage.

A backup is encrypted to public keys of age's or of ssh's, and opened by the private key of one of them. Of a private
key nothing but the path of its file is ever a parameter, and its passphrase comes as every secret does.
"""

from __future__ import annotations

import re
import sys
from dataclasses import dataclass, field
from getpass import getpass
from pathlib import Path
from typing import Any

from configs.errors import ConfigError
from tasks import bounded, secrets
from tasks.paths import expanded
from tasks.secrets import BACKUP_PASSPHRASE

LARGEST_KEY = 1 << 16
"""Bytes of a file with keys."""
PUBLIC = re.compile(r"age1[a-z0-9]{20,3000}|ssh-(ed25519|rsa) [A-Za-z0-9+/=]{40,3000}( [^\n]*)?")
"""A public key, as age-keygen and ssh-keygen write it."""
_AGE_SECRET = re.compile(r"^AGE-SECRET-KEY-1[0-9A-Z]+$", re.MULTILINE)
_NOT_MATCHING = "No matching keys found"
"""What pyrage says of a key that is none of those to which something was encrypted."""


class WrongKeyError(ConfigError):
    """A key opens something else."""


@dataclass(frozen=True, slots=True)
class Identities:
    """Private keys in the memory of a process.

    Attributes:
        path: The file that they come from.
        held: They, as pyrage has them.
    """

    path: Path
    held: tuple[Any, ...] = field(repr=False)


def public(given: str) -> tuple[str, ...]:
    """The public keys that a person names.

    Args:
        given: A public key of age's or ssh's, or the path of a file with some, a line each.

    Raises:
        ConfigError: There is none that something can be encrypted to.
    """
    if PUBLIC.fullmatch(given.strip()):
        found, where = [given.strip()], "the key"
    else:
        path = Path(expanded(given))
        where = str(path)
        lines = (line.strip() for line in _content(path, "public").decode("utf-8", "replace").splitlines())
        found = [line for line in lines if line and not line.startswith("#")]
        if any("PRIVATE KEY" in line or _AGE_SECRET.match(line) for line in found):
            raise ConfigError(
                f"{where} is a private key, and a backup is encrypted to a public one",
                todo=f"name {where}.pub, or what `age-keygen -y {where}` prints",
            )
    if not found:
        raise ConfigError(f"{where} has no public key in it", todo="name another file, such as ~/.ssh/id_ed25519.pub")
    for each in found:
        _recipient(each, where)
    return tuple(found)


def sealed(content: bytes, recipients: tuple[str, ...]) -> bytes:
    """Something encrypted, to be opened by the private key of any of some public ones.

    Args:
        content: What.
        recipients: The public keys, each as :func:`public` gives it.

    Raises:
        ConfigError: There is none, or one is no key.
    """
    import pyrage

    if not recipients:
        raise ConfigError("a backup is encrypted to a key, and none is named", todo="name a public key with --key")
    return bytes(pyrage.encrypt(content, [_recipient(each, "the key") for each in recipients]))


def opened(content: bytes, keys: Identities, where: str) -> bytes:
    """What was encrypted, whole and as it was: any other byte of it is noticed.

    Args:
        content: What :func:`sealed` gave.
        keys: Private keys.
        where: The file that it comes from, for the error.

    Raises:
        WrongKeyError: None of the keys opens it.
        ConfigError: It is damaged, cut off, or nothing that was encrypted.
    """
    import pyrage

    try:
        return bytes(pyrage.decrypt(content, list(keys.held)))
    except pyrage.DecryptError as error:
        if str(error) == _NOT_MATCHING:
            raise WrongKeyError(
                f"{where} is not encrypted to the key in {keys.path}",
                todo="name the private key that belongs to the public one of the backup; nothing was changed",
            ) from None
        raise ConfigError(
            f"{where} is damaged or cut off, or no backup: {str(error)[:1].lower()}{str(error)[1:]}",
            todo="take another copy of it, or another backup; nothing was changed",
        ) from None


def private(given: str) -> Identities:
    """The private keys in a file: of age's, also one that is encrypted to a passphrase, or of ssh's.

    Args:
        given: The path of the file.

    Raises:
        ConfigError: It cannot be read, others may read it, it holds no such key, or its passphrase is another.
    """
    import pyrage

    path = Path(expanded(given))
    content = _content(path, "private")
    if mode := secrets.open_to_others(path):
        raise ConfigError(f"others may read the private key {path}: its mode is {mode}", todo=f"chmod 600 {path}")
    if content.startswith(b"age-encryption.org/v1"):
        try:
            content = pyrage.passphrase.decrypt(content, _passphrase(path))
        except pyrage.DecryptError:
            raise _refused(path) from None
    try:
        if b"PRIVATE KEY-----" in content:
            return Identities(path, (pyrage.ssh.Identity.from_buffer(_without_passphrase(content, path)),))
        found = _AGE_SECRET.findall(content.decode("utf-8", "replace"))
        for each in found:
            secrets.remember(each)
        if found:
            return Identities(path, tuple(pyrage.x25519.Identity.from_str(each) for each in found))
    except pyrage.IdentityError as error:
        raise ConfigError(f"the key {path} opens no backup: {error}", todo=_KINDS) from None
    raise ConfigError(f"{path} has no private key in it", todo=_KINDS)


_KINDS = "name one of `age-keygen`'s, or an ed25519 or RSA key of ssh's"


def _recipient(key: str, where: str) -> Any:
    import pyrage

    try:
        if key.startswith("age1"):
            return pyrage.x25519.Recipient.from_str(key)
        return pyrage.ssh.Recipient.from_str(key)
    except pyrage.RecipientError as error:
        raise ConfigError(
            f"{where}: a backup cannot be encrypted to {key[:24]!r}: {error}",
            todo="name a public key of age's (age1...), or one of ssh's of the kind ed25519 or RSA",
        ) from None


def _content(path: Path, kind: str) -> bytes:
    try:
        if not path.is_file():
            path.stat()  # one that is not there raises
            raise ConfigError(f"the {kind} key {path} is no file", todo="name the file that holds the key")
        return bounded.content(path, LARGEST_KEY)
    except bounded.TooMuchError as error:
        raise ConfigError(f"the {kind} key {path}: {error}", todo="name the file that holds the key") from None
    except OSError as error:
        raise ConfigError(f"cannot read the {kind} key {path}: {error.strerror}", todo="check its path") from None


def _without_passphrase(content: bytes, path: Path) -> bytes:
    """A private key of ssh's as it is without its passphrase, in memory alone."""
    from cryptography.hazmat.primitives import serialization

    try:
        try:
            key = serialization.load_ssh_private_key(content, None)
        except TypeError:  # it has a passphrase
            try:
                key = serialization.load_ssh_private_key(content, _passphrase(path).encode())
            except ValueError:
                raise _refused(path) from None
        return key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.OpenSSH, serialization.NoEncryption()
        )
    except ConfigError:
        raise
    except Exception:  # whatever it is, pyrage says it
        return content


def _passphrase(path: Path) -> str:
    """The passphrase of a key: as secrets come, else from who sits at the terminal."""
    if (known := secrets.secret(BACKUP_PASSPHRASE)) is not None:
        return known
    if not sys.stdin.isatty():
        raise ConfigError(
            f"the key {path} has a passphrase, and there is no terminal to ask for it",
            todo=f"name a file that holds it by {BACKUP_PASSPHRASE}_FILE",
        )
    said = getpass(f"Passphrase of {path}: ")
    secrets.hold(BACKUP_PASSPHRASE, said, "the passphrase")
    return said


def _refused(path: Path) -> ConfigError:
    return ConfigError(
        f"the passphrase is not that of the key {path}", todo=f"see what {BACKUP_PASSPHRASE} or its file says"
    )
