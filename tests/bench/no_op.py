"""How long it takes to see that machines are as they should be, and beside it the same with other tools.

    kubev6 deploy
    python -m tests.bench.no_op

All do the same work on the Kubernetes nodes of a lab that is up: `kubev6 deploy --plan`; pyinfra and an Ansible
playbook with the same state, which find nothing to change; and one `ssh` for each node with a script of sh, all at the
same time, which is about the least that can be done. Ours also asks the support node and the cluster's members.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import re
import shlex
import sys
import tempfile
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from configs.plan.node import plan_node
from configs.schema.loading import load_cluster
from tasks import inventory
from tasks.node.survey import survey
from tasks.release import registry
from tasks.release.choose import for_plan
from tasks.release.store import Store
from tasks.ssh.endpoint import Endpoint
from tasks.ssh.openssh import ssh_command
from tasks.ssh.pool import connection
from tests.bench.measuring import OURS, Figure, measure, succeeds, timed
from tests.bench.peers.installed import installed
from tests.bench.same_state import Wanted, plain, shell_script
from tests.checkout import REPO

PEERS = REPO / "tests" / "bench" / "peers"
FIGURE = Figure(
    "no-op",
    "are the Kubernetes nodes of a lab as they should be, in all stages",
    goals={"pyinfra": 3, "Ansible": 20, "ssh and sh": 0.5},
    at_most=1.0,
)


def main() -> None:
    """Measure, print and keep it."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cluster", default="lab", help="a cluster that is up (%(default)s)")
    parser.add_argument("--turns", type=int, default=5, help="turns of each that count (%(default)s)")
    args = parser.parse_args()
    wanted = states(args.cluster)
    endpoints = inventory.endpoints(load_cluster(args.cluster))
    with tempfile.TemporaryDirectory() as directory:
        asked = ways(args.cluster, wanted, endpoints, Path(directory))
        measure(FIGURE, {name: timed(way) for name, way in asked.items()}, args.turns)


def states(name: str) -> dict[str, Wanted]:
    """What the Kubernetes nodes of a cluster that is up have to be, by their names."""
    cluster = load_cluster(name)
    release, manifest = for_plan(cluster, False, "", Store())
    found = {}
    with connection(cluster, cluster.support.name) as ssh:
        certificate = registry.certificate(ssh)
    for node in cluster.kubernetes_nodes:
        with connection(cluster, node.name) as ssh:
            machine = survey(ssh, cluster, release, node.name)
        found[node.name] = Wanted.of(plan_node(cluster, release, manifest, node.name, machine, certificate))
    return found


def ways(
    cluster: str, wanted: dict[str, Wanted], endpoints: dict[str, Endpoint], directory: Path
) -> dict[str, Callable[[], object]]:
    """The ways to ask, by name."""
    found: dict[str, Callable[[], object]] = {
        OURS: succeeds([sys.executable, "-m", "kubev6", "deploy", "--plan", "--cluster", cluster]),
        "ssh and sh": by_hand(wanted, endpoints),
    }
    if programs := installed():
        found["pyinfra"] = by_pyinfra(programs, wanted, endpoints, directory)
        found["Ansible"] = unchanged(by_ansible(programs, wanted, endpoints, directory))
    return found


def by_hand(wanted: dict[str, Wanted], endpoints: dict[str, Endpoint]) -> Callable[[], object]:
    """One ssh for each machine, all at once."""
    asking = []
    for name, each in wanted.items():
        sums = {file.path: hashlib.sha256(file.content.encode()).hexdigest() for file in each.whole_files}
        words = ["sh", "-c", shell_script(each, sums)]
        asking.append(succeeds(ssh_command(endpoints[name], words)))

    def all_at_once() -> None:
        with ThreadPoolExecutor(len(asking)) as pool:
            for done in [pool.submit(each) for each in asking]:
                done.result()

    return all_at_once


def ssh_config(endpoints: dict[str, Endpoint], names: list[str]) -> str:
    """The machines as the system's own ssh is told of them, with the keys and known hosts of the lab."""
    hosts = [
        f"Host {name}\n HostName {endpoints[name].host}\n Port {endpoints[name].port}\n User {endpoints[name].user}\n"
        f" IdentityFile {endpoints[name].key_file}\n UserKnownHostsFile {endpoints[name].known_hosts}\n"
        " IdentitiesOnly yes\n StrictHostKeyChecking yes\n"
        for name in names
    ]
    return "\n".join(hosts)


def by_pyinfra(
    programs: Path, wanted: dict[str, Wanted], endpoints: dict[str, Endpoint], directory: Path
) -> Callable[[], str]:
    """A deploy of pyinfra."""
    config, inventory_file = directory / "ssh_config", directory / "inventory.py"
    config.write_text(ssh_config(endpoints, list(wanted)))
    ssh = {"ssh_config_file": str(config), "ssh_strict_host_key_checking": "yes"}
    hosts = [
        (
            name,
            {
                **ssh,
                "ssh_hostname": endpoints[name].host,
                "ssh_port": endpoints[name].port,
                "ssh_user": endpoints[name].user,
                "ssh_key": endpoints[name].key_file,
                "ssh_known_hosts_file": endpoints[name].known_hosts,
                **plain(each),
            },
        )
        for name, each in wanted.items()
    ]
    inventory_file.write_text(f"machines = {hosts!r}\n")
    return succeeds([str(programs / "pyinfra"), "-y", str(inventory_file), str(PEERS / "deploy.py")], directory)


def by_ansible(
    programs: Path, wanted: dict[str, Wanted], endpoints: dict[str, Endpoint], directory: Path
) -> Callable[[], str]:
    """A playbook, with what makes Ansible fast: pipelining, kept connections, all hosts at once."""
    config, inventory_file = directory / "ssh_config_of_ansible", directory / "inventory.json"
    config.write_text(ssh_config(endpoints, list(wanted)))
    shared = {
        "ansible_python_interpreter": "/usr/bin/python3",
        "ansible_ssh_common_args": f"-F {shlex.quote(str(config))}",
    }
    hosts = {name: {**shared, **plain(each)} for name, each in wanted.items()}
    inventory_file.write_text(json.dumps({"all": {"hosts": hosts}}))
    return succeeds(
        [str(programs / "ansible-playbook"), "-f", "50", "-i", str(inventory_file), str(PEERS / "playbook.yaml")],
        directory,
        ANSIBLE_PIPELINING="1",
        ANSIBLE_SSH_ARGS=f"-o ControlMaster=auto -o ControlPersist=60s -o ControlPath={directory}/%C",
        ANSIBLE_LOCAL_TEMP=str(directory / "ansible"),
        ANSIBLE_HOME=str(directory / "ansible"),
    )


def unchanged(playbook: Callable[[], str]) -> Callable[[], None]:
    """The same, which is no measurement when it has changed something."""

    def run() -> None:
        said = playbook()
        if any(int(count) for count in re.findall(r"changed=(\d+)", said)):
            what = [line for line in said.splitlines() if line.startswith(("TASK", "changed:"))]
            sys.exit("\n".join(("the playbook changed something, so this is no measurement:", *what)))

    return run


if __name__ == "__main__":
    main()
