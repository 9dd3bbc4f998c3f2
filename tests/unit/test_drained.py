"""A node without pods for a while: whose pods end, who takes pods again, and what a run that was cut off has left."""

from __future__ import annotations

from pathlib import Path
from typing import cast

import pytest

from configs.errors import NodeError
from tasks.kubernetes import members
from tasks.ssh.connection import Connection
from tests.fakes import substitute
from tests.unit.shell import Shell

KUBECTL = """
# A cluster of one node, n1, whose state is two files; every request is a line of a third.
while [ "${1#--}" != "$1" ]; do case $1 in --kubeconfig) shift 2;; *) shift;; esac; done
echo "$*" >>"$STATE/asked"
case "$1 $2" in
"get node") cat "$STATE/unschedulable" 2>/dev/null || true;;
"get nodes") [ ! -e "$STATE/label" ] || printf n1;;
"label node") touch "$STATE/label";;
"label nodes") rm "$STATE/label";;
"uncordon n1") rm "$STATE/unschedulable";;
"drain n1")
    printf true >"$STATE/unschedulable"
    [ ! -e "$STATE/budget" ] || { echo "error: $(cat "$STATE/budget")" >&2; exit 1; };;
*) echo "unknown: $*" >&2; exit 2;;
esac
"""


@pytest.fixture
def control_plane(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Shell:
    substitute(monkeypatch, members, "KUBECTL", "kubectl --kubeconfig admin.conf")
    return Shell("kube-control-plane", tmp_path, {"kubectl": KUBECTL}, STATE=str(tmp_path))


def state(control_plane: Shell) -> Path:
    return Path(control_plane.environment["STATE"])


def keeps_pods_away(control_plane: Shell) -> bool:
    return (state(control_plane) / "unschedulable").exists()


def asked(control_plane: Shell) -> str:
    return (state(control_plane) / "asked").read_text()


@pytest.mark.usefixtures("run")
def test_a_node_is_drained_and_takes_pods_again_but_nobody_elses_pods_are_given_up(control_plane: Shell) -> None:
    with members.drained(cast(Connection, control_plane), "n1"):
        assert keeps_pods_away(control_plane)
    assert not keeps_pods_away(control_plane)
    drain = next(line for line in asked(control_plane).splitlines() if line.startswith("drain"))
    assert "--force" not in drain, "it would end pods that nobody starts again"
    assert "--pod-selector=!probe" in drain, "those of the proof nobody starts again, and they are none to wait for"


@pytest.mark.usefixtures("run")
def test_a_node_that_somebody_keeps_free_of_pods_stays_so(control_plane: Shell) -> None:
    (state(control_plane) / "unschedulable").write_text("true")
    with members.drained(cast(Connection, control_plane), "n1"):
        pass
    assert keeps_pods_away(control_plane)


@pytest.mark.usefixtures("run")
def test_a_node_whose_pods_do_not_end_takes_pods_as_before_and_the_reason_is_kubectls(
    control_plane: Shell,
) -> None:
    why = "when evicting pods/web: it would violate the pod's disruption budget"
    (state(control_plane) / "budget").write_text(why)
    entered = []
    with (
        pytest.raises(NodeError, match="its pods do not end: error: when evicting pods/web") as caught,
        members.drained(cast(Connection, control_plane), "n1"),
    ):
        entered.append(True)
    assert (entered, keeps_pods_away(control_plane)) == ([], False)
    assert "deploy again" in str(caught.value)


@pytest.mark.usefixtures("run")
@pytest.mark.parametrize("label", [True, False])
def test_what_a_run_that_was_cut_off_has_left_is_put_right_and_nothing_else(control_plane: Shell, label: bool) -> None:
    (state(control_plane) / "unschedulable").write_text("true")
    if label:
        (state(control_plane) / "label").touch()
    members.take_pods_again(cast(Connection, control_plane))
    assert keeps_pods_away(control_plane) is not label
    assert not (state(control_plane) / "label").exists()


@pytest.mark.usefixtures("run")
def test_what_fails_while_a_node_is_drained_is_what_is_told(control_plane: Shell) -> None:
    with (
        pytest.raises(NodeError, match="its kubelet is not Ready"),
        members.drained(cast(Connection, control_plane), "n1"),
    ):
        raise NodeError("n1", "upgrade", "its kubelet is not Ready")
    assert not keeps_pods_away(control_plane)
