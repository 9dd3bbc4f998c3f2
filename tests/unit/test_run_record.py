"""The record of a run: what is heard and noted, what is kept, and what can be found again."""

from __future__ import annotations

import json
import os
import signal
import stat
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from configs.errors import CombinedError, KubeV6Error, NodeError
from configs.schema.cluster import Cluster
from configs.schema.loading import load_cluster
from configs.words import visible
from flows.run import record as run_record
from flows.run import recording
from flows.run.context import RunContext, run_context
from flows.run.lifecycle import flow_run
from flows.run.record import RunRecord, runs
from flows.run.recording import how_it_ends
from tasks.events import ChangeMade, ChecksJudged, ImagesPushed, ReleaseChosen, emit
from tasks.kubernetes.checks import Check
from tasks.node.change import Change
from tasks.steps import step
from tests.checkout import REPO
from tests.fakes import substitute
from tests.unit import sample, sample_run

pytestmark = pytest.mark.usefixtures("own_data")
LOG = Path("/var/log/run.log")


@contextmanager
def recorded(about: Cluster | str = "debian-1.20", command: str = "build") -> Iterator[RunContext]:
    with run_context() as run, recording.recorded(run.events, command, about, LOG) as run.recording:
        yield run


def the_record() -> RunRecord:
    ((_, record),) = runs()
    return record


def test_a_run_is_recorded_with_all_that_it_did() -> None:
    with recorded(load_cluster("lab"), "deploy"):
        with step("kube-worker-1", "network") as shown:
            made = Change("file", "/etc/x", "create", after="y: z", node="kube-worker-1", stage="network")
            emit(ChangeMade(change=made))
            shown.ended_as("1 change")
        emit(ReleaseChosen(manifest=sample.manifest(), why="from the store"))
        emit(ChecksJudged(checks=(Check("API", "kube-worker-1", "[fd00:1234::1]:443", True, "v1.20.2", 0.01234567),)))
    record = the_record()
    assert (record.command, record.subject, record.status) == ("deploy", "lab", "succeeded")
    assert record.log == str(LOG)
    assert [node.name for node in record.topology.nodes] == [node.name for node in load_cluster("lab").nodes]  # type: ignore[union-attr]
    assert [(s.subject, s.title, s.outcome, s.text) for s in record.steps] == [
        ("kube-worker-1", "network", "ended", "1 change")
    ]
    (change,) = record.changes
    assert (change.node, change.stage, change.words) == ("kube-worker-1", "network", "create file /etc/x (y: z)")
    assert (change.kind, change.subject, change.action) == ("file", "/etc/x", "create")
    assert (change.before, change.after, change.text) == ("", "y: z", "")
    assert record.release is not None
    assert (record.release.version, record.release.why) == (sample.VERSION, "from the store")
    assert record.release.stand_ins == {"cluster-dns-stand-in": "CoreDNS"}
    assert record.series is not None
    assert record.series.name == "debian-1.20"
    assert [(check.source, check.seconds) for check in record.checks] == [("kube-worker-1", 0.0123)]
    assert abs(datetime.now(UTC) - record.started) < timedelta(minutes=1)


def test_a_name_on_a_machine_that_is_no_utf_8_is_recorded_and_shown_spelled_out() -> None:
    """Such as that of a file to swap to, as fstab(5) has it."""
    made = Change("swap", "/caf\udce9", "off", "a link to /\udcfc", node="kube-worker-1", stage="network")
    with recorded(load_cluster("lab"), "deploy"):
        emit(ChangeMade(change=made))
    (change,) = the_record().changes
    assert (change.subject, change.before) == ("/caf\\udce9", "a link to /\\udcfc")
    assert visible(made.describe()).encode() == rb"off swap /caf\udce9 (a link to /\udcfc)"


def test_a_proof_that_failed_is_no_success() -> None:
    with recorded(load_cluster("lab"), "deploy"):
        checks = (Check("API", "kube-worker-1", "x", True, ""), Check("API", "kube-worker-2", "x", False, "timeout"))
        emit(ChecksJudged(checks=checks))
    assert the_record().status == "proof failed"


def test_an_upgrade_that_went_back_is_recorded_with_the_proof_that_failed_and_not_with_that_of_going_back() -> None:
    good, bad = (Check("API", "kube-worker-1", "x", ok, "") for ok in (True, False))
    with recorded(load_cluster("lab"), "deploy"):
        for check in (good, bad, good):
            emit(ChecksJudged(checks=(check,)))
    assert [check.ok for check in the_record().checks] == [False]


def test_every_error_of_a_failed_run_is_recorded_with_what_to_do() -> None:
    errors = (
        NodeError("kube-worker-1", "runtime", "the disk is full", todo="make room", detail="a secret output"),
        LookupError("nobody thought of it\nnor of that"),
    )
    with pytest.raises(CombinedError), recorded():
        raise CombinedError(errors)
    record = the_record()
    assert record.status == "failed"
    known, defect = record.errors
    assert (known.message, known.todo) == ("kube-worker-1: runtime: the disk is full", "make room")
    assert (known.node, known.step) == ("kube-worker-1", "runtime")
    assert defect.message == "a defect of kubev6: LookupError: nobody thought of it"
    assert str(LOG) in defect.todo
    assert "a secret output" not in runs()[0][0].read_text()


@pytest.mark.parametrize("signalled", [KeyboardInterrupt, SystemExit, type("Cancelled", (BaseException,), {})])
def test_a_run_that_was_stopped_says_so_and_what_was_under_way(signalled: type[BaseException]) -> None:
    begun = step("kube-worker-1", "runtime")

    def interrupted() -> None:
        with recorded():
            begun.__enter__()
            with step("kube-worker-2", "runtime"):
                pass
            raise signalled

    with pytest.raises(signalled):
        interrupted()
    record = the_record()
    assert record.status == "stopped"
    assert [(s.subject, s.outcome) for s in record.steps] == [
        ("kube-worker-1", "not ended"),
        ("kube-worker-2", "ended"),
    ]


def test_a_failed_step_is_recorded_with_what_was_seen() -> None:
    with recorded(), pytest.raises(ValueError, match="full"), step("build", "compile"):
        raise ValueError("the disk is full")
    (only,) = the_record().steps
    assert (only.outcome, only.text) == ("failed", "the disk is full")


def test_steps_of_one_name_at_once_are_told_apart() -> None:
    with recorded():
        first = step("image", "push")
        first.__enter__()
        with step("image", "push"):
            pass
        first.__exit__(None, None, None)
    assert [s.outcome for s in the_record().steps] == ["ended", "ended"]


def test_a_run_that_is_killed_leaves_what_was_known_by_then(own_data: Path) -> None:
    program = (
        "import os, signal\nfrom flows.run import recording\nfrom flows.run.context import run_context\n"
        "from tasks.steps import step\n"
        "recording.SECONDS_BETWEEN_WRITES = 0\n"
        "with run_context() as run, recording.recorded(run.events, 'build', 'x', 'log'), step('build', 'compile'):\n"
        "    with step('build', 'source'):\n        pass\n"
        "    os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    done = subprocess.run([sys.executable, "-c", program], check=False, timeout=60)
    assert done.returncode == -signal.SIGKILL
    record = the_record()
    assert record.status == "running"
    assert [(s.title, s.outcome) for s in record.steps] == [("compile", "not ended"), ("source", "ended")]
    assert (own_data / "runs").is_dir()


def test_a_process_that_ends_without_another_word_is_recorded_as_stopped() -> None:
    with recorded() as run:
        assert run.recording is not None
        run.recording.end("stopped")
        assert the_record().status == "stopped"


def test_nobody_else_can_read_a_record_and_nothing_else_is_left(own_data: Path) -> None:
    with recorded():
        pass
    (only,) = (own_data / "runs").iterdir()
    assert stat.S_IMODE(only.stat().st_mode) == 0o600
    assert stat.S_IMODE(only.parent.stat().st_mode) == 0o700
    assert only.name.endswith("Z-build-debian-1.20.json")


def test_a_record_does_not_say_how_to_log_in(tmp_path: Path) -> None:
    shipped = REPO / "configs" / "clusters" / "bare-metal.yaml"
    file = tmp_path / "rack.yaml"
    file.write_text(
        shipped.read_text().replace("user: root", "user: somebody\n  key_file: /home/somebody/id\n  known_hosts: /k/h")
    )
    with recorded(load_cluster(file), "deploy"):
        pass
    text = runs()[0][0].read_text()
    assert "rack-1-worker-1" in text
    for word in ("somebody", "/k/h", "example.org", "ssh"):
        assert word not in text


def test_a_flow_that_a_command_or_another_flow_began_shares_its_record() -> None:
    with recorded(command="nightly") as run, flow_run("deploy", "lab") as inner, step("kube-worker-1", "network"):
        assert inner is run
    assert (the_record().command, [each.title for each in the_record().steps]) == ("nightly", ["network"])


def test_a_flow_that_nobody_else_records_has_a_record_and_a_log_of_its_own(own_data: Path) -> None:
    with flow_run("build", "debian-1.20") as run, step("build", "compile"):
        assert run.recording is not None
    assert (the_record().command, the_record().subject) == ("build", "debian-1.20")
    (log,) = (own_data / "logs").iterdir()
    assert the_record().log == str(log)
    assert "build: compile: started" in log.read_text()


def test_what_happens_when_nothing_is_recorded_is_nobodys_business() -> None:
    def all_of_it() -> None:
        emit(ChecksJudged(checks=(Check("API", "a", "b", True, ""),)))
        emit(ReleaseChosen(manifest=sample.manifest(), why=""))

    all_of_it()
    with run_context() as run:
        all_of_it()
        assert run.recording is None
    assert runs() == ()


def test_a_full_disk_in_the_middle_does_not_end_a_run_nor_hide_how_it_ended(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    with recorded():
        substitute(monkeypatch, run_record, "write", full)
    assert "the record of this run cannot be written: No space left on device" in caplog.text
    assert the_record().status == "succeeded"


def test_a_data_directory_that_cannot_be_written_ends_a_run_before_it_begins(own_data: Path) -> None:
    own_data.mkdir()
    (own_data / "runs").write_text("in the way")
    with pytest.raises(KubeV6Error, match="the record of this run cannot be written: "), recorded():
        pytest.fail("it began")


def test_two_runs_of_one_second_have_records_of_their_own_and_keep_their_order() -> None:
    now = datetime(2026, 3, 1, 9, 30, tzinfo=UTC)
    paths = [run_record.new_path("deploy", "lab", now) for _ in range(3)]
    for number, path in enumerate(paths):
        run_record.write(sample_run.finished().model_copy(update={"seconds": number}), path)
    assert [path.name for path, _ in runs()] == [path.name for path in reversed(paths)]


def test_only_the_newest_runs_are_kept_and_their_reports_with_them(monkeypatch: pytest.MonkeyPatch) -> None:
    substitute(monkeypatch, run_record, "KEPT", 3)
    for day in range(1, 6):
        path = run_record.new_path("deploy", "lab", datetime(2026, 3, day, tzinfo=UTC))
        run_record.write(sample_run.finished(3), path)
        path.with_suffix(".html").touch()
    run_record.forget_old_runs()
    kept = sorted(path.name for path in run_record.runs_dir().iterdir())
    assert [name[:8] for name in kept] == ["20260303"] * 2 + ["20260304"] * 2 + ["20260305"] * 2


def test_a_run_makes_room_for_itself_only(monkeypatch: pytest.MonkeyPatch) -> None:
    substitute(monkeypatch, run_record, "KEPT", 1)
    for subject in ("first", "second"):
        with recorded(subject):
            pass
    assert the_record().subject == "second"


def test_a_subject_cannot_lead_out_of_the_directory() -> None:
    path = run_record.new_path("series-apply", "../../etc/passwd", datetime.now(UTC))
    assert path.parent == run_record.runs_dir()


def test_a_record_is_read_as_it_was_written() -> None:
    for record in (sample_run.finished(5), sample_run.failed(5), sample_run.badly_proved(5)):
        path = run_record.new_path("deploy", "lab", record.started)
        run_record.write(record, path)
        assert run_record.read(path) == record


def test_a_record_of_another_version_is_read_as_far_as_it_is_known(tmp_path: Path) -> None:
    data = json.loads(sample_run.finished(3).model_dump_json())
    data["mood"] = "good"
    data["topology"]["nodes"][0]["colour"] = "red"
    data["topology"].pop("dns64")
    file = tmp_path / "x.json"
    file.write_text(json.dumps(data))
    assert run_record.read(file) == sample_run.finished(3)


def test_a_run_is_found_by_its_name_the_beginning_of_it_and_its_file() -> None:
    for day, subject in ((1, "lab"), (1, "lab-2"), (2, "lab")):
        path = run_record.new_path("deploy", subject, datetime(2026, 3, day, tzinfo=UTC))
        run_record.write(sample_run.finished(3), path)
    for named in ("20260302", path.stem, path.name, str(path), os.path.relpath(path)):
        assert run_record.find(named)[0].resolve() == path.resolve()
    # One name may be the beginning of another.
    assert run_record.find("20260301T000000Z-deploy-lab")[0].stem == "20260301T000000Z-deploy-lab"
    with pytest.raises(KubeV6Error, match=r"2 runs begin with '20260301' in .*; `kubev6 report --list`"):
        run_record.find("20260301")
    with pytest.raises(KubeV6Error, match="there is no run 'yesterday'"):
        run_record.find("yesterday")


def test_the_latest_run_of_a_cluster_is_not_that_of_another() -> None:
    for day, name in ((1, "lab"), (2, "rack"), (3, "")):
        about = {"topology": sample_run.topology(3, name=name) if name else None}
        path = run_record.new_path("deploy", name or "debian-1.20", datetime(2026, 3, day, tzinfo=UTC))
        run_record.write(sample_run.finished(3).model_copy(update=about), path)
    assert run_record.latest("lab")[0].stem == "20260301T000000Z-deploy-lab"
    assert run_record.clusters() == {"lab", "rack"}
    with pytest.raises(KubeV6Error, match="no run of cluster kube-v6 is recorded in "):
        run_record.latest("kube-v6")


@pytest.mark.parametrize("content", ["", "{", "[]", '{"command": "deploy"}'])
def test_a_damaged_record_is_passed_over_in_lists_and_refused_by_name(content: str) -> None:
    path = run_record.new_path("deploy", "lab", datetime(2026, 3, 1, tzinfo=UTC))
    path.write_text(content)
    assert runs() == ()
    with pytest.raises(KubeV6Error, match=f"{path}: is no record of a run: "):
        run_record.find("20260301")


def test_what_a_run_would_end_as_can_be_asked_before_it_ends() -> None:
    seen = []
    with recorded(load_cluster("lab"), "deploy") as run:
        for error in (None, KeyboardInterrupt(), NodeError("kube-worker-1", "runtime", "the disk is full")):
            assert run.recording is not None
            path, record = run.recording.if_ended(*how_it_ends(error))
            assert path.parent == run_record.runs_dir()
            seen.append((record.status, [each.message for each in record.errors]))
    assert seen == [
        ("succeeded", []),
        ("stopped", []),
        ("failed", ["kube-worker-1: runtime: the disk is full"]),
    ]
    assert the_record().status == "succeeded"


def test_images_of_several_registries_are_recorded_once_each() -> None:
    image = sample.manifest().images[0]
    with recorded():
        for registry, tag in (("http://a", ""), ("http://b", "20260301"), ("http://a", "")):
            emit(ImagesPushed(registry=registry, images=(image,), tag=tag))
    assert [(each.registry, each.tag) for each in the_record().images] == [
        ("http://a", image.tag),
        ("http://b", "20260301"),
    ]
