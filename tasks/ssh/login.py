"""That we are who we say: the login by key, agent or password."""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import paramiko
from paramiko.pkey import UnknownKeyType

from configs.errors import NodeError
from tasks.paths import expanded
from tasks.secrets import KEY_PASSPHRASE, SSH_PASSWORD, open_to_others, secret
from tasks.ssh.endpoint import Endpoint

DEFAULT_KEYS = ("id_ed25519", "id_ecdsa", "id_rsa")


def log_in(endpoint: Endpoint, transport: paramiko.Transport) -> None:
    """Log in with the key, else the agent's keys and those of the settings or the default ones, else the password.

    As with ssh, keys of the agent that the settings name come first. Jump hosts never get the password: it is the
    nodes'.

    Args:
        endpoint: The node.
        transport: Its transport, whose host key has been checked.

    Raises:
        NodeError: The key cannot be used, or the login was refused; transient when there was no answer to it.
        ConfigError: The file of a password or a passphrase cannot be used.
    """
    tried: list[str] = []
    refused = False
    seen = ""
    for label, request in _requests(endpoint, transport, tried):
        tried.append(label)
        deadline = time.monotonic() + transport.auth_timeout
        try:
            request()
        except paramiko.AuthenticationException as error:
            if transport.is_active() and time.monotonic() > deadline:
                raise _unanswered(endpoint, f"silence for {transport.auth_timeout:g} s") from error
            if not transport.is_active() and not refused:
                raise _unanswered(endpoint, "closed by the other side") from error
        except paramiko.SSHException as error:  # such as that of an agent that does not sign
            seen = str(error)
            break
        except (OSError, EOFError) as error:
            raise _unanswered(endpoint, str(error) or "closed by the other side") from error
        if transport.is_authenticated():
            return
        if not transport.is_active():
            seen = "the server hung up, as it does when its MaxAuthTries is reached"
            break
        refused = True
    raise endpoint.unreached(
        f"{endpoint.authority} refused {endpoint.user}: tried {', '.join(tried) or 'nothing, there is no key'}"
        + (f" ({seen})" if seen else ""),
        todo=f"put a public key of yours into {endpoint.user}'s authorized_keys there, and "
        + (
            "name the private key by IdentityFile in ~/.ssh/config"
            if endpoint.jump
            else "name the private key in the cluster file or in ~/.ssh/config, or give a password in the file "
            "named by KUBEV6_SSH_PASSWORD_FILE"
        ),
    )


class _UnusableKeyError(Exception):
    """A file that no key comes out of.

    Args:
        seen: What was seen, one line.
        todo: What to do next.
    """

    def __init__(self, seen: str, todo: str) -> None:
        super().__init__(seen)
        self.todo = todo


def _unanswered(endpoint: Endpoint, seen: str) -> NodeError:
    return endpoint.unreached(
        f"{endpoint.authority} has not answered the login of {endpoint.user}: {seen}",
        todo="look on the machine's console whether it is frozen or overloaded",
        transient=True,
    )


def _requests(
    endpoint: Endpoint, transport: paramiko.Transport, tried: list[str]
) -> Iterator[tuple[str, Callable[[], object]]]:
    """The ways to ask to be let in, each with its name, in the order in which they are tried."""
    for label, key in _keys(endpoint, tried):
        yield label, partial(transport.auth_publickey, endpoint.user, key)
    password = None if endpoint.jump else secret(SSH_PASSWORD)
    if password is not None:
        yield "password", partial(transport.auth_password, endpoint.user, password)


def _keys(endpoint: Endpoint, tried: list[str]) -> Iterator[tuple[str, paramiko.PKey]]:
    if endpoint.key_file:
        path = Path(expanded(endpoint.key_file))
        try:
            key = _read(path)
        except _UnusableKeyError as error:
            seen = f"cannot use the key {path}: {error}"
            raise endpoint.unreached(seen, todo=error.todo, detail=str(error.__cause__ or "")) from error
        yield f"key {path}", key
        return
    files = [Path(each) for each in endpoint.settings.identity_files] or _default_keys()
    named = {blob: path for path in files if (blob := _public(path))}
    agent = paramiko.Agent()
    try:
        held = {each.blob: each for each in agent.get_keys()}
        first = [blob for blob in named if blob in held]
        others = [] if endpoint.settings.identities_only else [blob for blob in held if blob not in named]
        for blob in (*first, *others):
            yield f"agent key {held[blob].fingerprint[:15]}", held[blob]
    finally:
        agent.close()
    for path in files:
        if path in [named[blob] for blob in first]:
            continue
        try:
            key = _read(path)
        except _UnusableKeyError as error:
            tried.append(f"key {path} ({error})")
            continue
        yield f"key {path}", key


def _default_keys() -> list[Path]:
    return [path for name in DEFAULT_KEYS if (path := Path.home() / ".ssh" / name).exists()]


def _public(path: Path) -> bytes:
    """The public part of a key, from the file beside it or from a file that holds nothing else; empty when unknown."""
    for each in (path.with_name(f"{path.name}.pub"), path):
        with contextlib.suppress(OSError, ValueError):
            return bytes(paramiko.pkey.PublicBlob.from_file(str(each)).key_blob)
    return b""


def _read(path: Path) -> paramiko.PKey:
    """A private key, opened by its passphrase where it has one.

    As with ssh, a key of ours that others may read is none: it may be theirs as well by now.

    Raises:
        _UnusableKeyError: It cannot be used.
    """
    todo = "name a private key in OpenSSH format"
    try:
        if path.stat().st_uid == os.getuid() and (mode := open_to_others(path)):
            raise _UnusableKeyError(f"others may read it, its mode is {mode}", f"chmod 600 {path}")
        try:
            return paramiko.PKey.from_path(path)
        except (paramiko.PasswordRequiredException, TypeError) as error:  # TypeError: OpenSSL's word for the same
            return _unlocked(path, error)
    except OSError as error:
        raise _UnusableKeyError(str(error.strerror), todo) from error
    except (ValueError, paramiko.SSHException, UnknownKeyType) as error:
        raise _UnusableKeyError("no private key is in it", todo) from error


def _unlocked(path: Path, error: Exception) -> paramiko.PKey:
    passphrase = secret(KEY_PASSPHRASE)
    where = f"the file named by {KEY_PASSPHRASE}_FILE"
    if passphrase is None:
        todo = f"add it to an SSH agent (`ssh-add`), or give the passphrase in {where}"
        raise _UnusableKeyError("it is locked by a passphrase", todo) from error
    try:
        # Its annotation says str, which the library below it refuses.
        return paramiko.PKey.from_path(path, passphrase.encode())  # type: ignore[arg-type]
    except (ValueError, paramiko.SSHException) as wrong:
        raise _UnusableKeyError(f"the passphrase of {KEY_PASSPHRASE} does not open it", f"correct {where}") from wrong
