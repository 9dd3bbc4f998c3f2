"""A machine of a case in its rack, and what a deploy does to its network, done as a deploy does it."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from functools import partial
from pathlib import Path
from typing import Any, Literal

from configs.membership import identity
from configs.plan.node import plan_node
from configs.plan.state import StageState
from configs.schema.cluster import Cluster
from configs.schema.loading import load_cluster, load_release
from docs.generator.racks import FACTS, Fact
from tasks import deployed
from tasks.exclusive import exclusive
from tasks.node import engine
from tasks.node.survey import survey
from tasks.paths import cache_dir
from tasks.ssh.endpoint import Endpoint
from tasks.ssh.pool import new_connection
from tests.racks.images import Image, image
from tests.racks.machine import Machine
from tests.racks.rack import GATEWAY, UPLINK_PREFIX, access_port, address_of, lay, own_network, router
from tests.racks.sites import CASES, FABRICS, UPLINK, Case
from tests.waiting import eventually

WORKER = "rack-1-worker-1"
NODES = {
    "rack-1-support": ("support", 0x64),
    "rack-1-control-plane": ("control-plane", 0x100),
    WORKER: ("worker", 0x101),
}
SECONDS = 180
"""For what comes about by itself on a machine that is emulated."""
CUT_OFF, WITHOUT_POWER = "cut off", "without power"
"""What else is done to one machine of each tool."""
# NetworkManager numbers routes that are advertised in the order in which interfaces come up.
STATE = r"""
cd /
which="etc usr/local -xdev ! -path etc/resolv.conf ! -name ld.so.cache"
find $which \( -type f -o -type l \) -printf 'file %p %m %u %l\n'
find $which -type f -print0 | xargs -0 sha256sum | sed -E 's/(\S+) +(.*)/file \2 \1/'
echo "resolver $(grep -h ^nameserver etc/resolv.conf | tr '\n' ' ')"
ip -o link | sed -nE 's/^[0-9]+: ([^:]+): <([^>]*)>.*/link \1 \2/p'
ip -o addr | sed -E 's/^[0-9]+: //; s/(valid|preferred)_lft \S+//g; s/\\//g; s/^/address /'
for family in -4 -6; do ip $family -o route show table all | sed -E 's/expires \S+//; s/^/route /' |
    sed -E 's/(proto ra) metric [0-9]+/\1/'; done
cd proc/sys/net/ipv6/conf
grep -H . */accept_ra */forwarding */disable_ipv6 */addr_gen_mode */use_tempaddr | sed 's/^/setting /'
systemctl list-unit-files --no-legend --plain | sed 's/^/unit /'
systemctl --failed --no-legend --plain | sed 's/^/failed /'
"""


class Bench:
    """A machine that has started, and the cluster whose worker it is to become."""

    def __init__(self, case: Case, machine: Machine, cluster: Cluster, opened: ExitStack) -> None:
        self.began = time.monotonic()
        self.case, self.machine, self.cluster = case, machine, cluster
        self.endpoint: Endpoint = deployed.machines(cluster)[WORKER]
        self._opened = opened
        self._marks = 0
        self.ssh = opened.enter_context(machine.reached(self.endpoint))

    def said(self, command: str) -> str:
        """What a script says on the machine."""
        return self.ssh.run(command, step="test", check=False, timeout=180).stdout.strip()

    def stage(self) -> StageState:
        """The network stage, as a deploy plans it."""
        release = load_release(self.cluster.release)
        surveyed = survey(self.ssh, self.cluster, release, WORKER)
        assert surveyed.networking == self.case.tool
        stage = plan_node(self.cluster, release, None, WORKER, surveyed).stage("network")
        assert stage
        return stage

    def bring_to(self, stage: StageState) -> int:
        """Bring it there as a deploy does, and say how much was changed."""
        reconnect = partial(new_connection, self.endpoint)
        made = engine.bring_to(self.ssh, stage, of=identity(self.cluster), reconnect=reconnect)
        self.reconnect()
        return len(made)

    def reconnect(self) -> None:
        """Have a connection that was made now."""
        self.ssh.close()
        self.ssh = self._opened.enter_context(self.machine.reached(self.endpoint))

    def restart(self) -> None:
        """Start it again, and wait until it has come up."""
        self.ssh = self._opened.enter_context(self.machine.restart(self.ssh, self.endpoint))

    @contextmanager
    def power_cut_when(self, condition: str) -> Iterator[None]:
        """Its power fails when a condition holds there, and comes back; the block ends when it has."""
        self._marks += 1
        mark = f"power fails {self._marks}"
        watch = f"until {condition}; do sleep 0.05; done; echo {mark} >/dev/ttyS0"
        self.ssh.run(["systemd-run", "-q", "sh", "-c", watch], step="watch")

        def cut() -> None:
            # By its console, which needs no network.
            eventually(lambda: mark in self.machine.console.read_text(errors="replace"), 2 * SECONDS)
            self.machine.cut_power()
            self.machine.start()

        with ThreadPoolExecutor() as pool:
            cutting_off = pool.submit(cut)
            yield
            cutting_off.result()

    def state(self) -> list[str]:
        """Everything that has to be as it was."""
        return sorted(" ".join(line.split()) for line in self.said(STATE).splitlines())

    def files(self) -> list[str]:
        """What of that is of files."""
        return [line for line in self.state() if line.startswith("file ")]

    def settled(self) -> list[str]:
        """The same, when it has ceased to change."""
        until, before = time.monotonic() + SECONDS, self.state()
        while True:
            time.sleep(3)
            now = self.state()
            if now == before:
                return now
            assert time.monotonic() < until, set(now) ^ set(before)
            before = now

    def comes_back_to(self, before: list[str]) -> None:
        """See that it becomes what it was.

        Raises:
            AssertionError: It does not; with what is different.
        """
        until = time.monotonic() + SECONDS
        while different := sorted(set(before) ^ set(self.state())):
            assert time.monotonic() < until, "\n".join(different)
            time.sleep(2)


def cluster_file(case: Case, made: Image, known: Path) -> dict[str, Any]:
    """A cluster whose worker is the machine; the others are there in name alone."""
    uplink: dict[str, Any] = {"interface": UPLINK, "addressing": case.uplink}
    if case.uplink == "static":
        uplink |= {"subnet": f"{UPLINK_PREFIX}/64", "gateway": GATEWAY}
    nodes = []
    for name, (role, number) in NODES.items():
        host = address_of(case.addressing) if name == WORKER else f"{name}.example"
        node = {"name": name, "roles": [role], "address": f"fd00:d0c::{number:x}", "ssh": {"host": host}}
        nodes.append(node | ({"uplink_address": f"{UPLINK_PREFIX}{number:x}"} if case.uplink == "static" else {}))
    return {
        "name": "rack-1",
        "release": "debian-1.20",
        "fabric": {"interface": FABRICS[case.fabric], "subnet": "fd00:d0c::/64"},
        **({"uplink": uplink} if case.uplink != "none" else {}),
        "pods": {"prefix": "fd00:d0c::/32"},
        "services": {"subnet": "fd00:d0c:ffff::/112"},
        "nat64": {"prefix": "64:ff9b::/96"},
        "verify": {"outside": "http://example.com/"},
        "ssh": {"user": "root", "key_file": str(made.key), "known_hosts": str(known)},
        "nodes": nodes,
    }


@contextmanager
def racked(case: Case, directory: Path) -> Iterator[Bench]:
    """The machine of a case, started in a rack of its own, which is gone with the block. Needs root."""
    made = image(case.tool)
    known, file = directory / "known_hosts", directory / "rack.yaml"
    known.write_text(f"{address_of(case.addressing)} {made.host_key}\n")
    file.write_text(json.dumps(cluster_file(case, made, known)))  # which YAML takes too
    with own_network(), ExitStack() as opened:
        lay()
        opened.enter_context(router(case.addressing, directory))
        if case.fabric == "VLAN":
            opened.enter_context(access_port())
        machine = Machine(made, directory, case.files)
        opened.callback(machine.cut_power)
        machine.start()
        yield Bench(case, machine, load_cluster(str(file)), opened)


@contextmanager
def written_down(bench: Bench, what: str = "") -> Iterator[None]:
    """What comes of a machine, also when that is that it fails; for docs/racks.md."""
    table: Literal["cases", "breaks"] = "breaks" if what else "cases"
    name, ok = ", ".join((bench.case.title, what)) if what else bench.case.title, False
    try:
        yield
        ok = True
    finally:
        with exclusive(cache_dir() / "racks-facts.lock"):  # tools are tried side by side
            facts = json.loads(FACTS.read_text())
            facts[table][name] = Fact(seconds=round(time.monotonic() - bench.began), ok=ok)
            titles = [each.title for each in CASES]
            order = titles + [f"{each}, {more}" for each in titles for more in (CUT_OFF, WITHOUT_POWER)]
            facts[table] = {each: facts[table][each] for each in order if each in facts[table]}
            FACTS.write_text(json.dumps(facts, indent=1) + "\n")
