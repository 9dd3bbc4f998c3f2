"""From what a cluster file and the user's SSH configuration say of a machine to the way there.

The cluster file comes first, then the user's SSH configuration, then what is usual here: port 22, and root.
"""

from __future__ import annotations

import getpass
import re
from collections.abc import Mapping
from dataclasses import replace
from ipaddress import ip_address
from pathlib import Path
from typing import Any

from configs.errors import ConfigError
from tasks.paths import expanded
from tasks.ssh.endpoint import ClientSettings, Endpoint
from tasks.ssh.ssh_config import DEEPEST, JUMP, SEPARATOR, SshConfig

_UNITS = {"": 1, "s": 1, "m": 60, "h": 3600, "d": 86400, "w": 604800}
_NO_FILES = ("none", "/dev/null")


def endpoint(
    config: SshConfig, node: str, host: str, *, user: str | None = None, port: int | None = None, address: str = ""
) -> Endpoint:
    """The way to a machine.

    With ssh a ``Host`` is one by what a person types. Who has written ``Host rack-1-*`` types the machine's name, not
    an address that stands in the cluster file; so of a machine that is reached at an address both are tried. Where the
    file names a host, that is what a person would type, and the only thing that is tried.

    Args:
        config: The user's SSH configuration.
        node: The machine's name, for messages.
        host: Its host as the cluster file writes it: an address, a name or a ``Host`` of the configuration; empty where
            it names none.
        user: The login that the cluster file names.
        port: The port that the cluster file names.
        address: Where it is reached if neither the cluster file nor a block for its name says anything else.

    Raises:
        ConfigError: A jump host leads back to itself.
    """
    given = Endpoint(node, host or address, port or 0, user or "")
    machine, jumps = _machine(config, given, "root", node if _is_address(given.host) else "", movable=not host)
    return replace(machine, via=_via(config, machine, jumps, ()))


def _machine(
    config: SshConfig, given: Endpoint, usual_user: str, name: str = "", *, movable: bool = True
) -> tuple[Endpoint, str]:
    """A machine with all that is said of it but the jump hosts, and these as its ProxyJump names them.

    Args:
        config: The user's SSH configuration.
        given: What is given of it.
        usual_user: Its login where nobody says another.
        name: Its name, where the blocks for that count too.
        movable: Whether a HostName in one of these says where it is.
    """
    options = dict(config.options(given.host, user=given.user, port=given.port, also=name))
    of_address = config.options(given.host, user=given.user, port=given.port).get("hostname", "")
    if of_address:
        options["hostname"] = of_address
    elif name and not movable:
        options.pop("hostname", None)
    user = options.get("user") or given.user or usual_user
    port = int(options.get("port") or given.port or 22)
    own = getpass.getuser() if options else ""
    home = str(Path.home())
    tokens = {"%": "%", "n": given.host, "h": given.host, "p": str(port), "r": user, "u": own, "d": home}
    host = options.get("hostname", given.host)
    if host != given.host:  # not an address with a zone, which is written with % too
        host = _with_tokens(host, {**tokens, "n": name, "h": name} if name and not of_address else tokens)
    tokens["h"] = host
    # Of the two, the one that is found first.
    proxy = next((keyword for keyword in options if keyword in ("proxyjump", "proxycommand")), "")
    said = _with_tokens(options.get(proxy) or "none", tokens)
    command, jumps = (said, "none") if proxy == "proxycommand" else ("none", said)
    settings = replace(_settings(options, tokens), proxy_command="" if command == "none" else command)
    return replace(given, host=host, port=port, user=user, settings=settings), "" if jumps == "none" else jumps


def _settings(options: Mapping[str, Any], tokens: Mapping[str, str]) -> ClientSettings:
    identities = (_file(each, tokens) for each in options.get("identityfile", ()))

    def files(keyword: str) -> tuple[str, ...]:
        found = (_file(each, tokens) for each in options.get(keyword, "").split(SEPARATOR) if each)
        return tuple(each for each in found if each not in _NO_FILES)

    return ClientSettings(
        identity_files=tuple(each for each in identities if each not in _NO_FILES),
        identities_only=options.get("identitiesonly") in ("yes", "true"),
        user_known_hosts_files=files("userknownhostsfile"),
        global_known_hosts_files=files("globalknownhostsfile"),
        revoked_host_keys=files("revokedhostkeys"),
        host_key_alias=options.get("hostkeyalias", ""),
        connect_timeout=_seconds(options.get("connecttimeout", "none")),
    )


def _via(config: SshConfig, machine: Endpoint, jumps: str, before: tuple[str, ...]) -> Endpoint | None:
    """The last of some jump hosts, which is reached through the others."""
    via: Endpoint | None = None
    before = (*before, machine.authority)
    for name in jumps.split(",") if jumps else ():
        found = JUMP.fullmatch(name)
        if found is None:  # a token of it stands for something else than the reader could see
            raise ConfigError(
                f"{machine.node}: by the SSH configuration the way to it leads through {name!r}, which is no jump host",
                todo="correct its ProxyJump in ~/.ssh/config; an IPv6 address stands in brackets there",
            )
        given = Endpoint(machine.node, found["address"] or found["name"], int(found["port"] or 0), found["user"] or "")
        jump, its_own = _machine(config, replace(given, jump=name), getpass.getuser())
        if via is None:
            if jump.authority in before or len(before) > DEEPEST:
                raise ConfigError(
                    f"{machine.node}: by the SSH configuration the way to it leads through {name}, and that to {name} "
                    "through itself",
                    todo=f"write `ProxyJump none` for it in ~/.ssh/config, before the block that names {name}",
                )
            via = replace(jump, via=_via(config, jump, its_own, before))
        else:
            # As with ssh, what it says of the way to this one does not count: it is reached through the one before.
            via = replace(jump, via=via, settings=replace(jump.settings, proxy_command=""))
    return via


def _is_address(host: str) -> bool:
    try:
        ip_address(host)
    except ValueError:
        return False
    return True


def _file(name: str, tokens: Mapping[str, str]) -> str:
    return expanded(_with_tokens(name, tokens))


def _with_tokens(text: str, tokens: Mapping[str, str]) -> str:
    """A value with its tokens (ssh_config(5), TOKENS); others are left as they are."""
    return re.sub(r"%(.)", lambda found: tokens.get(found[1], found[0]), text)


def _seconds(time: str) -> int | None:
    """A time in the format of sshd_config(5), such as ``1m30s``; None when it stands for no limit."""
    return sum(int(count) * _UNITS[unit] for count, unit in re.findall(r"(\d+)([smhdw]?)", time)) or None
