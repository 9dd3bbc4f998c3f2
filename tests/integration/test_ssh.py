"""The SSH transport against a real sshd."""

from __future__ import annotations

import hashlib
import os
import pickle
import shutil
import signal
import socket
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import paramiko
import pytest
from paramiko.common import AUTH_FAILED

from configs.errors import KubeV6Error, NodeError
from tasks import bounded, scope, secrets
from tasks.events import Bus, CommandRun, Event
from tasks.secrets import Secrets
from tasks.ssh import channel, host_key
from tasks.ssh.connection import Connection, connect
from tasks.ssh.endpoint import ClientSettings, Endpoint
from tasks.ssh.host_key import OtherHostKeyError
from tasks.ssh.openssh import ssh_command
from tests.fakes import substitute
from tests.integration.sshd import Sshd, free_port, make_key, running_sshd
from tests.waiting import eventually


@pytest.fixture(scope="module")
def sshd() -> Iterator[Sshd]:
    with running_sshd() as running:
        yield running


@pytest.fixture(scope="module")
def connection(sshd: Sshd) -> Iterator[Connection]:
    with connect(sshd.endpoint()) as opened:
        yield opened


@pytest.mark.parametrize("host", ["127.0.0.1", "::1"])
def test_a_command_runs_and_its_output_comes_back(sshd: Sshd, host: str) -> None:
    with connect(sshd.endpoint(host)) as opened:
        result = opened.run(["sh", "-c", 'echo "$1"; echo err >&2', "sh", "a 'b' $c"], step="test")
    assert (result.status, result.stdout, result.stderr) == (0, "a 'b' $c\n", "err\n")


def test_an_unknown_host_key_is_refused_with_its_fingerprint(sshd: Sshd) -> None:
    (sshd.directory / "nothing").write_text("")
    with pytest.raises(NodeError) as caught:
        connect(sshd.endpoint("::1", known="nothing"))
    seen = subprocess.run(["ssh-keygen", "-lf", str(sshd.directory / "host.pub")], capture_output=True, text=True)
    assert seen.stdout.split()[1] in str(caught.value)
    assert f"[::1]:{sshd.port}" in str(caught.value)
    assert "ssh-keyscan" in caught.value.todo
    assert not caught.value.transient


def test_a_known_hosts_file_that_is_not_there_trusts_nobody(sshd: Sshd) -> None:
    with pytest.raises(NodeError, match="not known"):
        connect(sshd.endpoint(known="missing"))


def test_a_changed_host_key_is_refused(sshd: Sshd) -> None:
    known = (sshd.directory / "known_hosts").read_text()
    other = (sshd.directory / "stranger.pub").read_text().split()[1]
    (sshd.directory / "changed").write_text(
        "".join(f"{line.rsplit(' ', 1)[0]} {other}\n" for line in known.splitlines())
    )
    with pytest.raises(NodeError, match="has changed") as caught:
        connect(sshd.endpoint(known="changed"))
    assert "ssh-keygen -R" in caught.value.todo
    assert not caught.value.transient


@pytest.mark.parametrize("hashed", [False, True])
def test_a_changed_host_key_is_taken_in_the_place_of_the_former_when_a_person_says_so(sshd: Sshd, hashed: bool) -> None:
    file = sshd.directory / "another"
    stranger = (sshd.directory / "stranger.pub").read_text().split()[1]
    former = f"[127.0.0.1]:{sshd.port} ssh-ed25519 {stranger}"
    file.write_text(f"{former}\n")
    if hashed:
        subprocess.run(["ssh-keygen", "-q", "-H", "-f", str(file)], check=True, stderr=subprocess.DEVNULL)
        (sshd.directory / "another.old").unlink()
    others = f"# kept\nnear,[127.0.0.2]:22 ssh-ed25519 {stranger}\n@revoked * ssh-ed25519 {stranger} of a thief"
    file.write_text(f"{file.read_text()}{others}")
    link = sshd.directory / "link"
    link.unlink(missing_ok=True)
    link.symlink_to(file)
    with pytest.raises(OtherHostKeyError, match="has changed") as caught:
        connect(sshd.endpoint(known="link"))
    told = subprocess.run(["ssh-keygen", "-lf", str(sshd.directory / "host.pub")], capture_output=True, text=True)
    assert caught.value.fingerprint == told.stdout.split()[1]
    assert caught.value.known.startswith("SHA256:")
    assert str(pickle.loads(pickle.dumps(caught.value))) == str(caught.value), "as from another process"
    assert host_key.take(caught.value) == link
    assert file.read_text() == f"{others}\n{caught.value.line}\n"
    assert link.is_symlink()
    with connect(sshd.endpoint(known="link")):
        pass


def test_an_unknown_host_key_is_taken_into_a_file_that_is_not_there_yet_and_none_from_the_systems(
    sshd: Sshd, tmp_path: Path
) -> None:
    system, own = tmp_path / "system", tmp_path / "ssh" / "own"
    system.write_text("")
    files = ClientSettings(user_known_hosts_files=(str(own),), global_known_hosts_files=(str(system),))
    endpoint = replace(sshd.endpoint(), known_hosts=None, settings=files)
    with pytest.raises(OtherHostKeyError, match="not known") as caught:
        connect(endpoint)
    assert caught.value.known == ""
    stranger = (sshd.directory / "stranger.pub").read_text().split()[1]
    system.write_text(f"[127.0.0.1]:{sshd.port} ssh-ed25519 {stranger}\n")
    with pytest.raises(
        NodeError, match=rf"{system} has the former host key of \S+, and is not the user's own; take it"
    ):
        host_key.take(caught.value)
    assert not own.exists()
    system.write_text("")
    assert host_key.take(caught.value) == own
    assert own.stat().st_mode & 0o777 == 0o600
    with connect(endpoint):
        pass


def test_a_wrong_key_is_refused_naming_what_was_tried(sshd: Sshd) -> None:
    with pytest.raises(NodeError, match=r"refused root: tried key .*/stranger") as caught:
        connect(sshd.endpoint(key="stranger"))
    assert "authorized_keys" in caught.value.todo
    assert not caught.value.transient


def test_a_locked_key_is_named(sshd: Sshd) -> None:
    locked = sshd.directory / "locked"
    shutil.copy(sshd.directory / "user", locked)
    subprocess.run(["ssh-keygen", "-q", "-p", "-P", "", "-N", "secret", "-f", str(locked)], check=True)
    with pytest.raises(NodeError, match="locked by a passphrase") as caught:
        connect(sshd.endpoint(key="locked"))
    assert "KUBEV6_SSH_KEY_PASSPHRASE_FILE" in caught.value.todo


@pytest.mark.parametrize(
    "options",
    [["-t", "ed25519"], ["-t", "ecdsa"], ["-t", "rsa"], ["-t", "rsa", "-m", "PEM"]],
    ids=["ed25519", "ecdsa", "rsa", "rsa-pem"],
)
def test_a_passphrase_opens_a_locked_key_of_any_kind(
    sshd: Sshd, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, options: list[str]
) -> None:
    locked = tmp_path / "locked"
    subprocess.run(["ssh-keygen", "-q", *options, "-N", "open sesame", "-f", str(locked)], check=True)
    with (sshd.directory / "authorized_keys").open("a") as file:
        file.write(locked.with_suffix(".pub").read_text())
    monkeypatch.setenv("KUBEV6_SSH_KEY_PASSPHRASE", "open sesame")
    with connect(replace(sshd.endpoint(), key_file=str(locked))) as opened:
        assert opened.run("echo in", step="test").stdout == "in\n"
    monkeypatch.setenv("KUBEV6_SSH_KEY_PASSPHRASE", "something else")
    with pytest.raises(NodeError, match="the passphrase of KUBEV6_SSH_KEY_PASSPHRASE does not open it") as caught:
        connect(replace(sshd.endpoint(), key_file=str(locked)))
    assert "something else" not in str(caught.value) + caught.value.detail


def test_a_default_key_that_is_locked_is_opened_too(
    sshd: Sshd, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    locked = tmp_path / ".ssh" / "id_ed25519"
    locked.parent.mkdir()
    shutil.copy(sshd.directory / "user", locked)
    subprocess.run(["ssh-keygen", "-q", "-p", "-P", "", "-N", "open sesame", "-f", str(locked)], check=True)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.delenv("SSH_AUTH_SOCK", raising=False)
    endpoint = replace(sshd.endpoint(), key_file=None)
    with pytest.raises(NodeError, match=r"tried key \S+id_ed25519 \(it is locked by a passphrase\)"):
        connect(endpoint)
    monkeypatch.setenv("KUBEV6_SSH_KEY_PASSPHRASE", "open sesame")
    with connect(endpoint) as opened:
        assert opened.run("echo in", step="test").stdout == "in\n"


def test_a_key_that_others_may_read_is_refused_as_ssh_does(sshd: Sshd) -> None:
    shared = sshd.directory / "shared"
    shutil.copy(sshd.directory / "user", shared)
    shared.chmod(0o640)
    with pytest.raises(NodeError, match=r"cannot use the key .*shared: others may read it, its mode is 0640") as caught:
        connect(sshd.endpoint(key="shared"))
    assert caught.value.todo == f"chmod 600 {shared}"
    words = ssh_command(sshd.endpoint(key="shared"), ["true"])
    done = subprocess.run([words[0], "-o", "BatchMode=yes", *words[1:]], capture_output=True, text=True, timeout=30)
    assert "bad permissions" in done.stderr


def test_a_key_that_is_no_key_is_named(sshd: Sshd) -> None:
    garbage = sshd.directory / "garbage"
    garbage.write_text("hello\n")
    garbage.chmod(0o600)
    with pytest.raises(NodeError, match=r"cannot use the key .*garbage: no private key is in it"):
        connect(sshd.endpoint(key="garbage"))
    with pytest.raises(NodeError, match=r"cannot use the key .*nowhere: No such file"):
        connect(sshd.endpoint(key="nowhere"))


def test_what_a_node_prints_of_a_secret_is_not_told_on(connection: Connection, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KUBEV6_SUDO_PASSWORD", "hunter2 & Co")
    with scope.holding(Secrets()):
        secrets.secret("KUBEV6_SUDO_PASSWORD")
        with pytest.raises(NodeError) as caught:
            connection.run(["sh", "-c", "cat >&2; exit 3"], step="test", stdin=b"given: hunter2 & Co")
        said = connection.run("echo 'hunter2 & Co'", step="test").stdout
    assert caught.value.seen == "sh ended with status 3: given: •••"
    assert "hunter2" not in caught.value.detail
    assert said == "hunter2 & Co\n", "what is worked with stays as it is"


def test_the_users_own_default_key_and_known_hosts_are_used(sshd: Sshd, monkeypatch: pytest.MonkeyPatch) -> None:
    home = sshd.directory / "home"
    (home / ".ssh").mkdir(parents=True)
    shutil.copy(sshd.directory / "known_hosts", home / ".ssh" / "known_hosts")
    shutil.copy(sshd.directory / "user", home / ".ssh" / "id_ed25519")
    monkeypatch.setenv("HOME", str(home))
    monkeypatch.delenv("SSH_AUTH_SOCK", raising=False)
    with connect(replace(sshd.endpoint(), key_file=None, known_hosts=None)) as opened:
        assert opened.run("echo hello", step="test").stdout == "hello\n"


def test_a_refused_connection_may_be_tried_again() -> None:
    port = free_port()
    with pytest.raises(NodeError, match=rf"\[::1\]:{port}: Connection refused") as caught:
        connect(Endpoint("node-1", "::1", port, key_file="/nowhere"))
    assert caught.value.transient


def test_a_name_without_an_address_is_not_tried_again() -> None:
    with pytest.raises(NodeError, match=r"no-such-machine\.invalid") as caught:
        connect(Endpoint("node-1", "no-such-machine.invalid"))
    assert not caught.value.transient


def test_a_server_that_says_nothing_is_given_up_and_may_be_tried_again(sshd: Sshd) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent, pytest.raises(NodeError, match="silence for") as caught:
        connect(replace(sshd.endpoint(), port=silent.getsockname()[1]), timeout=0.5)
    assert caught.value.transient


def test_whoever_made_the_machine_says_what_to_do(sshd: Sshd) -> None:
    with pytest.raises(NodeError, match=r"refused root: tried key \S+stranger; bring it up again$"):
        connect(replace(sshd.endpoint(key="stranger"), todo="bring it up again"))


def test_a_connection_dropped_before_the_banner_may_be_tried_again(sshd: Sshd) -> None:
    """What sshd does beyond MaxStartups."""
    with socket.create_server(("127.0.0.1", 0)) as dropping:

        def drop() -> None:
            dropping.accept()[0].close()

        thread = threading.Thread(target=drop)
        thread.start()
        with pytest.raises(NodeError) as caught:
            connect(replace(sshd.endpoint(), port=dropping.getsockname()[1]))
        thread.join()
    assert caught.value.transient


@contextmanager
def fake_sshd(sshd: Sshd, asked: Callable[[socket.socket], object]) -> Iterator[Endpoint]:
    """In the place of an sshd, up to the login: what comes of that is another's to say."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
        known = (sshd.directory / "known_hosts").read_text().replace(f":{sshd.port} ", f":{port} ")
        (sshd.directory / "fake").write_text(known)

        class Server(paramiko.ServerInterface):
            def __init__(self, peer: socket.socket) -> None:
                self.peer = peer

            def get_allowed_auths(self, *_: object) -> str:
                return "publickey"

            def check_auth_publickey(self, *_: object) -> int:
                asked(self.peer)
                return AUTH_FAILED

        def serve() -> None:
            peer = listener.accept()[0]
            transport = paramiko.Transport(peer)
            transport.add_server_key(paramiko.PKey.from_path(sshd.directory / "host"))
            transport.start_server(threading.Event(), Server(peer))

        thread = threading.Thread(target=serve)
        thread.start()
        yield replace(sshd.endpoint(known="fake"), port=port)
        thread.join()


def test_a_connection_that_breaks_during_the_login_may_be_tried_again(sshd: Sshd) -> None:
    """What sshd does at its LoginGraceTime."""
    with (
        fake_sshd(sshd, lambda peer: peer.shutdown(socket.SHUT_RDWR)) as endpoint,
        pytest.raises(NodeError, match=r"has not answered the login of root: closed by the other side") as caught,
    ):
        connect(endpoint)
    assert caught.value.transient
    assert "authorized_keys" not in caught.value.todo


def test_a_login_that_is_not_answered_in_time_may_be_tried_again(sshd: Sshd) -> None:
    over = threading.Event()
    with fake_sshd(sshd, lambda _: over.wait(30)) as endpoint:
        with pytest.raises(NodeError, match=r"has not answered the login of root: silence for 3 s") as caught:
            connect(endpoint, timeout=3)
        over.set()
    assert caught.value.transient


DAMAGE = ["ssh-ed25519 AAAA=C3!", "ssh-rsa AAAAB3NzaC1yc2EAAAADAQAB", "ecdsa-sha2-nistp256 AAA"]


@pytest.mark.parametrize("damage", DAMAGE)
def test_a_damaged_line_of_known_hosts_is_passed_over_as_ssh_does_and_named_where_none_has_the_key(
    sshd: Sshd, damage: str
) -> None:
    path, known = sshd.directory / "damaged", (sshd.directory / "known_hosts").read_text()
    line = f"{known.split()[0]} {damage}\n"
    path.write_text(line + known)
    connect(sshd.endpoint(known="damaged")).close()
    for text, number in ((f"# old\n{line}", 2), (f"{known}@revoked {line}", 3)):
        path.write_text(text)
        with pytest.raises(NodeError, match=rf"connect: {path}, line {number}: no host key of \[127.*\]:\d+") as caught:
            connect(sshd.endpoint(known="damaged"))
        assert not caught.value.transient
        assert caught.value.todo == "correct that line, or remove it"


def test_a_known_hosts_file_without_an_end_is_none(sshd: Sshd, monkeypatch: pytest.MonkeyPatch) -> None:
    substitute(monkeypatch, bounded, "LARGEST", 1 << 16)
    path = sshd.directory / "endless"
    path.write_text("#" * (1 << 17))
    with pytest.raises(NodeError, match=rf"connect: cannot read {path}: it has more than 64 KiB, which is the most"):
        connect(sshd.endpoint(known="endless"))
    endpoint = replace(sshd.endpoint(), settings=ClientSettings(revoked_host_keys=(str(path),)))
    with pytest.raises(NodeError, match=rf"the host keys that {path} revokes cannot be read: it has more than 64 KiB"):
        connect(endpoint)


@pytest.mark.parametrize("other", [*DAMAGE, "1024 35 1234567", "ssh-new AAAA", "", "@revoked"])
def test_lines_of_others_are_nobody_s_trouble(sshd: Sshd, other: str) -> None:
    known = (sshd.directory / "known_hosts").read_text()
    (sshd.directory / "others").write_text(f"other.example {other}\n{known.replace(' ', '  ')}")
    connect(sshd.endpoint(known="others")).close()


def test_a_revoked_host_key_is_not_taken(sshd: Sshd) -> None:
    known = (sshd.directory / "known_hosts").read_text()
    (sshd.directory / "revoked").write_text(f"{known}@revoked {known}")
    with pytest.raises(NodeError, match=r"the host key of .* is revoked: ssh-ed25519 SHA256:") as caught:
        connect(sshd.endpoint(known="revoked"))
    assert not caught.value.transient


@pytest.mark.parametrize(
    ("revoked", "lets_in"),
    [
        ("KEY", False),
        ("# keys\n\nSTRANGER\nKEY remark", False),
        ("STRANGER", True),
        ("ssh-rsa AAAA\nSTRANGER", False),
        ("ssh-new AAAA\nSTRANGER", False),
        ("", True),
        ("SSHKRL\n", False),
        (None, False),
    ],
)
def test_a_key_that_the_configuration_revokes_is_not_taken(sshd: Sshd, revoked: str | None, lets_in: bool) -> None:
    _, *key = (sshd.directory / "known_hosts").read_text().split()
    path = sshd.directory / "revoked-host-keys"
    path.unlink(missing_ok=True)
    if revoked is not None:
        stranger = (sshd.directory / "stranger.pub").read_text().strip()
        path.write_text(revoked.replace("STRANGER", stranger).replace("KEY", " ".join(key)) + "\n" * bool(revoked))
    endpoint = replace(sshd.endpoint(), settings=ClientSettings(revoked_host_keys=(str(path),)))
    assert answers(endpoint) == (lets_in, lets_in)


@pytest.mark.parametrize(("marker", "lets_in"), [("@revoked ", False), ("", True)])
def test_the_systems_file_that_the_configuration_names_counts(sshd: Sshd, marker: str, lets_in: bool) -> None:
    known = (sshd.directory / "known_hosts").read_text()
    (sshd.directory / "global").write_text(f"{marker}{known}")
    files = (str(sshd.directory / "known_hosts"),) if marker else (str(sshd.directory / "nowhere"),)
    settings = ClientSettings(user_known_hosts_files=files, global_known_hosts_files=(str(sshd.directory / "global"),))
    endpoint = replace(sshd.endpoint(), known_hosts=None, settings=settings)
    assert answers(endpoint) == (lets_in, lets_in)


def test_a_key_that_the_second_file_of_known_hosts_revokes_is_not_taken(
    sshd: Sshd, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    known = (sshd.directory / "known_hosts").read_text()
    (tmp_path / ".ssh").mkdir()
    (tmp_path / ".ssh" / "known_hosts").write_text(known)
    (tmp_path / ".ssh" / "known_hosts2").write_text(f"@revoked * {known.partition(' ')[2]}")
    monkeypatch.setenv("HOME", str(tmp_path))
    with pytest.raises(NodeError, match="is revoked"):
        connect(replace(sshd.endpoint(), known_hosts=None))


def answers(endpoint: Endpoint) -> tuple[bool, bool]:
    """Whether ssh gets in, and whether we do."""
    by_ssh = subprocess.run(ssh_command(endpoint, ["true"]), capture_output=True, timeout=30).returncode == 0
    try:
        connect(endpoint).close()
    except NodeError:
        return by_ssh, False
    return by_ssh, True


def test_hashed_names_and_lines_for_others_are_read_as_ssh_reads_them(sshd: Sshd) -> None:
    path = sshd.directory / "hashed"
    known, key = (sshd.directory / "known_hosts").read_text(), (sshd.directory / "stranger.pub").read_text()
    path.write_text(f"@cert-authority *.example {key}# gar\xe4age\n\n{known}", encoding="latin-1")
    subprocess.run(["ssh-keygen", "-q", "-H", "-f", path], check=True, capture_output=True, timeout=30)
    assert "127.0.0.1" not in path.read_text(encoding="latin-1")
    with connect(sshd.endpoint(known="hashed")) as opened:
        assert opened.run("echo in", step="test").stdout == "in\n"


@pytest.mark.parametrize(
    ("text", "lets_in"),
    [
        ("HERE KEY", True),
        ("[127.0.0.*]:PORT KEY", True),
        ("[127.0.0.?]:PORT,other KEY", True),
        ("[*]:PORT,!HERE KEY", False),
        ("!HERE,[*]:PORT KEY", False),
        ("*,!other KEY", True),
        ("[127.0.0.*]:22 KEY", False),
        ("HERE STRANGER", False),
        ("@cert-authority * KEY", False),
        ("HERE KEY\n@revoked * KEY", False),
        ("@revoked [127.0.0.*]:* KEY\nHERE KEY", False),
        ("HERE KEY\n@revoked *,!HERE KEY", True),
        ("HERE KEY\n@revoked * STRANGER", True),
        ("@unknown * KEY", False),
        ("|1|AAAA|BBBB= ssh-rsa AAAA\nHERE KEY", True),
        ("|1| ssh-rsa AAAA\nHERE KEY", True),
        ("|1|é|= ssh-rsa AAAA\nHERE KEY", True),
        ("# remark\u2028HERE KEY", False),
        ("\t HERE KEY remark", True),
    ],
)
def test_known_hosts_is_read_as_ssh_reads_it(sshd: Sshd, text: str, lets_in: bool) -> None:
    here, *key = (sshd.directory / "known_hosts").read_text().split()
    stranger = (sshd.directory / "stranger.pub").read_text().split()
    endpoint = sshd.endpoint(known="as-ssh")
    for word, value in (("HERE", here), ("PORT", str(endpoint.port)), ("STRANGER", " ".join(stranger[:2]))):
        text = text.replace(word, value)
    (sshd.directory / "as-ssh").write_text(text.replace("KEY", " ".join(key)) + "\n")

    by_ssh = subprocess.run(ssh_command(endpoint, ["true"]), capture_output=True, timeout=30).returncode == 0
    try:
        connect(endpoint).close()
        by_us = True
    except NodeError:
        by_us = False

    assert (by_us, by_ssh) == (lets_in, lets_in)


def test_that_an_authority_is_of_no_use_is_told(sshd: Sshd) -> None:
    key = " ".join((sshd.directory / "stranger.pub").read_text().split()[:2])
    (sshd.directory / "authority").write_text(f"@cert-authority * {key}\n")
    with pytest.raises(NodeError, match=r"is not known: .* of the authority in .*authority no use is made"):
        connect(sshd.endpoint(known="authority"))


def test_a_failed_command_is_told_with_node_step_status_and_output(connection: Connection) -> None:
    with pytest.raises(NodeError) as caught:
        connection.run("echo out; echo first >&2; echo last >&2; exit 3", step="kubeadm init")
    error = caught.value
    assert (error.node, error.step) == ("node-1", "kubeadm init")
    assert "status 3" in error.seen
    assert error.seen.endswith("last")
    assert "out\n" in error.detail
    assert "first\n" in error.detail


def test_the_error_does_not_repeat_the_commands_arguments(connection: Connection) -> None:
    with pytest.raises(NodeError) as caught:
        connection.run(["ls", "/no/such/secret"], step="test")
    assert caught.value.seen.startswith("ls ended with status 2")


def test_a_failure_that_is_expected_is_a_result(connection: Connection) -> None:
    assert connection.run(["false"], step="test", check=False).status == 1


def test_much_output_on_both_streams_does_not_block(connection: Connection) -> None:
    size = 8_000_000
    script = f"head -c {size} /dev/zero >&2; head -c {size} /dev/zero; head -c {size} /dev/zero >&2"
    result = connection.run(script, step="test", timeout=60)
    assert (len(result.stdout), len(result.stderr)) == (size, 2 * size)


@pytest.mark.parametrize("stream", ["", ">&2"], ids=["standard output", "standard error"])
@pytest.mark.parametrize("what", ["yes s3cret-passphrase", "tr '\\0' x </dev/zero"], ids=["lines", "one line"])
def test_a_command_that_prints_without_end_is_ended_and_its_first_lines_are_told(
    connection: Connection, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, stream: str, what: str
) -> None:
    substitute(monkeypatch, channel, "PRINTED", 1 << 22)
    script = f"echo $$ >{tmp_path}/pid; exec {what} {stream}"
    with scope.holding(Secrets()):
        secrets.remember("s3cret-passphrase")
        with pytest.raises(NodeError) as caught:
            connection.run(script, step="test", timeout=300)
    process = Path("/proc", (tmp_path / "pid").read_text().strip())
    eventually(lambda: not process.exists())
    assert str(caught.value) == (
        "node-1: test: what it prints has more than 4 MiB, which is the most that is taken; see on the machine what "
        "prints so much; what it began with is in the run log"
    )
    assert not caught.value.transient
    assert caught.value.detail.endswith("\n(cut off here)")
    assert "s3cret" not in caught.value.detail
    assert len(caught.value.detail) <= bounded.TOLD + 100
    assert connection.run(["echo", "well"], step="test").stdout == "well\n", "the connection is good for the next one"


def test_an_endless_line_of_progress_costs_no_more_than_it_has(connection: Connection) -> None:
    began = time.monotonic()
    heard: list[str] = []
    connection.run("head -c 40000000 /dev/zero | tr '\\0' x >&2; echo >&2", step="test", on_stderr=heard.append)
    assert [len(line) for line in heard] == [40_000_000]
    assert time.monotonic() - began < 60


def test_of_what_a_failed_command_has_printed_the_end_is_told_without_any_part_of_a_secret(
    connection: Connection,
) -> None:
    printed = "first\ns3cret-passphrase" + "x" * bounded.TOLD + "\ns3cret-passphrase\nlast words"
    with scope.holding(Secrets()):
        secrets.remember("s3cret-passphrase")
        with pytest.raises(NodeError, match=r"^node-1: test: cat; ended with status 3: last words$") as caught:
            connection.run("cat; exit 3", step="test", stdin=printed.encode())
    assert "last words" in caught.value.detail
    assert "(what was before this is cut off)\n" in caught.value.detail
    assert "first" not in caught.value.detail
    assert "phrase" not in caught.value.detail


@pytest.mark.parametrize("answer", ["[" * 100_000, "{", "", "NaN x", '"' + "a" * 1000])
def test_an_answer_that_is_no_json_is_one_short_line(connection: Connection, answer: str) -> None:
    with pytest.raises(NodeError, match=r"^node-1: test: the answer is not JSON \(") as caught:
        connection.run_python("print(PAYLOAD)", answer, step="test", timeout=20)
    assert len(str(caught.value)) < 300


@pytest.mark.parametrize(
    "line",
    [
        '{"progress"',
        '{"progress": "a", "done": [], "total": 1}',
        '{"made": null}',
        '{"command" 7}',
        '{"made": ' + "[" * 99_999,
    ],
)
def test_what_a_program_says_of_its_work_amiss_is_one_short_line(connection: Connection, line: str) -> None:
    script = "import sys; sys.stderr.write(PAYLOAD + chr(10)); print(1)"
    with pytest.raises(
        NodeError, match=r"^node-1: test: what python3 says of its work is not as it should be: "
    ) as caught:
        connection.run_python(script, line, step="test", timeout=20, progress=print, made=print)
    assert len(str(caught.value)) < 300


def test_standard_input_arrives_whole_and_is_closed(connection: Connection) -> None:
    data = os.urandom(5_000_000)
    assert connection.run(["sha256sum"], step="test", stdin=data).stdout.split()[0] == hashlib.sha256(data).hexdigest()
    assert connection.run(["cat"], step="test").stdout == ""


def test_a_command_that_does_not_read_its_input_still_ends(connection: Connection) -> None:
    assert connection.run(["true"], step="test", stdin=b"x" * 20_000_000).status == 0


def test_a_deadline_ends_the_command_on_the_node_too(connection: Connection, tmp_path: Path) -> None:
    pid = tmp_path / "pid"
    started = time.monotonic()
    with pytest.raises(NodeError, match="sh was ended after 1 s") as caught:
        connection.run(["sh", "-c", f"echo $$ > {pid}; exec sleep 600"], step="test", timeout=1)
    assert time.monotonic() - started < 8
    assert caught.value.transient
    assert not Path(f"/proc/{pid.read_text().strip()}").exists()


def test_one_transport_serves_many_commands(connection: Connection) -> None:
    peers = {connection.run("echo $SSH_CONNECTION", step="test").stdout for _ in range(20)}
    assert len(peers) == 1


def test_a_connection_that_is_closed_meanwhile_is_an_error_and_may_be_tried_again(sshd: Sshd) -> None:
    opened = connect(sshd.endpoint())
    threading.Timer(0.3, opened.close).start()
    with pytest.raises(NodeError, match="broke") as caught:
        opened.run(["sleep", "30"], step="test")
    assert caught.value.transient
    with pytest.raises(NodeError, match="broke"):
        opened.run(["true"], step="test")


def test_python_gets_its_payload_and_answers_json(connection: Connection) -> None:
    told: list[tuple[object, ...]] = []
    script = """
import sys
for number in PAYLOAD["numbers"]:
    sys.stderr.write(json.dumps({"progress": "at %d" % number}) + "\\n")
sys.stderr.write(json.dumps({"progress": "counted", "done": 3, "total": 9}) + "\\n")
print(json.dumps({"sum": sum(PAYLOAD["numbers"]), "text": PAYLOAD["text"]}))
"""
    payload = {"numbers": [1, 2, 3], "text": "fd00::1 'ü'"}
    answer = connection.run_python(script, payload, step="test", timeout=10, progress=lambda *words: told.append(words))
    assert answer == {"sum": 6, "text": "fd00::1 'ü'"}
    assert told == [("at 1",), ("at 2",), ("at 3",), ("counted", 3, 9)]


def test_commands_are_told_with_their_node_and_step_and_what_they_are_given_is_not(connection: Connection) -> None:
    script = """
import sys
sys.stderr.write(json.dumps({"command": "ip -6 route replace fd00::/64"}) + "\\n")
print("null")
"""
    bus, told = Bus(), list[Event]()
    with scope.holding(bus), bus.heard_by(told.append):
        connection.run(["cat", "a file", "-"], step="read", stdin=b"hidden", check=False)
        connection.run_python(script, {"secret": "hidden"}, step="network", timeout=10)
    commands = [(event.subject, event.title, event.text) for event in told if isinstance(event, CommandRun)]
    assert commands == [
        (connection.node, "read", "cat 'a file' -"),
        (connection.node, "network", "python3 -IS -"),
        (connection.node, "network", "ip -6 route replace fd00::/64"),
    ]
    assert "hidden" not in str(told)


def test_a_python_program_that_fails_tells_its_last_line(connection: Connection) -> None:
    with pytest.raises(NodeError, match="ValueError: too bad") as caught:
        connection.run_python("raise ValueError('too bad')", None, step="test", timeout=10)
    assert "Traceback" in caught.value.detail


def test_who_listens_to_progress_can_stop_it(connection: Connection) -> None:
    def stop(_: str) -> None:
        raise KubeV6Error("stopped")

    script = """
import sys, time
sys.stderr.write(json.dumps({"progress": "begun"}) + "\\n"); sys.stderr.flush()
time.sleep(30)
"""
    started = time.monotonic()
    with pytest.raises(KubeV6Error, match="stopped"):
        connection.run_python(script, None, step="test", timeout=60, progress=stop)
    assert time.monotonic() - started < 10


@contextmanager
def echo_server(family: socket.AddressFamily = socket.AF_INET6) -> Iterator[int]:
    """Sends back what it is sent, until the other side has said all."""

    def serve(peer: socket.socket) -> None:
        with peer:
            while data := peer.recv(65536):
                peer.sendall(data)

    with socket.create_server(("::1" if family == socket.AF_INET6 else "127.0.0.1", 0), family=family) as listener:

        def accept() -> None:
            while True:
                try:
                    peer = listener.accept()[0]
                except OSError:
                    return
                threading.Thread(target=serve, args=(peer,), daemon=True).start()

        thread = threading.Thread(target=accept, daemon=True)
        thread.start()
        yield int(listener.getsockname()[1])
        listener.shutdown(socket.SHUT_RDWR)
        thread.join()


def exchange(port: int, data: bytes) -> bytes:
    """Send everything, say that it was all, and read to the end."""
    with socket.create_connection(("127.0.0.1", port), timeout=30) as peer:

        def send() -> None:
            peer.sendall(data)
            peer.shutdown(socket.SHUT_WR)

        sender = threading.Thread(target=send)
        sender.start()
        received = bytearray()
        while piece := peer.recv(65536):
            received += piece
        sender.join()
        return bytes(received)


def test_a_forwarded_port_carries_data_both_ways(connection: Connection) -> None:
    data = os.urandom(10_000_000)
    with echo_server() as far, connection.forward("::1", far) as near:
        assert exchange(near, data) == data


def test_a_forwarded_port_carries_many_connections_beside_commands(connection: Connection) -> None:
    pieces = [os.urandom(200_000) for _ in range(30)]
    with echo_server() as far, connection.forward("::1", far) as near, ThreadPoolExecutor(10) as pool:
        answers = [pool.submit(exchange, near, piece) for piece in pieces]
        assert connection.run("echo beside", step="test").stdout == "beside\n"
        assert [answer.result() for answer in answers] == pieces


def test_a_forwarded_port_to_nowhere_closes_and_the_rest_goes_on(connection: Connection) -> None:
    with connection.forward("::1", free_port()) as near:
        with socket.create_connection(("127.0.0.1", near), timeout=10) as peer:
            assert peer.recv(1) == b""
        assert connection.run("echo on", step="test").stdout == "on\n"


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can be somebody else")
def test_a_forwarded_port_is_for_its_user_alone(connection: Connection) -> None:
    """Behind it may be what asks nobody who he is, such as the registry of a cluster."""
    ask = "import socket, sys; peer = socket.create_connection(('127.0.0.1', int(sys.argv[1])), 10)"
    with echo_server() as far, connection.forward("::1", far) as near:
        asked = [
            subprocess.run(
                ["/usr/bin/python3", "-c", f"{ask}; peer.sendall(b'x'); sys.exit(not peer.recv(1))", str(near)],
                user=user,
                cwd="/",
                stderr=subprocess.DEVNULL,
                timeout=30,
            )
            for user in ("nobody", "root")
        ]
        assert asked[0].returncode != 0
        assert asked[1].returncode == 0


def test_a_forwarded_port_is_closed_at_the_end(connection: Connection) -> None:
    with echo_server() as far, connection.forward("::1", far) as near:
        pass
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.1", near), timeout=5)


def test_the_systems_ssh_gets_the_same_key_and_host_key_check(sshd: Sshd) -> None:
    words = ssh_command(sshd.endpoint("::1"), ["echo", "a b"])
    done = subprocess.run(words, capture_output=True, text=True, timeout=30)
    assert (done.stdout, done.returncode) == ("a b\n", 0), done.stderr
    (sshd.directory / "nothing").write_text("")
    words = [words[0], "-o", "BatchMode=yes", *ssh_command(sshd.endpoint("::1", known="nothing"), ["true"])[1:]]
    assert subprocess.run(words, capture_output=True, timeout=30).returncode == 255


@pytest.fixture
def agent(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., None]]:
    """An ssh-agent in the place of the user's; makes keys and adds them to it, with options of ssh-add(1)."""
    place = tmp_path / "agent"
    started = subprocess.run(["ssh-agent", "-s", "-a", str(place)], capture_output=True, text=True, check=True)
    monkeypatch.setenv("SSH_AUTH_SOCK", str(place))
    monkeypatch.setenv("HOME", str(tmp_path))

    def add(key: str, *options: str) -> None:
        make_key(tmp_path / key)
        subprocess.run(["ssh-add", "-q", *options, str(tmp_path / key)], check=True, timeout=30)

    yield add
    os.kill(int(started.stdout.split("SSH_AGENT_PID=")[1].split(";")[0]), signal.SIGTERM)


def test_too_many_authentication_failures_are_told(sshd: Sshd, agent: Callable[..., None]) -> None:
    """An agent with many keys runs into the server's MaxAuthTries before the right one."""
    for number in range(8):
        agent(f"key-{number}")
    with pytest.raises(NodeError, match=r"refused root: tried agent key SHA256:.*MaxAuthTries") as caught:
        connect(replace(sshd.endpoint(), key_file=None))
    assert not caught.value.transient


def test_an_agent_that_does_not_sign_is_asked_once(sshd: Sshd, agent: Callable[..., None]) -> None:
    """It was to ask the person, and nobody said yes."""
    agent("key", "-c")
    with pytest.raises(NodeError, match=r"refused root: tried agent key SHA256:.* \(key cannot be used") as caught:
        connect(replace(sshd.endpoint(), key_file=None))
    assert not caught.value.transient
