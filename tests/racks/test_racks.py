"""Each networking tool on a virtual machine with a kernel of its own: brought to the network stage, restarted, reset,
restarted; its network cut on purpose; and its power cut.

Only with ``make test-racks``.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from configs.errors import NodeError
from tasks.node import confirmation, engine
from tasks.node.reset import reset
from tests.fakes import substitute
from tests.racks.bench import CUT_OFF, SECONDS, WITHOUT_POWER, Bench, racked, written_down
from tests.racks.cuts import cutting
from tests.racks.rack import GATEWAY, SUPPORT, UPLINK_PREFIX
from tests.racks.sites import CASES, REFUSED, SITE, UPLINK, Case
from tests.waiting import eventually

CHOSEN = os.environ.get("KUBEV6_TEST_RACKS", "").split()
BROKEN = (CASES[1], CASES[6], CASES[12], CASES[17])
"""One of each tool, with a bond or a VLAN where it knows one."""
PUT_BACK = "so the machine has put everything of that back"
RECORD = "/var/lib/kubev6/record.json"
WRITTEN = "/usr/local/sbin/kubev6-ipv6-only"
"""A file of the network stage."""
MOMENTS = (f"[ -s {RECORD} ]", f"[ -s {WRITTEN} ]", "ip -6 addr | grep -q fd00:d0c::101")
"""When the power fails: the record is written, files are, the fabric has its address."""


@pytest.fixture
def bench(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Bench]:
    case: Case = request.param
    if case.tool not in CHOSEN:
        pytest.skip(f"a machine of {case.tool} takes minutes: `make test-racks` has every tool")
    monkeypatch.setenv("KUBEV6_DATA", str(tmp_path / "data"))
    substitute(monkeypatch, confirmation, "PUT_BACK_SECONDS", 600)  # emulated, a machine takes longer to put back
    with racked(case, tmp_path) as found:
        yield found


def assert_in_place(bench: Bench) -> None:
    """The machine is what the stage wants, and what is on the wire says so too."""
    case = bench.case
    eventually(lambda: engine.plan_changes(bench.ssh, (bench.stage(),)) == {"network": ()}, SECONDS)
    assert " 0% packet loss" in bench.said(f"ping -6 -n -c 3 -i 0.3 -W 5 {SUPPORT}")
    assert bench.said("ip -4 route show default") == ""
    assert bench.said("sysctl -n net.ipv6.conf.all.forwarding") == "1"
    # That is what the kubelet gives to pods (kubeadm.yaml.j2).
    assert bench.said("grep ^nameserver /etc/resolv.conf") == f"nameserver {SUPPORT}"
    if case.addressing != "dhcp4":
        eventually(lambda: f"via {GATEWAY} dev {SITE}" in bench.said("ip -6 route show default"), SECONDS)
    if case.uplink != "none":
        eventually(lambda: f"via {GATEWAY} dev {UPLINK}" in bench.said("ip -6 route show default"), SECONDS)
        eventually(lambda: f" {UPLINK_PREFIX[:-1]}" in bench.said(f"ip -6 -o addr show dev {UPLINK}"), SECONDS)
        assert " 0% packet loss" in bench.said(f"ping -6 -n -c 3 -i 0.3 -W 5 -I {UPLINK} {UPLINK_PREFIX}1")
    assert bench.said("systemctl --failed --plain --no-legend") == ""


@pytest.mark.parametrize("bench", CASES, ids=str, indirect=True)
def test_a_machine_is_reached_and_right_after_each_start_and_what_it_was_after_a_reset(bench: Bench) -> None:
    with written_down(bench):
        before = bench.settled()
        files = bench.files()
        assert bench.bring_to(bench.stage()) > 10
        assert_in_place(bench)
        bench.restart()
        assert_in_place(bench)
        reset(bench.ssh, bench.cluster)
        bench.reconnect()
        assert bench.files() == files
        bench.restart()
        bench.comes_back_to(before)


@pytest.mark.parametrize(
    ("bench", "fabric", "words"), REFUSED, ids=[str(case) for case, *_ in REFUSED], indirect=["bench"]
)
def test_a_fabric_that_cannot_be_kept_is_refused(bench: Bench, fabric: str, words: str) -> None:
    cluster = bench.cluster
    bench.cluster = cluster.model_copy(update={"fabric": cluster.fabric.model_copy(update={"interface": fabric})})
    with pytest.raises(NodeError, match=words):
        bench.stage()


def way(bench: Bench) -> list[str]:
    """What a machine that has put itself back is known by: interfaces that were switched on stay so."""
    found = [line.split() for line in bench.state()]
    files = [line for line in found if line[0] in ("file", "resolver", "failed")]
    return [" ".join(line) for line in (*files, *(each[:4] for each in found if each[:2] == ["address", SITE]))]


@pytest.mark.parametrize("bench", BROKEN, ids=str, indirect=True)
def test_a_machine_that_is_cut_off_comes_back_by_itself(bench: Bench) -> None:
    with written_down(bench, CUT_OFF):
        bench.settled()
        before = way(bench)
        for then in ((), (("sh", "-c", "kill -KILL $PPID"),)):  # nothing else, and the agent's end
            with pytest.raises(NodeError, match=PUT_BACK):
                bench.bring_to(cutting(bench.stage(), bench.case, *then))
            bench.reconnect()
            eventually(lambda: way(bench) == before, SECONDS)

        # Somebody sees that it does not answer, and starts it again.
        stage = cutting(bench.stage(), bench.case)
        with bench.power_cut_when(f"! ip -o addr show dev {SITE} scope global | grep -q ."), pytest.raises(NodeError):
            bench.bring_to(stage)
        bench.reconnect()
        eventually(lambda: way(bench) == before, SECONDS)

        assert bench.bring_to(bench.stage()) > 10
        assert_in_place(bench)


@pytest.mark.parametrize("bench", BROKEN, ids=str, indirect=True)
def test_a_machine_whose_power_fails_is_reached_and_goes_on_and_back(bench: Bench) -> None:
    with written_down(bench, WITHOUT_POWER):
        before, files = bench.settled(), bench.files()
        for moment in MOMENTS:
            stage = bench.stage()
            with bench.power_cut_when(moment), suppress(NodeError):
                bench.bring_to(stage)
            bench.reconnect()
            bench.ssh.run(f"[ ! -e {RECORD} ] || python3 -m json.tool {RECORD}", step="test")
            bench.bring_to(bench.stage())
            assert_in_place(bench)
            with bench.power_cut_when(f"[ ! -e {WRITTEN} ]"), suppress(NodeError):
                reset(bench.ssh, bench.cluster)
            bench.reconnect()
            reset(bench.ssh, bench.cluster)
            assert bench.files() == files
        bench.restart()
        bench.comes_back_to(before)
