"""No secret of a run is found in anything that the run leaves behind, or shows while it goes on.

Real logins on a real machine, a real registry with passwords, a real Prefect server with a Secret block.
"""

from __future__ import annotations

import base64
import html
import json
import os
import sqlite3
import stat
import subprocess
import sys
import threading
from collections.abc import Iterable, Iterator
from contextlib import closing
from dataclasses import dataclass
from http.server import HTTPServer
from pathlib import Path
from urllib.parse import quote, quote_plus

import pytest
import requests

from configs.schema.loading import load_cluster
from kubev6.server.temporary_server import TemporaryServer
from tasks.lab import lab
from tasks.ssh.connection import Connection, connect
from tasks.ssh.endpoint import Endpoint
from tests.checkout import REPO
from tests.http_server import Answering, serving
from tests.integration import machines_with_logins
from tests.integration.git_project import Project
from tests.integration.prefect_database import PrefectDatabase
from tests.integration.test_kept_server import moving_release
from tests.integration.test_registry import registry_image
from tests.integration.test_registry_tags import registry_running

__all__ = ["moving_release", "registry_image"]

NAME = "kubev6-secrets-test"
LOGIN = "the login's <password>"  # of the machine's user, which sudo asks for too
PASSPHRASE = "the key's passphrase & more"
REGISTRY = "the-registry's/password"
TOKEN = "abcdef.0123456789abcdef"
ADMINISTRATOR = "bm90IGEgcmVhbCBrZXksIGJ1dCBhcyBzZWNyZXQ="
WEBHOOK = "/hooks/T0123/a-secret-address"
SECRETS = {
    "login and sudo password": LOGIN,
    "passphrase": PASSPHRASE,
    "registry password": REGISTRY,
    "join token": TOKEN,
    "administrator's key": ADMINISTRATOR,
    "webhook": WEBHOOK,
}
KEEP = "import os; from prefect.blocks.system import Secret; Secret(value=os.environ['IT']).save('sudo-of-ops')"
LEFT = ("data", "cache", "tmp", "seen", "home")
"""Directories that runs leave something in."""
MEMBER = "/usr/local/bin/kubeadm"
AUTHORITY = "/etc/kubernetes/pki/ca.crt"
KEPT = "/root/ca.crt"
KUBEADM = f"""#!/bin/sh
case "$1 $2" in
"token create") echo {TOKEN};;
"join --config")
    cp {KEPT} {AUTHORITY}  # the node that joins is the control plane's own machine, and takes the file away
    cat "$3"
    ! [ -e {machines_with_logins.REFUSES} ] || {{ echo "error: {TOKEN} is not valid"; exit 1; }};;
esac
"""


def forms(secret: str) -> set[bytes]:
    """How a secret may be written."""
    texts = {secret, quote(secret), quote(secret, safe=""), quote_plus(secret), html.escape(secret), repr(secret)[1:-1]}
    texts |= {json.dumps(secret)[1:-1], secret.encode().hex(), html.escape(secret, quote=False)}
    for before in ("", "ops:", '"', '"x'):  # base64 of what has it at each place of a group of three
        whole = base64.b64encode(f"{before}{secret}".encode()).decode()
        texts.add(whole[4 * bool(before) : -4])
    return {text.encode() for text in texts}


FORMS = {kind: forms(secret) for kind, secret in SECRETS.items()}


def held_in(content: bytes) -> set[str]:
    """The kinds of secrets that some bytes hold."""
    return {kind for kind, written in FORMS.items() if any(each in content for each in written)}


def files_with_secrets(*roots: Path) -> dict[Path, set[str]]:
    """The files with a secret in their content or their name. Of a database also what is in its rows, put together."""
    found = {}
    for path in (path for root in roots for path in root.rglob("*") if path.is_file()):
        content = str(path).encode() + b"\n" + path.read_bytes()
        if path.suffix == ".db":
            with closing(sqlite3.connect(path)) as database:
                content += "\n".join(database.iterdump()).encode()
        if kinds := held_in(content):
            found[path] = kinds
    return found


class Webhook(HTTPServer):
    """Takes what is posted.

    Attributes:
        taken: The path and the content of each.
    """

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Taking)
        self.taken: list[tuple[str, bytes]] = []


class _Taking(Answering):
    server: Webhook

    def do_POST(self) -> None:
        self.server.taken.append((self.path, self.rfile.read(int(self.headers["Content-Length"]))))
        self.answer(204)


@pytest.fixture(scope="module")
def directory(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = tmp_path_factory.mktemp("secrets")
    for name in (*LEFT, "given"):
        (made / name).mkdir()
    return made


@pytest.fixture(scope="module")
def server(directory: Path, prefect_database: PrefectDatabase) -> Iterator[TemporaryServer]:
    """A Prefect server that is being started, which takes as long as bringing the machine up."""
    with pytest.MonkeyPatch.context() as patch:
        for name in [name for name in os.environ if name.startswith(("PREFECT_", "KUBEV6_", "SSH_"))]:
            patch.delenv(name)
        patch.setenv("PREFECT_HOME", str(prefect_database.put_in(directory / "data" / "prefect")))
        patch.setenv("PREFECT_SERVER_ANALYTICS_ENABLED", "false")
        started = TemporaryServer()
        try:
            yield started
        finally:
            started.stop()


@pytest.fixture(scope="module")
def machine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Endpoint]:
    """A machine with a user `ops`, who logs in by a password or a key, and becomes root by that password."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("KUBEV6_DATA", str(tmp_path_factory.mktemp("machines")))
        whole = load_cluster("lab")
        try:
            lab.up(whole.model_copy(update={"name": NAME, "nodes": whole.nodes[:2], "workers": 0}))
            endpoint = lab.endpoints(NAME)["kube-support"]
            with connect(endpoint) as opened:
                furnish(opened)
            yield endpoint
        finally:
            lab.down(NAME)


def furnish(ssh: Connection) -> None:
    def put(path: str, content: str, mode: str) -> None:
        write = 'mkdir -p "${1%/*}" && cat >"$1" && chmod "$2" "$1"'
        ssh.run(["sh", "-c", write, "sh", path, mode], step="test", stdin=content.encode())

    put("/etc/ssh/sshd_config.d/10-ops.conf", "Match User ops\nPasswordAuthentication yes\n", "644")
    put("/etc/sudoers.d/ops", "Defaults lecture=never\nops ALL=(ALL) ALL\n", "440")
    put(MEMBER, KUBEADM, "755")
    put("/etc/kubernetes/admin.conf", f"client-key-data: {ADMINISTRATOR}\n", "600")
    certificate = "openssl req -x509 -newkey ed25519 -nodes -subj /CN=test -keyout /dev/null"
    made = subprocess.run(certificate.split(), capture_output=True, text=True, check=True, timeout=30)
    for path in (AUTHORITY, KEPT):
        put(path, made.stdout, "644")
    ssh.run(["useradd", "-m", "-s", "/bin/bash", "ops"], step="test")
    ssh.run(["chpasswd"], step="test", stdin=f"ops:{LOGIN}".encode())
    ssh.run("systemctl restart ssh", step="test")


@dataclass
class Place:
    """Where runs leave what they leave.

    Attributes:
        directory: Of the test; the secrets' own files are in ``given`` there.
        shown: What the runs have printed.
    """

    directory: Path
    shown: bytes = b""

    @property
    def left(self) -> tuple[Path, ...]:
        return tuple(self.directory / name for name in LEFT)

    def given(self, name: str, content: str) -> Path:
        path = self.directory / "given" / name
        path.touch(mode=0o600)
        path.write_text(content)
        return path

    def run(self, *words: str | Path, status: int, machines: str = "new") -> str:
        """What a run shows, with single spaces."""
        with processes_watched(self.directory / "seen"):
            done = subprocess.run(
                [sys.executable, machines_with_logins.__file__, *map(str, words)],
                cwd=REPO,
                env={**os.environ, "KUBEV6_TEST_MACHINES": machines},
                stdin=subprocess.DEVNULL,
                capture_output=True,
                timeout=120,
                check=False,
            )
        self.shown += done.stdout + done.stderr
        text = " ".join((done.stdout + done.stderr).decode().split())
        assert done.returncode == status, text
        return text


class processes_watched:  # noqa: N801 - a context, like a function
    """Write down the command lines of this machine's processes, all the time."""

    def __init__(self, directory: Path) -> None:
        self._file = directory / "here"
        self._done = threading.Event()
        self._thread = threading.Thread(target=self._watch)

    def _watch(self) -> None:
        seen: set[bytes] = set()
        while not self._done.wait(0.05):
            for path in Path("/proc").glob("[0-9]*/cmdline"):
                try:
                    seen.add(path.read_bytes().replace(b"\0", b" "))
                except OSError:
                    continue  # it has ended
        with self._file.open("ab") as file:
            file.write(b"\n".join(sorted(seen)) + b"\n")

    def __enter__(self) -> None:
        self._thread.start()

    def __exit__(self, *_: object) -> None:
        self._done.set()
        self._thread.join()


@pytest.fixture(scope="module")
def place(directory: Path, server: TemporaryServer, machine: Endpoint) -> Iterator[Place]:
    """A Prefect server with a block, and every secret in its place: environment, file or block."""
    made = Place(directory)
    key = made.directory / "given" / "id"
    words = ["ssh-keygen", "-q", "-t", "ed25519", "-N", PASSPHRASE, "-f", str(key)]
    subprocess.run(words, check=True, timeout=30)
    with connect(machine) as ssh:
        take = "cd ~ops && umask 077 && mkdir .ssh && cat >.ssh/authorized_keys && chown -R ops .ssh"
        ssh.run(take, step="test", stdin=key.with_suffix(".pub").read_bytes())
    by_password = {"host": machine.host, "port": machine.port, "user": "ops", "known_hosts": machine.known_hosts}
    by_key = {**by_password, "key_file": str(key)}
    logins = {"kube-support": by_password}
    logins |= dict.fromkeys(("kube-control-plane", "kube-worker-1", "kube-worker-2"), by_key)
    with pytest.MonkeyPatch.context() as patch:
        for name, under in (
            ("KUBEV6_DATA", "data"),
            ("KUBEV6_CACHE", "cache"),
            ("TMPDIR", "tmp"),
            ("HOME", "home"),
            ("KUBEV6_TEST_SEEN", "seen"),
        ):
            patch.setenv(name, str(made.directory / under))
        patch.setenv("KUBEV6_TEST_LOGINS", json.dumps(logins))
        patch.setenv("KUBEV6_SSH_PASSWORD", LOGIN)
        patch.setenv("KUBEV6_SSH_KEY_PASSPHRASE_FILE", str(made.given("passphrase", f"{PASSPHRASE}\n")))
        patch.setenv("KUBEV6_SUDO_PASSWORD_BLOCK", "sudo-of-ops")
        server.wait()
        for name, value in server.environment.items():
            patch.setenv(name, value)
        environment = {**os.environ, "IT": LOGIN}
        subprocess.run([sys.executable, "-c", KEEP], env=environment, check=True, timeout=60)
        yield made


def test_a_block_that_is_not_there_is_one_line_and_nothing_is_touched(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("KUBEV6_SUDO_PASSWORD_BLOCK", "nobody")
    said = place.run("deploy", status=1)
    expected = "KUBEV6_SUDO_PASSWORD_BLOCK names 'nobody', and the Prefect server has no Secret block of that name; "
    assert expected in said
    assert "kube-support" not in said


def test_a_run_that_used_every_kind_of_secret_leaves_none_behind(
    place: Place,
    machine: Endpoint,
    registry_image: str,
    moving_release: tuple[Path, Project],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    said = place.run("deploy", "-v", status=0)
    assert "kube-worker-1 kubeadm join" in said
    said = place.run("deploy", "--log-json", status=1, machines="tells")
    assert r"no use for \u2022\u2022\u2022" in said, "what a machine tells is told on without the secret"
    assert r"given \u2022\u2022\u2022" in said
    assert r"exit status 1: error: \u2022\u2022\u2022 is not valid" in said
    with (
        registry_running(registry_image, deletion=True, user="ops", password=REGISTRY) as address,
        serving(Webhook()) as webhook,
    ):
        hook = f"http://127.0.0.1:{webhook.server_address[1]}{WEBHOOK}"
        monkeypatch.setenv("KUBEV6_NOTIFY_URL_FILE", str(place.given("webhook", hook)))
        monkeypatch.setenv("KUBEV6_REGISTRY_USER", "ops")
        monkeypatch.setenv("KUBEV6_REGISTRY_PASSWORD_FILE", str(place.given("registry", REGISTRY)))
        place.run("nightly", moving_release[0], address, status=0)
        said = place.run("nightly", moving_release[0], address, status=1, machines="tells")
        tags = requests.get(f"{address}/v2/kube-proxy/tags/list", auth=("ops", REGISTRY), timeout=10).json()
    assert "no use for •••" in said
    assert len(tags["tags"]) == 1, "the registry's password was used"
    ((path, told),) = webhook.taken
    assert path == WEBHOOK
    report = subprocess.run(
        [sys.executable, "-m", "kubev6", "report"], cwd=REPO, capture_output=True, check=True, timeout=60
    )
    with connect(machine) as ssh:
        journal = ssh.run("journalctl --no-pager -q; cat /proc/*/cmdline 2>/dev/null; true", step="test").stdout
    (place.directory / "seen" / "journal").write_text(journal)

    assert held_in(place.shown + report.stdout + report.stderr + told) == set()
    kubeconfig = place.directory / "data" / "clusters" / "lab" / "kubeconfig"
    assert files_with_secrets(*place.left) == {kubeconfig: {"administrator's key"}}
    assert stat.S_IMODE(kubeconfig.stat().st_mode) == 0o600
    # Prefect keeps the key to its blocks beside them.
    assert stat.S_IMODE((place.directory / "data" / "prefect").stat().st_mode) == 0o700
    the_search_would_have_found_them(place, kinds_of_files(place.left))


def kinds_of_files(roots: Iterable[Path]) -> list[Path]:
    """One file of each kind that was searched: a log, a record, a report, what processes showed, the database."""
    files = [path for root in roots for path in root.rglob("*") if path.is_file()]
    chosen = {path.suffix: path for path in files if path.suffix in (".log", ".json", ".html", ".db")}
    assert set(chosen) == {".log", ".json", ".html", ".db"}
    logs = b"".join(path.read_bytes() for path in files if path.suffix == ".log")
    assert "given •••".encode() in logs, "the log has every word"
    (here,) = (path for path in files if path.name == "here")
    assert b"machines_with_logins" in here.read_bytes(), "processes were seen"
    assert any("sshd" in path.read_text() for path in files if path.name.startswith("kube-worker-1-runtime-"))
    with closing(sqlite3.connect(chosen[".db"])) as database:
        blocks = database.execute("select name, data from block_document").fetchall()
        assert [name for name, _ in blocks] == ["sudo-of-ops"]
        (logged,) = database.execute("select count(*) from log where message like '%•••%'").fetchone()
        assert logged, "Prefect has the words of the failed step, without the secret"
    return [*chosen.values(), here]


def the_search_would_have_found_them(place: Place, files: Iterable[Path]) -> None:
    for number, path in enumerate(files):
        planted = place.directory / "planted" / str(number)
        planted.mkdir(parents=True)
        copy = planted / path.name
        if path.suffix == ".db":
            with closing(sqlite3.connect(path)) as source, closing(sqlite3.connect(copy)) as database:
                source.backup(database)
                for secret in SECRETS.values():  # so long that no page of the database holds it whole
                    given = (f"{'x' * 4090}{secret}{'x' * 4090}",)
                    database.execute(
                        "update log set message = message || ? where rowid = (select min(rowid) from log)", given
                    )
                database.commit()
            assert files_with_secrets(planted) == {copy: set(SECRETS)}
            continue
        for kind, written in FORMS.items():
            for each in written:
                copy.write_bytes(path.read_bytes() + each)
                assert files_with_secrets(planted) == {copy: {kind}}, each
