"""The deploy flow itself: real Prefect with its server, real command line, machines that are fakes.

Importing Prefect proves little: a FastAPI that does not go with it breaks every flow and no import.
"""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from configs.schema.loading import load_cluster
from flows.run.record import RunRecord, runs
from kubev6.server.temporary_server import TemporaryServer
from tasks import deployed
from tasks.backup import archive, keys
from tests.integration import fake_machines
from tests.integration.git_project import Project
from tests.integration.prefect_database import PrefectDatabase
from tests.integration.shown_lines import ends_in_order, position
from tests.unit import sample_backup

PROGRAM = Path(fake_machines.__file__)
IN_PLACE = f"kube-control-plane: preflight: the cluster cannot be brought to {fake_machines.VERSION} in place:"
pytestmark = pytest.mark.usefixtures("own_data")


@pytest.fixture(scope="module", autouse=True)
def prefect_home(tmp_path_factory: pytest.TempPathFactory, prefect_database: PrefectDatabase) -> Iterator[Path]:
    """One home of Prefect for all of these runs."""
    home = prefect_database.put_in(tmp_path_factory.mktemp("smoke") / "prefect")
    with pytest.MonkeyPatch.context() as patch:
        for name in [name for name in os.environ if name.startswith("PREFECT_")]:
            patch.delenv(name)
        patch.setenv("PREFECT_HOME", str(home))
        yield home


@pytest.fixture(scope="module")
def server(prefect_home: Path) -> Iterator[TemporaryServer]:  # noqa: ARG001 - where its database is
    """One server for these runs, as each would start one of its own for seconds."""
    one = TemporaryServer()
    one.wait()
    yield one
    one.stop()


@pytest.fixture(autouse=True)
def named_server(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """That server is named to a run, but to those of tests that are about a server for one run alone."""
    if "own_server" not in request.keywords:
        for name, value in request.getfixturevalue("server").environment.items():
            monkeypatch.setenv(name, value)


def start(behaviour: str, *words: str, command: str = "deploy") -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, PROGRAM, behaviour, command, *words],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )


def run(behaviour: str, *words: str, command: str = "deploy") -> tuple[int, str, list[str]]:
    """Exit status, standard output, and the lines of standard error with single spaces."""
    process = start(behaviour, *words, command=command)
    out, err = process.communicate(timeout=120)
    return process.returncode, out, [" ".join(line.split()) for line in err.splitlines()]


def checkout(directory: Path) -> Project:
    """A working tree that looks like one of Kubernetes."""
    tree = Project(directory / "kubernetes")
    (tree.path / "cmd" / "kubelet").mkdir(parents=True)
    return tree


def the_record() -> RunRecord:
    ((_, record),) = runs()
    return record


def the_log(own_data: Path) -> str:
    (log,) = (own_data / "logs").iterdir()
    return log.read_text()


@pytest.mark.own_server
def test_a_deploy_goes_in_the_order_of_the_how_to_and_ends_in_its_tables(own_data: Path, prefect_home: Path) -> None:
    status, out, lines = run("new")
    assert status == 0, lines
    ended = ends_in_order(lines)
    assert position(lines, r"prefect start \d") < ended[0] < position(lines, "kube-control-plane kubernetes ")
    assert "fd00:101::/64" in out
    assert re.search(r"pod to pod +2 +2", out)
    assert re.search(r"kubeadm join +2 in parallel +\d", out)
    # 4 networks, support, 3 runtimes, 3 kubernetes, machines, registry, init, 2 joins, DNS
    assert "17 changes.\n" in out
    assert out.endswith("kubectl -- get nodes -o wide\n  kubev6 ssh kube-worker-1\n  kubev6 lab down\n")
    record = the_record()
    assert record.status == "succeeded"
    assert len(record.changes) == 17
    assert [change.stage for change in record.changes if change.node == "kube-support"] == ["network", "support"]
    assert {check.name for check in record.checks} == {"pod to pod"}
    assert record.release is not None
    assert {step.outcome for step in record.steps} == {"ended"}
    log = the_log(own_data)
    assert "prefect.flow_runs" in log
    assert "changed: kube-worker-1: create file /etc/runtime" in log
    token = fake_machines.TOKEN
    assert token not in out + "".join(lines)
    kept = [file for place in (own_data, prefect_home) for file in place.rglob("*") if file.is_file()]
    assert any(file.name == "prefect.db" for file in kept)
    assert not [file for file in kept if token.encode() in file.read_bytes()]


def test_control_planes_join_one_after_the_other_before_the_workers_and_their_key_is_stored_nowhere(
    own_data: Path, prefect_home: Path
) -> None:
    status, out, lines = run("ha", "--cluster", "lab-ha")
    assert status == 0, lines
    first, second, third = (f"kube-control-plane-{number}" for number in (1, 2, 3))
    order = [
        position(lines, rf"{first} kubeadm init \d"),
        position(lines, rf"{second} kubeadm join \d.* control plane at \[fd00::12\]:6443"),
        position(lines, rf"{third} kubeadm join \d.* control plane at \[fd00::13\]:6443"),
        position(lines, r"kube-worker-1 kubeadm join \d"),
    ]
    assert order == sorted(order)
    joins = [change.node for change in the_record().changes if change.action == "join"]
    assert joins == [second, third, "kube-worker-1"]
    key = fake_machines.CERTIFICATE_KEY
    kept = [file for place in (own_data, prefect_home) for file in place.rglob("*") if file.is_file()]
    assert key not in out + "".join(lines)
    assert not [file for file in kept if key.encode() in file.read_bytes()]


def test_a_ready_cluster_with_three_control_planes_is_left_as_it_is() -> None:
    status, out, lines = run("ha-ready", "--cluster", "lab-ha")
    assert status == 0, lines
    assert "\n0 changes.\n" in out
    assert not any("kubeadm" in line for line in lines)


def test_another_machine_in_the_place_of_the_first_control_plane_joins_the_others_and_begins_no_cluster() -> None:
    status, out, lines = run("ha-replaced", "--cluster", "lab-ha")
    assert status == 0, lines
    assert "\n1 change.\n" in out
    position(lines, r"kube-control-plane-1 kubeadm join \d.* control plane at ")
    assert not any("kubeadm init" in line for line in lines)


def test_a_control_plane_whose_join_died_when_its_etcd_had_joined_joins_anew() -> None:
    status, out, lines = run("ha-half-joined", "--cluster", "lab-ha")
    assert status == 0, lines
    assert "\n1 change.\n" in out
    position(lines, r"kube-control-plane-2 kubeadm join \d.* control plane at ")


def test_a_dead_control_plane_of_a_lab_is_made_anew_and_gets_what_the_cluster_runs() -> None:
    words = ("kube-control-plane-1", "--cluster", "lab-ha")
    status, out, lines = run("ha-replaced", *words, command="replace")
    assert status == 1
    assert "kube-control-plane-1 (fd00::11, control-plane) of lab-ha does not answer any more." in out
    assert lines[-1] == "kubev6: replace asks first, and there is no terminal to answer at; --yes answers for you"
    status, out, lines = run("ha-replaced", *words, "--yes", command="replace")
    assert status == 0, lines
    order = [position(lines, rf"kube-control-plane-1 {step} \d") for step in ("who answers", "survey", "kubeadm join")]
    assert order == sorted(order)
    changes = [(change.node, change.action) for change in the_record().changes]
    assert changes == [("kube-control-plane-1", "remove"), ("kube-control-plane-1", "join")]


def backup_key(directory: Path) -> Path:
    """A private key, beside its public one."""
    key = directory / "id_ed25519"
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(key)], check=True)
    return key


def test_a_backup_holds_what_the_control_plane_says_and_nothing_of_it_is_readable(
    own_data: Path, tmp_path: Path
) -> None:
    key = backup_key(tmp_path)
    for _ in range(2):
        status, out, lines = run("ready", "--key", f"{key}.pub", "--keep", "1", command="backup")
        assert status == 0, lines
        position(lines, r"kube-control-plane etcd snapshot \d.* 5 keys, revision 9$")
        position(lines, r"lab backup file \d.* /.*\.kubev6\.age ")
    (file,) = (own_data / "backups" / "lab").glob("*.age")
    assert out.startswith(f"5 objects of lab, as kube-control-plane has them, are in\n{file}\nRemoved: ")
    made, content = archive.unpacked(keys.opened(file.read_bytes(), keys.private(str(key)), "file"), "file")
    assert (made.topology.name, made.etcd, made.objects, made.nodes) == ("lab", "3.4.23", 5, ("kube-1", "kube-10"))
    assert content["pki/ca.key"].startswith(b"-----BEGIN PRIVATE KEY-----")
    kept = [each for each in own_data.rglob("*") if each.is_file()]
    assert not [each for each in kept if b"PRIVATE KEY" in each.read_bytes() or b"/registry/" in each.read_bytes()]
    assert {record.status for _, record in runs()} == {"succeeded"}


def test_a_cluster_comes_back_from_a_backup_in_the_order_of_a_deploy(own_data: Path, tmp_path: Path) -> None:
    key, file = backup_key(tmp_path), tmp_path / "lab-ha.age"
    public = (tmp_path / "id_ed25519.pub").read_text().strip()
    sample_backup.write(file, public, sample_backup.backup(load_cluster("lab-ha")))
    words = (str(file), "--key", str(key), "--cluster", "lab-ha")
    status, out, lines = run("ha", *words, command="restore")
    assert status == 1
    assert f"lab-ha comes back as it was on {sample_backup.MADE}: 5 objects, v1.20.2+" in out
    assert lines[-1] == "kubev6: restore asks first, and there is no terminal to answer at; --yes answers for you"
    status, out, lines = run("ha", *words, "--yes", command="restore")
    assert status == 0, lines
    steps = ("survey", "kubernetes", "restore")
    order = [position(lines, rf"kube-control-plane-1 {step} \d") for step in steps]
    order += [position(lines, rf"kube-control-plane-{number} kubeadm join \d") for number in (2, 3)]
    order.append(position(lines, r"kube-worker-1 kubeadm join \d"))
    assert order == sorted(order)
    assert not any("kubeadm init" in line for line in lines)
    changes = [(change.node, change.action) for change in the_record().changes if change.kind == "cluster"]
    assert changes == [
        ("kube-control-plane-1", "restore"),
        *((f"kube-{name}", "join") for name in ("control-plane-2", "control-plane-3", "worker-1")),
    ]
    kept = [each for each in own_data.rglob("*") if each.is_file()]
    assert not [each for each in kept if b"PRIVATE KEY" in each.read_bytes()]


def test_a_ready_cluster_is_left_as_it_is(own_data: Path) -> None:
    status, out, lines = run("ready")
    assert status == 0
    assert "\n0 changes.\n" in out
    assert "changed: " not in the_log(own_data)
    assert position(lines, r"kube-worker-1 compare \d.* no change$")
    assert not any(re.match(r"kube-\S+ (network|support|runtime|kubernetes)\b", line) for line in lines)


def test_a_working_tree_is_brought_onto_a_cluster_in_the_same_order(own_data: Path, tmp_path: Path) -> None:
    tree = checkout(tmp_path)
    status, out, lines = run("ready", "--source", str(tree.path), command="dev")
    assert status == 0, lines
    assert "\nreplaced   nothing\nproof      2 of 2 checks hold\n" in out
    assert position(lines, "kube-control-plane lab .*for debian-1.20-dev")
    (log,) = (own_data / "logs").iterdir()
    assert log.name.endswith("-dev.log")


def test_upstreams_tests_are_run_after_the_proof_of_a_working_tree_and_one_that_fails_fails_the_command(
    tmp_path: Path,
) -> None:
    tree = checkout(tmp_path)
    words = ("--source", str(tree.path), "--check", "e2e:NodePort")
    status, out, lines = run("ready", *words, command="dev")
    assert status == 0, lines
    assert "\nproof      2 of 2 checks hold\n" in out
    assert re.search(r"\ntests      2 tests: 2 passed\. .* in all\.\n$", out)
    proof, tests = (position(lines, rf"kube-control-plane {step} \d") for step in ("proof", "e2e"))
    assert proof < tests

    (tree.path / "failing").touch()
    status, out, lines = run("ready", *words, command="dev")
    assert status == 1
    assert "\n[network] NodePort works 2: failed\n    service.go:7\n    It should hold.\n" in out
    assert re.search(r"\ntests      2 tests: 1 passed; 1 failed\. .* in all\.\n$", out)
    assert lines[-1] == "kubev6: the cluster stays as it is, to be looked at; `kubev6 rollback` goes back"
    assert [record.status for _, record in runs()[:2]] == ["tests failed", "succeeded"]


def test_a_working_tree_that_is_watched_is_brought_again_when_it_changes_until_ctrl_c(tmp_path: Path) -> None:
    tree = checkout(tmp_path)
    process = start("ready", "--source", str(tree.path), "--watch", command="dev")
    assert process.stdout is not None
    try:
        told = iter(process.stdout.readline, "")

        def until_it_waits() -> list[str]:
            lines = []
            for line in told:
                if line == f"Waiting for a change in {tree.path}; Ctrl-C ends.\n":
                    break
                lines.append(line.split()[0])
            return lines

        once = ["tree", "different", "replaced", "proof", "took"]
        assert until_it_waits() == once
        new = tree.path / "new.go"
        new.write_text("package new\n")
        assert until_it_waits() == once
        new.unlink()  # back to what came onto the cluster before
        assert until_it_waits() == once
        (tree.path / "module").mkdir()
        tree.git("-C", "module", "init", "--quiet")
        (tree.path / "module" / "a.go").write_text("package a\n")
        assert until_it_waits() == []  # it cannot be read as it stands, and is waited for
        process.send_signal(signal.SIGINT)
        _, err = process.communicate(timeout=30)
        assert process.returncode == 130
        assert "Traceback" not in err
        assert "kubernetes: module is a repository of its own" in err
        assert len(runs()) == 3
    finally:
        process.kill()


def test_commits_are_brought_onto_a_cluster_until_the_one_that_broke_it_is_found(tmp_path: Path) -> None:
    tree = checkout(tmp_path)
    changes: tuple[dict[str, str | None], ...] = (
        {"cmd/kubelet/main.go": "package main\n"},
        {"proxy.go": "// 1\n"},
        {"uncompilable": ""},
        {"uncompilable": None},
        {"fault": ""},
        {"proxy.go": "// 5\n"},
    )
    made = [tree.commit(f"commit {number}", files) for number, files in enumerate(changes)]

    status, out, lines = run("commits", "HEAD~5", "HEAD", "--source", str(tree.path), command="bisect")

    assert status == 0, lines
    told = [line.split(" (")[0].split() for line in out.splitlines() if " s; " in line]
    assert [(verdict, words[-1]) for verdict, _, *words in told] == [
        *(("bad", "5"), ("skip", "2"), ("good", "3"), ("bad", "4")),
    ]
    assert position(lines, r"kubev6: lab: proof after the upgrade: pod to pod from pod on kube-worker-1 to x")
    assert position(lines, r"kubev6: cluster lab was put back to v1\.20\.2\+kubev6\.\S+, and its proof holds \(log: ")
    end, cluster = out.splitlines()[-2:]
    assert re.fullmatch(
        rf'{made[4][:12]} "commit 4" by Ann Example <ann@example.org> is the first bad commit by the proof: lab: proof '
        r"after the upgrade: pod to pod .*; the report is drawn by `kubev6 report (\S+)-bisect-lab(-\d+)?`, and of its "
        r"parent `kubev6 report (\S+)-bisect-lab(-\d+)?`",
        end,
    )
    assert cluster == f'Cluster lab runs {made[3][:12]} "commit 3", the last good one.'
    shown = re.findall(r"kubev6 report (\S+)`", end)
    recorded = {path.stem: record for path, record in runs()}
    assert [recorded[name].status for name in shown] == ["failed", "succeeded"]
    assert [all(check.ok for check in recorded[name].checks) for name in shown] == [False, True]
    assert (last := deployed.last(load_cluster("lab")))
    assert (last.manifest.source.commit, last.proved) == (made[3], True)


def test_a_commit_that_fails_one_of_upstreams_tests_is_found_and_the_cluster_goes_back_from_it(tmp_path: Path) -> None:
    tree = checkout(tmp_path)
    changes: tuple[dict[str, str | None], ...] = ({"proxy.go": "// 0\n"}, {"proxy.go": "// 1\n"}, {"failing": ""})
    made = [tree.commit(f"commit {number}", files) for number, files in enumerate(changes)]
    words = ("HEAD~2", "HEAD", "--source", str(tree.path), "--check", "e2e:NodePort")

    status, out, lines = run("commits", *words, command="bisect")

    assert status == 0, lines
    told = [line.split()[0] for line in out.splitlines() if " s; " in line]
    assert told == ["bad", "good"]
    end, cluster = out.splitlines()[-2:]
    assert end.startswith(
        f'{made[2][:12]} "commit 2" by Ann Example <ann@example.org> is the first bad commit by e2e:NodePort: '
        "[network] NodePort works 2: failed: It should hold.; the report is drawn by"
    )
    assert cluster == f'Cluster lab runs {made[1][:12]} "commit 1", the last good one.'
    commands = [record.command for _, record in sorted(runs(), key=lambda run: run[1].started)]
    assert commands == ["bisect", "e2e", "rollback", "bisect", "e2e"]


def test_a_node_that_its_cluster_does_not_hear_of_is_asked_itself_and_joins_no_second_time(own_data: Path) -> None:
    status, out, lines = run("ready-but-silent")
    assert status == 0
    assert position(lines, r"kube-worker-2 kubeadm join \d.* already done$")
    assert not any("kube-worker-1 kubeadm" in line for line in lines)
    assert "\n0 changes.\n" in out
    assert "changed: " not in the_log(own_data)


def test_a_machine_that_was_reset_joins_though_its_cluster_still_takes_it_for_a_member() -> None:
    status, out, lines = run("ready-but-reset")
    assert status == 0
    assert position(lines, r"kube-worker-2 kubeadm join \d.*s$")
    assert not any("kube-worker-1 kubeadm" in line for line in lines)
    assert "\n1 change.\n" in out


def test_the_proof_of_a_ready_cluster_is_made_while_its_machines_are_compared() -> None:
    _, _, lines = run("ready")
    assert position(lines, r"kube-control-plane proof \d.* with pods made ahead$")


def test_a_cluster_in_which_anything_was_changed_is_proved_as_it_is_afterwards() -> None:
    status, out, lines = run("ready-but-one")
    assert status == 0
    assert "\n1 change.\n" in out
    assert position(lines, r"kube-control-plane probe pods \d")
    assert position(lines, r"kube-control-plane proof \d.* with pods of its own$")


def test_pods_that_were_made_for_a_proof_that_does_not_come_are_removed() -> None:
    status, _, lines = run("ready-but-one-fails")
    assert status == 1
    failed = position(lines, r"kube-worker-1 runtime .*FAILED")
    assert failed < position(lines, r"kube-control-plane remove probe pods \d")
    (told,) = (line for line in lines if line.startswith("kubev6: "))
    assert told.startswith("kubev6: kube-worker-1: runtime: the disk is full; make room")


def test_the_machines_are_made_for_the_release_that_is_taken_and_not_for_the_clusters_own() -> None:
    _, _, lines = run("ready", "--prebuilt")  # these machines have cgroup v2, which the how-to's release does not know
    assert any(re.match(r"kube-control-plane lab \d.* for v1\.9\.0-alpha\.0\.ipv6\.0$", line) for line in lines), lines


def test_every_node_that_failed_is_named_and_the_others_go_on(own_data: Path) -> None:
    status, out, lines = run("two-fail")
    assert status == 1
    assert out == ""
    told = [line for line in lines if line.startswith("kubev6: ")]
    assert told[0] == "kubev6: kube-worker-2: network: sudo wants a password"
    assert told[1].startswith("kubev6: kube-worker-1: runtime: the disk is full; make room (log: ")
    assert the_record().status == "failed"
    assert [(error.node, error.todo) for error in the_record().errors] == [
        ("kube-worker-2", ""),
        ("kube-worker-1", "make room"),
    ]
    assert len(told) == 2
    assert position(lines, r"kube-control-plane kubeadm init \d")
    assert not any("proof" in line or "join" in line for line in lines)
    assert not any("Traceback" in line for line in lines)
    log = the_log(own_data)
    assert "No space left on device" in log
    assert "Traceback" in log


@pytest.mark.parametrize(
    ("behaviour", "cause", "begun", "not_begun"),
    [
        ("no-support", "kube-support: support: there is no tun device", "runtime", "kubernetes"),
        ("no-control-plane", "kube-control-plane: kubeadm init: etcd does not start", "kubernetes", "kubeadm join"),
    ],
)
def test_nodes_that_wait_for_one_that_fails_end_and_only_the_cause_is_named(
    own_data: Path, behaviour: str, cause: str, begun: str, not_begun: str
) -> None:
    status, out, lines = run(behaviour)
    assert (status, out) == (1, "")
    (told,) = (line for line in lines if line.startswith("kubev6: "))
    assert told.startswith(f"kubev6: {cause} (log: ")
    for worker in ("kube-worker-1", "kube-worker-2"):
        position(lines, rf"{worker} {begun} \d")
        assert not any(line.startswith(f"{worker} {not_begun}") for line in lines)
        failed = {"no-support": "support kube-support", "no-control-plane": "kubeadm init kube-control-plane"}
        told = f"{not_begun} {worker}: not begun, because {failed[behaviour]} failed\n"
        assert told in the_log(own_data)
    assert not any("Traceback" in line for line in lines)


@pytest.mark.parametrize(
    ("behaviour", "seen"),
    [
        ("unknown-system", "its operating system is void, and known here are"),
        ("other-processor", "its processor is aarch64, and the release's binaries are for x86_64"),
    ],
)
def test_a_machine_that_cannot_become_a_node_keeps_every_other_as_it_is(
    own_data: Path, behaviour: str, seen: str
) -> None:
    status, out, lines = run(behaviour)
    assert (status, out) == (1, "")
    (told,) = (line for line in lines if line.startswith("kubev6: "))
    assert told.startswith(f"kubev6: kube-worker-2: preflight: {seen}")
    changing = r"^kube-\S+ (network|runtime|support|kubernetes|kubeadm|drain|reset)\b"
    assert not any(re.search(changing, line) for line in lines)
    assert {change.node for change in the_record().changes} == {"lab"}  # its machines were brought up
    for waiting in ("kube-worker-1", "kube-support"):
        assert f"compare {waiting}: not begun, because survey kube-worker-2 failed\n" in the_log(own_data)


@pytest.mark.parametrize(
    ("behaviour", "seen"),
    [
        ("another-cluster", "kube-worker-2: preflight: it belongs to the cluster at https://[fd00:9::1]:6443, not "),
        ("another-build", f"{IN_PLACE} kube-control-plane runs v1.20.2_kubev6.aaaaaaa, which was not"),
        ("one-machine", "kube-control-plane: preflight: kube-control-plane, kube-worker-1 are one machine"),
    ],
)
def test_what_cannot_be_done_in_place_is_refused_before_any_machine_is_changed(behaviour: str, seen: str) -> None:
    status, out, lines = run(behaviour)
    assert (status, out) == (1, "")
    (told,) = (line for line in lines if line.startswith("kubev6: "))
    assert told.startswith(f"kubev6: {seen}")
    changing = r"^kube-\S+ (network|runtime|support|kubernetes|kubeadm|drain|reset)\b"
    assert not any(re.search(changing, line) for line in lines)
    assert {change.node for change in the_record().changes} == {"lab"}


def tasks_in_order(own_data: Path) -> list[str]:
    """What was replaced and proved, in the order in which it was begun."""
    found = re.findall(r"kubev6.steps: (\S+): (kube-\S+|kubelet|network|proof|add-ons): started", the_log(own_data))
    return [f"{name} of {node}" if name != "proof" else name for node, name in found if name != "network"]


API, NODES = "kube-apiserver of kube-control-plane", ("kube-control-plane", "kube-worker-1", "kube-worker-2")


def test_another_build_rolls_onto_a_cluster_that_is_up_with_a_proof_after_each_step(own_data: Path) -> None:
    status, out, lines = run("upgrade")
    assert status == 0, lines
    kubelets = [each for node in NODES for each in (f"kubelet of {node}", "proof")]
    assert [each for each in tasks_in_order(own_data) if not each.endswith("kubernetes")] == [
        "proof",
        API,
        "proof",
        *kubelets,
        "proof",
    ]
    assert "5 changes.\n" in out
    before, after = fake_machines.FORMER, fake_machines.VERSION
    (pod,) = (each for each in the_record().changes if each.kind == "static pod")
    assert (before.replace("+", "_") in pod.before, after.replace("+", "_") in pod.after) == (True, True)
    lab = load_cluster("lab")
    previous = deployed.previous(lab)
    assert (deployed.deployed(lab).version, previous.manifest.version if previous else "") == (after, before)


@pytest.mark.parametrize(
    ("behaviour", "seen", "back"),
    [
        ("upgrade-fails", "kube-control-plane: upgrade: kube-apiserver not Ready", [API]),
        (
            "upgrade-ends-badly",
            "lab: proof after the upgrade: pod to pod from pod on kube-worker-1 to x",
            [*(f"kubelet of {node}" for node in reversed(NODES)), API],
        ),
        ("upgrade-to-a-dead-kubelet", "kube-control-plane: upgrade: kubelet ended with status 126", [API]),
    ],
)
def test_an_upgrade_that_fails_goes_back_to_what_ran_before(
    own_data: Path, behaviour: str, seen: str, back: list[str]
) -> None:
    status, out, lines = run(behaviour)
    assert (status, out) == (1, "")
    told = [line for line in lines if line.startswith("kubev6: ")]
    assert told[0].startswith(f"kubev6: {seen}")
    assert told[1].startswith(f"kubev6: cluster lab was put back to {fake_machines.FORMER}, and its proof holds (log: ")
    assert len(told) == 2
    assert [each for each in tasks_in_order(own_data) if not each.startswith("add-ons")][-len(back) - 1 :] == [
        *back,
        "proof",
    ]
    lab = load_cluster("lab")
    known = (deployed.deployed(lab).version, deployed.previous(lab), deployed.upgrading(lab))
    assert known == (fake_machines.FORMER, None, ())


def test_an_upgrade_that_was_cut_off_when_all_was_replaced_is_brought_to_its_end(own_data: Path) -> None:
    status, _, lines = run("upgrade-replaced")
    assert status == 0, lines
    assert [each for each in tasks_in_order(own_data) if not each.endswith("kubernetes")] == ["proof"]
    lab = load_cluster("lab")
    known = (deployed.deployed(lab).version, deployed.upgrading(lab))
    assert known == (fake_machines.VERSION, ())


def test_a_cluster_that_does_not_hold_its_proof_before_is_not_upgraded(own_data: Path) -> None:
    status, out, lines = run("upgrade-of-a-broken-one")
    assert (status, out) == (1, "")
    (told,) = (line for line in lines if line.startswith("kubev6: "))
    assert told.startswith("kubev6: lab: proof before the upgrade: pod to pod from pod on kube-worker-1 to x: v1.20.2")
    assert tasks_in_order(own_data) == ["proof"]
    assert deployed.upgrading(load_cluster("lab")) == ()


def test_a_cluster_that_cannot_go_back_either_says_both(own_data: Path) -> None:
    status, _, lines = run("upgrade-stays-broken")
    assert status == 1
    told = [line for line in lines if line.startswith("kubev6: ")]
    assert told[0].startswith("kubev6: lab: proof after kubelet of kube-control-plane: pod to pod from pod on")
    either = f"kubev6: cluster lab could not be put back to {fake_machines.FORMER} either: "
    assert told[1].startswith(f"{either}kube-control-plane: kubernetes: the disk is full")
    assert "mend that, and `kubev6 rollback` brings it to" in told[1]
    assert tasks_in_order(own_data)[-1] == API, "what one machine fails in keeps no other thing from going back"
    lab = load_cluster("lab")
    known = (deployed.last(lab), *deployed.upgrading(lab))
    versions = [each.manifest.version if each else "" for each in known]
    assert versions == [fake_machines.FORMER, fake_machines.VERSION], "so that a rollback knows the way"


def test_a_machine_that_cannot_be_reached_keeps_only_those_waiting_that_need_it(own_data: Path) -> None:
    status, out, lines = run("unreachable")
    assert (status, out) == (1, "")
    (told,) = (line for line in lines if line.startswith("kubev6: "))
    assert told.startswith("kubev6: kube-worker-2: connect: no route to host; switch it on (log: ")
    assert position(lines, r"kube-worker-1 kubeadm join \d")
    assert not any(re.match(r"kube-worker-2 (compare|network|runtime|kubernetes|kubeadm)", line) for line in lines)
    assert not any(" proof " in line for line in lines)
    for task in ("compare kube-worker-2", "kubeadm join kube-worker-2", "proof of lab"):
        assert f"{task}: not begun, because survey kube-worker-2 failed\n" in the_log(own_data)


def test_without_machines_only_that_is_said(own_data: Path) -> None:
    status, out, lines = run("no-machines")
    assert (status, out) == (1, "")
    (told,) = (line for line in lines if line.startswith("kubev6: "))
    assert told.startswith("kubev6: the Docker engine is gone; start it (log: ")
    assert "survey kube-worker-1: not begun, because machines of lab failed\n" in the_log(own_data)


def test_a_machine_that_the_file_no_longer_names_has_left_before_any_other_is_changed() -> None:
    status, _, lines = run("orphan", "--prune", "--yes")
    assert status == 0, lines
    orphan = fake_machines.ORPHAN
    assert position(lines, rf"{orphan} drain \d") < position(lines, rf"{orphan} reset \d")
    assert position(lines, rf"{orphan} reset \d") < position(lines, r"kube-\S+ network\b")


def test_a_machine_that_does_not_leave_keeps_the_others_as_they_are(own_data: Path) -> None:
    status, _, lines = run("orphan-stays", "--prune", "--yes")
    assert status == 1
    (told,) = (line for line in lines if line.startswith("kubev6: "))
    assert told.startswith(f"kubev6: {fake_machines.ORPHAN}: remove: its disk is in use")
    assert not any(re.search(r"^kube-\S+ network\b", line) for line in lines)
    orphan = fake_machines.ORPHAN
    assert f"network kube-support: not begun, because remove {orphan} failed\n" in the_log(own_data)


def test_what_is_transient_is_tried_again_and_all_that_was_changed_counts(own_data: Path) -> None:
    status, out, lines = run("reset-once")
    assert status == 0
    assert "18 changes.\n" in out  # the 17 of a run in one go, and the one that the first attempt came to
    assert "changed: kube-worker-1: create file /etc/first-attempt" in the_log(own_data)
    assert "kube-worker-1: runtime: connection reset; trying again" in lines


def test_a_defect_is_one_line_with_the_log(own_data: Path) -> None:
    status, _, lines = run("defect")
    assert status == 1
    assert lines[-1].startswith("kubev6: a defect of kubev6: LookupError: something nobody thought of (log: ")
    assert not any("Traceback" in line for line in lines)
    assert "bring_to" in the_log(own_data)


def test_a_failed_proof_shows_what_failed() -> None:
    status, out, lines = run("bad-proof")
    assert status == 1
    assert re.search(r"pod to pod +pod on kube-worker-1 +\[fd00:100::2\] +FAILED", out)
    failed = [f"pod to pod from pod on kube-worker-{number} to [fd00:100::2]" for number in (1, 2)]
    assert lines[-1] == f"kubev6: the cluster is up, but 2 of 2 checks of its proof failed: {'; '.join(failed)}"
    assert the_record().status == "proof failed"


@pytest.mark.own_server
def test_ctrl_c_ends_the_run_and_its_server_with_one_line() -> None:
    process = start("endless")
    assert process.stderr is not None
    for line in process.stderr:
        if re.match(r"kube-worker-1 +runtime +\d", line):  # it now waits for the support node, which goes on and on
            break
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=30)  # ends only when nobody holds the pipes any more: no child is left
    assert process.returncode == 130
    assert out == ""
    assert err.splitlines()[-1] == "kubev6: stopped; running it again goes on from here"
    assert the_record().status == "stopped"
    assert "Traceback" not in err
    assert "FAILED" not in err
