"""What a deploy is about."""

from __future__ import annotations

from dataclasses import dataclass

from configs.manifest import Manifest
from configs.schema.cluster import Cluster
from configs.schema.release import Release


@dataclass(frozen=True, slots=True)
class Job:
    """What is deployed: the topology, how the release wants to be configured, and what it holds."""

    cluster: Cluster
    release: Release
    manifest: Manifest
