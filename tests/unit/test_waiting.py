"""Waiting for the API's objects with an old kubectl, whose answers are the test's own, and with a newer one."""

from __future__ import annotations

import subprocess
import time
from pathlib import Path

import pytest

from tasks.kubernetes.waiting import delete, until_ready, until_rolled_out

OLD, NEW = "v1.9.0-alpha.0.ipv6.0", "v1.20.2"


def run(tmp_path: Path, script: str, answers: list[str], seconds: int = 20) -> tuple[int, list[str]]:
    """Run a script with a kubectl that prints one answer after the other, an empty one being a failure."""
    for number, text in enumerate(answers):
        (tmp_path / f"answer-{number}").write_text(text)
    kubectl = tmp_path / "kubectl"
    kubectl.write_text(
        f'#!/bin/sh\ncd {tmp_path}\nprintf "%s\\n" "$*" >>said\nnumber=$(($(wc -l <said) - 1))\n'
        "[ -s answer-$number ] && cat answer-$number\n"
    )
    kubectl.chmod(0o755)
    done = subprocess.run(
        ["sh", "-c", f"end=$(( $(date +%s) + {seconds} )); {script}"],
        env={"PATH": f"{tmp_path}:/usr/bin:/bin"},
        timeout=60,
        check=False,
    )
    return done.returncode, (tmp_path / "said").read_text().splitlines()


def test_an_old_kubectl_is_asked_until_every_object_is_ready(tmp_path: Path) -> None:
    script = until_ready("kubectl", "nodes", OLD)
    status, said = run(tmp_path, script, ["[True][False]", "[True][]", "[True][True]"])
    assert status == 0
    assert len(said) == 3
    assert said[0].startswith("get nodes -o jsonpath={range .items[*]}")


def test_an_old_kubectl_is_not_asked_for_ever(tmp_path: Path) -> None:
    begun = time.monotonic()
    _, said = run(tmp_path, until_ready("kubectl", "nodes", OLD), [], seconds=2)
    assert len(said) > 1
    assert time.monotonic() - begun < 20


def test_an_old_kubectls_roll_outs_are_bounded_from_outside(tmp_path: Path) -> None:
    script = until_rolled_out("kubectl", OLD)
    status, said = run(tmp_path, script, ["deployments/kube-dns\ndaemonsets/kube-proxy\n", "done\n", "done\n"])
    assert status == 0
    assert said[1:] == ["rollout status deployments/kube-dns", "rollout status daemonsets/kube-proxy"]


@pytest.mark.parametrize(
    ("script", "words"),
    [
        (until_ready("kubectl", "nodes", NEW), "kubectl wait --for=condition=Ready nodes --all --timeout="),
        (until_ready("kubectl", "pods -l a=b", NEW), "kubectl wait --for=condition=Ready pods -l a=b --timeout="),
        (until_rolled_out("kubectl", NEW), "kubectl rollout status $each --timeout="),
        (
            delete("kubectl", "namespaces -l a=b", NEW),
            "kubectl delete namespaces -l a=b --ignore-not-found --wait=false",
        ),
    ],
)
def test_a_newer_kubectl_waits_by_itself(script: str, words: str) -> None:
    assert words in script


def test_an_old_kubectl_never_waits_for_what_it_deletes() -> None:
    assert delete("kubectl", "namespace x", OLD) == "kubectl delete namespace x --ignore-not-found"
