"""A node whose network is really cut puts itself back; by a real sshd that is reached from another network."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from functools import partial
from pathlib import Path

import pytest

from configs.errors import NodeError
from configs.plan.state import Address, File, Reload, Route, StageState, Sysctl
from tasks.node import confirmation, engine
from tasks.node.engine import apply, bring_to, plan_changes
from tasks.ssh.connection import Connection, connect
from tasks.ssh.endpoint import ClientSettings, Endpoint
from tasks.ssh.program import program as real
from tests.fakes import substitute
from tests.integration.machine_in_namespaces import MachineInNamespaces, machine_in_namespaces
from tests.integration.sshd import make_key
from tests.waiting import eventually

HERE, FAR = "192.0.2.2", "203.0.113.9"
"""The machine, and who reaches it by SSH by way of its default route."""
RELAY = """
import os, socket, sys, threading
to = socket.create_connection((sys.argv[1], 22), timeout=5)
to.settimeout(None)
def there():
    while data := os.read(0, 65536):
        to.sendall(data)
    to.shutdown(1)
threading.Thread(target=there, daemon=True).start()
while data := to.recv(65536):
    os.write(1, data)
"""
WAITS = "await_confirmation"
STAGE = StageState(
    "network",
    files=(File("/etc/kubev6-test/deep/file", "ours\n"), File("/etc/motd", "ours\n")),
    sysctls=(Sysctl("net.ipv6.conf.all.forwarding", "1"), Sysctl("net.ipv6.conf.eth1.hop_limit", "99")),
    addresses=(Address("eth1", "fd00::101/64"),),
    routes=(Route("fd00:64::/96", "fd00::64", "eth1"), Route("2001:db8::/32", "fd00::9", "eth1", 7)),
)
"""What is right."""
CUTS: dict[str, tuple[str, ...]] = {
    "its interface is switched off": ("ip", "link", "set", "eth0", "down"),
    "its address is taken away": ("ip", "addr", "flush", "dev", "eth0"),
    "its default route is taken away": ("ip", "route", "del", "default"),
    "its default route leads elsewhere": ("ip", "route", "replace", "default", "via", "192.0.2.77", "metric", "5"),
}


@pytest.fixture
def machine(tmp_path: Path) -> Iterator[MachineInNamespaces]:
    """One whose sshd is reached from beyond a router."""
    make_key(tmp_path / "host")
    make_key(tmp_path / "user")
    with machine_in_namespaces() as made:
        made.said(
            "ip netns add far; ip link add eth0 type veth peer name far0 netns far; mkdir -p /run/sshd; "
            f"ip addr add {HERE}/24 dev eth0; ip link set eth0 up; ip route add default via 192.0.2.1 metric 5; "
            f"ip -n far addr add 192.0.2.1/24 dev far0; ip -n far addr add {FAR}/32 dev far0; "
            f"ip -n far link set far0 up; ip -n far route add {HERE}/32 dev far0 src {FAR}; "
            "echo theirs >/etc/motd; ip route add 198.51.100.0/24 nexthop via 192.0.2.3 nexthop via 192.0.2.4; "
            "ip -6 route add 2001:db8::/32 dev eth1 metric 7"
        )
        keys = (f"HostKey={tmp_path}/host", f"AuthorizedKeysFile={tmp_path}/user.pub", "StrictModes=no", "UsePAM=no")
        options = [word for each in (*keys, "PermitRootLogin=yes", "PidFile=none") for word in ("-o", each)]
        with subprocess.Popen(made.command("/usr/sbin/sshd", "-D", "-f", "/dev/null", *options)) as sshd:
            try:
                yield made
            finally:
                sshd.terminate()


@pytest.fixture
def endpoint(machine: MachineInNamespaces, tmp_path: Path) -> Endpoint:
    relay = tmp_path / "relay.py"
    relay.write_text(RELAY)
    words = machine.command("ip", "netns", "exec", "far", sys.executable, str(relay), HERE)
    known = tmp_path / "known_hosts"
    known.write_text(f"{HERE} {(tmp_path / 'host.pub').read_text()}")
    way = ClientSettings(proxy_command=" ".join(words))
    return Endpoint("kube-worker-1", HERE, 22, "root", str(tmp_path / "user"), str(known), settings=way)


@pytest.fixture
def reached(endpoint: Endpoint) -> Iterator[Connection]:
    opened: list[Connection] = []

    def connects() -> bool:
        with suppress(NodeError):
            opened.append(connect(endpoint))
        return bool(opened)

    eventually(connects)
    with opened[0] as connection:
        yield connection


def impatient(name: str) -> str:
    """A program that waits less long for what comes at once here: nothing but it touches the network of a machine."""
    text = real(name)
    for setting, seconds in (("START_SECONDS = 20\\n", 2), ("SETTLE_SECONDS = 5\\n", 2)):
        assert text.count(setting) == 1
        text = text.replace(setting, f"{setting.partition(' ')[0]} = {seconds}\\n")
    return text


@contextmanager
def soon() -> Iterator[None]:
    """Seconds in the place of a minute, where no confirmation is to come in time."""
    with pytest.MonkeyPatch.context() as patch:
        substitute(patch, engine, "SECONDS", 5)
        substitute(patch, engine, "SILENT_SECONDS", 4)
        substitute(patch, confirmation, "SECONDS", 5)
        substitute(patch, engine, "program", lambda name: impatient(name) if name == WAITS else real(name))
        yield


def looks(machine: MachineInNamespaces) -> str:
    """What a machine is: its files, settings, addresses and routes."""
    return machine.said(
        "cd /etc && find . -xdev -type f | sort | xargs -d '\\n' sha256sum; find . -type d | sort; "
        "sysctl net.ipv6.conf.all.forwarding net.ipv6.conf.eth1.hop_limit; ip -4 -o addr; ip -4 route | sort; "
        "ip -6 -o addr show scope global; ip -6 route show proto boot | sort; ls /var/lib/kubev6/backup 2>/dev/null; :"
    )


def waits(machine: MachineInNamespaces) -> bool:
    """Whether a program there waits for a confirmation."""
    return "rollback/program.py" in machine.said("cat /proc/[0-9]*/cmdline 2>/dev/null | tr '\\0' ' '")


def end_what_waits(machine: MachineInNamespaces) -> None:
    """End the program that waits there: of the processes that are all seen, that of the machine's own namespace."""
    own = Path(f"/proc/{machine.holder}/ns/mnt").readlink()
    for process in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):
            words = (process / "cmdline").read_bytes().split(b"\0")
            if (process / "ns/mnt").readlink() == own and words[-2:-1] == [b"/var/lib/kubev6/rollback/program.py"]:
                os.kill(int(process.name), signal.SIGKILL)


def test_what_does_not_cut_the_way_is_confirmed_over_a_new_connection_and_stays(
    machine: MachineInNamespaces, reached: Connection, endpoint: Endpoint
) -> None:
    assert bring_to(reached, STAGE, reconnect=partial(connect, endpoint))
    assert not reached.is_open
    eventually(lambda: not waits(machine), 5)
    assert machine.said("ls /var/lib/kubev6").split() == ["backup", "lock", "record.json"]
    with connect(endpoint) as again:
        assert plan_changes(again, (STAGE,)) == {"network": ()}
        assert bring_to(again, STAGE, reconnect=partial(connect, endpoint)) == ()
        assert again.is_open, "where nothing is changed there is nothing to confirm"
        assert not waits(machine)


@pytest.mark.parametrize("cut", CUTS)
def test_a_stage_that_cuts_the_way_is_put_back_and_says_so_and_the_next_one_goes_on(
    machine: MachineInNamespaces, reached: Connection, endpoint: Endpoint, cut: str
) -> None:
    before = looks(machine)
    cutting = replace(STAGE, reloads=(Reload(CUTS[cut], when=("/etc/motd",)),))
    with soon(), pytest.raises(NodeError) as caught:
        bring_to(reached, cutting, reconnect=partial(connect, endpoint))
    text = str(caught.value)
    assert text.startswith("kube-worker-1: network: no new connection came about within 5 s after ")
    assert f"run command {' '.join(CUTS[cut])}" in text
    assert "so the machine has put everything of that back" in text
    assert not caught.value.transient
    assert looks(machine) == before
    assert "record.json" not in machine.said("ls /var/lib/kubev6").split()
    with connect(endpoint) as again:
        assert bring_to(again, STAGE, reconnect=partial(connect, endpoint))
    with connect(endpoint) as again:
        assert plan_changes(again, (STAGE,)) == {"network": ()}


def applied(connection: Connection, stage: StageState) -> None:
    """Its changes made, by a controller that is killed before it confirms them."""
    with connection:
        apply(connection, stage, plan_changes(connection, (stage,))[stage.name], rollback=True)


def test_a_controller_that_is_killed_before_it_confirms_leaves_the_machine_as_it_was_and_another_goes_on(
    machine: MachineInNamespaces, reached: Connection, endpoint: Endpoint
) -> None:
    before = looks(machine)
    with soon():
        applied(reached, STAGE)
    assert waits(machine)
    assert looks(machine) != before
    eventually(lambda: not waits(machine), 30)
    assert looks(machine) == before
    with connect(endpoint) as again:
        assert bring_to(again, STAGE, reconnect=partial(connect, endpoint))
    eventually(lambda: not waits(machine), 5)


def test_another_run_that_comes_before_the_machine_puts_itself_back_confirms(
    machine: MachineInNamespaces, reached: Connection, endpoint: Endpoint
) -> None:
    applied(reached, STAGE)
    done = looks(machine)
    with connect(endpoint) as again:
        assert plan_changes(again, (STAGE,)) == {"network": ()}
    eventually(lambda: not waits(machine), 5)
    assert looks(machine) == done


def test_who_is_started_again_before_all_is_put_back_does_so_after_that_start(
    machine: MachineInNamespaces, reached: Connection
) -> None:
    before = looks(machine)
    machine.said("mkdir -p /run/systemd/system")  # as far as can be seen there is systemd
    units = "find /etc/systemd/system -name kubev6-rollback.service"
    with soon():
        applied(reached, STAGE)
    assert waits(machine)
    end_what_waits(machine)
    eventually(lambda: not waits(machine), 5)
    unit, wanted = machine.said(units).splitlines()
    assert machine.said(f"readlink -f {wanted}") == unit
    program = machine.said(f"sed -n s/^ExecStart=//p {unit}")
    assert looks(machine) != before
    machine.said(program)
    assert machine.said(units) == ""
    assert looks(machine) == before


def test_what_an_earlier_run_did_stays_when_a_later_one_is_put_back(
    machine: MachineInNamespaces, reached: Connection, endpoint: Endpoint
) -> None:
    bring_to(reached, STAGE, reconnect=partial(connect, endpoint))
    before = looks(machine)
    other = replace(
        STAGE,
        files=(File("/etc/motd", "another\n"),),
        sysctls=(Sysctl("net.ipv6.conf.eth1.hop_limit", "33"),),
        addresses=(Address("eth1", "fd00::102/64"),),
        routes=(Route("2001:db8::/32", "fd00::8", "eth1", 7),),
    )
    with soon(), connect(endpoint) as again:
        applied(again, other)
    assert looks(machine) != before
    eventually(lambda: not waits(machine), 30)
    assert looks(machine) == before
    with connect(endpoint) as again:
        assert plan_changes(again, (STAGE,)) == {"network": ()}


def test_a_record_of_before_comes_back_with_what_it_names(
    machine: MachineInNamespaces, reached: Connection, endpoint: Endpoint
) -> None:
    bring_to(reached, STAGE, reconnect=partial(connect, endpoint))
    record = machine.said("cat /var/lib/kubev6/record.json")
    cutting = replace(
        STAGE,
        files=(File("/etc/motd", "another\n"),),
        reloads=(Reload(("ip", "addr", "flush", "dev", "eth0"), when=("/etc/motd",)),),
    )
    with soon(), connect(endpoint) as again, pytest.raises(NodeError):
        bring_to(again, cutting, reconnect=partial(connect, endpoint))
    assert machine.said("cat /var/lib/kubev6/record.json") == record


def test_a_change_that_fails_is_told_and_what_was_made_before_it_stays(
    machine: MachineInNamespaces, reached: Connection, endpoint: Endpoint
) -> None:
    fails = replace(STAGE, reloads=(Reload(("false",), when=("/etc/motd",)),))
    with pytest.raises(NodeError, match="network: false: status 1"):
        bring_to(reached, fails, reconnect=partial(connect, endpoint))
    eventually(lambda: not waits(machine), 5)
    assert machine.said("cat /etc/motd") == "ours"


def test_nothing_is_changed_where_nothing_would_put_it_back(
    machine: MachineInNamespaces, reached: Connection, endpoint: Endpoint, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = looks(machine)
    sent = {WAITS: "raise SystemExit\n", "apply_changes": impatient("apply_changes")}
    substitute(monkeypatch, engine, "program", lambda name: sent.get(name) or real(name))
    with pytest.raises(NodeError, match="nothing would put the changes back if they cut the connection"):
        bring_to(reached, STAGE, reconnect=partial(connect, endpoint))
    assert looks(machine) == before
