"""What differs in the release, its images, and the cluster. Pure."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from flows.run.record import ImageOfRun, NodeOfRun, ReleaseOfRun, SeriesOfRun, Topology


@dataclass(frozen=True, slots=True)
class Difference:
    """Something that is another in the second run; empty where a run has none."""

    name: str
    first: str
    second: str


@dataclass(frozen=True, slots=True)
class ImagePair:
    """An image with other bytes: every ``TAG@DIGEST`` under which each run put it into a registry."""

    name: str
    first: tuple[str, ...]
    second: tuple[str, ...]


def compare_releases(first: ReleaseOfRun, second: ReleaseOfRun) -> tuple[Difference, ...]:
    """What differs between two releases.

    Args:
        first: The first run's.
        second: The second run's.
    """
    return _differences(_of_release(first), _of_release(second))


def compare_series(first: SeriesOfRun, second: SeriesOfRun) -> tuple[Difference, ...]:
    """What differs between two series as wholes.

    Args:
        first: The first run's.
        second: The second run's.
    """
    return _differences(_of_series(first), _of_series(second))


def compare_topologies(first: Topology, second: Topology) -> tuple[Difference, ...]:
    """What differs between two clusters, without their machines.

    Args:
        first: The first run's.
        second: The second run's.
    """
    return _differences(_of_topology(first), _of_topology(second))


def compare_nodes(first: Topology, second: Topology) -> tuple[Difference, ...]:
    """The machines that came, went, or are something else.

    Args:
        first: The first run's.
        second: The second run's.
    """
    before, after = ({node.name: _words(node) for node in topology.nodes} for topology in (first, second))
    return _differences(before, after)


def compare_images(first: Iterable[ImageOfRun], second: Iterable[ImageOfRun]) -> tuple[ImagePair, ...]:
    """The images whose bytes differ, whatever registry and tag they are under.

    Args:
        first: The first run's.
        second: The second run's.
    """
    before, after = _references(first), _references(second)
    return tuple(
        ImagePair(name, tuple(before.get(name, {}).values()), tuple(after.get(name, {}).values()))
        for name in {**before, **after}
        if before.get(name, {}).keys() != after.get(name, {}).keys()
    )


def _differences(first: Mapping[str, str], second: Mapping[str, str]) -> tuple[Difference, ...]:
    pairs = ((name, first.get(name, ""), second.get(name, "")) for name in {**first, **second})
    return tuple(Difference(name, was, now) for name, was, now in pairs if was != now)


def _of_release(release: ReleaseOfRun) -> dict[str, str]:
    return {
        "release": release.name,
        "version": release.version,
        "kind": release.kind,
        "origin": release.origin,
        "toolchain": release.toolchain,
        "stand-ins": ", ".join(f"{name} for {real}" for name, real in sorted(release.stand_ins.items())),
    }


def _of_series(series: SeriesOfRun) -> dict[str, str]:
    return {"series": series.name, "base": series.base, "commit": series.commit, "tree": series.tree}


def _of_topology(topology: Topology) -> dict[str, str]:
    nat64, dns64 = topology.nat64, topology.dns64
    return {
        "cluster": topology.name,
        "fabric": f"{topology.fabric.subnet} on {topology.fabric.interface}",
        "Services": f"{topology.services.subnet}, {topology.services.domain}",
        "NAT64": ", ".join(filter(None, (nat64.prefix, nat64.by, nat64.address))),
        "DNS64": ", ".join(filter(None, (dns64.by, dns64.address))),
        "lab": ", ".join(f"{key} {value}" for key, value in (topology.lab or {}).items() if value is not None),
    }


def _words(node: NodeOfRun) -> str:
    pods = (f"pods {node.pod_subnet}",) if node.pod_subnet else ()
    return ", ".join((*node.roles, node.address, *pods))


def _references(images: Iterable[ImageOfRun]) -> dict[str, dict[str, str]]:
    """Of each image its digests, each with the first reference that has it."""
    found: dict[str, dict[str, str]] = defaultdict(dict)
    for image in images:
        found[image.name].setdefault(image.digest, f"{image.tag}@{image.digest}")
    return found
