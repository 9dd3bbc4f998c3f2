"""Builds that failed by themselves, so that a run that nobody looks at does not try the same one again every night.

Of each release on each cluster the last one is kept, with the run in which it failed. It is the same build as long as
nothing of it has changed: what decides its bytes, how the release wants to be configured, the cluster's file, kubev6.
What a machine, the way to it or a full disk is to blame for is no failure of a build (:mod:`tasks.kubernetes.judge`).
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from importlib.metadata import version

from pydantic import BaseModel, ConfigDict

from configs.errors import KubeV6Error
from configs.schema.cluster import Cluster
from configs.schema.release import Release
from tasks import bounded, deployed
from tasks.disk import writing_data
from tasks.kubernetes.judge import Tried, by_proof
from tasks.paths import cluster_dir, data_dir
from tasks.replace import write_whole


class FailedBuild(BaseModel):
    """A build that failed.

    Attributes:
        build: sha256 of all that makes it the same one.
        run: The name of the run in which it failed.
        seen: Why, in one line.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    build: str
    run: str
    seen: str


class Attempt:
    """What one run makes of a release, and whether that is what failed before.

    Args:
        release: The release, as its file says it.
        cluster: The cluster that it is deployed on; None for none.
        run: The name of the run.
        again: Try what failed before all the same.
    """

    def __init__(self, release: Release, cluster: Cluster | None, run: str, *, again: bool) -> None:
        self._cluster, self._run, self._again = cluster, run, again
        self._inputs = [release.model_dump(mode="json"), cluster and cluster.model_dump(mode="json"), version("kubev6")]
        place = cluster_dir(cluster.name) if cluster else data_dir() / "failed-builds"
        self._file = place / deployed.FAILED.format(release.name)
        self._build = ""

    def refuse_same(self, key: str) -> None:
        """Refuse to try again what failed before, and has not changed since.

        Args:
            key: Of the release that is about to be made or deployed; empty where it is not known yet.

        Raises:
            KubeV6Error: It would be tried again.
        """
        whole = json.dumps([key, self._inputs], sort_keys=True).encode()
        self._build = hashlib.sha256(whole).hexdigest() if key else ""
        runs = deployed.last(self._cluster) if self._cluster else None
        if self._again or (runs and runs.proved and runs.manifest.key == key):  # a person has brought it there since
            return
        before = bounded.kept(self._file, FailedBuild, "what failed before is tried again")
        if before and before.build == self._build:
            raise KubeV6Error(
                f"nothing has changed since run {before.run}, in which this build failed: {before.seen}",
                todo="mend what it is made of; or have it tried again as it is, by the parameter refresh: images",
            )

    @contextmanager
    def remembered(self) -> Iterator[None]:
        """Remember the build when it fails by itself in this context.

        Raises:
            KubeV6Error: What failed.
        """
        try:
            yield
        except KubeV6Error as error:
            cause = error.__cause__ if isinstance(error.__cause__, KubeV6Error) else error
            said = by_proof(Tried(errors=tuple(getattr(cause, "errors", (cause,)))))
            if self._build and said.verdict != "unknown":
                failed = FailedBuild(build=self._build, run=self._run, seen=said.seen)
                with suppress(KubeV6Error), writing_data():  # what has to be told is the failure
                    write_whole(self._file, failed.model_dump_json(indent=1) + "\n", mode=0o600)
            raise

    def succeeded(self) -> None:
        """Forget what failed before."""
        self._file.unlink(missing_ok=True)
