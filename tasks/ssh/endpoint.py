"""Where and how a node is reached by SSH."""

from __future__ import annotations

from dataclasses import dataclass, field

from configs.errors import NodeError


@dataclass(frozen=True, slots=True)
class ClientSettings:
    """What the user's SSH configuration says of a machine besides where it is, under the names of ssh_config(5).

    Attributes:
        identity_files: Private keys, in this order; the default ones when empty.
        identities_only: Whether the agent is asked for these keys alone.
        user_known_hosts_files: Files with host keys, in the place of ``~/.ssh/known_hosts``.
        global_known_hosts_files: Files with host keys, in the place of the system's own.
        revoked_host_keys: Files with host keys that nobody may have.
        host_key_alias: The name under which those have the host's key, when it is another than the host's.
        proxy_command: What to start on this machine in the place of a TCP connection.
        connect_timeout: Seconds for each of: TCP connection, banner, key exchange, authentication.
    """

    identity_files: tuple[str, ...] = ()
    identities_only: bool = False
    user_known_hosts_files: tuple[str, ...] = ()
    host_key_alias: str = ""
    proxy_command: str = ""
    connect_timeout: int | None = None
    global_known_hosts_files: tuple[str, ...] = ()
    revoked_host_keys: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Endpoint:
    """Where and how a node is reached.

    Attributes:
        node: The node's name, for messages.
        host: Host name, IPv4 or IPv6 address (no brackets).
        port: TCP port of sshd.
        user: Login name. Anyone but root needs the right to use sudo.
        key_file: The only private key that is tried; None means agent, the user's settings and default keys.
        known_hosts: The only file with host keys; None means the user's and the system's own files.
        todo: What to do when no connection comes about, where whoever made the machine knows better than SSH.
        via: The jump host through which it is reached, which may be reached through another.
        jump: What the SSH configuration calls it, where it is itself a jump host on the way to ``node``.
        settings: What else the user's SSH configuration says of it; there is nothing for the machines of a lab.
    """

    node: str
    host: str
    port: int = 22
    user: str = "root"
    key_file: str | None = None
    known_hosts: str | None = None
    todo: str = field(default="", compare=False)
    via: Endpoint | None = None
    jump: str = ""
    settings: ClientSettings = ClientSettings()

    @property
    def authority(self) -> str:
        """``[address]:port``, or ``name:port`` for anything that holds no colon."""
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"

    def unreached(self, seen: str, *, todo: str = "", transient: bool = False, detail: str = "") -> NodeError:
        """The error that no connection came about; its arguments are those of :class:`configs.errors.NodeError`."""
        return NodeError(self.node, "connect", seen, todo=todo, transient=transient, detail=detail)
