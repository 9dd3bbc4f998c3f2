"""`kubev6 compare`: which runs it takes, what it shows, and what its exit status says."""

from __future__ import annotations

import json
import re
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from configs.words import INVISIBLE
from flows.run.record import ErrorOfRun, RunRecord, new_path, write
from kubev6.cli import main
from kubev6.console.comparison import NONE, ROWS
from tests.unit import sample_run

pytestmark = pytest.mark.usefixtures("own_data")
GOOD, BAD, FAILED = sample_run.finished(), sample_run.badly_proved(), sample_run.failed()


def recorded(day: int, record: RunRecord, **update: Any) -> Path:
    """Write the record of a run on one day of March."""
    run = record.model_copy(update={"started": record.started + timedelta(days=day - 1), **update})
    path = new_path(run.command, run.topology.name if run.topology else run.subject, run.started)
    write(run, path)
    return path


def lines(text: str) -> list[str]:
    """What is shown, with one space wherever there are several."""
    return [" ".join(line.split()) for line in text.splitlines() if line.strip()]


def test_two_runs_stand_side_by_side_with_what_differs(capsys: pytest.CaptureFixture[str]) -> None:
    recorded(1, GOOD)
    recorded(2, BAD, seconds=200.0, topology=sample_run.topology(5))
    assert main(["compare", "20260301", "20260302"]) == 1
    shown = lines(capsys.readouterr().out)
    for line in (
        "run 20260301T093000Z-deploy-lab 20260302T093000Z-deploy-lab",
        "began 2026-03-01 09:30:00 UTC 2026-03-02 09:30:00 UTC",
        "took 1 min 11 s 3 min 20 s",
        "ended Succeeded Proof failed",
        "proof 51 of 51 checks hold 39 of 51 checks hold",
        "pod to pod from pod on kube-control-plane to pod on kube-worker-2 ok FAILED timed out: no route to host",
        f"kube-worker-3 {NONE} worker, fd00::103, pods fd00:103::/64",
        "The same in both: release, patches.",
    ):
        assert line in shown, line
    assert shown[-2].startswith("Worse: 12 checks that held fail now: pod to pod from pod on kube-control-plane to ")
    assert shown[-1] == "Worse: the run went from Succeeded to Proof failed."


def test_what_got_better_is_no_failure(capsys: pytest.CaptureFixture[str]) -> None:
    recorded(1, BAD)
    recorded(2, GOOD)
    assert main(["compare", "20260301", "20260302"]) == 0
    shown = lines(capsys.readouterr().out)
    assert "pod to pod from pod on kube-worker-2 to pod on kube-worker-1 FAILED ok timed out: no route to host" in shown
    assert shown[-1] == "No check got worse, nor how the run ended. 12 checks hold again."


def test_steps_are_shown_that_took_longer_the_largest_difference_first(capsys: pytest.CaptureFixture[str]) -> None:
    slow = [
        each.model_copy(update={"seconds": each.seconds * 3})
        if each.title in ("kubeadm init", "kubeadm join")
        else each
        for each in GOOD.steps
    ]
    recorded(1, GOOD)
    recorded(2, GOOD, steps=tuple(slow), seconds=125.5)
    assert main(["compare", "20260301", "20260302"]) == 0
    shown = lines(capsys.readouterr().out)
    at = shown.index("step first second change on")
    assert shown[at + 2 : at + 5] == [
        "kubeadm init 21.4 s 1 min 4 s +42.8 s kube-control-plane",
        "kubeadm join 8.5 s 25.5 s +17.0 s 2 in all, most on kube-worker-2 +17.0 s",
        "all 1 min 11 s 2 min 6 s +54.9 s",
    ]
    assert not any(line.startswith("kubernetes ") for line in shown), "it took as long as before"


def test_for_machines_all_of_it_is_json(capsys: pytest.CaptureFixture[str]) -> None:
    recorded(1, sample_run.finished(50))
    recorded(2, sample_run.badly_proved(50))
    assert main(["compare", "20260301", "20260302", "--json"]) == 1
    told = json.loads(capsys.readouterr().out)
    assert told["first"]["name"] == "20260301T093000Z-deploy-lab"
    assert told["second"]["status"] == "proof failed"
    failing = told["checks"]["fail_now"]
    assert len(failing) == 104 > ROWS
    assert failing[0] == {
        "name": "pod to pod",
        "source": "pod on kube-control-plane",
        "target": "pod on kube-worker-48",
        "first": "ok",
        "second": "failed",
        "seen": "timed out: no route to host",
    }
    assert len(told["worse"]) == 2
    assert {time["title"] for time in told["times"]} == {step.title for step in GOOD.steps}
    main(["compare", "20260301", "20260302"])
    assert f"And {104 - ROWS} more rows; `--json` has all." in capsys.readouterr().out


def test_checks_that_only_one_run_asked_and_that_hold_are_counted(capsys: pytest.CaptureFixture[str]) -> None:
    recorded(1, GOOD)
    recorded(2, sample_run.finished(5))
    assert main(["compare", "20260301", "20260302"]) == 0
    shown = capsys.readouterr().out
    assert "Asked in the second run only, and ok: 23 checks (node Ready 1, InternalIP 1, pod to pod 6, " in shown
    assert "Asked in the first run only, and ok: 2 checks (ClusterIP 2)." in shown


# --- which runs ---


def taken(capsys: pytest.CaptureFixture[str], *words: str) -> list[str]:
    """The days of the two runs that are compared."""
    main(["compare", *words, "--json"])
    told = json.loads(capsys.readouterr().out)
    return [re.findall(r"202603(\d\d)T", told[side]["name"])[0] for side in ("first", "second")]


def test_without_names_it_is_the_newest_run_and_the_last_proof_before(capsys: pytest.CaptureFixture[str]) -> None:
    recorded(1, GOOD)
    recorded(2, GOOD)
    recorded(3, FAILED)
    recorded(4, GOOD, topology=sample_run.topology(name="rack"))
    recorded(5, GOOD, topology=None, command="build", subject="debian-1.20")
    recorded(6, FAILED)
    assert taken(capsys) == ["02", "06"]
    recorded(7, BAD)
    assert taken(capsys) == ["02", "07"]
    recorded(8, GOOD)
    assert taken(capsys, "--cluster", "lab") == ["07", "08"]


def test_with_one_name_the_other_is_the_newest_about_the_same(capsys: pytest.CaptureFixture[str]) -> None:
    build = {"topology": None, "command": "build", "checks": ()}
    recorded(1, GOOD)
    recorded(2, GOOD, subject="debian-1.20", **build)
    recorded(3, GOOD, subject="lab", **build)  # a release of a cluster's name
    recorded(4, FAILED)
    recorded(5, GOOD, subject="debian-1.20", **build)
    assert taken(capsys, "20260301") == ["01", "04"]
    assert taken(capsys, "20260302") == ["02", "05"]


def test_a_copy_of_a_record_is_compared_like_the_record(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    kept = recorded(1, GOOD).rename(tmp_path / "good.json")
    recorded(2, BAD)
    assert main(["compare", str(kept)]) == 1
    assert f"run {kept} 20260302T093000Z-deploy-lab" in lines(capsys.readouterr().out)


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["20260301", "20260301T093000Z-deploy-lab"], "20260301 and 20260301T093000Z-deploy-lab name the same run"),
        (["20260302"], "20260302T093000Z-deploy-lab is the newest run about lab, so that there is none to compare it"),
        (["20260301", "yesterday"], "there is no run 'yesterday' in "),
        (["202603", "20260301"], "3 runs begin with '202603' in "),
        (["--cluster", "nowhere"], "there is no cluster called nowhere"),
        (["--cluster", "kube-v6"], "no run of cluster kube-v6 is recorded in "),
        (
            ["--cluster", "rack"],
            "before 20260303T093000Z-deploy-rack no run of cluster rack with a proof is recorded in ",
        ),
    ],
)
def test_runs_that_cannot_be_compared_are_one_line(
    words: list[str], says: str, capsys: pytest.CaptureFixture[str]
) -> None:
    recorded(1, GOOD)
    recorded(2, GOOD)
    recorded(3, GOOD, topology=sample_run.topology(name="rack"))
    assert main(["compare", *words]) == 1
    said = capsys.readouterr()
    assert said.out == ""
    (line,) = said.err.splitlines()
    assert line.startswith(f"kubev6: {says}")


def test_a_copy_is_not_compared_with_itself(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    record = recorded(1, GOOD)
    copy = tmp_path / "copy.json"
    copy.write_bytes(record.read_bytes())
    for words in ([str(copy), record.stem], [str(copy)]):
        assert main(["compare", *words]) == 1
        assert capsys.readouterr().out == ""


def test_a_run_under_way_and_one_of_another_cluster_are_compared_and_that_is_said(
    capsys: pytest.CaptureFixture[str],
) -> None:
    recorded(1, GOOD)
    recorded(2, GOOD, status="running", checks=(), topology=sample_run.topology(name="rack", lab=None))
    assert main(["compare", "20260301", "20260302"]) == 1
    shown = capsys.readouterr().out
    assert "Note: the runs are about different clusters, lab and rack: " in shown
    assert "Note: the second run had not ended when its record was written: " in shown
    assert "Only the first run has: checks." in shown
    assert "Worse: the run went from Succeeded to Not ended." in shown
    assert "Asked in " not in shown


def test_records_of_before_are_compared_as_far_as_they_go(capsys: pytest.CaptureFixture[str]) -> None:
    path = new_path("deploy", "lab", GOOD.started)
    path.write_text('{"command": "deploy", "subject": "lab", "started": "2026-03-01T09:30:00Z", "status": "succeeded"}')
    recorded(2, GOOD)
    assert main(["compare", "20260301", "20260302"]) == 0
    assert "Only the second run has: checks, release, patches, topology." in capsys.readouterr().out


def test_words_of_others_steer_no_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    hostile = "\x1b]0;owned\x07\x1b[2J \u202egnp.exe\u202c"
    assert GOOD.series is not None
    assert GOOD.release is not None
    drawn = sample_run.topology(name=hostile)
    recorded(1, GOOD, topology=drawn)
    recorded(
        2,
        BAD,
        subject=hostile,
        topology=drawn.model_copy(
            update={"nodes": (drawn.nodes[0].model_copy(update={"name": hostile}),), "name": "x"}
        ),
        release=GOOD.release.model_copy(update={"version": hostile}),
        series=GOOD.series.model_copy(
            update={"name": hostile, "patches": (GOOD.series.patches[0].model_copy(update={"title": hostile}),)}
        ),
        steps=(sample_run.step(hostile, hostile, 0, 100),),
        errors=(ErrorOfRun(message=hostile),),
        checks=tuple(check.model_copy(update={"name": hostile, "seen": hostile}) for check in BAD.checks),
    )
    assert main(["compare", "20260301", "20260302"]) == 1
    shown = capsys.readouterr().out
    assert shown.count(r"\x1b]0;owned") >= 10
    assert set(INVISIBLE.findall(shown)) <= {"\n"}
    main(["compare", "20260301", "20260302", "--json"])
    assert json.loads(capsys.readouterr().out)["errors"]["second"] == [hostile]
