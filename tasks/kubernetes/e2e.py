"""Upstream's tests against a cluster: run on its control plane, from where they reach every address of it."""

from __future__ import annotations

import base64
import binascii
import gzip
import io
import zlib
from dataclasses import asdict, dataclass
from typing import Literal

from pydantic import BaseModel

from configs.errors import NodeError
from configs.manifest import BINARY_REPOSITORY, Manifest
from configs.plan.derived import registry_name, registry_url
from configs.plan.state import Binary
from configs.schema.cluster import Cluster
from tasks.kubernetes.e2e_results import Reported
from tasks.kubernetes.ginkgo import SECONDS, Facts, Selection, passes, registries
from tasks.node_agent.e2e import CUT, DIRECTORY, LOG
from tasks.secrets import hide
from tasks.ssh.connection import Connection
from tasks.ssh.program import program
from tasks.steps import step


@dataclass(frozen=True, slots=True)
class Ran:
    """What tests came to.

    Attributes:
        tests: What each said.
        log: What they printed, or the last 64 MiB of it, gzipped.
        late: Whether their time was up before all had ended.
    """

    tests: tuple[Reported, ...]
    log: bytes
    late: bool


class _Test(BaseModel):
    name: str
    outcome: Literal["passed", "failed", "skipped"]
    seconds: float
    message: str


class _Answer(BaseModel):
    """What came of them; or what was ``seen`` that kept them from being run."""

    tests: list[_Test] = []
    log: str = ""
    late: bool = False
    seen: str = ""
    todo: str = ""
    detail: str = ""
    transient: bool = False


def run(
    control_plane: Connection,
    cluster: Cluster,
    content: Manifest,
    ginkgo: int,
    selection: Selection,
    *,
    parallel: int,
    repeat: int,
    certificate: str,
) -> Ran:
    """Run tests and wait for their end.

    Args:
        control_plane: To the control plane.
        cluster: The topology.
        content: What the registry holds of the tests.
        ginkgo: The first number of the version of what runs them.
        selection: Which.
        parallel: How many at a time, of those that can bear others beside them.
        repeat: How often.
        certificate: Path there of what the registry has to show.

    Raises:
        NodeError: They could not be begun, did not end in their time, or the connection is gone.
    """
    binaries = _binaries(cluster, content, certificate)
    paths = {name: binary.path for name, binary in binaries.items()}
    place = content.images[0].name.partition("/")[0]
    facts = Facts(cluster.services.domain, len(cluster.worker_nodes) or 1)
    total = len(selection.names) * repeat
    commands = passes(paths, ginkgo, facts, selection, parallel, repeat)
    order = {
        "programs": [asdict(binary) for binary in binaries.values()],
        "passes": commands,
        "environment": {"KUBE_TEST_REPO_LIST": f"{DIRECTORY}/repositories.yaml"},
        "repositories": registries(f"{registry_name(cluster)}/{place}"),
        "own_networks": _own_networks(cluster),
        "stands_in": cluster.lab is not None,
        "chosen": selection.names,
        "repeat": repeat,
        "seconds": SECONDS,
    }
    with step(control_plane.node, "e2e") as shown:
        seconds = SECONDS * len(commands) + 600
        found: _Answer = control_plane.run_python(
            program("e2e"), order, step="e2e", timeout=seconds, kind=_Answer, progress=shown.progress
        )
        if found.seen:
            raise NodeError(
                control_plane.node,
                "e2e",
                hide(found.seen),
                todo=found.todo,
                detail=hide(found.detail),
                transient=found.transient,
            )
        failed = sum(test.outcome == "failed" for test in found.tests)
        late = ", their time was up" if found.late else ""
        shown.ended_as(f"{len(found.tests)} of {total} run, {failed} failed{late}")
    tests = tuple(Reported(**test.model_dump()) for test in found.tests)
    return Ran(tests, _log_of(control_plane.node, found), found.late)


def _log_of(node: str, found: _Answer) -> bytes:
    """The log, gzipped as it came, which is what it should be."""
    try:
        log = base64.b64decode(found.log, validate=True)
        with gzip.open(io.BytesIO(log)) as text:
            whole = len(text.read(LOG + len(CUT) + 1)) <= LOG + len(CUT)
    except (binascii.Error, OSError, EOFError, zlib.error):
        whole = False
    if not whole:
        raise NodeError(node, "e2e", "the log of the tests came damaged", todo="run them again")
    return log


def _binaries(cluster: Cluster, content: Manifest, certificate: str) -> dict[str, Binary]:
    place = f"{registry_url(cluster)}/v2/{BINARY_REPOSITORY}/blobs/sha256:"
    return {
        each.name: Binary(
            f"{DIRECTORY}/{each.sha256[:16]}/{each.name}", each.sha256, each.size, f"{place}{each.sha256}", certificate
        )
        for each in content.binaries
    }


def _own_networks(cluster: Cluster) -> list[str]:
    """What is asked as it is, whatever proxy the machine has."""
    networks = (cluster.fabric.subnet, cluster.pods.prefix, cluster.services.subnet, cluster.nat64.prefix)
    return [*map(str, networks), f".{cluster.services.domain}", *(node.name for node in cluster.nodes)]
