"""What a kubectl that says nothing of it has changed, as the script on the control plane finds it out."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from configs.plan.versions import kubectl_says_unchanged
from tasks.kubernetes.cluster_dns import by_resource_version

KUBECTL = """#!/bin/sh
# Keeps objects as lines `KIND NAME VERSION` of a file, and says `configured` of each, as kubectl 1.9.0-alpha does.
while [ "$1" != get ] && [ "$1" != apply ]; do shift; done
verb=$1
while read -r kind name content; do
    kept=$STORE/$kind.$name
    case $verb in
    get) [ ! -e "$kept" ] || echo "$kind $name $(head -n 1 "$kept")" ;;
    apply)
        [ "$content" != broken ] || { echo 'error: it is broken' >&2; exit 1; }
        if [ "$(sed -n 2p "$kept" 2>/dev/null)" != "$content" ]; then
            version=$(cat "$STORE/version" 2>/dev/null || echo 0)
            echo $((version + 1)) > "$STORE/version"
            printf '%s\\n%s\\n' $((version + 1)) "$content" > "$kept"
        fi
        echo "$kind \\"$name\\" configured"
        ;;
    esac
done
"""


@pytest.fixture
def apply(tmp_path: Path) -> object:
    """Runs the script with objects, a line each, and gives what it says."""
    (tmp_path / "bin").mkdir()
    program = tmp_path / "bin" / "kubectl"
    program.write_text(KUBECTL)
    program.chmod(0o755)
    environment = {"PATH": f"{tmp_path / 'bin'}:/usr/bin:/bin", "STORE": str(tmp_path)}

    def run(*objects: str) -> tuple[int, list[str]]:
        done = subprocess.run(
            ["sh", "-c", by_resource_version("kubectl apply -f -")],
            input="\n".join(objects) + "\n",
            env=environment,
            capture_output=True,
            text=True,
            check=False,
            timeout=20,
        )
        return done.returncode, done.stdout.splitlines()

    return run


def test_objects_are_told_by_their_versions_when_they_are_new_or_other_than_before(apply: object) -> None:
    assert callable(apply)
    assert apply("Service dns a", "Deployment dns a") == (0, ["Service dns 1", "Deployment dns 2"])
    assert apply("Service dns a", "Deployment dns a") == (0, [])
    assert apply("Service dns a", "Deployment dns b") == (0, ["Deployment dns 3"])


def test_what_cannot_be_applied_is_no_change_but_an_error(apply: object) -> None:
    assert callable(apply)
    assert apply("Service dns broken") == (1, [])


@pytest.mark.parametrize(
    ("version", "says"),
    [("v1.9.0-alpha.0.ipv6.0", False), ("v1.9.0-alpha.1.ipv6.1b", False), ("v1.9.0-beta.0", True), ("1.20.2", True)],
)
def test_since_when_kubectl_says_it_itself(version: str, says: bool) -> None:
    assert kubectl_says_unchanged(version) is says
