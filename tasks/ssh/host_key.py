"""That the machine is the one it should be: its host key against the known_hosts files."""

from __future__ import annotations

import base64
import hmac
import re
from collections.abc import Iterator
from pathlib import Path

import paramiko
from paramiko.hostkeys import HostKeyEntry

from configs.errors import NodeError
from tasks import bounded
from tasks.replace import write_whole
from tasks.shell import quote
from tasks.ssh.endpoint import Endpoint
from tasks.ssh.patterns import among
from tasks.ssh.proxy_command import Piped

_SEPARATORS = re.compile(r"[ \t]+")
"""What stands between the words of a line; other white space is part of one, as with ssh."""
GLOBAL_FILES = ("/etc/ssh/ssh_known_hosts", "/etc/ssh/ssh_known_hosts2")


class OtherHostKeyError(NodeError):
    """A host key that is not known, where none of the host is known or another: who has seen its machine may take it.

    Args:
        endpoint: The node.
        seen: One line.
        todo: What to do next, one line.
        key: What was shown.
        known: The one that is known, if any is.
    """

    def __init__(
        self, endpoint: Endpoint, seen: str, *, todo: str, key: paramiko.PKey, known: paramiko.PKey | None = None
    ) -> None:
        super().__init__(endpoint.node, "connect", seen, todo=todo)
        self.endpoint = endpoint
        self.line = f"{_name(endpoint)} {key.get_name()} {key.get_base64()}"
        """Of a known_hosts file."""
        self.kind = _short_kind(key)
        self.fingerprint = str(key.fingerprint)
        self.known = str(known.fingerprint) if known else ""
        """A fingerprint too; empty without one."""


def shake_hands(endpoint: Endpoint, transport: paramiko.Transport, timeout: float) -> None:
    """Exchange keys and check the host's key against what is known of it.

    Args:
        endpoint: The node.
        transport: Its transport, not yet started.
        timeout: Seconds for the key exchange.

    Raises:
        NodeError: No SSH session came about, or the host key is unknown, changed or revoked, or its only line of the
            known_hosts files is damaged.
    """
    name = _name(endpoint)
    files = _known_hosts_files(endpoint)
    known: dict[str, list[paramiko.PKey]] = {}
    revoked, authorities, damaged = [*_revoked(endpoint)], [], list[NodeError]()
    for path in files:
        for marker, known_key in _keys_in(path, endpoint, name, damaged):
            if marker == "@revoked":
                revoked.append(known_key)
            elif marker == "@cert-authority":
                authorities.append(path)
            elif not marker:
                known.setdefault(known_key.get_name(), []).append(known_key)
    options = transport.get_security_options()
    first = [kind for kind in options.key_types if _key_family(kind) in known]
    options.key_types = first + [kind for kind in options.key_types if kind not in first]
    try:
        transport.start_client(timeout=timeout)
        if not transport.initial_kex_done:  # start_client returns without a word when the time is up
            raise TimeoutError(f"silence for {timeout:g} s")
        key = transport.get_remote_server_key()
    except (paramiko.SSHException, OSError, EOFError) as error:
        incompatible = isinstance(error, paramiko.ssh_exception.IncompatiblePeer)
        seen = str(error) or "closed by the other side"
        if isinstance(transport.sock, Piped):
            raise endpoint.unreached(
                f"no SSH session with {endpoint.authority} came of its ProxyCommand: {transport.sock.said() or seen}",
                todo=f"run it by hand: {endpoint.settings.proxy_command}",
                transient=not incompatible,
            ) from error
        raise endpoint.unreached(
            f"{endpoint.authority} takes the connection, but no SSH session came of it: {seen}",
            todo="let its sshd offer algorithms of this century"
            if incompatible
            else "look on the machine's console whether it is frozen or overloaded, and whether that port is sshd's",
            transient=not incompatible,
        ) from error
    if key in revoked:
        raise endpoint.unreached(
            f"the host key of {endpoint.authority} is revoked: {key.get_name()} {key.fingerprint} was seen",
            todo="give the machine a new host key, if it is that machine",
        )
    accepted = known.get(key.get_name(), [])
    if key in accepted:
        return
    where = endpoint.known_hosts or next(iter(endpoint.settings.user_known_hosts_files), "~/.ssh/known_hosts")
    if accepted:
        raise OtherHostKeyError(
            endpoint,
            f"the host key of {endpoint.authority} has changed: "
            f"{accepted[0].fingerprint} is known, {key.fingerprint} was seen",
            todo="if the machine was installed again, forget the old key with "
            f"`{quote(['ssh-keygen', '-R', name, '-f', where])}` and learn the new one; else somebody answers "
            "in its place",
            key=key,
            known=accepted[0],
        )
    if damaged:
        raise damaged[0]
    seen = f"{key.get_name()} {key.fingerprint} was seen"
    if authorities:
        seen += f", and of the authority in {authorities[0]} no use is made, as no certificate is asked for"
    raise OtherHostKeyError(
        endpoint,
        f"the host key of {endpoint.authority} is not known: {seen}",
        todo=f"compare it with the machine's own, then `{_told(endpoint, key)} >> {where}`",
        key=key,
    )


def take(error: OtherHostKeyError) -> Path:
    """Take a host key for that of its host, in the place of all that were the host's, as a person has said.

    Args:
        error: That it was refused.

    Returns:
        The file that has it now.

    Raises:
        NodeError: The key of before is in a file that is not this user's, or one of theirs cannot be written.
    """
    endpoint, name = error.endpoint, _name(error.endpoint)
    files = _known_hosts_files(endpoint)
    own = files if endpoint.known_hosts else files[: len(files) - len(_global_files(endpoint))]
    for path in files:
        before = [*_keys_in(path, endpoint, name, [])]
        if path not in own and any(not marker for marker, _ in before):
            raise endpoint.unreached(
                f"{path} has the former host key of {name}, and is not the user's own",
                todo=f"take it out with `{quote(['ssh-keygen', '-R', name, '-f', str(path)])}`, and do it again",
            )
    for path in own:
        try:
            lines = bounded.content(path).decode(errors="surrogateescape").splitlines(keepends=True)
        except (FileNotFoundError, NotADirectoryError):
            lines = []
        kept = [line for line in lines if not _is_host_s(line, name)]
        if path == own[0]:
            if kept and not kept[-1].endswith("\n"):
                kept[-1] += "\n"
            kept.append(f"{error.line}\n")
        if kept != lines:
            _write(path.resolve(), "".join(kept).encode(errors="surrogateescape"), endpoint)
    return own[0]


def _is_host_s(line: str, name: str) -> bool:
    """Whether a line of a known_hosts file has a host's key: by its name, and by no pattern that others match too."""
    names, _, rest = line.strip(" \t\r\n").partition(" ")
    if names.startswith(("#", "@")) or not rest:
        return False
    return name.lower() in names.lower().split(",") or (names.startswith("|1|") and _is_hash_of(name.lower(), names))


def _write(path: Path, content: bytes, endpoint: Endpoint) -> None:
    """Write a known_hosts file, which stays readable by those that could read it."""
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        write_whole(path, content, mode=path.stat().st_mode & 0o777 if path.exists() else 0o600)
    except OSError as error:
        raise endpoint.unreached(f"cannot write {path}: {error.strerror or error}") from error


def _name(endpoint: Endpoint) -> str:
    """The name under which known_hosts files have the host's key (sshd(8))."""
    if endpoint.settings.host_key_alias:
        return endpoint.settings.host_key_alias
    return endpoint.host if endpoint.port == 22 else f"[{endpoint.host}]:{endpoint.port}"


def _told(endpoint: Endpoint, key: paramiko.PKey) -> str:
    """The command that prints the line of a known_hosts file: from the machine itself where it is seen from here."""
    settings = endpoint.settings
    if endpoint.via or settings.proxy_command or settings.host_key_alias:
        return quote(["echo", f"{_name(endpoint)} {key.get_name()} {key.get_base64()}"])
    return quote(["ssh-keyscan", "-t", _short_kind(key), "-p", str(endpoint.port), endpoint.host])


def _known_hosts_files(endpoint: Endpoint) -> list[Path]:
    """The files that are asked; their defaults are those of ssh_config(5)."""
    if endpoint.known_hosts:
        return [Path(endpoint.known_hosts)]
    settings, home = endpoint.settings, Path.home() / ".ssh"
    own = settings.user_known_hosts_files or (home / "known_hosts", home / "known_hosts2")
    return [*map(Path, (*own, *_global_files(endpoint)))]


def _global_files(endpoint: Endpoint) -> tuple[str, ...]:
    return endpoint.settings.global_known_hosts_files or GLOBAL_FILES


def _revoked(endpoint: Endpoint) -> Iterator[paramiko.PKey]:
    """The keys of ``RevokedHostKeys``, one a line; as with ssh, one that cannot be read revokes all (ssh_config(5))."""
    for path in map(Path, endpoint.settings.revoked_host_keys):
        try:
            content = bounded.content(path)
        except (OSError, bounded.TooMuchError) as error:
            seen = f"the host keys that {path} revokes cannot be read: {getattr(error, 'strerror', None) or error}"
            raise endpoint.unreached(seen, todo="correct RevokedHostKeys in the SSH configuration") from error
        if content.startswith(b"SSHKRL\n"):
            seen = f"{path}, which RevokedHostKeys names, is a list of OpenSSH's own form, which is not read here"
            raise endpoint.unreached(seen, todo="name a file of public keys, one a line")
        for number, line in enumerate(content.decode(errors="replace").split("\n"), 1):
            if not line.strip() or line.lstrip().startswith("#"):
                continue
            seen = f"{path}, line {number}: no host key can be read there, which would be revoked"
            if key := _key(["*", *line.split()[:2]], number, endpoint, seen):
                yield key
            else:
                raise endpoint.unreached(seen, todo="correct that line, or remove it")


def _key(fields: list[str], number: int, endpoint: Endpoint, damaged: str) -> paramiko.PKey | None:
    """The key of a line of a known_hosts file; None where it is of a kind that is not known here.

    Raises:
        NodeError: It is damaged, in these words.
    """
    try:
        entry = HostKeyEntry.from_line(" ".join(fields), number)
    except Exception as error:  # the reader of each kind of key has exceptions of its own
        raise endpoint.unreached(damaged, todo="correct that line, or remove it") from error
    return entry.key if entry else None


def _keys_in(
    path: Path, endpoint: Endpoint, name: str, damaged: list[NodeError]
) -> Iterator[tuple[str, paramiko.PKey]]:
    """The keys that a known_hosts file has for a name, each with its line's marker, if there is one (sshd(8)).

    Args:
        path: The file.
        endpoint: The node.
        name: The name.
        damaged: What is wrong with lines that are passed over is put here, for when no other line has the key.

    Raises:
        NodeError: The file cannot be read, or a key that is revoked.
    """
    try:
        lines = bounded.content(path).decode(errors="replace").split("\n")
    except (FileNotFoundError, NotADirectoryError):
        return
    except (OSError, bounded.TooMuchError) as error:
        raise endpoint.unreached(f"cannot read {path}: {getattr(error, 'strerror', None) or error}") from error
    for number, line in enumerate(lines, 1):
        fields = _SEPARATORS.split(line.strip(" \t\r"))
        marker = fields.pop(0) if fields and fields[0].startswith("@") else ""
        if len(fields) < 3 or line.lstrip().startswith("#") or not _is_among(name, fields[0]):
            continue
        seen = f"{path}, line {number}: no host key of {name} can be read there"
        try:
            key = _key(fields[:3], number, endpoint, seen)
        except NodeError as error:
            if marker == "@revoked":
                raise
            damaged.append(error)
            continue
        if key:
            yield marker, key


def _is_among(name: str, names: str) -> bool:
    """Whether a name is one of a line: hashed, or by patterns of which none may say that it is not (sshd(8))."""
    patterns = names.lower().split(",")
    if names.startswith("|1|"):
        return _is_hash_of(name.lower(), names)
    return among([name.lower()], patterns)


def _is_hash_of(name: str, hashed: str) -> bool:
    """Whether ``|1|SALT|HASH`` is of a name; of none where it is damaged."""
    try:
        salt, digest = (base64.b64decode(part, validate=True) for part in hashed.removeprefix("|1|").split("|"))
    except ValueError:
        return False
    return hmac.compare_digest(hmac.digest(salt, name.encode(), "sha1"), digest)


def _key_family(kind: str) -> str:
    """The name under which known_hosts keeps keys that are negotiated as ``kind`` (RFC 8332 for RSA)."""
    return "ssh-rsa" if kind.startswith("rsa-sha2-") else kind


def _short_kind(key: paramiko.PKey) -> str:
    kind = key.get_name()
    return "ed25519" if "ed25519" in kind else "rsa" if "rsa" in kind else "ecdsa"
