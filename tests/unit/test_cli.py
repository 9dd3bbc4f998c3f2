"""The command line: what it teaches, what it refuses and how, what it prints without contacting any machine."""

from __future__ import annotations

import argparse
import importlib.metadata
import json
import os
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from kubev6.cli import build_parser, main
from kubev6.cli import kubectl as kubectl_command
from tests.checkout import REPO
from tests.fakes import substitute

(SUBPARSERS,) = (action for action in build_parser()._actions if isinstance(action, argparse._SubParsersAction))
COMMANDS: tuple[str, ...] = tuple(SUBPARSERS.choices)
pytestmark = pytest.mark.usefixtures("own_data")


def printed_help(capsys: pytest.CaptureFixture[str], *words: str) -> str:
    with pytest.raises(SystemExit) as ended:
        main([*words, "--help"])
    assert ended.value.code == 0
    return capsys.readouterr().out


def test_help_lists_every_command(capsys: pytest.CaptureFixture[str]) -> None:
    text = printed_help(capsys)
    for command in COMMANDS:
        assert f"\n    {command} " in text


def test_version_is_that_of_the_package(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit, match="0"):
        main(["--version"])
    assert capsys.readouterr() == (f"kubev6 {importlib.metadata.version('kubev6')}\n", "")


@pytest.mark.parametrize("command", COMMANDS)
def test_help_of_a_command_has_an_example_that_is_accepted(capsys: pytest.CaptureFixture[str], command: str) -> None:
    text = printed_help(capsys, command)
    assert "Exit status: 0" in text
    lines = text.split("Examples:\n")[1].splitlines()
    examples = [shlex.split(line.partition(" >")[0]) for line in lines if line.startswith("  kubev6 ")]
    assert examples
    for _, *words in examples:
        own = words[: words.index("--")] if "--" in words else words
        assert build_parser().parse_args(own).run.__module__ == f"kubev6.cli.{command}"


@pytest.mark.parametrize("columns", [70, 80, 200])
@pytest.mark.parametrize("command", ["", *COMMANDS])
def test_help_fits_the_terminal_except_for_examples_that_can_be_copied(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, command: str, columns: int
) -> None:
    monkeypatch.setenv("COLUMNS", str(columns))
    text = printed_help(capsys, *command.split())
    examples = text.partition("Examples:\n")[2].splitlines()
    assert [line for line in text.splitlines() if len(line) > min(columns, 110) and line not in examples] == []


@pytest.mark.parametrize(
    "command", ["deploy", "reset", "lab", "verify", "certs", "build", "fetch", "series", "server", "cache"]
)
def test_whatever_runs_steps_takes_the_same_options_for_showing_them(command: str) -> None:
    taken = SUBPARSERS.choices[command].format_help()
    assert "while it runs:\n  -v, --verbose " in taken
    assert "\n  --no-progress " in taken
    assert "\n  --log-json " in taken


@pytest.mark.parametrize(
    "words",
    [
        ["--help"],
        ["deploy", "--help"],
        ["deploy", "--plan", "--cluster", "missing"],
        ["render", "lab"],
        ["releases"],
    ],
)
def test_prefect_is_not_imported_where_nothing_is_orchestrated(words: list[str]) -> None:
    program = (
        "import sys\nfrom kubev6.cli import main\n"
        f"try:\n    main({words!r})\nexcept SystemExit:\n    pass\n"
        "sys.exit('prefect was imported' if 'prefect' in sys.modules else 0)\n"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == 0, done.stderr


def test_help_imports_none_of_the_heavy_libraries() -> None:
    program = (
        "import sys\nfrom kubev6.cli import main\n"
        "try:\n    main(['--help'])\nexcept SystemExit:\n    pass\n"
        "print(*{'prefect', 'pydantic', 'paramiko', 'docker', 'requests', 'git', 'rich'} & set(sys.modules))\n"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True, timeout=60)
    assert done.stdout.splitlines()[-1] == ""


@pytest.mark.parametrize(
    ("content", "seen"),
    [
        ("", "is empty"),
        ("name: [", "is not YAML"),
        ("name: x\nfrobnicate: 1\n", "frobnicate"),
    ],
)
@pytest.mark.parametrize("command", [["deploy", "--cluster"], ["deploy", "--plan", "--cluster"], ["render"]])
def test_a_wrong_cluster_file_is_one_line_and_status_1(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], command: list[str], content: str, seen: str
) -> None:
    file = tmp_path / "cluster.yaml"
    file.write_text(content)
    assert main([*command, str(file)]) == 1
    captured = capsys.readouterr()
    assert captured.out == ""
    (line,) = captured.err.splitlines()
    assert line.startswith(f"kubev6: {file}: ")
    assert seen in line


def test_for_machines_an_error_is_a_line_of_json(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["deploy", "--cluster", "nowhere", "--log-json"]) == 1
    (line,) = capsys.readouterr().err.splitlines()
    event = json.loads(line)
    assert (event["level"], event["event"]) == ("error", "message")
    assert "bare-metal, kube-v6" in event["text"]
    assert main(["render", "nowhere"]) == 1  # who does not ask for it does not get it
    assert capsys.readouterr().err.startswith("kubev6: ")


@pytest.mark.parametrize("words", [["render", "lab"], ["releases"], ["deploy", "--help"], ["completion", "bash"]])
def test_a_reader_that_has_seen_enough_is_no_defect(words: list[str]) -> None:
    reading, writing = os.pipe()
    os.close(reading)
    command = [sys.executable, "-m", "kubev6", *words]
    done = subprocess.run(command, stdout=writing, stderr=subprocess.PIPE, text=True, check=False)
    os.close(writing)
    assert done.stderr == ""
    assert done.returncode == 1


@pytest.mark.parametrize("words", [["render", "lab"], ["releases"], ["deploy", "--help"]])
def test_standard_output_on_a_full_disk_is_one_line_and_status_1(words: list[str]) -> None:
    with Path("/dev/full").open("w") as full:
        command = [sys.executable, "-m", "kubev6", *words]
        done = subprocess.run(command, stdout=full, stderr=subprocess.PIPE, text=True, check=False)
    assert done.stderr == "kubev6: the output cannot be written: No space left on device\n"
    assert done.returncode == 1


@pytest.mark.parametrize("words", [["cache", "ls"], ["report", "--list"], ["releases"], ["lab", "status"]])
def test_a_directory_for_data_that_cannot_be_is_one_line_and_status_1(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], words: list[str]
) -> None:
    monkeypatch.setenv("KUBEV6_DATA", f"/tmp/{'x' * 5000}")
    assert main(words) == 1
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("kubev6: /tmp/xxx")
    assert "File name too long" in line


def test_an_unknown_cluster_is_answered_with_those_there_are(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["render", "nowhere"]) == 1
    assert "bare-metal, kube-v6, kube-v6-lab, lab" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["deploy", "--mirror", "/no/such"], "the mirror /no/such: there is no such directory"),
        (["fetch", "v1.34.2", "--mirror", "/no/such"], "the mirror /no/such: there is no such directory"),
        (["fetch", "v1.34.2", "--to", "/proc/usb"], "/proc/usb cannot be made"),
        (["fetch", "v0"], "there is no release called v0"),
    ],
)
def test_a_place_that_cannot_be_is_one_line_before_anything_starts(
    own_data: Path, capsys: pytest.CaptureFixture[str], words: list[str], says: str
) -> None:
    assert main(words) == 1
    (line,) = capsys.readouterr().err.splitlines()
    assert says in line
    assert not own_data.exists()


@pytest.mark.parametrize(
    "words",
    [
        [],
        ["frobnicate"],
        ["deploy", "--json"],
        ["deploy", "--", "x"],
        ["lab", "up", "--images"],
        ["lab", "status", "--if-busy", "wait"],
        ["lab", "sideways"],
        ["deploy", "--refresh", "everything"],
        ["deploy", "--refresh", "compile", "--prebuilt"],
        ["deploy", "--refresh", "--plan"],
        ["build", "--refresh", "compilation"],
        ["images"],
        ["images", "import"],
        ["images", "import", "x.tar", "--as", "coredns"],
        ["cache"],
        ["cache", "ls", "--all"],
        ["cache", "ls", "--yes"],
        ["cache", "ls", "--dry-run"],
        ["cache", "prune", "--json"],
        ["cache", "prune", "--older-than", "-1"],
        ["cache", "prune", "--older-than", "a week"],
        ["kubectl"],
        ["ssh"],
    ],
)
def test_a_wrong_command_line_is_status_2(words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(words)
    assert ended.value.code == 2
    told = capsys.readouterr().err
    command = words[0] if words and words[0] in COMMANDS else "COMMAND"
    assert told.startswith(f"usage: kubev6 {command} "), "it shows how that command is used"
    assert "error: " in told


@pytest.mark.parametrize("words", [["build"], ["series", "status", "debian-1.20"]])
@pytest.mark.parametrize(
    "given",
    ["up=https://me:secret@host.example/x", "https://me:secret@host.example/x", "up=https://secret@host.example/x"],
)
def test_a_login_in_the_address_of_a_source_is_refused_and_not_told(
    words: list[str], given: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as ended:
        main([*words, "--source", given])
    said = capsys.readouterr().err
    assert ended.value.code == 2
    assert "https://host.example/x is given with a login; git asks its credential helper" in said
    assert "secret" not in said


def test_what_is_made_again_is_a_stage_or_all_of_them() -> None:
    stages = [["source"], ["series"], ["compile"], ["images"], ["all"]]
    for command in (["deploy"], ["build", "debian-1.20"]):
        assert build_parser().parse_args(command).refresh == ""
        assert build_parser().parse_args([*command, "--refresh"]).refresh == "all"
        assert [build_parser().parse_args([*command, "--refresh", *stage]).refresh for stage in stages] == [
            stage for (stage,) in stages
        ]
    assert build_parser().parse_args(["fetch", "v1.34.2", "--refresh"]).refresh is True


def test_words_after_two_dashes_go_on_unchanged(monkeypatch: pytest.MonkeyPatch) -> None:
    taken: list[list[str]] = []

    def kubectl(args: argparse.Namespace) -> int:
        taken.append(args.rest)
        return 7

    substitute(monkeypatch, kubectl_command, "run", kubectl)
    assert main(["kubectl", "--cluster", "kube-v6", "--", "get", "nodes", "-o", "wide", "--", "x"]) == 7
    assert taken == [["get", "nodes", "-o", "wide", "--", "x"]]


@pytest.mark.parametrize("words", [["deploy"], ["deploy", "--plan"]])
def test_a_mirror_that_is_none_is_refused_before_anything_is_begun(
    own_data: Path, capsys: pytest.CaptureFixture[str], words: list[str]
) -> None:
    assert main([*words, "--mirror", "ftp://mirror.example"]) == 1
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("kubev6: the mirror ftp://mirror.example: is no address")
    assert not own_data.exists()


def test_a_plan_of_a_lab_that_is_not_up_says_so_and_names_the_log(
    own_data: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["deploy", "--plan"]) == 1
    (line,) = capsys.readouterr().err.splitlines()
    assert "the lab 'lab' is not up" in line
    (log,) = (own_data / "logs").iterdir()
    assert str(log) in line
    assert "Traceback" in log.read_text()
    assert log.stat().st_mode & 0o077 == 0


def test_render_prints_the_routes_of_the_how_to(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["render", "kube-v6", "--node", "kube-minion-1"]) == 0
    text = capsys.readouterr().out
    for route in ("64:ff9b::/96 via fd00::64", "fd00:102::/64 via fd00::102", "fd00:1234::/110 via fd00::100"):
        assert f"    route {route} dev eth1 metric 1024\n" in text
    assert "node kube-master" not in text
    assert "      | Gateway=fd00::64\n" in text


def test_render_for_machines_is_json_of_all_nodes(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["render", "lab", "--json"]) == 0
    states = json.loads(capsys.readouterr().out)
    assert list(states) == ["kube-support", "kube-control-plane", "kube-worker-1", "kube-worker-2"]
    assert [stage["name"] for stage in states["kube-worker-2"]["stages"]] == ["network", "runtime", "kubernetes"]


def test_render_of_an_unknown_node_names_those_there_are(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["render", "lab", "--node", "kube-1"]) == 1
    assert "its nodes are kube-support, kube-control-plane" in capsys.readouterr().err


def test_releases_of_an_empty_store_says_how_each_can_be_had(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["releases"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert any(line.startswith("debian-1.20: can be built") for line in lines)
    assert any(line.startswith("v1.9.0-alpha.0.ipv6.0: can be fetched") for line in lines)


def test_the_script_of_the_issue_is_the_same_command() -> None:
    script = Path(__file__).parents[2] / "flows" / "deploy.py"
    done = subprocess.run([sys.executable, script, "--help"], capture_output=True, text=True, check=True, timeout=60)
    assert done.stdout.startswith("usage: kubev6 deploy ")


def test_the_flows_file_is_the_command_with_every_option_wherever_it_is_run(tmp_path: Path) -> None:
    (tmp_path / "dask").mkdir()  # as a directory of one's own may be called
    (tmp_path / "dask" / "__init__.py").write_text("raise RuntimeError('somebody elses')")
    shown = [
        subprocess.run([sys.executable, *words, "--help"], cwd=tmp_path, capture_output=True, text=True, check=True)
        for words in ((str(REPO / "flows" / "deploy.py"),), ("-m", "kubev6", "deploy"))
    ]
    assert shown[0].stdout == shown[1].stdout
    told = subprocess.run(
        [sys.executable, str(REPO / "flows" / "deploy.py"), "--cluster", "nowhere", "--task-runner", "dask"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert told.returncode == 1
    assert told.stderr.startswith("kubev6: there is no cluster called nowhere")
