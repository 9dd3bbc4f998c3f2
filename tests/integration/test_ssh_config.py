"""Machines that the user's SSH configuration leads to: by alias, through jump hosts, by a command; with real sshd's."""

from __future__ import annotations

import os
import re
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path

import pytest
import yaml

from configs.errors import NodeError
from tasks.ssh import resolve, ssh_config
from tasks.ssh.connection import connect
from tasks.ssh.endpoint import Endpoint
from tasks.ssh.openssh import ssh_command
from tests.checkout import REPO
from tests.fakes import substitute
from tests.integration.sshd import Sshd, free_port, make_key, running_sshd
from tests.waiting import eventually


@dataclass(frozen=True, slots=True)
class Rack:
    """Three machines, each with a host key and a user's key of its own, and a home whose configuration names them.

    Attributes:
        near: One that is reached straight.
        middle: One that is reached through it.
        far: One that is reached through both.
        home: The home.
    """

    near: Sshd
    middle: Sshd
    far: Sshd
    home: Path

    def block(self, name: str, *lines: str, host: str = "127.0.0.1", **other: str) -> str:
        """A block for one of the machines, which says ``lines`` first; ``other`` goes in the place of what is usual."""
        sshd: Sshd = getattr(self, name)
        words = {
            "HostName": host,
            "Port": str(sshd.port),
            "User": "root",
            "IdentityFile": f"{sshd.directory}/user",
            "UserKnownHostsFile": f"{sshd.directory}/known_hosts",
            **other,
        }
        return "\n  ".join([f"Host {name}", *lines, *(f"{keyword} {value}" for keyword, value in words.items())]) + "\n"

    def write(self, *blocks: str) -> None:
        """Write the configuration."""
        path = self.home / ".ssh" / "config"
        path.write_text("".join(blocks))
        path.chmod(0o600)

    def endpoint(self, host: str) -> Endpoint:
        """The way to a host by the configuration."""
        return resolve.endpoint(ssh_config.read(), "node-1", host)


@pytest.fixture(scope="module")
def machines() -> Iterator[tuple[Sshd, Sshd, Sshd]]:
    with running_sshd("LogLevel DEBUG1") as near, running_sshd("LogLevel DEBUG1") as middle, running_sshd() as far:
        yield near, middle, far


@pytest.fixture
def rack(machines: tuple[Sshd, Sshd, Sshd], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Rack:
    (tmp_path / ".ssh").mkdir()
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.delenv("SSH_AUTH_SOCK", raising=False)
    substitute(monkeypatch, ssh_config, "SYSTEM", tmp_path / "ssh_config")
    return Rack(*machines, tmp_path)


def said_by(endpoint: Endpoint, *command: str) -> str:
    with connect(endpoint) as opened:
        return opened.run(command, step="test").stdout


def said_by_ssh(endpoint: Endpoint, *command: str) -> str:
    words = ssh_command(endpoint, command)
    done = subprocess.run(words, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    return done.stdout


def carried(sshd: Sshd, to: Sshd) -> int:
    """How many connections to another machine an sshd has made so far."""
    return (sshd.directory / "log").read_text().count(f"target 127.0.0.1 port {to.port}")


@pytest.mark.parametrize("ask", [said_by, said_by_ssh])
def test_a_machine_is_reached_by_its_alias(rack: Rack, ask: Callable[..., str]) -> None:
    rack.write(rack.block("near", host="::1"), "Host near\n  Port 1\n")
    assert ask(rack.endpoint("near"), "sh", "-c", "echo $SSH_CONNECTION").split()[3] == str(rack.near.port)


@pytest.mark.parametrize("ask", [said_by, said_by_ssh])
def test_a_machine_is_reached_through_one_jump_host(rack: Rack, ask: Callable[..., str]) -> None:
    rack.write(rack.block("near"), rack.block("far", "ProxyJump near"))
    before = carried(rack.near, rack.far)
    assert ask(rack.endpoint("far"), "sh", "-c", "echo $SSH_CONNECTION").split()[3] == str(rack.far.port)
    assert carried(rack.near, rack.far) == before + 1


@pytest.mark.parametrize("ask", [said_by, said_by_ssh])
@pytest.mark.parametrize("jumps", ["near,middle", "middle"], ids=["as a list", "each by its own"])
def test_a_machine_is_reached_through_two_jump_hosts(rack: Rack, ask: Callable[..., str], jumps: str) -> None:
    # In the list, what is said of the way to the second one does not count.
    own = "ProxyJump near" if jumps == "middle" else "ProxyJump nowhere.invalid"
    rack.write(rack.block("near"), rack.block("middle", own), rack.block("far", f"ProxyJump {jumps}"))
    before = carried(rack.near, rack.middle), carried(rack.middle, rack.far)
    assert ask(rack.endpoint("far"), "echo", "100% 'in'") == "100% 'in'\n"
    assert (carried(rack.near, rack.middle), carried(rack.middle, rack.far)) == (before[0] + 1, before[1] + 1)


def test_much_data_and_forwarded_ports_go_through_jump_hosts(rack: Rack) -> None:
    rack.write(rack.block("near"), rack.block("middle"), rack.block("far", "ProxyJump near,middle"))
    data = os.urandom(5_000_000)
    with connect(rack.endpoint("far")) as opened:
        assert opened.run("wc -c", step="test", stdin=data).stdout == f"{len(data)}\n"
        with opened.forward("127.0.0.1", rack.far.port) as port, socket.create_connection(("127.0.0.1", port)) as peer:
            assert peer.recv(8) == b"SSH-2.0-"
    assert not opened.is_open


def test_a_jump_host_whose_key_is_not_known_is_refused_and_what_to_do_is_said(rack: Rack) -> None:
    known = rack.home / "known"
    rack.write(
        rack.block("near", "StrictHostKeyChecking no", UserKnownHostsFile=str(known)),
        rack.block("far", "ProxyJump near"),
    )
    with pytest.raises(
        NodeError, match=r"^node-1: connect: jump host near: the host key of 127.* is not known"
    ) as caught:
        connect(rack.endpoint("far"))
    assert not caught.value.transient
    assert "\n" not in str(caught.value)
    with pytest.raises(AssertionError, match="Host key verification failed"):
        said_by_ssh(rack.endpoint("far"), "true")
    learn = re.search(r"`(.*)`", caught.value.todo)
    assert learn is not None
    subprocess.run(["sh", "-c", learn[1]], check=True, capture_output=True)
    assert said_by(rack.endpoint("far"), "echo", "in") == "in\n"


def test_a_machine_behind_a_jump_host_whose_key_is_not_known_is_refused(rack: Rack) -> None:
    known = rack.home / "known"
    rack.write(rack.block("near"), rack.block("far", "ProxyJump near", UserKnownHostsFile=str(known)))
    with pytest.raises(
        NodeError, match=r"^node-1: connect: the host key of 127\S+ is not known: ssh-ed25519"
    ) as caught:
        connect(rack.endpoint("far"))
    learn = re.search(r"`(.*)`", caught.value.todo)
    assert learn is not None
    subprocess.run(["sh", "-c", learn[1]], check=True, capture_output=True)
    assert said_by(rack.endpoint("far"), "echo", "in") == "in\n"


def test_a_changed_key_of_a_jump_host_is_refused(rack: Rack) -> None:
    wrong = rack.home / "wrong"
    key = (rack.near.directory / "stranger.pub").read_text()
    wrong.write_text(f"[127.0.0.1]:{rack.near.port} {key}")
    rack.write(rack.block("near", UserKnownHostsFile=str(wrong)), rack.block("far", "ProxyJump near"))
    with pytest.raises(NodeError, match=r"jump host near: the host key of 127\S+ has changed.*ssh-keygen -R") as caught:
        connect(rack.endpoint("far"))
    assert str(wrong) in caught.value.todo


def test_a_jump_host_that_is_down_is_named_and_may_be_tried_again(rack: Rack) -> None:
    rack.write(
        rack.block("near"), rack.block("middle", Port=str(free_port())), rack.block("far", "ProxyJump middle,near")
    )
    with pytest.raises(
        NodeError, match=r"^node-1: connect: jump host middle: cannot reach \S+: Connection refused"
    ) as caught:
        connect(rack.endpoint("far"))
    assert caught.value.transient
    rack.write(
        rack.block("near"), rack.block("middle", Port=str(free_port())), rack.block("far", "ProxyJump near,middle")
    )
    with pytest.raises(
        NodeError, match=r"connect: jump host middle: cannot reach 127\S+ from the jump host near: connect failed"
    ) as caught:
        connect(rack.endpoint("far"))
    assert caught.value.transient


def test_a_machine_that_is_down_behind_a_jump_host_may_be_tried_again(rack: Rack) -> None:
    rack.write(rack.block("near"), rack.block("far", "ProxyJump near", Port=str(free_port())))
    with pytest.raises(
        NodeError,
        match=r"^node-1: connect: cannot reach 127\S+ from the jump host near: connect failed; .* as near sees it",
    ) as caught:
        connect(rack.endpoint("far"))
    assert caught.value.transient


def test_a_jump_host_that_forwards_nothing_is_told(rack: Rack) -> None:
    with running_sshd("AllowTcpForwarding no") as closed:
        shut = replace(rack, near=closed)
        shut.write(shut.block("near"), shut.block("far", "ProxyJump near"))
        with pytest.raises(
            NodeError, match=r"from the jump host near: administratively prohibited; let the sshd of near"
        ) as caught:
            connect(shut.endpoint("far"))
    assert not caught.value.transient


def test_a_jump_host_never_gets_the_password_of_the_nodes(rack: Rack, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KUBEV6_SSH_PASSWORD", "of the nodes")
    stranger = f"{rack.near.directory}/stranger"
    rack.write(rack.block("near", IdentityFile=stranger), rack.block("far", "ProxyJump near"))
    with pytest.raises(NodeError) as caught:
        connect(rack.endpoint("far"))
    assert caught.value.seen == f"jump host near: 127.0.0.1:{rack.near.port} refused root: tried key {stranger}"
    assert "IdentityFile in ~/.ssh/config" in caught.value.todo
    assert "PASSWORD" not in caught.value.todo


def test_thirty_connections_through_one_jump_host_at_once_all_come_about(rack: Rack) -> None:
    """An sshd drops some beyond ten that have not logged in (MaxStartups of sshd_config(5))."""
    rack.write(rack.block("near"), rack.block("far", "ProxyJump near"))
    with running_sshd("MaxStartups 1000") as far, ExitStack() as opened, ThreadPoolExecutor(30) as pool:
        wide = replace(rack, far=far)
        wide.write(wide.block("near"), wide.block("far", "ProxyJump near"))
        for made in list(pool.map(lambda _: connect(wide.endpoint("far")), range(30))):
            opened.enter_context(made)


def test_a_command_takes_the_place_of_a_connection_and_ends_with_it(rack: Rack) -> None:
    near = rack.near.directory
    keys = f"-i {near}/user -o UserKnownHostsFile={near}/known_hosts"
    jump = f"ssh -F none {keys} -p {rack.near.port} -W %h:%p root@127.0.0.1"
    rack.write(rack.block("far", f"ProxyCommand sh -c 'echo $$ >{rack.home}/pid; exec {jump}'"))
    with connect(rack.endpoint("far")) as opened:
        assert opened.run("echo in", step="test").stdout == "in\n"
        pid = (rack.home / "pid").read_text().strip()
        assert Path(f"/proc/{pid}").exists()
    assert not Path(f"/proc/{pid}").exists()
    assert said_by_ssh(rack.endpoint("far"), "echo", "in") == "in\n"


def test_a_command_that_fails_is_told_with_what_it_said(rack: Rack) -> None:
    rack.write(rack.block("far", "ProxyCommand sh -c 'echo no way to %h >&2; exit 1'"))
    with pytest.raises(
        NodeError, match=r"came of its ProxyCommand: no way to 127\.0\.0\.1; run it by hand: sh -c"
    ) as caught:
        connect(rack.endpoint("far"))
    assert caught.value.transient
    assert "\n" not in str(caught.value)


def test_a_command_that_says_nothing_is_ended_at_the_deadline(rack: Rack) -> None:
    rack.write(rack.block("far", f"ProxyCommand sh -c 'echo $$ >{rack.home}/pid; sleep 600'", "ConnectTimeout 1"))
    started = time.monotonic()
    with pytest.raises(NodeError, match="ProxyCommand: silence for 1 s"):
        connect(rack.endpoint("far"))
    assert time.monotonic() - started < 8
    assert not Path(f"/proc/{(rack.home / 'pid').read_text().strip()}").exists()


def test_a_jump_host_that_says_nothing_is_given_up_in_time(rack: Rack) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        port = str(silent.getsockname()[1])
        rack.write(rack.block("near", "ConnectTimeout 1", Port=port), rack.block("far", "ProxyJump near"))
        started = time.monotonic()
        with pytest.raises(NodeError, match=r"jump host near: .* silence for 1 s") as caught:
            connect(rack.endpoint("far"))
    assert time.monotonic() - started < 8
    assert caught.value.transient


def test_a_host_key_is_known_by_its_alias(rack: Rack) -> None:
    known = rack.home / "known"
    key = (rack.far.directory / "host.pub").read_text()
    known.write_text(f"rack {key}")
    rack.write(rack.block("far", "HostKeyAlias rack", UserKnownHostsFile=f'/nowhere "{known}"'))
    assert said_by(rack.endpoint("far"), "echo", "in") == said_by_ssh(rack.endpoint("far"), "echo", "in") == "in\n"
    rack.write(rack.block("far", UserKnownHostsFile=str(known)))
    with pytest.raises(NodeError, match="is not known"):
        connect(rack.endpoint("far"))


def test_that_nobody_is_to_be_checked_is_not_heeded(rack: Rack) -> None:
    rack.write(rack.block("far", "StrictHostKeyChecking no", UserKnownHostsFile="/dev/null"))
    with pytest.raises(NodeError, match=r"is not known.*>> ~/\.ssh/known_hosts"):
        connect(rack.endpoint("far"))
    shutil.copy(rack.far.directory / "known_hosts", rack.home / ".ssh" / "known_hosts")
    assert said_by(rack.endpoint("far"), "echo", "in") == "in\n"


@pytest.fixture
def agent(rack: Rack, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """An agent with eight keys that nobody knows, and behind them the key of ``far``."""
    place = rack.home / "agent"
    with subprocess.Popen(["ssh-agent", "-D", "-a", str(place)], stdout=subprocess.DEVNULL) as running:
        try:
            eventually(place.exists)
            monkeypatch.setenv("SSH_AUTH_SOCK", str(place))
            for number in range(8):
                make_key(rack.home / f"other-{number}")
            keys = [*(str(rack.home / f"other-{number}") for number in range(8)), str(rack.far.directory / "user")]
            subprocess.run(["ssh-add", "-q", *keys], check=True, timeout=30)
            yield
        finally:
            running.terminate()


@pytest.mark.usefixtures("agent")
@pytest.mark.parametrize("only", ["yes", "no"])
def test_of_an_agent_with_many_keys_those_that_are_named_come_first(rack: Rack, only: str) -> None:
    """Its key is not to be had otherwise: the file beside it is gone, and holds the public part alone."""
    public = rack.home / "public"
    shutil.copy(rack.far.directory / "user.pub", public)
    rack.write(rack.block("far", f"IdentitiesOnly {only}", IdentityFile=str(public)))
    assert said_by(rack.endpoint("far"), "echo", "in") == "in\n"


@pytest.mark.usefixtures("agent")
def test_keys_that_are_not_named_are_left_out_when_only_those_are_wanted(rack: Rack) -> None:
    stranger = f"{rack.far.directory}/stranger"
    rack.write(rack.block("far", "IdentitiesOnly yes", IdentityFile=stranger))
    with pytest.raises(NodeError, match=rf"refused root: tried key {stranger}; put") as caught:
        connect(rack.endpoint("far"))
    assert "MaxAuthTries" not in str(caught.value)


def test_several_keys_are_tried_and_those_that_cannot_be_used_are_told(rack: Rack) -> None:
    own = rack.far.directory
    files = [f"IdentityFile {name}" for name in ("/nowhere/key", f"{own}/stranger")]
    rack.write(rack.block("far", *files))
    assert said_by(rack.endpoint("far"), "echo", "in") == "in\n"
    rack.write(rack.block("far", files[0], IdentityFile=f"{own}/stranger"))
    with pytest.raises(
        NodeError, match=rf"tried key /nowhere/key \(No such file or directory\), key {own}/stranger; put a public"
    ):
        connect(rack.endpoint("far"))


AS_SSH = """
Include more
Match host *.example.org exec false
  User never
Host a b !c
  HostName %h.example.org
  IdentityFile ~/.ssh/a
  IdentityFile "/with space"
  User first
Host *.example.org
  Port 1
Match host *.example.org !user first
  Port 2
Match originalhost c,d user root
  Port 4444
Host [x
  Port 3
Host c
  ProxyJump me@near:2222,[fd00::1]
  HostKeyAlias of-c
Host *
  User last
  ConnectTimeout 2m
  IdentitiesOnly yes
  UserKnownHostsFile /known/1 "/known/with space"
"""


@pytest.mark.parametrize("host", ["a", "b", "c", "d", "a.example.org", "fd00::7", "included", "10.0.0.1"])
def test_a_configuration_is_read_as_ssh_reads_it(rack: Rack, host: str) -> None:
    """Without ``exec``: the only one there is says no."""
    (rack.home / ".ssh" / "more").write_text("Host included\n  HostName 192.0.2.7\n  Port 77\n")
    rack.write(AS_SSH.replace("Include more", f"Include {rack.home}/.ssh/more"))
    words = ["ssh", "-G", "-F", str(rack.home / ".ssh" / "config"), host]
    answer = subprocess.run(words, capture_output=True, text=True, check=True, timeout=30).stdout
    said: dict[str, list[str]] = {}
    for line in answer.splitlines():
        keyword, _, value = line.partition(" ")
        said.setdefault(keyword, []).append(value)

    found = rack.endpoint(host)

    assert [found.host, str(found.port), found.user] == [said[each][0] for each in ("hostname", "port", "user")]
    keys = [str(Path(each).expanduser()) for each in said["identityfile"]]
    assert list(found.settings.identity_files) == (keys if "/with space" in keys else [])
    assert str(found.settings.connect_timeout) == said["connecttimeout"][0]
    assert found.settings.identities_only == (said["identitiesonly"] == ["yes"])
    assert " ".join(found.settings.user_known_hosts_files) == said["userknownhostsfile"][0]
    assert found.settings.host_key_alias == said.get("hostkeyalias", [""])[0]
    via = found.via
    chain: list[str] = []
    while via:
        chain.insert(0, via.jump)
        via = via.via
    assert ",".join(chain) == said.get("proxyjump", [""])[0]


def kubev6_ssh(rack: Rack, *words: str) -> subprocess.CompletedProcess[str]:
    """``kubev6 ssh`` of a cluster whose control plane is ``far``."""
    cluster = yaml.safe_load((REPO / "configs" / "clusters" / "bare-metal.yaml").read_text())
    cluster["ssh"] = {}
    control_plane = next(node for node in cluster["nodes"] if "control-plane" in node["roles"])
    control_plane["ssh"] = {"host": "far"}
    path = rack.home / "rack.yaml"
    path.write_text(yaml.safe_dump(cluster))
    command = [sys.executable, "-m", "kubev6", "ssh", "--cluster", str(path), str(control_plane["name"]), *words]
    return subprocess.run(command, cwd=REPO, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=60)


def test_a_persons_shell_goes_the_same_way(rack: Rack) -> None:
    rack.write(rack.block("near"), rack.block("far", "ProxyJump near"))
    before = carried(rack.near, rack.far)
    done = kubev6_ssh(rack, "--", "echo", "in")
    assert (done.returncode, done.stdout) == (0, "in\n"), done.stderr
    assert carried(rack.near, rack.far) == before + 1


def test_a_configuration_that_cannot_be_right_is_one_line(rack: Rack) -> None:
    rack.write(rack.block("near", Port="twenty-two"))
    done = kubev6_ssh(rack, "--", "true")
    assert done.returncode == 1
    (line,) = done.stderr.strip().splitlines()
    assert f"{rack.home}/.ssh/config, line 3: port is 'twenty-two'; a port is wanted there" in line
