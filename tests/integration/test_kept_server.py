"""The kept server with its pool, its worker and real runs of deployments, on machines that are fakes.

Commands of Prefect's are typed as a person would, in the repository, where they are what a test is about; else runs
are asked for as Prefect's page does, which takes no seconds for a program's start.
"""

from __future__ import annotations

import json
import os
import re
import signal
import socket
import stat
import subprocess
import sys
import time
from collections.abc import Iterator
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import yaml

from configs.errors import KubeV6Error
from flows.run import record as run_record
from flows.run.record import RunRecord
from kubev6.server import environment, kept_server, login, lost_runs, worker_runs
from kubev6.server.api import ask, session, wants_login
from tasks.paths import cluster_dir, data_dir
from tests.checkout import REPO
from tests.fakes import substitute
from tests.integration import chromium, fake_machines
from tests.integration.git_project import BEN, GitOverHttp, Project
from tests.integration.prefect_database import PrefectDatabase
from tests.waiting import eventually

PREFECT = (sys.executable, "-m", "prefect", "--no-prompt")
KUBEV6 = (sys.executable, "-m", "kubev6")
FAKE = "tests/integration/fake_deployments.py"


ASKED = 'input[type="password"]'
TYPE = """
    const field = document.querySelector('%s');
    Object.getOwnPropertyDescriptor(HTMLInputElement.prototype, "value").set.call(field, %s);
    field.dispatchEvent(new Event("input", {bubbles: true}));
    field.form.requestSubmit();
"""
"""What a person does who logs in: a value that is set without an event is not seen by the page."""


def run(*words: str | Path) -> tuple[int, str, str]:
    """Exit status, and both outputs with single spaces."""
    done = subprocess.run(
        [str(word) for word in words],
        cwd=REPO,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    return done.returncode, " ".join(done.stdout.split()), " ".join(done.stderr.split())


def typed_run(name: str, *words: str) -> tuple[int, str]:
    """Type the command that asks for a run and watches it; exit status and output."""
    (data_dir() / "machines").write_text("new")
    status, out, err = run(*PREFECT, "deployment", "run", f"kubev6/{name}", "--watch", *words)
    return status, out + err


def asked_run(api: str, name: str, machines: str = "new", **parameters: object) -> str:
    """Ask for a run as Prefect's page does; its id."""
    (data_dir() / "machines").write_text(machines)
    deployment = ask(api, f"/deployments/name/kubev6/{name}")["id"]
    return str(ask(api, f"/deployments/{deployment}/create_flow_run", {"parameters": parameters})["id"])


def ended_run(api: str, name: str, **parameters: object) -> tuple[str, str]:
    """Ask for a run, and wait for its end; the type of its state, and what that says."""
    identity = asked_run(api, name, "new", **parameters)

    def state() -> dict[str, Any]:
        return dict(ask(api, f"/flow_runs/{identity}")["state"])

    eventually(lambda: state()["type"] in ("COMPLETED", "FAILED", "CRASHED", "CANCELLED"), 120)
    return state()["type"], state()["message"]


def local_run(machines: str, *words: str) -> tuple[int, str, str]:
    return run(sys.executable, fake_machines.__file__, machines, "deploy", *words)


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory, prefect_database: PrefectDatabase) -> Iterator[Path]:
    directory = tmp_path_factory.mktemp("kept")
    prefect_database.put_in(directory / "data" / "prefect")
    with pytest.MonkeyPatch.context() as patch:
        for name in [name for name in os.environ if name.startswith("PREFECT_")]:
            patch.delenv(name)
        patch.setenv("KUBEV6_DATA", str(directory / "data"))
        patch.setenv("KUBEV6_CACHE", str(directory / "cache"))
        patch.setenv("PREFECT_WORKER_QUERY_SECONDS", "0.5")
        patch.setenv("COLUMNS", "300")
        # Where a failed nightly run is told of; the worker takes it along.
        patch.setenv("KUBEV6_NOTIFY_COMMAND", f"tee {directory}/told")
        yield directory


@pytest.fixture(scope="module")
def before_server(data: Path) -> str:  # noqa: ARG001
    """What a run says that is made before there is a kept server."""
    status, _, err = local_run("ready")
    assert status == 0, err
    return err


@pytest.fixture(scope="module")
def server(data: Path, before_server: str) -> Iterator[str]:  # noqa: ARG001
    """The API of a kept server, whose deployments run what is fake."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    try:
        status, out, err = run(*KUBEV6, "server", "up", "--port", str(port))
        assert status == 0, err
        api = f"http://127.0.0.1:{port}/api"
        assert f" . {login.file()} " in out
        with pytest.MonkeyPatch.context() as patch:
            for name, value in re.findall(r"export (\w+)=(\S+)", login.file().read_text()):
                patch.setenv(name, value)
            deploy_fakes(api)
            yield api
    finally:
        kept = kept_server.read()
        run(*KUBEV6, "server", "down")
        if kept is not None:  # whatever the tests made of it
            worker_runs.end_all(kept.url, 0)


def deploy_fakes(api: str) -> None:
    """The same deployments with the fake entrypoints."""
    for deployment in ask(api, "/deployments/filter", {}):
        entrypoint = f"{FAKE}:{deployment['entrypoint'].rpartition('.')[2]}"
        ask(api, f"/deployments/{deployment['id']}", {"entrypoint": entrypoint}, method="PATCH")


@pytest.fixture(autouse=True)
def whole_server(server: str) -> str:
    return server


def last_record() -> RunRecord:
    return run_record.runs()[0][1]


def runs_of(api: str) -> list[dict[str, Any]]:
    """The newest first."""
    return list(ask(api, "/flow_runs/filter", {"sort": "EXPECTED_START_TIME_DESC"}))


def artifacts_of(api: str, run: str) -> dict[str, str]:
    """What Prefect's page shows of a run, by key."""
    found = ask(api, "/artifacts/filter", {"flow_runs": {"id": {"any_": [run]}}})
    return {each["key"]: each["data"] for each in found}


def logged(api: str, run: str) -> list[str]:
    """What Prefect's page shows as the log of a run."""
    entries = ask(api, "/logs/filter", {"logs": {"flow_run_id": {"any_": [run]}}, "limit": 200})
    return [entry["message"] for entry in entries]


def whole(file: Path) -> bool:
    """Whether a file is there and its JSON has been written to the end."""
    try:
        json.loads(file.read_text())
    except (FileNotFoundError, ValueError):
        return False
    return True


def under_way(api: str) -> dict[int, str]:
    return dict(worker_runs.processes(api))


def begin_endless(api: str) -> str:
    """Begin a run that does not end by itself; its id, when it is well under way."""
    known = {path for path, _ in run_record.runs()}
    asked_run(api, "build-and-deploy", "endless")
    lock = cluster_dir("lab") / "lock"
    eventually(lambda: bool({path for path, _ in run_record.runs()} - known), 40)
    eventually(lambda: json.loads(lock.read_text() or "{}").get("pid") in under_way(api))
    return next(iter(under_way(api).values()))


def test_no_result_of_a_run_without_a_kept_server_is_lost(server: str, before_server: str) -> None:
    assert "a server for this run alone (`kubev6 server up` keeps one)" in before_server
    first = runs_of(server)[-1]
    tasks = ask(server, "/task_runs/filter", {"flow_runs": {"id": {"any_": [first["id"]]}}})
    assert first["state"]["type"] == "COMPLETED"
    assert [task["name"] for task in tasks if task["state"]["type"] != "COMPLETED"] == []
    # machines, members, probe pods ahead, 4 surveys and comparisons, push, add-ons, cluster DNS, proof
    assert len(tasks) == 15


def test_what_is_up_is_said_and_schedules_are_off_until_somebody_turns_them_on(server: str) -> None:
    status, out, _ = run(*KUBEV6, "server", "status")
    assert status == 0
    assert re.search(r"server .* answers; .* pool kubev6 is there worker .* runs; .* runs 0 under way$", out)
    nightly = ask(server, "/deployments/name/kubev6/nightly-rebuild")
    assert [(each["slug"], each["active"]) for each in nightly["schedules"]] == [("nightly", False)]
    every = ask(server, "/deployments/filter", {})
    assert not any(schedule["active"] for each in every for schedule in each["schedules"])
    assert ask(server, "/flow_runs/filter", {"flow_runs": {"state": {"type": {"any_": ["SCHEDULED"]}}}}) == []


ELSEWHERE = """
    try {
        const asking = new XMLHttpRequest();
        asking.open("GET", "https://elsewhere.example/", false);
        asking.send();
    } catch {}
"""
"""What the page does with its makers' analytics service when it gets round to it."""


def assert_shown(api: str, run: str, words: str, room: Path) -> None:
    """Prefect's own page of a run says some words, and its browser asks nobody but the server."""
    if chromium.PROGRAM is None:
        pytest.skip("chromium is not installed: make test-packages")
    page = api.removesuffix("/api")
    with chromium.browser(room) as browser:
        browser.visit(page)
        eventually(lambda: bool(browser.value(f"document.querySelector('{ASKED}') !== null")), 60)
        browser.value(TYPE % (ASKED, json.dumps(login.of(api))))
        eventually(lambda: not browser.value(f"document.querySelector('{ASKED}') !== null"), 20)
        browser.visit(f"{page}/runs/flow-run/{run}?tab=Details")
        eventually(lambda: words in str(browser.value("document.body.innerText")), 20)
        browser.picture()  # waits until all is drawn
        browser.value(ELSEWHERE)
        asked = {address.removeprefix("blob:") for address in browser.requested() if not address.startswith("data:")}
    assert asked
    assert [address for address in asked if not address.startswith(f"{page}/")] == []


def test_a_server_that_has_nothing_to_do_leaves_the_processors_alone() -> None:
    kept = kept_server.read()
    assert kept is not None

    def seconds_of_processor() -> float:
        fields = Path(f"/proc/{kept.server.pid}/stat").read_text().rpartition(")")[2].split()
        return sum(map(int, fields[11:13])) / os.sysconf("SC_CLK_TCK")

    def idles() -> bool:
        before = seconds_of_processor()
        time.sleep(1)  # over which it is measured
        return seconds_of_processor() - before < 0.4

    eventually(idles, 30)


def test_a_web_page_and_another_user_can_neither_read_nor_ask_for_anything(server: str) -> None:
    elsewhere = {"Origin": "https://page.example"}
    wants = {"Access-Control-Request-Method": "POST", "Access-Control-Request-Headers": "content-type"}
    with session() as anybody:
        asked = anybody.options(f"{server}/deployments/filter", headers=elsewhere | wants)
        assert "access-control-allow-origin" not in asked.headers
        for path in ("/deployments/filter", "/block_documents/filter", "/work_pools/filter", "/admin/database/clear"):
            assert anybody.post(f"{server}{path}", json={}, headers=elsewhere).status_code in (401, 403), path
        for path in ("/admin/version", "/csrf-token?client=a", "/flows/count"):
            assert anybody.get(f"{server}{path}").status_code in (401, 404, 405), path
        # Who has the login but no token of the server's is a page that a browser has sent the login along for.
        user, _, password = login.of(server).partition(":")
        anybody.auth = (user, password)
        assert anybody.get(f"{server}/admin/version").status_code == 200
        assert anybody.post(f"{server}/deployments/filter", json={}).status_code == 403


@pytest.mark.parametrize("variable", ["command", "env", "working_dir"])
def test_who_asks_for_a_run_cannot_say_what_is_run(server: str, variable: str, tmp_path: Path) -> None:
    made = tmp_path / "made"
    value = {"command": f"touch {made}", "env": {"PATH": str(tmp_path)}, "working_dir": str(tmp_path)}[variable]
    deployment = ask(server, "/deployments/name/kubev6/deploy-prebuilt")["id"]
    with pytest.raises(KubeV6Error, match="answered 422") as refused:
        ask(server, f"/deployments/{deployment}/create_flow_run", {"job_variables": {variable: value}})
    assert variable in refused.value.detail
    assert not made.exists()


def test_the_login_is_its_user_s_alone_and_where_nobody_has_to_type_it(
    server: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    secret = login.of(server)
    assert stat.S_IMODE(login.file().stat().st_mode) == 0o600
    assert run(*KUBEV6, "server", "login")[1] == secret
    kept = kept_server.read()
    assert kept is not None
    assert kept.worker is not None
    for process in (kept.server, kept.worker):
        assert secret not in Path(f"/proc/{process.pid}/cmdline").read_text()
    for log in (data_dir() / "logs").iterdir():
        assert secret not in log.read_text(), log
        assert stat.S_IMODE(log.stat().st_mode) == 0o600, log  # the worker's has the logs of its runs
    if os.geteuid() == 0:
        reading = subprocess.run(["cat", login.file()], user="nobody", capture_output=True, text=True, check=False)
        assert "Permission denied" in reading.stderr
    # As in the checkout, where a link of that name leads there.
    (tmp_path / ".env").symlink_to(login.file())
    for name in (login.API, login.LOGIN):
        monkeypatch.delenv(name)
    typed = subprocess.run([*PREFECT, "deployment", "ls"], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert "kubev6/build-and-deploy" in typed.stdout, typed.stderr


def test_a_deployment_runs_as_typed_with_its_steps_in_the_server_a_log_and_a_record(
    server: str, tmp_path: Path
) -> None:
    status, said = typed_run("build-and-deploy")
    assert status == 0, said
    newest = runs_of(server)[0]
    assert newest["name"] == "deploy-lab"
    assert newest["state"]["message"] == "17 changes; 2 checks, all ok"
    eventually(lambda: "kube-control-plane: proof: ended" in "\n".join(logged(server, newest["id"])))
    told = logged(server, newest["id"])
    assert any("kube-worker-1: kubeadm join: ended" in text for text in told)
    assert any("changed: kube-worker-1: create file /etc/runtime" in text for text in told)
    record = last_record()
    assert (record.command, record.status, len(record.changes)) == ("deploy", "succeeded", 17)
    assert "kube-worker-1: runtime: ended" in Path(record.log).read_text()
    shown = artifacts_of(server, newest["id"])
    assert set(shown) == {"run-lab", "nodes-lab", "connectivity-lab"}
    assert all("**Succeeded** · deploy lab · " in page for page in shown.values())
    row = "| kube-worker-1 | worker | `fd00::101` | ok | 4 changes: network 1, runtime 1, kubernetes 1 |"
    assert row in shown["nodes-lab"]
    assert "2 of 2 checks hold" in shown["connectivity-lab"]
    assert f"`kubev6 report {run_record.runs()[0][0].stem}`" in shown["run-lab"]
    assert "| kubernetes | 3 in all | ok |" in shown["run-lab"]
    assert_shown(server, newest["id"], "17 changes; 2 checks, all ok", tmp_path)


def test_a_failed_run_says_every_node_s_error_on_prefect_s_page_which_asks_nobody_else(
    server: str, tmp_path: Path
) -> None:
    status, _, err = local_run("two-fail")
    assert status == 1, err
    failed = runs_of(server)[0]
    full, wanted = "kube-worker-1: runtime: the disk is full", "kube-worker-2: network: sudo wants a password"
    assert failed["state"]["type"] == "FAILED"
    assert failed["state"]["message"].splitlines() == [f"(1) {wanted}", f"(2) {full}; make room"]
    shown = artifacts_of(server, failed["id"])
    assert set(shown) == {"run-lab", "nodes-lab"}
    assert f"- ✗ {wanted}\n- ✗ {full}. To do: make room\n" in shown["run-lab"]
    assert "| kube-worker-2 | worker | `fd00::102` | ✗ network failed | nothing |" in shown["nodes-lab"]
    assert_shown(server, failed["id"], f"(1) {wanted}", tmp_path)  # of a long message Prefect shows the beginning


@pytest.mark.parametrize(
    ("deployment", "parameter", "said"),
    [
        ("build-and-deploy", "cluster=labb", "'labb' does not match"),
        ("build-and-deploy", "if_busy=maybe", "'maybe' is not one of ['wait', 'refuse']"),
        ("nightly-rebuild", "push=true", "'release' is a required property"),
    ],
)
def test_a_parameter_that_cannot_be_right_is_refused_when_the_run_is_asked_for(
    server: str, deployment: str, parameter: str, said: str
) -> None:
    before = len(runs_of(server))
    status, out = typed_run(deployment, "--param", parameter)
    assert status == 1
    assert said in out
    assert len(runs_of(server)) == before


def test_a_cluster_is_one_run_s_and_cancelling_that_ends_it_soon_with_nothing_left(server: str) -> None:
    identity = begin_endless(server)
    status, _, err = local_run("new", "--if-busy", "refuse")
    assert status == 1
    assert "the kept server, http://127.0.0.1:" in err
    busy = r"kubev6: cluster lab is busy: flow run deploy-lab \(process \d+\) works on it since"
    assert re.search(busy, err)
    reset = ("reset", "--yes", "--if-busy", "refuse")
    status, _, err = run(sys.executable, fake_machines.__file__, "new", *reset)
    assert status == 1
    assert re.search(busy, err)

    status, out, err = run(*PREFECT, "flow-run", "cancel", identity)
    assert status == 0, out + err
    # What comes after the run's own end is Prefect's: a process for hooks, and then the state.
    eventually(lambda: ask(server, f"/flow_runs/{identity}")["state"]["type"] == "CANCELLED", 40)
    eventually(lambda: not under_way(server))
    assert "… **Stopped** · deploy lab" in artifacts_of(server, identity)["nodes-lab"]
    records = [record for _, record in run_record.runs()]
    assert [record.status for record in records[:3]] == ["failed", "failed", "stopped"]
    began = {each["type"]: each["timestamp"] for each in ask(server, f"/flow_run_states/?flow_run_id={identity}")}
    ended = records[2].started + timedelta(seconds=records[2].seconds)
    assert ended - datetime.fromisoformat(began["CANCELLING"]) < timedelta(seconds=10)
    assert local_run("ready", "--if-busy", "refuse")[0] == 0


@pytest.fixture
def moving_release(tmp_path: Path) -> tuple[Path, Project]:
    """A release file whose series follows the branch ``master``, and has one patch of a pull request."""
    project = Project(tmp_path / "project")
    base = project.commit("Base", {"a": "1\n"})
    project.git("checkout", "--quiet", "-b", "feature")
    patch = project.commit("Make a two", {"a": "2\n"}, author=BEN)
    project.git("checkout", "--quiet", "master")
    series = {
        "remotes": {"ours": str(project.path)},
        "base": {"remote": "ours", "commit": base, "ref": "master"},
        "patches": [{"remote": "ours", "commit": patch, "pull_request": 48551}],
    }
    (tmp_path / "moving.yaml").write_text(yaml.safe_dump(series))
    release = yaml.safe_load((REPO / "configs" / "releases" / "debian-1.20.yaml").read_text())
    release |= {"name": "moving", "build": {"series": str(tmp_path / "moving.yaml")}}
    (tmp_path / "release.yaml").write_text(yaml.safe_dump(release))
    return tmp_path / "release.yaml", project


def test_a_night_builds_and_deploys_what_is_new_and_tells_of_a_conflict(
    server: str, moving_release: tuple[Path, Project], data: Path
) -> None:
    release, project = moving_release
    state, message = ended_run(server, "nightly-rebuild", release=str(release), cluster="lab", deploy=True)
    assert state == "COMPLETED", message
    # Before it is deployed, nobody can reach the lab's registry.
    assert re.fullmatch(
        r"built v1\.20\.2\+kubev6\.moving\.\w{7}; deployed on lab; https://\[fd00::64\]:5000 has it", message
    )
    assert last_record().command == "nightly"
    assert last_record().release is not None
    assert not (data / "told").exists()

    project.commit("Make a three", {"a": "3\n"})
    assert ended_run(server, "nightly-rebuild", release=str(release))[0] == "FAILED"
    failed = runs_of(server)[0]
    assert "('Make a two', pull request 48551), conflicts with" in failed["state"]["message"]
    eventually(lambda: "Finished in state Failed" in "".join(logged(server, failed["id"])))
    assert "Traceback" not in "".join(logged(server, failed["id"]))
    eventually(lambda: whole(data / "told"))
    told = json.loads((data / "told").read_text())
    assert (told["state"], told["message"]) == ("Failed", failed["state"]["message"])


def test_a_night_of_upstreams_tests_is_told_by_the_first_that_fails_and_the_same_failing_build_is_not_tried_again(
    server: str, moving_release: tuple[Path, Project], data: Path
) -> None:
    """Build, roll, prove, test, push, notify: the deployment as a whole."""
    release, project = moving_release
    project.commit("New", {"b": "1\n"})

    def night() -> tuple[str, str]:
        (data / "told").unlink(missing_ok=True)
        return ended_run(server, "nightly-e2e", release=str(release), cluster="lab")

    def told() -> str:
        eventually(lambda: whole(data / "told"))
        return str(json.loads((data / "told").read_text())["message"])

    state, message = night()
    assert state == "COMPLETED", message
    assert re.fullmatch(
        r"built v1\.20\.2\+kubev6\.moving\.\w{7}; deployed on lab; e2e on lab: 3 tests, all as expected; "
        r"https://\[fd00::64\]:5000 has it",
        message,
    )
    assert [test.words for test in last_record().tests] == ["passed"] * 3
    assert not (data / "told").exists()

    (data / "data" / "outcomes.json").write_text('{"[sig-network] network 2": "failed"}')
    state, message = night()
    assert (state, message) == ("FAILED", "e2e on lab: 1 test of 3: [sig-network] network 2 (failed)")
    assert told() == message
    assert last_record().status == "failed"
    project.commit("Break it", {"uncompilable": "yes\n"})
    assert night() == ("FAILED", told())
    seen = "compiling moving failed: proxy.go:7:2: undefined: x"
    assert told() == seen
    first = run_record.runs()[0][0].stem
    state, message = night()
    assert state == "FAILED"
    assert message.startswith(f"nothing has changed since run {first}, in which this build failed: {seen}; mend what")
    assert told() == message
    assert [each.title for each in last_record().steps if each.title in ("compile", "lab")] == []


def test_a_git_server_that_is_busy_for_a_moment_ends_no_build(moving_release: tuple[Path, Project]) -> None:
    release, project = moving_release
    moved = project.commit("Make a three", {"a": "3\n"})
    series = release.with_name("moving.yaml")
    series.write_text(series.read_text().replace(project.git("rev-parse", "HEAD^"), moved))
    with GitOverHttp(project.path.parent, busy=1) as git:
        source = f"ours={git.url}/{project.path.name}"
        status, _, err = run(*KUBEV6, "build", release, "--source", source)
        assert git.busy == 0
    assert status == 1
    assert re.search(r"error: 503; .* trying again", err)
    assert "('Make a two', pull request 48551), conflicts with" in err, "it got what it wanted"


def test_a_schedule_that_is_turned_on_has_runs_to_come(server: str) -> None:
    nightly = ask(server, "/deployments/name/kubev6/nightly-rebuild")
    (schedule,) = nightly["schedules"]
    path = f"/deployments/{nightly['id']}"
    switch = f"{path}/schedules/{schedule['id']}"

    def to_come() -> list[str]:
        wanted = {
            "deployments": {"id": {"any_": [nightly["id"]]}},
            "flow_runs": {"state": {"type": {"any_": ["SCHEDULED"]}}},
        }
        return [run["expected_start_time"] for run in ask(server, "/flow_runs/filter", wanted)]

    ask(server, path, {"parameters": {"release": "debian-1.20"}}, method="PATCH")
    ask(server, switch, {"active": True}, method="PATCH")
    try:
        eventually(lambda: any("T02:30:00" in time for time in to_come()), 40)
    finally:
        ask(server, switch, {"active": False}, method="PATCH")
        ask(server, path, {"parameters": {}}, method="PATCH")
    eventually(lambda: not to_come())


def test_runs_that_lost_their_process_or_their_pool_end_when_the_server_is_mended(server: str) -> None:
    identity = begin_endless(server)
    kept = kept_server.read()
    assert kept is not None
    assert kept.worker is not None
    for pid in (kept.worker.pid, *under_way(server)):
        os.kill(pid, signal.SIGKILL)
    eventually(lambda: not under_way(server))
    waiting = asked_run(server, "build-and-deploy")
    ask(server, f"/work_pools/{kept_server.POOL}", method="DELETE")
    status, out, _ = run(*KUBEV6, "server", "status")
    assert status == 1
    lacking = "build-and-deploy, deploy-prebuilt, nightly-rebuild, nightly-e2e, nightly-backup"
    assert f"pool kubev6 is there, without {lacking}; `kubev6 server up` mends" in out
    assert "runs 0 under way, and 2 that nobody will end; `kubev6 server up` mends that" in out

    status, _, err = run(*KUBEV6, "server", "up", "--port", str(kept.port))
    assert status == 0, err
    told = {each: ask(server, f"/flow_runs/{each}")["state"] for each in (identity, waiting)}
    assert [state["type"] for state in told.values()] == ["CRASHED", "CRASHED"]
    assert [state["message"] for state in told.values()] == [lost_runs.NO_PROCESS, lost_runs.NO_QUEUE]
    assert run(*KUBEV6, "server", "status")[0] == 0
    deploy_fakes(server)
    state, said = ended_run(server, "build-and-deploy")
    assert state == "COMPLETED", said


def test_a_worker_that_was_killed_is_said_to_be_gone_and_up_and_down_mend_and_end_what_it_left(server: str) -> None:
    begin_endless(server)
    ask(server, f"/work_pools/{kept_server.POOL}", {"concurrency_limit": 3}, method="PATCH")
    kept = kept_server.read()
    assert kept is not None
    assert kept.worker is not None
    os.kill(kept.worker.pid, signal.SIGKILL)
    eventually(lambda: not kept.worker.alive)  # type: ignore[union-attr]
    status, out, _ = run(*KUBEV6, "server", "status")
    assert status == 1
    assert "is gone; `kubev6 server up` mends that" in out
    assert out.endswith("runs 1 under way")

    assert run(*KUBEV6, "server", "up", "--port", str(kept.port))[0] == 0
    assert run(*KUBEV6, "server", "status")[0] == 0
    assert under_way(server), "what ran goes on"
    assert ask(server, f"/work_pools/{kept_server.POOL}")["concurrency_limit"] == 3, "what a person has set"

    status, out, err = run(*KUBEV6, "server", "down")
    assert (status, out) == (0, "ended"), err
    assert not under_way(server)
    assert not kept.server.alive
    assert last_record().status == "stopped"
    assert run(*KUBEV6, "server", "status")[1] == "no server is kept; `kubev6 server up` starts one"
    assert not login.file().exists()


def test_a_server_that_an_older_version_left_open_is_closed_by_up_and_keeps_what_it_knows(
    server: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    port = int(server.split(":")[2].removesuffix("/api"))
    kept_server.end()
    with monkeypatch.context() as older:
        older.setenv("PREFECT_HOME", str(data_dir() / "prefect"))
        substitute(older, environment, "protected", lambda *_: {})
        substitute(older, kept_server, "wants_login", lambda _: True)
        variables = {"type": "object", "properties": {"command": {"type": "string"}}}
        template = {"job_configuration": {"command": "{{ command }}"}, "variables": variables}
        substitute(older, kept_server, "JOB_TEMPLATE", template)
        substitute(older, login, "write", lambda _: None)
        kept_server.up(port)
    assert not wants_login(server)
    status, out, _ = run(*KUBEV6, "server", "status")
    assert status == 1
    assert "obeys everybody here, as an older kubev6 started it; `kubev6 server up` mends that" in out
    before = len(runs_of(server))
    with kept_server.use():
        status, _, err = run(*KUBEV6, "server", "up", "--port", str(port))
        assert status == 1
        assert "another kubev6 runs on this machine and uses the kept server; let it end" in err
    assert not wants_login(server)

    nightly, given = "/deployments/name/kubev6/nightly-rebuild", {"release": "debian-1.20", "keep": 3}
    ask(server, f"/deployments/{ask(server, nightly)['id']}", {"parameters": given}, method="PATCH")

    status, _, err = run(*KUBEV6, "server", "up", "--port", str(port))
    assert status == 0, err
    assert wants_login(server)
    assert ask(server, nightly)["parameters"] == given
    assert ask(server, f"/work_pools/{kept_server.POOL}")["base_job_template"] == kept_server.JOB_TEMPLATE
    assert len(runs_of(server)) == before
    monkeypatch.setenv(login.LOGIN, login.of(server))
    deploy_fakes(server)
    state, said = ended_run(server, "build-and-deploy")
    assert state == "COMPLETED", said
