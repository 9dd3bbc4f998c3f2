"""What a worker loads in a test in place of the real entrypoints: the same flows, with what is slow fakes.

That is the machines, of a build the compilation, and of upstream's tests what they come to: sources and patches are
real. A tree with a file ``uncompilable`` does not compile.
"""

from __future__ import annotations

import gzip
import importlib
import json
from collections.abc import Callable, Mapping

from configs.errors import KubeV6Error
from configs.manifest import BinaryEntry, Manifest, SourceEntry
from configs.schema.cluster import Cluster
from configs.schema.e2e import Profile
from configs.schema.release import Release
from flows.backup import backup
from flows.deploy import deploy
from flows.e2e import Tested
from flows.nightly import nightly
from flows.steps.job import Job
from tasks.kubernetes.e2e_results import TestResult
from tasks.lab import lab
from tasks.lab.record import LabRecord
from tasks.paths import data_dir
from tasks.release import build, registry_tags
from tasks.release.compile import CompileError
from tasks.release.fetch.mirror import Mirror
from tasks.release.refresh import Refresh
from tasks.release.series import series, series_file, series_source
from tasks.release.store import Store
from tasks.ssh import pool
from tasks.ssh.endpoint import Endpoint
from tasks.steps import step
from tests.fakes import substitute_for_good
from tests.integration import fake_machines
from tests.integration.small_image import small_image

__all__ = ["backup", "deploy", "nightly"]


def built(
    release: Release,
    sources: Mapping[str, str],
    mirror: Mirror | None,
    refresh: Refresh,
    *,
    before_compiling: Callable[[str], object] = lambda _: None,
) -> Manifest:
    """A release whose only image is the tree that its series comes to."""
    assert mirror is None
    assert not refresh
    store = Store()
    assert release.build is not None
    patches = series_file.load(release.build.series)
    source = series_source.obtain(patches, sources=sources)
    picked = series.pick(patches, source)
    key = f"{picked.tree:0<64}"
    if build.file_in(source, picked.tree, "uncompilable"):
        before_compiling(key)
        with step("moving", "compile"):
            raise CompileError("compiling moving failed: proxy.go:7:2: undefined: x")
    sha256, size = store.add_stream([picked.tree.encode()])
    manifest = Manifest(
        name=release.name,
        version=f"v{release.kubernetes}+kubev6.{picked.series}.{picked.tree[:7]}",
        key=key,
        created="2026-01-01T00:00:00+00:00",
        source=SourceEntry(kind="built", origin="test", series=picked.series, patches=picked.patches),
        binaries=(BinaryEntry(name="kubelet", sha256=sha256, size=size),),
        images=(small_image(store, "kube-proxy", picked.tree[:7], picked.tree),),
    )
    store.write(manifest)
    return manifest


def tested(job: Job, profile: Profile, *_: object) -> tuple[Tested, bytes]:
    """What upstream's tests come to: what stands in a file, by their names; else all pass."""
    assert job.manifest.source.kind == "built"
    said = json.loads(outcomes.read_text()) if outcomes.exists() else {}
    names = [f"[sig-network] {profile.name} {number}" for number in (1, 2, 3)]
    return Tested(tuple(TestResult(name, said.get(name, "passed")) for name in names), (), ()), gzip.compress(b"log")


def lab_up(cluster: Cluster, release: Release | None = None) -> LabRecord:
    """The lab, which is down when a run begins."""
    up_now.add(cluster.name)
    return fake_up(cluster, release)


def machines(cluster: Cluster) -> dict[str, Endpoint]:
    """The machines of the lab, if that is up."""
    if cluster.name not in up_now:
        raise KubeV6Error(f"the lab {cluster.name!r} is not up")
    return fake(cluster)


behaviour = data_dir() / "machines"
fake_machines.behaviour = behaviour.read_text() if behaviour.exists() else "new"
fake_machines.install_fakes()
fake_up, up_now = lab.up, set[str]()
fake: Callable[[Cluster], dict[str, Endpoint]] = vars(pool)["machines"]
outcomes = data_dir() / "outcomes.json"
for flow in ("flows.deploy", "flows.nightly"):
    substitute_for_good(importlib.import_module(flow), "built", built)
substitute_for_good(importlib.import_module("flows.e2e"), "tested", tested)
substitute_for_good(pool, "machines", machines)
substitute_for_good(lab, "up", lab_up)
substitute_for_good(registry_tags, "is_newest", lambda *_: True)  # there is no support node
