"""That we are who we say: the login by key, agent or password, and where passwords come from."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import paramiko
from paramiko.pkey import UnknownKeyType

from configs.errors import NodeError
from tasks.ssh.endpoint import Endpoint
from tasks.ssh.transport import STEP

DEFAULT_KEYS = ("id_ed25519", "id_ecdsa", "id_rsa")


def log_in(endpoint: Endpoint, transport: paramiko.Transport) -> None:
    """Log in with the key, else the agent's keys and the default ones, else the password.

    Args:
        endpoint: The node.
        transport: Its transport, whose host key has been checked.

    Raises:
        NodeError: The key cannot be used, the password's file cannot be read, or the login was refused.
    """
    tried: list[str] = []
    seen = ""
    for label, key in _keys(endpoint, tried):
        tried.append(label)
        try:
            transport.auth_publickey(endpoint.user, key)
        except paramiko.AuthenticationException:
            if transport.is_active():
                continue
            seen = "the server hung up, as it does when its MaxAuthTries is reached"
            break
        except (paramiko.SSHException, OSError, EOFError) as error:
            seen = str(error)
            break
        if transport.is_authenticated():
            return
    password = secret("KUBEV6_SSH_PASSWORD", endpoint.node, STEP)
    if password is not None and not seen:
        tried.append("password")
        try:
            transport.auth_password(endpoint.user, password)
        except (paramiko.SSHException, OSError, EOFError) as error:
            seen = "" if isinstance(error, paramiko.AuthenticationException) else str(error)
        if transport.is_authenticated():
            return
    if not transport.is_active() and not seen:
        seen = "closed by the other side"
    raise NodeError(
        endpoint.node,
        STEP,
        f"{endpoint.authority} refused {endpoint.user}: tried {', '.join(tried) or 'nothing, there is no key'}"
        + (f" ({seen})" if seen else ""),
        todo=f"put a public key of yours into {endpoint.user}'s authorized_keys there, name the private key in "
        "the cluster file, or give a password in the file named by KUBEV6_SSH_PASSWORD_FILE",
    )


def _keys(endpoint: Endpoint, tried: list[str]) -> Iterator[tuple[str, paramiko.PKey]]:
    if endpoint.key_file:
        path = Path(endpoint.key_file).expanduser()
        try:
            key = paramiko.PKey.from_path(path)
        except (paramiko.PasswordRequiredException, TypeError) as error:  # TypeError: OpenSSL's word for the same
            raise NodeError(
                endpoint.node,
                STEP,
                f"the key {path} is locked by a passphrase",
                todo="add it to an SSH agent (`ssh-add`) and leave it out of the cluster file",
            ) from error
        except (OSError, ValueError, paramiko.SSHException, UnknownKeyType) as error:
            raise NodeError(
                endpoint.node,
                STEP,
                f"cannot use the key {path}: {getattr(error, 'strerror', None) or 'no private key is in it'}",
                todo="name a private key in OpenSSH format",
                detail=str(error),
            ) from error
        yield f"key {path}", key
        return
    agent = paramiko.Agent()
    try:
        for agent_key in agent.get_keys():
            yield f"agent key {agent_key.fingerprint[:15]}", agent_key
    finally:
        agent.close()
    for name in DEFAULT_KEYS:
        path = Path.home() / ".ssh" / name
        if not path.exists():
            continue
        try:
            key = paramiko.PKey.from_path(path)
        except (OSError, ValueError, TypeError, paramiko.SSHException, UnknownKeyType):
            tried.append(f"key {path} (locked or not readable)")
            continue
        yield f"key {path}", key


def secret(variable: str, node: str, step: str) -> str | None:
    """A password from the environment, or from the file that the environment names.

    Args:
        variable: The variable that holds it; with ``_FILE`` behind it, the one that names the file.
        node: The node's name, for the error.
        step: What it is needed for, for the error.

    Returns:
        The password; None when neither is set.

    Raises:
        NodeError: The file cannot be read.
    """
    if value := os.environ.get(variable):
        return value
    if path := os.environ.get(f"{variable}_FILE"):
        try:
            return Path(path).expanduser().read_text().rstrip("\r\n")
        except OSError as error:
            raise NodeError(node, step, f"cannot read {path} ({variable}_FILE): {error.strerror}") from error
    return None
