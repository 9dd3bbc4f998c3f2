"""The same way with the system's own ``ssh``, for a person's shell on a machine."""

from __future__ import annotations

import shlex
from collections.abc import Iterator, Sequence

from tasks.shell import quote
from tasks.ssh.endpoint import Endpoint

CONNECT_TIMEOUT = 15
"""Seconds, where the user's SSH configuration names no other; that of :func:`tasks.ssh.connection.connect`."""


def ssh_command(endpoint: Endpoint, command: Sequence[str] = ()) -> list[str]:
    """The words to start the system's own ``ssh`` with.

    No configuration file is read again: what counts of it is said here, so that this is the way of
    :func:`tasks.ssh.connection.connect` also where both would read it otherwise.

    Args:
        endpoint: The node.
        command: What to run there; nothing for an interactive shell.

    Returns:
        Words for ``os.execvp`` or ``subprocess.run``, with the same keys, host key checks and jump hosts as
        :func:`tasks.ssh.connection.connect`.
    """
    return [*_ssh(endpoint), "--", endpoint.host, *([quote(command)] if command else [])]


def _ssh(endpoint: Endpoint) -> list[str]:
    words = ["ssh", "-F", "none", "-p", str(endpoint.port), "-l", endpoint.user]
    for keyword, value in _options(endpoint):
        words += ["-o", f"{keyword}={value}"]
    return words


def _options(endpoint: Endpoint) -> Iterator[tuple[str, str]]:
    settings = endpoint.settings
    yield "StrictHostKeyChecking", "yes"
    yield "ConnectTimeout", str(settings.connect_timeout or CONNECT_TIMEOUT)
    for path in (endpoint.key_file,) if endpoint.key_file else settings.identity_files:
        yield "IdentityFile", _written(path)
    if endpoint.key_file or settings.identities_only:
        yield "IdentitiesOnly", "yes"
    if endpoint.known_hosts:
        yield "UserKnownHostsFile", _written(endpoint.known_hosts)
        yield "GlobalKnownHostsFile", "none"
    else:
        if settings.user_known_hosts_files:
            yield "UserKnownHostsFile", " ".join(map(_written, settings.user_known_hosts_files))
        if settings.global_known_hosts_files:
            yield "GlobalKnownHostsFile", " ".join(map(_written, settings.global_known_hosts_files))
    if settings.revoked_host_keys:  # older versions of ssh take one file
        yield "RevokedHostKeys", " ".join(map(_written, settings.revoked_host_keys))
    if settings.host_key_alias:
        yield "HostKeyAlias", settings.host_key_alias
    if endpoint.via:
        # Not ProxyJump, which would have all jump hosts share what is said here of the machine itself.
        words = [*_ssh(endpoint.via), "-W", endpoint.authority, "--", endpoint.via.host]
        yield "ProxyCommand", _without_tokens(shlex.join(words))
    elif settings.proxy_command:
        yield "ProxyCommand", _without_tokens(settings.proxy_command)


def _written(path: str) -> str:
    """A path as a configuration file has it: in quotes, and with nothing that stands for something else."""
    escaped = path.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{_without_tokens(escaped)}"'


def _without_tokens(text: str) -> str:
    return text.replace("%", "%%")
