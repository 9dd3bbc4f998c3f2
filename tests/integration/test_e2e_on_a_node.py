"""What runs upstream's tests on a control plane: real processes, with scripts in the place of ginkgo and kubectl."""

from __future__ import annotations

import base64
import gzip
import hashlib
import json
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from tasks.node_agent import e2e
from tasks.node_agent.lock import hold
from tasks.node_agent.protocol import Failed
from tasks.ssh.program import program
from tests.fakes import substitute

A, B = "[sig-network] A works", "[sig-network] B works"
GINKGO = """#!/bin/sh
[ -z "$BROKEN" ] || { echo "flag provided but not defined: -progress-report-url"; exit 2; }
trap 'echo interrupted >> "$LEFT"; exit 1' INT
for word; do case $word in --report-dir=*) reports=${word#*=};; --progress-report-url=*) url=${word#*=};; esac; done
say() { curl -sg --noproxy '*' --max-time 5 -X POST --data "$1" "$url"; }
say '{"msg":"Test Suite starting","total":2}'
say 'no JSON'
say '{"msg":"PASSED [sig-network] A works","total":2,"completed":1}'
[ -z "$HTTP_PROXY" ] || curl -sg --proxy "$HTTP_PROXY" --max-time 5 http://google.com/
echo "the machine's proxy: $https_proxy."
echo "asks $HTTP_PROXY but for $NO_PROXY, images of $(cat "$KUBE_TEST_REPO_LIST")"
case $reports in *"${HANGS:-nowhere}") sleep 60 & wait;; esac
cat > "$reports/junit_01.xml" <<XML
<testsuite><testcase name="[sig-network] A works" time="1.5"></testcase>
<testcase name="[sig-network] B works" time="0.5"><failure type="Failure">refused</failure></testcase>
<testcase name="[sig-network] C works" time="0"><skipped></skipped></testcase></testsuite>
XML
exit 1
"""
KUBECTL = '#!/bin/sh\necho "kubectl $*" >> "$LEFT"\n[ "$2" != get ] || echo "$NAMESPACES"\n'


@pytest.fixture
def order(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """What is run, in a directory of the test's own; the programs are there already."""
    signal.signal(signal.SIGINT, signal.default_int_handler)  # which a job in the background ignores
    home, bin_directory = tmp_path / "e2e", tmp_path / "bin"
    bin_directory.mkdir()
    (bin_directory / "kubectl").write_text(KUBECTL)
    (bin_directory / "kubectl").chmod(0o755)
    monkeypatch.setenv("PATH", str(bin_directory), prepend=":")
    monkeypatch.setenv("LEFT", str(tmp_path / "left"))
    substitute(monkeypatch, e2e, "DIRECTORY", str(home))
    substitute(monkeypatch, e2e, "SECONDS_BETWEEN_WORDS", 0.1)
    ginkgo = home / "0123" / "ginkgo"
    ginkgo.parent.mkdir(parents=True)
    ginkgo.write_text(GINKGO)
    ginkgo.chmod(0o755)
    (home / "old").mkdir()
    return {
        "programs": [
            {
                "path": str(ginkgo),
                "sha256": hashlib.sha256(GINKGO.encode()).hexdigest(),
                "size": len(GINKGO),
                "url": "https://[::1]:1/nothing/is/fetched",
                "certificate": "",
            }
        ],
        "passes": [[str(ginkgo), f"--report-dir={home}/reports/1"]],
        "environment": {"KUBE_TEST_REPO_LIST": f"{home}/repositories.yaml"},
        "repositories": "gcRegistry: kube-support:5000\n",
        "own_networks": ["fd00::/64", ".cluster.local"],
        "stands_in": True,
        "chosen": [A, B],
        "repeat": 1,
        "seconds": 60,
    }


def log_of(answer: dict[str, Any]) -> str:
    return gzip.decompress(base64.b64decode(answer["log"])).decode()


def test_what_each_test_came_to_is_told_with_all_that_they_printed(
    order: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("https_proxy", "http://proxy.example:3128")
    answer = e2e.judge(**order)
    assert [(test["name"], test["outcome"], test["message"]) for test in answer["tests"]] == [
        (A, "passed", ""),
        (B, "failed", "refused"),
    ]
    log = log_of(answer)
    assert "but for ::1,127.0.0.1,localhost,fd00::/64,.cluster.local, images of gcRegistry: kube-support:5000" in log
    assert "the internet, as far as there is one in a lab" in log
    assert "the machine's proxy: ." in log
    assert not answer["late"]
    assert not Path(e2e.DIRECTORY, "old").exists(), "what earlier tests were run with stays"
    assert not Path(e2e.DIRECTORY, "running").exists()
    assert "get namespaces -l e2e-run" in (tmp_path / "left").read_text().splitlines()[0]
    assert "1 of 2" not in capsys.readouterr().out, "what goes to the controller is one JSON document"


def test_where_there_is_an_internet_nothing_stands_in_for_it(order: dict[str, Any]) -> None:
    assert "asks  but for " in log_of(e2e.judge(**{**order, "stands_in": False}))


def test_of_tests_whose_time_is_up_it_is_told_what_they_came_to_until_then(
    order: dict[str, Any], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    first, second = ([*order["passes"][0][:1], f"--report-dir={e2e.DIRECTORY}/reports/{number}"] for number in (1, 2))
    monkeypatch.setenv("HANGS", "reports/2")
    answer = e2e.judge(**{**order, "passes": [first, second, first], "seconds": 3})
    assert answer["late"]
    assert [test["name"] for test in answer["tests"]] == [A, B], "those of the first"
    left = (tmp_path / "left").read_text().splitlines()
    assert left[-2] == "interrupted"
    assert "delete namespaces -l e2e-run" in left[-1]


def test_tests_that_cannot_be_begun_say_why(order: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BROKEN", "yes")
    with pytest.raises(Failed, match=r"could not be begun: flag provided but not defined: -progress-report-url"):
        e2e.judge(**order)


def test_somebody_elses_tests_are_left_alone_and_what_a_run_of_ours_left_is_removed(
    order: dict[str, Any], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("NAMESPACES", "namespace/dns-1234")
    with pytest.raises(Failed, match=r"has namespaces of other tests of upstream's: namespace/dns-1234"):
        e2e.judge(**order)
    assert "delete" not in (tmp_path / "left").read_text()
    Path(e2e.DIRECTORY, "running").touch()
    assert len(e2e.judge(**order)["tests"]) == 2
    assert "delete namespaces" in (tmp_path / "left").read_text().splitlines()[1]


def test_tests_end_with_their_controller(
    order: dict[str, Any], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("HANGS", "reports/1")
    directory = e2e.DIRECTORY
    script = program("e2e").replace(
        'if "PAYLOAD" in globals():', f"DIRECTORY = {directory!r}\nSECONDS_BETWEEN_WORDS = 0.1\nif True:"
    )
    assert script != program("e2e")
    with subprocess.Popen(
        [sys.executable, "-IS", "-"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    ) as process:
        assert process.stdin
        assert process.stderr
        process.stdin.write(f"import json\nPAYLOAD = json.loads({json.dumps(order)!r})\n{script}".encode())
        process.stdin.close()
        assert any(b"1 of 2" in line for line in process.stderr)
        process.stderr.close()  # as sshd does when the connection is gone
        assert process.wait(30) != 0
    assert "interrupted" in (tmp_path / "left").read_text()


def test_other_tests_under_way_on_the_machine_are_told(order: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    substitute(monkeypatch, e2e, "LOCK_SECONDS", 0)
    with Path(e2e.DIRECTORY, "lock").open("w") as lock:
        hold(lock, 0, "waits", "failed")
        began = time.monotonic()
        with pytest.raises(Failed, match="other tests are under way on this machine"):
            e2e.judge(**order)
        assert time.monotonic() - began < 10
