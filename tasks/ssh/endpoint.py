"""Where and how a node is reached by SSH."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Endpoint:
    """Where and how a node is reached.

    Attributes:
        node: The node's name, for messages.
        host: Host name, IPv4 or IPv6 address (no brackets).
        port: TCP port of sshd.
        user: Login name. Anyone but root needs the right to use sudo.
        key_file: Private key; None means agent and default keys.
        known_hosts: File with the host's key; None means the user's and the system's own files.
        todo: What to do when no connection comes about, where whoever made the machine knows better than SSH.
    """

    node: str
    host: str
    port: int = 22
    user: str = "root"
    key_file: str | None = None
    known_hosts: str | None = None
    todo: str = field(default="", compare=False)

    @property
    def authority(self) -> str:
        """``[address]:port``, or ``name:port`` for anything that holds no colon."""
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"
