"""`kubev6 replace` on machines of one's own: which host key is taken. The sshd is real, and no deploy follows."""

from __future__ import annotations

import os
import pty
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from configs.schema.loading import CONFIGS
from kubev6.cli import deploy, main
from tasks.kubernetes import replacement
from tests.fakes import substitute
from tests.integration.sshd import Sshd, running_sshd

NODE = "rack-1-worker-1"
OTHER = "SHA256:" + "A" * 43


@pytest.fixture(scope="module")
def sshd() -> Iterator[Sshd]:
    with running_sshd() as running:
        yield running


@pytest.fixture
def deploys(monkeypatch: pytest.MonkeyPatch, own_data: Path) -> list[tuple[object, ...]]:  # noqa: ARG001
    """What was asked of the deploy that a replacement is; nothing else of the cluster is there."""
    asked: list[tuple[object, ...]] = []

    def deployed(command: str, args: object, cluster: object, *given: object) -> int:  # noqa: ARG001
        asked.append((command, *given))
        return 0

    substitute(monkeypatch, deploy, "deployed", deployed)
    substitute(monkeypatch, replacement, "refuse", lambda *_: None)
    return asked


@pytest.fixture
def rack(sshd: Sshd, tmp_path: Path) -> Path:
    """A cluster file, one of whose workers is a machine whose host key is another one than before."""
    file, known = tmp_path / "rack.yaml", tmp_path / "known_hosts"
    stranger = (sshd.directory / "stranger.pub").read_text().split()[1]
    known.write_text(f"[127.0.0.1]:{sshd.port} ssh-ed25519 {stranger}\n")
    topology: dict[str, Any] = yaml.safe_load((CONFIGS / "clusters" / "bare-metal.yaml").read_text())
    (node,) = (each for each in topology["nodes"] if each["name"] == NODE)
    node["ssh"] = {
        "host": "127.0.0.1",
        "port": sshd.port,
        "user": "root",
        "key_file": str(sshd.directory / "user"),
        "known_hosts": str(known),
    }
    file.write_text(yaml.safe_dump(topology))
    return file


def fingerprint(sshd: Sshd) -> str:
    told = subprocess.run(["ssh-keygen", "-lf", str(sshd.directory / "host.pub")], capture_output=True, text=True)
    return told.stdout.split()[1]


def replace(file: Path, *words: str) -> int:
    return main(["replace", NODE, "--cluster", str(file), *words])


def known(file: Path) -> str:
    return (file.parent / "known_hosts").read_text()


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (
            ("--yes",),
            "has changed: SHA256:{other} is known, {shown} was seen, and nobody is asked whether",
        ),
        ((), "--host-key {shown} says so"),
        (("--yes", "--host-key", OTHER), f"shows the host key {{shown}}, and --host-key says {OTHER}; see which one"),
    ],
)
def test_no_host_key_is_taken_that_nobody_has_seen(
    sshd: Sshd,
    rack: Path,
    deploys: list[tuple[object, ...]],
    capsys: pytest.CaptureFixture[str],
    words: tuple[str, ...],
    said: str,
) -> None:
    before = known(rack)
    assert replace(rack, *words) == 1
    (line,) = capsys.readouterr().err.splitlines()[-1:]
    assert line.startswith(f"kubev6: {NODE}: connect: ")
    beginning, _, rest = said.format(other="{other}", shown=fingerprint(sshd)).partition("{other}")
    assert beginning in line
    assert rest in line
    assert (deploys, known(rack)) == ([], before)


def test_the_host_key_that_was_said_beforehand_is_taken_and_a_known_one_is_asked_of_nobody(
    sshd: Sshd, rack: Path, deploys: list[tuple[object, ...]], capsys: pytest.CaptureFixture[str]
) -> None:
    assert replace(rack, "--yes", "--host-key", fingerprint(sshd)) == 0
    assert f"The host key of {NODE} is in {rack.parent}/known_hosts." in capsys.readouterr().out
    assert known(rack).count("\n") == 1
    assert replace(rack, "--yes") == 0
    assert deploys == [("replace", str(rack), NODE, "wait")] * 2


@pytest.mark.parametrize(("answers", "ends", "taken"), [("n\n", 1, False), ("y\nn\n", 1, True), ("y\ny\n", 0, True)])
def test_a_person_is_shown_both_fingerprints_and_asked(
    sshd: Sshd,
    rack: Path,
    deploys: list[tuple[object, ...]],
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    answers: str,
    ends: int,
    taken: bool,
) -> None:
    before = known(rack)
    person, terminal = pty.openpty()
    with os.fdopen(person, "w", buffering=1) as typed, os.fdopen(terminal) as read:
        typed.write(answers)
        monkeypatch.setattr(sys, "stdin", read)
        assert replace(rack) == ends
    out = capsys.readouterr().out
    assert f"  shown now     {fingerprint(sshd)} (ed25519)\n" in out
    assert "  known before  SHA256:" in out
    assert "ssh-keygen -lf /etc/ssh/ssh_host_ed25519_key.pub" in out
    assert (known(rack) != before) == taken
    assert len(deploys) == (ends == 0)


def test_a_labs_machines_tell_their_keys_otherwise(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["replace", "kube-worker-1", "--host-key", OTHER]) == 1
    assert "--host-key: machines of a lab tell theirs through Docker, and lab is one" in capsys.readouterr().err
    with pytest.raises(SystemExit, match="2"):
        main(["replace", "kube-worker-1", "--host-key", "SHA256:short"])
