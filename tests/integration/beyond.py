"""Coming to a machine from an address that it can answer by its default route alone, as from beyond a gateway."""

from __future__ import annotations

import json
import socket
import subprocess

import pytest

from tasks.ssh.connection import Connection
from tests.fakes import substitute


def come_from_beyond(machine: Connection, monkeypatch: pytest.MonkeyPatch) -> tuple[str, str]:
    """Let connections of this process begin at such an address from now on.

    Args:
        machine: To the machine.
        monkeypatch: Which ends it.

    Returns:
        The address, and the gateway that the machine has for it.
    """
    gateway = machine.run("echo ${SSH_CONNECTION%% *}", step="test").stdout.strip()
    links = json.loads(subprocess.run(["ip", "-4", "-j", "addr"], capture_output=True, check=True).stdout)
    own = [address["local"] for link in links for address in link["addr_info"] if link["ifname"] != "lo"]
    beyond = next(address for address in own if address != gateway)
    direct = socket.create_connection

    def from_beyond(address: tuple[str, int], timeout: float) -> socket.socket:
        return direct(address, timeout, source_address=(beyond, 0))

    substitute(monkeypatch, socket, "create_connection", from_beyond)
    return beyond, gateway
