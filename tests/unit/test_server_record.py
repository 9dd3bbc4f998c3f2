"""What is known of the kept server without one."""

from __future__ import annotations

import json
import os
import shlex
import shutil
import socket
import subprocess
from pathlib import Path

import pytest

from configs.errors import KubeV6Error
from flows.parameters import named, place
from kubev6.server import kept_server, systemd_unit
from tasks.process import Process, this_process
from tests.fakes import substitute

pytestmark = pytest.mark.usefixtures("own_data")


def recorded(own_data: Path, server: Process, worker: Process | None = None) -> None:
    own_data.mkdir(parents=True, exist_ok=True)
    kept = {
        "port": 1,
        "server": {"pid": server.pid, "started": server.started},
        "worker": {"pid": worker.pid, "started": worker.started} if worker else None,
    }
    (own_data / "server.json").write_text(json.dumps(kept))


def test_a_process_is_told_from_another_one_that_has_its_id_now() -> None:
    here = this_process()
    assert here.pid == os.getpid()
    assert here.alive
    assert not Process(here.pid, here.started - 1).alive


def test_without_a_server_status_says_how_to_get_one() -> None:
    assert kept_server.status().lines == ("no server is kept; `kubev6 server up` starts one",)
    assert not kept_server.status().well


def test_a_server_that_is_gone_is_said_to_be_and_down_harms_nobody(own_data: Path) -> None:
    another = Process(os.getpid(), 1)  # its id is ours now
    recorded(own_data, another, another)
    lines = kept_server.status().lines
    assert "is gone; `kubev6 server up` mends that" in lines[0]
    assert "is gone; `kubev6 server up` mends that" in lines[1]
    assert kept_server.down() is False
    assert not (own_data / "server.json").exists()


def test_a_record_that_cannot_be_read_counts_as_none(own_data: Path) -> None:
    own_data.mkdir()
    (own_data / "server.json").write_text('{"port": 4266')
    assert kept_server.read() is None


def test_a_server_that_another_process_uses_is_ended_only_by_who_does_not_ask(own_data: Path) -> None:
    recorded(own_data, Process(os.getpid(), 1))
    with kept_server.use():
        with pytest.raises(KubeV6Error, match="another kubev6 runs on this machine and uses the kept server"):
            kept_server.down()
        assert (own_data / "server.json").exists()
        kept_server.end()  # as a machine that is shut down does
        assert not (own_data / "server.json").exists()


def test_a_port_that_is_taken_is_one_line_and_nothing_is_left(own_data: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        with pytest.raises(KubeV6Error, match=rf"port {port} of this machine is taken \(Address already in use\)"):
            kept_server.up(port)
    assert not (own_data / "server.json").exists()


def test_a_full_disk_is_said_before_anything_is_started(monkeypatch: pytest.MonkeyPatch, own_data: Path) -> None:
    usage = shutil.disk_usage
    substitute(monkeypatch, shutil, "disk_usage", lambda path: usage(path)._replace(free=1_000_000))
    with pytest.raises(KubeV6Error, match=r"has 1 MB free, and a Prefect server needs 200 MB; make room"):
        kept_server.up(1)
    assert not (own_data / "logs").exists()


def test_a_data_directory_that_is_none_is_one_line(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setenv("KUBEV6_DATA", str(tmp_path / "file" / "data"))
    with pytest.raises(KubeV6Error, match="file/data: cannot be written: Not a directory; make room or mend"):
        kept_server.up(1)


def test_a_unit_holds_no_sign_that_systemd_reads_otherwise(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KUBEV6_DATA", '/home/a "b" 100%/data')
    lines = systemd_unit.unit(4300).splitlines()
    assert 'Environment="KUBEV6_DATA=/home/a \\"b\\" 100%%/data"' in lines
    (start,) = (line.removeprefix("ExecStart=") for line in lines if line.startswith("ExecStart="))
    assert start.endswith(" -m kubev6 server stay --no-progress --port 4300")
    done = subprocess.run([*shlex.split(start), "--help"], capture_output=True, text=True, check=True, timeout=60)
    assert done.stdout.startswith("usage: kubev6 server ")


@pytest.mark.parametrize(
    ("given", "parameter"),
    [
        ("lab", "lab"),
        ("", ""),
        ("/srv/rack.yaml", "/srv/rack.yaml"),
        ("rack.yaml", "{here}/rack.yaml"),
        ("sites/rack", "{here}/sites/rack"),
    ],
)
def test_a_file_that_is_named_at_the_command_line_is_good_from_any_directory(
    given: str, parameter: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "lab").mkdir()
    monkeypatch.chdir(tmp_path)
    assert named(given) == parameter.format(here=tmp_path)


def test_a_mirror_that_is_named_at_the_command_line_is_good_from_any_directory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert place("stick") == f"{tmp_path}/stick"
    assert place("~/stick") == str(Path.home() / "stick")
    assert place("https://mirror.example/x") == "https://mirror.example/x"
    assert place("") == ""


def test_of_what_prefect_says_a_person_is_told_what_is_wrong() -> None:
    said = """Deploying nightly-rebuild
    1 validation error for CronSchedule
    cron
      Value error, Invalid cron string: "30 25 * * *" [type=value_error, input_value='30 25 * * *', input_type=str]
        For further information visit https://errors.pydantic.dev/2.14/v/value_error
    """
    assert kept_server.last_words(said) == 'Invalid cron string: "30 25 * * *"'
    assert kept_server.last_words("") == ""
