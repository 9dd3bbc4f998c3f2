"""A bundle holds no secret of any kind that kubev6 or its clusters have, and stays within its bounds."""

from __future__ import annotations

import base64
import gzip
import io
import secrets as random
import stat
import subprocess
import tarfile
from itertools import count
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1, generate_private_key
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from configs.schema.loading import load_cluster, load_release
from tasks import bounded, bundle, scope
from tasks.redaction import redact
from tasks.secrets import HIDDEN, Secrets, remember
from tasks.ssh.endpoint import Endpoint
from tests.fakes import substitute

JWT = "eyJhbGciOiJSUzI1NiIsImtpZCI6IngifQ.eyJpc3MiOiJrdWJlcm5ldGVzL3NlcnZpY2VhY2NvdW50In0.c2lnbmF0dXJl-_x"
TOKEN = "abcdef.0123456789abcdef"


def key(form: PrivateFormat) -> str:
    return generate_private_key(SECP256R1()).private_bytes(Encoding.PEM, form, NoEncryption()).decode()


PEM, SSH = key(PrivateFormat.PKCS8), key(PrivateFormat.OpenSSH)
IN_JOURNAL = "".join(f"2026-01-01T00:00:00 node kubelet[1]: {line}\n" for line in PEM.splitlines())
BASE64 = base64.b64encode(PEM.encode()).decode()


@pytest.mark.parametrize(
    ("text", "secret"),
    [
        (f"before\n{PEM}after\n", PEM.splitlines()[1]),
        (f"before\n{SSH}after\n", SSH.splitlines()[2]),
        (IN_JOURNAL, PEM.splitlines()[2]),
        (PEM[:150], PEM[100:150]),
        (PEM[60:] + "after\n", PEM.splitlines()[2]),
        (f"    client-key-data: {BASE64}\n", BASE64[80:120]),
        (f'{{"client-key-data":"{BASE64}","x":1}}', BASE64[80:120]),
        (f"value {BASE64} elsewhere", BASE64[80:120]),
        (f"kubeadm join [fd00::100]:6443 --token {TOKEN} --discovery-token-ca-cert-hash sha256:00", TOKEN),
        (f"bootstrap-token-abcdef was made, {TOKEN}", TOKEN),
        (f"Authorization: Bearer {JWT}", JWT),
        (f"token {JWT}", JWT),
        ('{"auths": {"registry.example": {"auth": "b3BzOnBhc3M="}}}', "b3BzOnBhc3M="),
        ('{"auths": {"registry.example": {"identitytoken": "0a1b2c3d"}}}', "0a1b2c3d"),
        ("Authorization: Basic b3BzOnBhc3M=", "b3BzOnBhc3M="),
        ("fetching https://ops:s3same@registry.example/v2/", "s3same"),
        ("git clone https://0123456789abcdef@git.example/x", "0123456789abcdef"),
        ("export PREFECT_API_AUTH_STRING=kubev6:abc_DEF-123", "abc_DEF-123"),
        ("Environment=PREFECT_SERVER_API_AUTH_STRING=kubev6:abc_DEF-123 PATH=/usr/bin", "abc_DEF-123"),
        ("KUBEV6_SUDO_PASSWORD='two words'", "two words"),
        ("curl --password hunter2 x", "hunter2"),
        ('    password: "hunter2 x"\n', "hunter2"),
        ("wpa psk=hunter22", "hunter22"),
    ],
    ids=map(str, count()),  # the keys are other ones in each process
)
def test_what_looks_like_a_secret_is_taken_out(text: str, secret: str) -> None:
    assert secret in text
    told = redact(text)
    assert secret not in told
    assert HIDDEN in told


@pytest.mark.parametrize(
    "text",
    [
        "kubelet[1]: I0101 12:00:00.000000 node fd00::101 is Ready, image sha256:" + "a" * 64,
        "64:ff9b::/96 via fd00::64 dev eth1 metric 1024",
        "http://[fd00::64]:5000/v2/ and https://kube-support:5000/v2/kube-proxy/manifests/v1.20.2_kubev6.abc1234",
        "tokenTTL: 10m0s",
        "NAME STATUS ROLES AGE VERSION\nkube-worker-1 Ready <none> 1m v1.20.2",
    ],
)
def test_what_one_looks_for_stays(text: str) -> None:
    assert redact(text) == text


def test_a_secret_that_is_known_is_taken_out_whatever_it_looks_like() -> None:
    with scope.holding(Secrets()):
        remember("plain words")
        assert redact("it said plain words there") == f"it said {HIDDEN} there"


def test_the_archive_is_for_its_user_alone_and_is_never_written_over(tmp_path: Path) -> None:
    path = tmp_path / "case.tar.gz"
    bundle.write(path, [("here/about.txt", f"token: {TOKEN}\n"), ("here/other.txt", "\udcff odd\n")])
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    with tarfile.open(path) as archive:
        assert archive.getnames() == ["case/here/about.txt", "case/here/other.txt"]
        assert all(each.mode == 0o600 for each in archive.getmembers())
    assert TOKEN.encode() not in gzip.decompress(path.read_bytes())
    with pytest.raises(FileExistsError):
        bundle.write(path, [])


def test_what_would_make_it_too_large_is_left_out_and_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    substitute(monkeypatch, bundle, "ANSWER_BYTES", 1000)
    substitute(monkeypatch, bundle, "ALL_BYTES", 1500)
    text = "".join(f"{random.choice('abc') * 9}\n" for _ in range(500))
    bundle.write(tmp_path / "x.tar.gz", [("a", text), ("b", text)])
    with tarfile.open(tmp_path / "x.tar.gz") as archive:
        found = [io.TextIOWrapper(file).read() for each in archive if (file := archive.extractfile(each))]
    assert found == [
        f"(what was before this is cut off)\n{text[-990:]}",
        "left out: the bundle would become too large\n",
    ]


def test_of_what_is_cut_off_only_whole_lines_are_kept_so_that_no_secret_is_left_in_part(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    substitute(monkeypatch, bundle, "ANSWER_BYTES", 100)
    log = "password " + "hunter2-" * 20 + "\nthe last line\n"
    (tmp_path / "log").write_text(log)
    with (tmp_path / "log").open("rb") as file:
        told = bounded.end_of(file, bundle.ANSWER_BYTES)
    bundle.write(tmp_path / "b.tar.gz", [("from-a-file", told), ("whole", log), ("one-line", "hunter2-" * 20)])
    with tarfile.open(tmp_path / "b.tar.gz") as archive:
        texts = {name: archive.extractfile(name).read().decode() for name in archive.getnames()}  # type: ignore[union-attr]
    cut = "(what was before this is cut off)\n"
    assert texts == {
        "b/from-a-file": f"{cut}the last line\n",
        "b/whole": f"{cut}the last line\n",
        "b/one-line": cut,
    }


def test_nothing_is_left_of_one_that_cannot_be_finished(tmp_path: Path) -> None:
    def files() -> object:
        yield "a", "text"
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        bundle.write(tmp_path / "x.tar.gz", files())  # type: ignore[arg-type]
    assert not list(tmp_path.iterdir())


def test_a_machine_that_cannot_be_reached_is_a_line_in_it() -> None:
    cluster = load_cluster("lab")
    nobody_listens = Endpoint("kube-worker-1", "127.0.0.1", 1)
    told = dict(bundle.of_machines(cluster, load_release("debian-1.20"), None, {"kube-worker-1": nobody_listens}))
    assert set(told) == {f"machines/{node.name}/unreachable.txt" for node in cluster.nodes}
    assert "cannot reach 127.0.0.1:1: Connection refused" in told["machines/kube-worker-1/unreachable.txt"]
    assert told["machines/kube-support/unreachable.txt"] == "nobody knows how this machine is reached\n"


@pytest.mark.parametrize("command", [*bundle.ASKED.values(), *bundle.ASKED_CONTROL_PLANE.values()])
def test_what_machines_are_asked_is_a_command_of_the_shell_that_reads_no_secret(command: str) -> None:
    assert subprocess.run(["sh", "-n", "-c", f"{{ {command}; }} 2>&1"], check=False).returncode == 0
    for word in ("secret", ".pem", ".key", "pki", "environ", "shadow", "cat /etc/kubernetes"):
        assert word not in command.lower(), word
