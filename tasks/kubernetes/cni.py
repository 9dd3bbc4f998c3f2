"""A CNI that is not the bridge: its manifests, and what a node says of itself to it."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml

from configs.errors import ConfigError, NodeError
from configs.manifest import ImageEntry
from configs.plan.derived import registry_name
from configs.plan.versions import kubectl_applies_on_the_server
from configs.schema.cluster import Cluster
from configs.schema.field_types import image_reference
from configs.words import shortened
from tasks import bounded
from tasks.kubernetes.checks import Check
from tasks.kubernetes.kubeadm import KUBECTL, Listed
from tasks.kubernetes.readiness import condition, is_ready, name_of
from tasks.node.change import Change
from tasks.shell import quote
from tasks.ssh.connection import Connection
from tasks.steps import step

SUFFIXES = (".yaml", ".yml", ".json")
CONTAINERS = ("containers", "initContainers")
DEFINED_SECONDS = 60
"""Until the API server knows the kinds of objects that a manifest defines: a moment."""
SEEN = "{.kind}|{.metadata.namespace}|{.metadata.name}|{.metadata.generation}|{.metadata.resourceVersion}{'\\n'}"
"""What is asked of an object to see whether it has changed. A generation counts changes of what is wanted alone."""
NO_CNI = re.compile(r"cni (config|plugin)|network plugin|NetworkPluginNotReady", re.IGNORECASE)
"""In what a kubelet says of a node whose container runtime has no CNI configuration."""


def manifests(cluster: Cluster) -> str:
    """The manifests of a cluster's CNI as one text, read and checked.

    Args:
        cluster: The topology.

    Returns:
        YAML documents; empty without any.

    Raises:
        ConfigError: A file cannot be read, or does not hold Kubernetes' objects.
    """
    texts = []
    for path in _files(cluster):
        try:
            text = bounded.content(path).decode()
            objects = [each for each in yaml.load_all(text, Loader=yaml.BaseLoader) if each]
        except (OSError, ValueError) as error:
            raise _unreadable(path, getattr(error, "strerror", None) or str(error)) from None
        except (yaml.YAMLError, RecursionError) as error:
            raise _unreadable(path, " ".join(str(error).split())) from None
        if not objects:
            raise _unreadable(path, "it holds no object")
        for number, each in enumerate(objects, 1):
            if not isinstance(each, dict) or not {"apiVersion", "kind"} <= each.keys():
                raise _unreadable(path, f"document {number} has no apiVersion and kind, so it is no object")
        texts.append(text)
    return "\n---\n".join(texts)


def refuse_unreadable(cluster: Cluster) -> None:
    """See that the manifests of a cluster's CNI can be applied, as far as that can be told from here.

    Raises:
        ConfigError: As :func:`manifests` and :func:`images`.
    """
    images(manifests(cluster))


def images(text: str) -> tuple[str, ...]:
    """The images of the pods that manifests make, each with its tag. Pure.

    Raises:
        ConfigError: One has no tag, so nobody knows which it is.
    """
    found = dict.fromkeys(
        image for document in yaml.load_all(text, Loader=yaml.BaseLoader) for image in _images(document, set())
    )
    for image in found:
        try:
            image_reference(tagged(image))
        except ValueError as error:
            raise ConfigError(f"cni.manifests: the image {shortened(image, 100)!r} {error}") from None
    return tuple(found)


def tagged(image: str) -> str:
    """An image's name with its tag, without the digest that may follow: that is often of many platforms' images."""
    return image.partition("@")[0]


def with_images(text: str, references: Mapping[str, str]) -> str:
    """Manifests whose pods have their images from elsewhere. Pure.

    Only the images' names are written anew: what else a YAML document may say is read by kubectl alone.

    Args:
        text: The manifests.
        references: Where each image is, by its name in them.
    """
    for image, reference in references.items():
        written = re.compile(rf"""(\bimage["']?\s*:\s*["']?){re.escape(image)}(?=["'\s,}}]|$)""", re.MULTILINE)
        text = written.sub(lambda match, to=reference: match[1] + to, text)  # type: ignore[misc]
    return text


def entry(reference: str, image: ImageEntry) -> ImageEntry:
    """An image as the cluster's registry holds it: apart from Kubernetes' own, under its whole name. Pure."""
    repository = tagged(reference).rpartition(":")[0]
    return image.model_copy(update={"name": f"cni/{repository.replace(':', '_')}"})


def references(cluster: Cluster, held: Mapping[str, ImageEntry]) -> dict[str, str]:
    """Where the nodes find the images that the cluster's registry holds, by their names in the manifests. Pure."""
    registry = registry_name(cluster)
    return {name: f"{registry}/{entry(name, image).name}@{image.digest}" for name, image in held.items()}


def pod_subnets(cluster: Cluster, nodes: Sequence[Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    """The nodes that do not tell their pod subnet yet, each with what is to be merged into it. Pure.

    ``spec.podCIDR`` can be set once, while it is empty (the API server's own rule).

    Args:
        cluster: The topology.
        nodes: ``items`` of the node list.
    """
    subnets = {node.name: str(node.pod_subnet) for node in cluster.kubernetes_nodes if node.pod_subnet}
    for node in nodes:
        if (subnet := subnets.get(name_of(node))) and not node["spec"].get("podCIDR"):
            yield name_of(node), {"spec": {"podCIDR": subnet, "podCIDRs": [subnet]}}


def refuse_other_pod_subnets(cluster: Cluster, told: Iterable[tuple[str, str]]) -> None:
    """Refuse other pod subnets than nodes tell: they keep them, and the CNI goes by them. Pure.

    Args:
        cluster: The topology.
        told: What nodes of the cluster tell, by their names.

    Raises:
        NodeError: The file has another one for a node.
    """
    subnets = {node.name: str(node.pod_subnet) for node in cluster.kubernetes_nodes if node.pod_subnet}
    for name, subnet in told:
        if cluster.cni.by != "bridge" and subnets.get(name, subnet) != subnet:
            raise NodeError(
                name,
                "preflight",
                f"its pods have addresses of {subnet}, and by the file they would be of {subnets[name]}",
                todo="take that back, or `kubev6 reset` the cluster with its former file first; nothing was changed",
            )


def apply(connection: Connection, cluster: Cluster, text: str, version: str) -> tuple[Change, ...]:
    """Have every node tell its pod subnet, and apply the manifests.

    Args:
        connection: To a control plane.
        cluster: The topology.
        text: The manifests, with images where the nodes find them; empty when a person applies some.
        version: The version of Kubernetes.

    Returns:
        What was changed.

    Raises:
        NodeError: The API server does not answer, or refuses an object.
    """
    with step(cluster.name, "CNI") as shown:
        silent = dict(pod_subnets(cluster, _nodes(connection)))
        changes = [
            Change("node", name, "set", after=f"podCIDR {patch['spec']['podCIDR']}", node=cluster.name)
            for name, patch in silent.items()
        ]
        patch_node = [*KUBECTL.split(), "patch", "node"]
        commands = [
            f"{quote([*patch_node, name, '-p', json.dumps(patch)])} >/dev/null" for name, patch in silent.items()
        ]
        if commands:
            connection.run(" && ".join(commands), step="CNI", timeout=60 + len(commands))
        if text:
            said = connection.run(_script(version), step="CNI", stdin=text.encode(), timeout=DEFINED_SECONDS + 120)
            before, _, after = said.stdout.partition("=\n")
            changes += [
                Change("object", f"{kind} {name}", "apply", node=cluster.name)
                for kind, name in _changed(before.splitlines(), after.splitlines())
            ]
        shown.ended_as(f"{len(changes)} changed" if changes else "as it should be")
        return tuple(changes)


def waiting(connection: Connection, *, expected: bool) -> tuple[Check, ...]:
    """The nodes, when all of them wait for a CNI; none when one has it, as the others are to have it in a moment.

    Args:
        connection: To a control plane.
        expected: Whether that is well, as it is until somebody has had the time to apply one.

    Returns:
        A check for each, which warns or has failed.

    Raises:
        NodeError: The API server does not answer.
    """
    return waiting_nodes(_nodes(connection), expected=expected)


def waiting_nodes(nodes: Sequence[Any], *, expected: bool) -> tuple[Check, ...]:
    """The same of nodes as the API server tells them. Pure."""
    if not all(not is_ready(node) and NO_CNI.search(condition(node, "Ready").get("message", "")) for node in nodes):
        return ()
    seen = "waits for a CNI: apply yours, then `kubev6 verify`"
    return tuple(Check("CNI", "API", name_of(node), expected, seen, warns=expected) for node in nodes)


def _nodes(connection: Connection) -> Sequence[Any]:
    found: Listed = connection.run_json([*KUBECTL.split(), "get", "nodes", "-o", "json"], step="CNI", kind=Listed)
    return found.items


def _files(cluster: Cluster) -> Iterator[Path]:
    for path in map(Path, cluster.cni.manifests):
        if not path.is_dir():
            yield path
            continue
        try:
            inside = sorted(each for each in path.iterdir() if each.suffix in SUFFIXES)
        except OSError as error:
            raise _unreadable(path, error.strerror or str(error)) from None
        if not inside:
            raise _unreadable(path, f"the directory holds no file that ends in {', '.join(SUFFIXES)}")
        yield from inside


def _unreadable(path: Path, why: str) -> ConfigError:
    return ConfigError(f"cni.manifests: {path}: {shortened(why, 200)}", todo="name files of Kubernetes' objects")


def _images(value: object, seen: set[int]) -> Iterator[str]:
    """The images of all containers in a value. What several aliases name is looked at once."""
    if id(value) in seen:
        return
    seen.add(id(value))
    if isinstance(value, list):
        for each in value:
            yield from _images(each, seen)
    elif isinstance(value, dict):
        for key, each in value.items():
            if key in CONTAINERS and isinstance(each, list):
                yield from (c["image"] for c in each if isinstance(c, dict) and isinstance(c.get("image"), str))
            yield from _images(each, seen)


def _script(version: str) -> str:
    """Applies the objects of its input, and tells of each what it was, a line with ``=``, and what it is.

    A manifest may hold objects of a kind that it defines itself: these are tried again until the kind is known.
    """
    how = ["--server-side", "--force-conflicts", "--field-manager=kubev6"] * kubectl_applies_on_the_server(version)
    applied = quote([*KUBECTL.split(), "apply", *how, "-f", "-"])
    several = f"{{range .items[*]}}{SEEN}{{end}}"
    get = quote([*KUBECTL.split(), "get", "--ignore-not-found", "-f", "-", "-o", f"jsonpath={SEEN}{several}"])
    return (
        f'objects=$(cat); seen() {{ printf "%s\\n" "$objects" | {get} 2>/dev/null; }}; seen; echo =; '
        f"end=$(( $(date +%s) + {DEFINED_SECONDS} )); "
        f'until said=$(printf "%s\\n" "$objects" | {applied} 2>&1); do case $said in '
        '*"no matches for kind"*) [ $(date +%s) -lt $end ] && sleep 1 && continue ;; esac; '
        'printf "%s\\n" "$said" >&2; exit 1; done; seen'
    )


def _changed(before: Sequence[str], after: Sequence[str]) -> Iterator[tuple[str, str]]:
    """Kind and name of the objects that are not what they were."""

    def told(lines: Sequence[str]) -> dict[tuple[str, str, str], str]:
        found = {}
        for line in lines:
            kind, namespace, name, generation, version = line.split("|")
            if kind and kind != "List":
                found[kind, namespace, name] = generation or version
        return found

    were = told(before)
    for key, now in told(after).items():
        if were.get(key) != now:
            yield key[0], key[2]
