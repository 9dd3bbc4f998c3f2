"""The state engine against a real machine of the lab: systemd, sshd, apt, and a kernel's routes and settings."""

from __future__ import annotations

import hashlib
import json
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from configs.errors import NodeError
from configs.plan.stages.network import IPVS
from configs.plan.state import Address, Binary, File, Reload, Route, Service, StageState, Sysctl
from configs.schema.loading import load_cluster
from tasks.lab import lab
from tasks.node import engine, host_facts
from tasks.node.change import Change
from tasks.node.engine import apply, bring_to, plan_changes
from tasks.ssh.connection import Connection, connect
from tasks.ssh.endpoint import Endpoint
from tests.fakes import substitute
from tests.integration.beyond import come_from_beyond

NAME = "kubev6-engine-test"
NODE = "kube-support"
UNIT = """[Service]
ExecStart=/bin/sh -c 'sleep infinity'
[Install]
WantedBy=multi-user.target
"""


@pytest.fixture(scope="module")
def endpoint(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Endpoint]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("KUBEV6_DATA", str(tmp_path_factory.mktemp("data")))
        whole = load_cluster("lab")
        try:
            lab.up(whole.model_copy(update={"name": NAME, "nodes": whole.nodes[:2], "workers": 0}))
            yield lab.endpoints(NAME)[NODE]
        finally:
            lab.down(NAME)


@pytest.fixture(scope="module")
def machine(endpoint: Endpoint) -> Iterator[Connection]:
    with connect(endpoint) as opened:
        yield opened


def said(machine: Connection, command: str) -> str:
    return machine.run(command, step="test").stdout.strip()


def put(machine: Connection, path: str, content: str) -> None:
    machine.run(["sh", "-c", 'mkdir -p "${1%/*}" && cat > "$1"', "sh", path], step="test", stdin=content.encode())


def record(machine: Connection) -> Any:
    return json.loads(said(machine, "cat /var/lib/kubev6/record.json"))


def kinds(changes: tuple[Change, ...]) -> list[tuple[str, str]]:
    return [(change.kind, change.action) for change in changes]


def service_stage(name: str, setting: str) -> StageState:
    return StageState(
        name=name,
        files=(
            File(f"/etc/systemd/system/{name}.service", UNIT),
            File(f"/etc/kubev6-test/{name}.conf", f"{setting}\n", mode=0o600),
        ),
        services=(Service(f"{name}.service", restart_on=(f"/etc/kubev6-test/{name}.conf",)),),
    )


def invocation(machine: Connection, unit: str) -> str:
    return said(machine, f"systemctl show -p InvocationID --value {unit}")


def test_first_time_everything_second_time_nothing_and_plan_says_the_same(machine: Connection) -> None:
    stage = StageState(
        name="network",
        packages=("iproute2", "socat"),
        modules=("br_netfilter", "overlay"),
        files=(
            File("/etc/kubev6-test/deep/new.conf", "new\n", mode=0o640),
            File("/etc/hosts", "fd00::100 kube-control-plane\n", block=True),
        ),
        only_files_in=("/etc/kubev6-test",),
        sysctls=(Sysctl("net.ipv6.conf.all.forwarding", "1"), Sysctl("net.ipv4.ip_local_port_range", "30000 61000")),
        addresses=(Address("eth1", "fd00::0064/64"),),
        no_ipv4_on=("eth1",),
        routes=(Route("fd00:0101::/64", "fd00::101", "eth1"), Route("fd00:1234::/110", "", "eth1")),
    )
    put(machine, "/etc/kubev6-test/old.conf", "old\n")
    hosts = said(machine, "cat /etc/hosts")
    planned = plan_changes(machine, (stage,))["network"]
    assert said(machine, "ls -d /var/lib/kubev6 2>/dev/null || echo nothing") == "nothing", "planning touched the node"
    made = bring_to(machine, stage)
    assert made == planned
    assert ("package", "install") in kinds(made)
    assert bring_to(machine, stage) == ()
    assert plan_changes(machine, (stage,)) == {"network": ()}

    assert said(machine, "stat -c '%a %U' /etc/kubev6-test/deep/new.conf") == "640 root"
    assert said(machine, "cat /etc/hosts") == f"{hosts}\n# BEGIN kubev6\nfd00::100 kube-control-plane\n# END kubev6"
    assert said(machine, "cat /var/lib/kubev6/backup/etc/hosts") == hosts
    assert said(machine, "cat /var/lib/kubev6/backup/etc/kubev6-test/old.conf; ls /etc/kubev6-test") == "old\ndeep"
    assert said(machine, "ip -6 route show fd00:101::/64").startswith("fd00:101::/64 via fd00::101 dev eth1")
    assert said(machine, "ip -4 -br addr show dev eth1").split()[2:] == []
    assert said(machine, "stat -c %a /var/lib/kubev6/record.json /var/lib/kubev6") == "600\n700"
    kept = record(machine)["stages"]["network"]
    assert list(kept["packages"]) == ["socat"]
    hosts_note = kept["files"]["/etc/hosts"]
    assert (hosts_note["before"], hosts_note["block"]) == ("backup", True)
    new_note = kept["files"]["/etc/kubev6-test/deep/new.conf"]
    assert (new_note["before"], new_note["block"]) == ("", False)
    assert kept["sysctls"]["net.ipv4.ip_local_port_range"] == "32768 60999"
    assert list(kept["routes"]) == [
        "fd00:101::/64 via fd00::101 dev eth1 metric 1024",
        "fd00:1234::/110 dev eth1 metric 1024",
    ]


def test_what_is_no_longer_wanted_is_taken_back(machine: Connection) -> None:
    put(machine, "/etc/kubev6-test/original", "original\n")
    put(machine, "/etc/kubev6-test/hosts", "first")
    before = StageState(
        name="shrinking",
        files=(
            File("/etc/kubev6-test/original", "ours\n"),
            File("/etc/kubev6-test/made", "ours\n"),
            File("/etc/kubev6-test/hosts", "ours\n", block=True),
        ),
        addresses=(Address("eth1", "fd00::65/64"), Address("eth1", "fd00::66/64")),
        routes=(Route("fd00:7::/64", "fd00::7", "eth1"), Route("fd00:8::/64", "fd00::8", "eth1")),
    )
    bring_to(machine, before)
    after = StageState(
        name="shrinking",
        addresses=(Address("eth1", "fd00::66/64"),),
        routes=(Route("fd00:8::/64", "fd00::9", "eth1"),),
    )
    assert kinds(bring_to(machine, after)) == [
        ("file", "undo"),
        ("file", "undo"),
        ("file", "undo"),
        ("address", "remove"),
        ("route", "remove"),
        ("route", "replace"),
    ]
    assert bring_to(machine, after) == ()
    assert said(machine, "cd /etc/kubev6-test; cat original hosts; ls made 2>&1 || :").startswith("original\nfirstls:")
    assert said(machine, "ip -6 route show fd00:7::/64") == ""
    assert "via fd00::9" in said(machine, "ip -6 route show fd00:8::/64")
    assert "fd00::65" not in said(machine, "ip -6 addr show dev eth1")


def test_a_service_is_restarted_only_when_what_it_reads_changes(machine: Connection) -> None:
    stage = service_stage("sleeper", "first")
    assert kinds(bring_to(machine, stage))[-2:] == [("service", "enable"), ("service", "start")]
    first = invocation(machine, "sleeper")
    other = replace(stage, files=(*stage.files, File("/etc/kubev6-test/unrelated", "x\n")))
    bring_to(machine, other)
    assert invocation(machine, "sleeper") == first
    assert kinds(bring_to(machine, service_stage("sleeper", "second")))[-1] == ("service", "restart")
    assert invocation(machine, "sleeper") != first
    said(machine, "systemctl stop sleeper; systemctl disable -q sleeper")
    assert kinds(bring_to(machine, service_stage("sleeper", "second"))) == [("service", "enable"), ("service", "start")]


def test_a_service_that_is_no_longer_wanted_becomes_what_it_was(machine: Connection) -> None:
    stage = service_stage("unwanted", "first")
    bring_to(machine, stage)
    made = bring_to(machine, StageState(name="unwanted"))
    assert kinds(made) == [("service", "undo"), ("file", "undo"), ("file", "undo")]
    assert said(
        machine, "systemctl is-active unwanted || :; ls /etc/systemd/system/*/unwanted.service 2>/dev/null || :"
    ) == ("inactive")
    assert bring_to(machine, StageState(name="unwanted")) == ()


def test_what_was_made_before_a_failure_is_told(machine: Connection) -> None:
    files = (File("/etc/kubev6-test/told-1", "x\n"), File("/etc/kubev6-test/told-2", "x\n"))
    stage = StageState(name="told", files=files, routes=(Route("fd00:9::/64", "fd77::1", "eth1"),))
    made: list[Change] = []
    with pytest.raises(NodeError, match="ip -6 route replace"):
        bring_to(machine, stage, made=made.append)
    assert [change.subject for change in made] == [file.path for file in files]


def test_a_run_that_dies_before_the_restart_is_continued(machine: Connection, endpoint: Endpoint) -> None:
    """The controller and the agent are killed after the file was written and before its service was restarted."""
    stage = service_stage("dying", "first")
    bring_to(machine, stage)
    first = invocation(machine, "dying")
    # A change that blocks between the two: a download from a server that never answers.
    said(machine, "systemd-run -q --unit silent socat TCP6-LISTEN:9999,fork,bind=[::1] EXEC:'sleep 600'")
    blocking = Binary("/opt/kubev6-test/blocked", "0" * 64, 10, "http://[::1]:9999/blob")
    second = service_stage("dying", "second")
    code = (
        "from tasks.ssh.connection import *; from tasks.ssh.endpoint import *\n"
        "from tasks.node.engine import *; from configs.plan.state import *\n"
        f"bring_to(connect({endpoint!r}), {replace(second, binaries=(blocking,))!r})"
    )
    controller = subprocess.Popen([sys.executable, "-c", code], stderr=subprocess.DEVNULL)
    deadline = time.monotonic() + 20
    while said(machine, "cat /etc/kubev6-test/dying.conf") != "second":
        assert time.monotonic() < deadline
    controller.kill()
    controller.wait()
    said(machine, "fuser -k -9 /var/lib/kubev6/lock 2>/dev/null || kill -9 $(pgrep -f '^python3 -IS -$')")
    said(machine, "systemctl stop silent")
    assert invocation(machine, "dying") == first
    assert kinds(bring_to(machine, second)) == [("service", "restart")]
    assert invocation(machine, "dying") != first
    assert bring_to(machine, second) == ()


def test_a_service_that_does_not_start_is_told_with_its_own_words(machine: Connection) -> None:
    unit = "[Service]\nType=oneshot\nExecStart=/bin/sh -c 'echo port 53 is taken; exit 1'\n"
    stage = StageState(
        name="failing",
        files=(File("/etc/systemd/system/failing.service", unit),),
        services=(Service("failing.service"),),
    )
    with pytest.raises(NodeError) as caught:
        bring_to(machine, stage)
    assert "port 53 is taken" in caught.value.detail
    assert "failing.service" in caught.value.seen
    assert "journalctl" in caught.value.todo


@pytest.fixture(scope="module")
def files_server(machine: Connection) -> str:
    """A web server on the machine's own IPv6 loopback, in the place of the registry."""
    said(
        machine,
        "mkdir -p /srv/files && systemd-run -q --unit files python3 -m http.server -b ::1 -d /srv/files 8000; "
        "until curl -sf -o /dev/null http://[::1]:8000/; do sleep 0.05; done",
    )
    return "http://[::1]:8000"


def served(machine: Connection, server: str, path: str, content: str) -> Binary:
    digest = hashlib.sha256(content.encode()).hexdigest()
    put(machine, f"/srv/files/{digest}", content)
    return Binary(path, digest, len(content), f"{server}/{digest}")


def test_executables_are_fetched_checked_and_the_old_one_kept(machine: Connection, files_server: str) -> None:
    put(machine, "/usr/local/bin/tool", "#!/bin/sh\necho old\n")
    binaries = tuple(
        served(machine, files_server, f"/usr/local/bin/{name}", f"#!/bin/sh\necho {name} new\n")
        for name in ("tool", "other")
    )
    stage = StageState(name="kubernetes", binaries=binaries)
    assert kinds(bring_to(machine, stage)) == [("binary", "fetch"), ("binary", "fetch")]
    assert bring_to(machine, stage) == ()
    assert said(machine, "tool; other; sh /usr/local/bin/tool.~1~") == "tool new\nother new\nold"
    # What the agent remembers of a file is not believed when the file is another one.
    put(machine, "/usr/local/bin/tool", "#!/bin/sh\necho bad new\n")
    assert kinds(bring_to(machine, stage)) == [("binary", "fetch")]
    assert said(machine, "tool; ls -A /usr/local/bin") == "tool new\nother\ntool\ntool.~1~"


def test_a_bad_checksum_leaves_the_old_executable(machine: Connection, files_server: str) -> None:
    put(machine, "/usr/local/bin/checked", "old\n")
    good = served(machine, files_server, "/usr/local/bin/checked", "new\n")
    put(machine, f"/srv/files/{good.sha256}", "bad\n")
    with pytest.raises(NodeError, match="wrong checksum") as caught:
        bring_to(machine, StageState(name="kubernetes", binaries=(good,)))
    assert not caught.value.transient
    assert (caught.value.node, caught.value.step) == (NODE, "kubernetes")
    assert (
        said(machine, "cat /usr/local/bin/checked; ls -A /usr/local/bin | grep -E 'partial|checked'") == "old\nchecked"
    )


@pytest.mark.parametrize(
    ("url", "seen", "transient"),
    [
        ("http://[::1]:1/blob", "Connection refused", True),
        ("http://[::1]:8000/no-such-blob", "HTTP 404", False),
    ],
)
@pytest.mark.usefixtures("files_server")
def test_an_executable_that_cannot_be_fetched(machine: Connection, url: str, seen: str, transient: bool) -> None:
    stage = StageState(name="kubernetes", binaries=(Binary("/usr/local/bin/none", "0" * 64, 10, url),))
    with pytest.raises(NodeError, match=seen) as caught:
        bring_to(machine, stage)
    assert caught.value.transient is transient
    assert url in caught.value.seen


def test_a_full_disk_is_said_before_and_while_writing(machine: Connection, files_server: str) -> None:
    said(machine, "mkdir -p /mnt/small && mount -t tmpfs -o size=1m tmpfs /mnt/small")
    big = replace(served(machine, files_server, "/mnt/small/big", "x"), size=50_000_000)
    with pytest.raises(NodeError, match=r"no space: /mnt/small needs \d+ MB free and has 1 MB"):
        bring_to(machine, StageState(name="kubernetes", binaries=(big,)))
    file = File("/mnt/small/file", "x" * 2_000_000)
    with pytest.raises(NodeError, match=r": /mnt/small/file: No space left on device; free") as caught:
        bring_to(machine, StageState(name="runtime", files=(file,)))
    assert "free some space" in caught.value.todo
    assert said(machine, "ls -A /mnt/small; umount /mnt/small") == ""


def test_a_read_only_file_system_is_named_with_what_to_do(machine: Connection) -> None:
    said(machine, "mkdir -p /mnt/fixed && mount -t tmpfs -o ro tmpfs /mnt/fixed")
    with pytest.raises(NodeError, match=r": /mnt/fixed/\S+: Read-only file system; see why") as caught:
        bring_to(machine, StageState(name="runtime", files=(File("/mnt/fixed/file", "x"),)))
    assert "mount it for writing" in caught.value.todo
    said(machine, "umount /mnt/fixed")


def test_a_file_that_is_a_mount_point_is_written_in_place(machine: Connection) -> None:
    put(machine, "/etc/kubev6-test/mounted", "a much longer original\n")
    said(machine, "mount --bind /etc/kubev6-test/mounted /etc/kubev6-test/mounted")
    stage = StageState(name="mounts", files=(File("/etc/kubev6-test/mounted", "ours\n"),))
    bring_to(machine, stage)
    assert bring_to(machine, stage) == ()
    assert said(machine, "cat /etc/kubev6-test/mounted /var/lib/kubev6/backup/etc/kubev6-test/mounted") == (
        "ours\na much longer original"
    )
    assert said(machine, "umount /etc/kubev6-test/mounted; cat /etc/kubev6-test/mounted") == "ours"


def test_the_first_original_is_never_overwritten_and_a_link_is_kept_as_one(machine: Connection) -> None:
    put(machine, "/etc/kubev6-test/twice", "original\n")
    said(machine, "ln -s /run/somewhere /etc/kubev6-test/link")
    for content in ("one\n", "two\n"):
        files = (File("/etc/kubev6-test/twice", content), File("/etc/kubev6-test/link", content))
        bring_to(machine, StageState(name="twice", files=files))
    assert said(machine, "cd /etc/kubev6-test; cat twice; stat -c %F link") == "two\nregular file"
    kept = "cd /var/lib/kubev6/backup/etc/kubev6-test; cat twice; readlink link"
    assert said(machine, kept) == "original\n/run/somewhere"


def test_a_package_brings_a_file_that_is_replaced_and_one_that_must_not_be(machine: Connection) -> None:
    stage = StageState(
        name="packaged",
        packages=("cron",),
        files=(File("/etc/default/cron", "EXTRA_OPTS=-L 2\n"),),
        only_files_in=("/etc/cron.d", "/etc/cron.daily"),
        services=(Service("cron.service", restart_on=("/etc/default/cron",)),),
    )
    made = bring_to(machine, stage)
    assert ("package", "install") in kinds(made)
    assert bring_to(machine, stage) == ()
    assert "-L 2" in said(machine, "ps -o args= -C cron")
    assert "cron" in said(machine, "cat /var/lib/kubev6/backup/etc/default/cron")


def test_a_package_that_does_not_exist_is_named(machine: Connection) -> None:
    with pytest.raises(NodeError, match="no package kubev6-no-such-package") as caught:
        bring_to(machine, StageState(name="packaged", packages=("kubev6-no-such-package", "iproute2")))
    assert "apt sources" in caught.value.todo


@pytest.mark.parametrize(
    ("stage", "seen"),
    [
        (StageState("bad", addresses=(Address("eth7", "fd00::1/64"),)), "no interface eth7; there are .*eth1"),
        (StageState("bad", routes=(Route("fd00:9::/64", "fd77::1", "eth1"),)), "ip -6 route replace"),
        (StageState("bad", sysctls=(Sysctl("net.no.such.thing", "1"),)), r"no setting net\.no\.such\.thing"),
        (StageState("bad", modules=("kubev6_none",)), "modprobe kubev6_none|modprobe: "),
        (StageState("bad", no_ipv4_on=("eth0",)), "carries this very connection"),
        (StageState("bad", files=(File("/etc/systemd", "x\n"),)), "/etc/systemd is a directory or"),
        (StageState("bad", services=(Service("kubev6-none.service"),)), r"kubev6-none\.service"),
    ],
)
def test_what_cannot_be_done_is_one_clear_line(machine: Connection, stage: StageState, seen: str) -> None:
    with pytest.raises(NodeError, match=seen) as caught:
        bring_to(machine, stage)
    assert "\n" not in str(caught.value)
    assert "Traceback" not in str(caught.value)


def test_what_was_not_begun_is_not_recorded(machine: Connection) -> None:
    files = (File("/etc/kubev6-test/begun", "x\n"),)
    unreachable = Route("fd00:9::/64", "fd77::1", "eth1")
    late = Route("fd00:a::/64", "fd00::a", "eth1")
    with pytest.raises(NodeError):
        bring_to(machine, StageState("half", files=files, routes=(unreachable, late)))
    kept = record(machine)["stages"]["half"]
    assert list(kept["files"]) == ["/etc/kubev6-test/begun"]
    assert list(kept["routes"]) == ["fd00:9::/64 via fd77::1 dev eth1 metric 1024"]
    assert kinds(bring_to(machine, StageState("half"))) == [("file", "undo")]


def test_a_damaged_block_is_not_guessed_at(machine: Connection) -> None:
    put(machine, "/etc/kubev6-test/damaged", "# BEGIN kubev6\nlost end\n")
    stage = StageState(name="blocks", files=(File("/etc/kubev6-test/damaged", "x\n", block=True),))
    with pytest.raises(NodeError, match=r"/etc/kubev6-test/damaged: .*do not make one pair"):
        bring_to(machine, stage)


def test_two_runs_do_not_change_a_node_at_once(machine: Connection, endpoint: Endpoint) -> None:
    lock = "/var/lib/kubev6/lock"
    said(machine, f"mkdir -p /var/lib/kubev6; mkfifo /run/held; systemd-run -q flock {lock} sh -c 'read x </run/held'")
    said(machine, f"while flock -n {lock} true; do sleep 0.05; done")
    told: list[str] = []

    def let_go(text: str, *_: int) -> None:
        """Let the other run end once this one has said that it waits."""
        if "waiting for another run" in text and not told:
            told.append(said(machine, "ls /etc/kubev6-test/alone 2>/dev/null || echo nothing; echo go >/run/held"))

    stage = StageState(name="alone", files=(File("/etc/kubev6-test/alone", "x\n"),))
    with connect(endpoint) as other:
        apply(other, stage, plan_changes(other, (stage,))["alone"], progress=let_go)
    assert told == ["nothing"]
    assert said(machine, "cat /etc/kubev6-test/alone; rm /run/held") == "x"


def test_the_ipv4_default_route_goes_and_the_connection_stays(
    machine: Connection, endpoint: Endpoint, monkeypatch: pytest.MonkeyPatch
) -> None:
    beyond, gateway = come_from_beyond(machine, monkeypatch)
    stage = StageState(name="v6only", no_ipv4_default_route=True)
    with connect(endpoint) as opened:
        assert kinds(bring_to(opened, stage)) == [("ipv4-default-route", "remove")]
        assert bring_to(opened, stage) == ()
    with connect(endpoint) as again:
        assert said(again, "ip -4 route show default") == ""
        assert f"{beyond} via {gateway}" in said(again, "ip -4 route")
        assert said(again, "cat /var/lib/kubev6/keep-ipv4") == f"{beyond}/32 via {gateway} dev eth0"
        kept = record(again)["stages"]["v6only"]
    assert list(kept["ipv4_default_routes"]) == [f"default via {gateway} dev eth0"]
    assert list(kept["keep_routes"]) == [f"{beyond}/32 via {gateway} dev eth0"]


def test_a_machine_of_systemd_that_is_cut_off_puts_itself_back(
    endpoint: Endpoint, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By a unit of its own, which no session and no networking tool takes with it."""
    substitute(monkeypatch, engine, "SECONDS", 5)
    substitute(monkeypatch, engine, "SILENT_SECONDS", 4)
    looks = (
        "ip -o addr | sed 's/ tentative//; s/valid.*//' | sort; ip route; ip -6 route | sort; "
        "systemctl is-active systemd-networkd; ls /etc"
    )
    cut = StageState(
        name="network",
        files=(File("/etc/kubev6-cut", "x\n"),),
        addresses=(Address("eth1", "fd00::99/64"),),
        reloads=(Reload(("ip", "link", "set", "eth0", "down"), when=("/etc/kubev6-cut",)),),
        services=(Service("systemd-networkd.service"),),
    )
    with connect(endpoint) as opened:
        before = said(opened, looks)
        with pytest.raises(
            NodeError, match=r"ip link set eth0 down.* so the machine has put everything of that back; "
        ):
            bring_to(opened, cut, reconnect=partial(connect, endpoint))
    with connect(endpoint) as again:
        assert said(again, looks) == before
        assert "its changes are put back" in said(again, "journalctl -u 'kubev6-rollback*' -o cat --no-pager")
        assert "/etc/kubev6-cut" not in said(again, "cat /var/lib/kubev6/record.json 2>/dev/null || true")
        said(again, "rm -r /var/lib/kubev6/rollback")


def test_sudo_with_and_without_a_password(
    machine: Connection, endpoint: Endpoint, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    said(
        machine,
        "useradd -m -s /bin/bash ops; echo ops:right | chpasswd; cp -r /root/.ssh /home/ops/; chown -R ops /home/ops; "
        "echo 'Defaults lecture=never' > /etc/sudoers.d/ops",
    )
    ops = replace(endpoint, user="ops")
    with connect(ops) as opened:
        assert opened.run(["id", "-un"], step="test", root=False).stdout == "ops\n"
        with pytest.raises(NodeError, match="ops cannot become root by sudo") as caught:
            opened.run(["true"], step="network")
        assert "KUBEV6_SUDO_PASSWORD_FILE" in caught.value.todo
    said(machine, "echo 'ops ALL=(ALL) ALL' >> /etc/sudoers.d/ops")
    (tmp_path / "password").touch(mode=0o600)
    (tmp_path / "password").write_text("right\n")
    monkeypatch.setenv("KUBEV6_SUDO_PASSWORD", "wrong")
    with connect(ops) as opened, pytest.raises(NodeError, match="cannot become root"):
        opened.run(["true"], step="test")
    monkeypatch.delenv("KUBEV6_SUDO_PASSWORD")
    monkeypatch.setenv("KUBEV6_SUDO_PASSWORD_FILE", str(tmp_path / "password"))
    with connect(ops) as opened:
        result = opened.run("id -un; cat; echo ${SSH_CONNECTION:+path}", step="test", stdin=b"payload\n")
        assert result.stdout == "root\npayload\npath\n"
        assert plan_changes(opened, (StageState(name="v6only", no_ipv4_default_route=True),)) == {"v6only": ()}
    monkeypatch.delenv("KUBEV6_SUDO_PASSWORD_FILE")
    said(machine, "sed -i 's/ALL$/NOPASSWD: ALL/' /etc/sudoers.d/ops")
    with connect(ops) as opened:
        assert opened.run("id -un; cat", step="test", stdin=b"payload\n").stdout == "root\npayload\n"


def test_login_by_password(machine: Connection, endpoint: Endpoint, monkeypatch: pytest.MonkeyPatch) -> None:
    put(machine, "/etc/ssh/sshd_config.d/10-pw.conf", "Match User pw\nPasswordAuthentication yes\n")
    said(machine, "useradd -m pw; echo pw:right | chpasswd; systemctl restart ssh")
    by_password = replace(endpoint, user="pw")
    monkeypatch.setenv("KUBEV6_SSH_PASSWORD", "right")
    with connect(by_password) as opened:
        assert opened.run(["id", "-un"], step="test", root=False).stdout == "pw\n"
    monkeypatch.setenv("KUBEV6_SSH_PASSWORD", "wrong")
    with pytest.raises(NodeError, match=r"refused pw: tried .*password") as caught:
        connect(by_password)
    assert "wrong" not in str(caught.value)


def test_a_survey_tells_what_the_machine_is_and_what_its_kernel_lacks(machine: Connection) -> None:
    surveyed = host_facts.ask(machine)
    assert (surveyed.os, surveyed.kernel.processor) == ("debian", said(machine, "uname -m"))
    assert {"lo", "eth0", "eth1"} <= set(surveyed.interfaces)
    assert surveyed.kernel.ipv6
    version_2 = said(machine, "stat -f -c %T /sys/fs/cgroup") == "cgroup2fs"
    assert surveyed.kernel.cgroup == (2 if version_2 else 1)
    total = said(machine, "free -b | awk '/^Mem:/ { print $2 }'")
    assert surveyed.kernel.memory == int(total)
    assert set(surveyed.kernel.lacking) <= set(IPVS), "which a kernel may well do without"
    assert (surveyed.runtime, surveyed.packages, surveyed.iptables) == ("", (), ""), "it is to run no containers"
    of_kubernetes = host_facts.ask(machine, "containerd")
    installed = said(machine, "containerd --version || :")
    assert bool(of_kubernetes.runtime) is bool(installed)
    assert of_kubernetes.runtime in installed
    assert (of_kubernetes.iptables == "nft") is ("nf_tables" in said(machine, "iptables --version || :"))
    assert of_kubernetes.runtime_in_use == ""
    unknown = host_facts.SCRIPT.replace("needs overlay /sys/module/overlay", "needs kubev6_none /nowhere")
    lacking = host_facts.parse(machine.run(unknown, step="test").stdout).kernel.lacking
    assert set(lacking) - set(IPVS) == {"kubev6_none"}
