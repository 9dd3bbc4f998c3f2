"""`kubev6 deploy` and a nightly run on machines that are fake, behind logins that are real.

As in :mod:`tests.integration.fake_machines`, but every machine is reached by SSH (all are the same one), root by
sudo, and the join token comes from there. Run as a program: ``nightly RELEASE REGISTRY``, or a command line of kubev6.
What the machine's own process list shows meanwhile is written into the directory that KUBEV6_TEST_SEEN names.
"""

from __future__ import annotations

import importlib
import json
import os
import sys
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import Any

from configs.manifest import Manifest
from configs.plan.state import StageState
from kubev6.cli import main
from kubev6.server.orchestration import Orchestration
from tasks import inventory, secrets
from tasks.kubernetes import kubeadm
from tasks.node import engine
from tasks.node.change import Change
from tasks.release import registry, registry_tags
from tasks.release.registry import Pushed
from tasks.release.registry_login import RegistryLogin
from tasks.release.store import Store
from tasks.ssh.connection import Connection, connect
from tasks.ssh.endpoint import Endpoint
from tasks.steps import step
from tests.fakes import substitute_for_good

TELLS = os.environ.get("KUBEV6_TEST_MACHINES") == "tells"
"""Whether machines tell what they are given."""
REFUSES = "/run/kubev6-test-refuses-to-join"
TELLING = """
import sys
sys.stderr.write(json.dumps({"progress": "given " + PAYLOAD, "done": 1, "total": 2}) + "\\n")
sys.exit("no use for " + PAYLOAD)
"""
PROCESSES = "for each in /proc/[0-9]*/cmdline; do tr '\\0' ' ' <$each; echo; done 2>/dev/null"


def endpoints() -> dict[str, Endpoint]:
    return {name: Endpoint(name, **how) for name, how in json.loads(os.environ["KUBEV6_TEST_LOGINS"]).items()}


def bring_to(connection: Connection, stage: StageState, *, made: Callable[[Change], None], **_: object) -> None:
    with step(connection.node, stage.name) as shown:
        seen = Path(os.environ["KUBEV6_TEST_SEEN"]) / f"{connection.node}-{stage.name}-{uuid.uuid4()}"
        seen.write_text(connection.run(PROCESSES, step=stage.name).stdout)
        if TELLS and (connection.node, stage.name) == ("kube-worker-1", "runtime"):
            given = secrets.secret(secrets.SUDO_PASSWORD)
            connection.run_python(TELLING, given, step=stage.name, timeout=30, progress=shown.progress)
        if stage.name == "network":
            connection.run(f"touch {REFUSES}" if TELLS else f"rm -f {REFUSES}", step=stage.name)
        made(Change("file", f"/etc/{stage.name}", "create", node=connection.node, stage=stage.name))


def install_fakes() -> None:
    real = {name: vars(kubeadm)[name] for name in ("join_credentials", "drop_credentials", "join", "fetch_kubeconfig")}
    is_newest, push = registry_tags.is_newest, registry.push
    importlib.import_module("tests.integration.fake_deployments")

    def is_newest_outside(manifest: Manifest, base_url: str, login: RegistryLogin | None = None) -> bool:
        return is_newest(manifest, base_url, login) if login else True  # there is no support node

    def push_outside(manifest: Manifest, store: Store, base_url: str, *, login: RegistryLogin | None = None) -> Pushed:
        return push(manifest, store, base_url, login=login) if login else Pushed(9, 9, 9)

    connections = importlib.import_module("tasks.ssh.pool")
    replaced: list[tuple[Any, str, object]] = [
        (connections, "machines", lambda _: endpoints()),
        (connections, "connect", connect),
        (inventory, "known_endpoints", lambda _: endpoints()),
        (engine, "bring_to", bring_to),
        (registry_tags, "is_newest", is_newest_outside),
        (registry, "push", push_outside),
        *[(kubeadm, name, value) for name, value in real.items()],
    ]
    for owner, name, value in replaced:
        substitute_for_good(owner, name, value)


if __name__ == "__main__":
    start_prefect = Orchestration.start

    def start_and_fake(self: Orchestration) -> None:
        start_prefect(self)
        install_fakes()

    substitute_for_good(Orchestration, "start", start_and_fake)
    if sys.argv[1] != "nightly":
        sys.exit(main(sys.argv[1:]))
    Orchestration().start()
    from flows.nightly import nightly

    _, _, release, address = sys.argv
    state = nightly(release, cluster="lab", registry=address, deploy=True, return_state=True)
    sys.stdout.write(f"{state.message}\n")
    sys.exit(state.is_failed())
