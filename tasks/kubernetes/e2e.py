"""Upstream's tests against a cluster: run on its control plane, from where they reach every address of it."""

from __future__ import annotations

import base64
import binascii
import gzip
import zlib
from dataclasses import asdict, dataclass
from typing import Literal

import yaml
from pydantic import BaseModel

from configs.errors import NodeError
from configs.manifest import BINARY_REPOSITORY, Manifest
from configs.plan.derived import registry_name, registry_url
from configs.plan.state import Binary
from configs.schema.cluster import Cluster
from tasks.kubernetes.e2e_results import Reported
from tasks.kubernetes.ginkgo import SECONDS, Facts, Selection, passes
from tasks.node_agent.e2e import DIRECTORY
from tasks.ssh.connection import Connection
from tasks.ssh.program import program
from tasks.steps import step

REGISTRIES = (
    "buildImageRegistry",
    "cloudProviderGcpRegistry",
    "dockerGluster",
    "dockerLibraryRegistry",
    "e2eRegistry",
    "e2eVolumeRegistry",
    "gcEtcdRegistry",
    "gcRegistry",
    "gcrReleaseRegistry",
    "promoterE2eRegistry",
    "sampleRegistry",
    "sigStorageRegistry",
)
"""What upstream's list of registries calls those whose images the cluster's own holds (test/utils/image/manifest.go).

Each version reads those that it knows.
"""


@dataclass(frozen=True, slots=True)
class Ran:
    """What tests came to.

    Attributes:
        tests: What each said.
        log: All that they printed, gzipped.
    """

    tests: tuple[Reported, ...]
    log: bytes


class _Test(BaseModel):
    name: str
    outcome: Literal["passed", "failed", "skipped"]
    seconds: float
    message: str


class _Answer(BaseModel):
    tests: list[_Test]
    log: str


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
    place = content.images[0].name.rpartition("/")[0]
    facts = Facts(cluster.services.domain, len(cluster.worker_nodes) or 1)
    total = len(selection.names) * repeat
    order = {
        "programs": [asdict(binary) for binary in binaries.values()],
        "passes": passes(paths, ginkgo, facts, selection, parallel, repeat),
        "environment": {"KUBE_TEST_REPO_LIST": f"{DIRECTORY}/repositories.yaml"},
        "repositories": yaml.safe_dump(dict.fromkeys(REGISTRIES, f"{registry_name(cluster)}/{place}")),
        "stands_in_but_for": _own_networks(cluster) if cluster.lab else None,
        "chosen": selection.names,
        "repeat": repeat,
        "seconds": SECONDS,
    }
    with step(control_plane.node, "e2e") as shown:
        found: _Answer = control_plane.run_python(
            program("e2e"), order, step="e2e", timeout=SECONDS + 600, kind=_Answer, progress=shown.progress
        )
        failed = sum(test.outcome == "failed" for test in found.tests)
        shown.ended_as(f"{len(found.tests)} of {total} run, {failed} failed")
    try:
        log = base64.b64decode(found.log, validate=True)
        gzip.decompress(log)
    except (binascii.Error, OSError, EOFError, zlib.error):
        raise NodeError(control_plane.node, "e2e", "the log of the tests came damaged") from None
    return Ran(tuple(Reported(**test.model_dump()) for test in found.tests), log)


def _binaries(cluster: Cluster, content: Manifest, certificate: str) -> dict[str, Binary]:
    place = f"{registry_url(cluster)}/v2/{BINARY_REPOSITORY}/blobs/sha256:"
    return {
        each.name: Binary(
            f"{DIRECTORY}/{each.sha256[:16]}/{each.name}", each.sha256, each.size, f"{place}{each.sha256}", certificate
        )
        for each in content.binaries
    }


def _own_networks(cluster: Cluster) -> list[str]:
    """What is asked as it is while something stands in for the internet."""
    networks = (cluster.fabric.subnet, cluster.pods.prefix, cluster.services.subnet, cluster.nat64.prefix)
    return [*map(str, networks), f".{cluster.services.domain}", *(node.name for node in cluster.nodes)]
