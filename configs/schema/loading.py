"""Reading cluster and release files.

That either gives a value that can be right, or one :class:`ConfigError` that names the file, the path of the field, the
value seen there and what would be right.
"""

from __future__ import annotations

from collections.abc import Iterable
from ipaddress import IPv6Address
from pathlib import Path
from typing import Any, Literal, TypeVar

import yaml
from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from configs.errors import ConfigError
from configs.logins import without_login
from configs.schema.cluster import Cluster, Node, pod_subnet
from configs.schema.release import Release
from configs.schema.topology import problems

CONFIGS = Path(__file__).resolve().parent.parent
M = TypeVar("M", bound=BaseModel)


def load_cluster(where: str | Path) -> Cluster:
    """Read and check a cluster file.

    Args:
        where: A path, or the bare name of a file shipped in ``configs/clusters``.

    Raises:
        ConfigError: The file cannot be read or cannot be right.
    """
    path = _find(where, "clusters")
    cluster = checked(path, Cluster, read_yaml(path))
    nodes = (*_with_pod_subnets(cluster, _all_nodes(cluster)),)
    cluster = cluster.model_copy(update={"nodes": nodes, "release": _beside(path, cluster.release)})
    if found := problems(cluster):
        raise ConfigError(f"{path}: " + "; ".join(found))
    return cluster


def load_release(where: str | Path) -> Release:
    """Read and check a release file.

    Args:
        where: A path, or the bare name of a file shipped in ``configs/releases``.

    Raises:
        ConfigError: The file cannot be read or cannot be right.
    """
    path = _find(where, "releases")
    release = checked(path, Release, read_yaml(path))
    if release.build is None and release.fetch is None:
        raise ConfigError(f"{path}: has neither build nor fetch", todo="say what to build it from or where to fetch it")
    if release.build is None:
        return release
    build = release.build.model_copy(update={"series": _beside(path, release.build.series)})
    return release.model_copy(update={"build": build})


def shipped(kind: Literal["clusters", "releases"]) -> tuple[str, ...]:
    """Names of the files shipped in ``configs/clusters`` or ``configs/releases``."""
    return tuple(sorted(path.stem for path in (CONFIGS / kind).glob("*.yaml")))


def is_path(where: str | Path) -> bool:
    """Whether this is the path of a file, and not the bare name of a shipped one."""
    path = Path(where)
    return path.suffix in (".yaml", ".yml") or len(path.parts) > 1


def _beside(path: Path, named: str) -> str:
    """What the file at ``path`` names, where that is a path: a relative one begins at the directory of the file."""
    return str(path.parent / named) if is_path(named) else named


def _find(where: str | Path, kind: Literal["clusters", "releases"]) -> Path:
    path = Path(where)
    if is_path(path):
        return path
    found = CONFIGS / kind / f"{where}.yaml"
    if not found.exists():
        known = ", ".join(shipped(kind))
        raise ConfigError(f"there is no {kind[:-1]} called {where}", todo=f"name a file, or one of: {known}")
    return found


def read_yaml(path: Path) -> Any:
    """What a YAML file says, whatever that is.

    Raises:
        ConfigError: It cannot be read, or is no YAML.
    """
    try:
        return yaml.safe_load(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise ConfigError(f"{path}: cannot be read: {error.strerror}", todo="check the path") from None
    except UnicodeDecodeError:
        raise ConfigError(f"{path}: is not text (UTF-8)", todo="a YAML file is wanted") from None
    except yaml.YAMLError as error:
        mark, problem = getattr(error, "problem_mark", None), getattr(error, "problem", None) or error
        seen = without_login(f"{f'line {mark.line + 1}: ' if mark else ''}{problem}".replace("\n", " "))
        raise ConfigError(f"{path}: is not YAML: {seen}", todo=f"mend {'that line' if mark else 'the file'}") from None


def checked(file: Path, model: type[M], data: Any, **more: object) -> M:
    """What a file says in its typed form.

    Args:
        file: The file, for errors.
        model: The form.
        data: What the file says.
        more: Fields that follow from elsewhere.

    Raises:
        ConfigError: It cannot be right.
    """
    if data is None:
        raise ConfigError(f"{file}: is empty", todo=f"start from a copy of one that is shipped, as in {CONFIGS}")
    if not isinstance(data, dict):
        raise ConfigError(f"{file}: holds a {type(data).__name__}", todo="a mapping with keys such as name: is wanted")
    try:
        return model.model_validate({**data, **more})
    except ValidationError as error:
        lines = [_explain(model, detail) for detail in error.errors()]
        raise ConfigError(f"{file}: " + "; ".join(lines)) from None


def _explain(model: type[BaseModel], detail: ErrorDetails) -> str:
    where = _field_path(detail["loc"])
    seen = without_login(repr(detail["input"]))
    if detail["type"] == "missing":
        return f"{where}: is missing"
    if detail["type"] == "extra_forbidden":
        return f"{where}: no such key; known here: {', '.join(_known_keys(model, detail['loc'][:-1]))}"
    if detail["type"] == "value_error":
        return f"{where}: {seen} {detail['ctx']['error']}"
    return f"{where}: {seen}: {detail['msg'][0].lower()}{detail['msg'][1:]}"


def _field_path(location: Iterable[str | int]) -> str:
    path = ""
    for part in location:
        path += f"[{part}]" if isinstance(part, int) else f".{part}" if path else str(part)
    return path


def _known_keys(model: type[BaseModel], location: Iterable[str | int]) -> list[str]:
    """The keys allowed at ``location``, found by walking the model's annotations."""
    current: Any = model
    for part in location:
        # A number is an item of a list; a name that is no field is a key of a mapping.
        if hasattr(current, "model_fields") and part in current.model_fields:
            current = _model_in(current.model_fields[part].annotation)
    # Not all fields: some follow from elsewhere, and have no place in its JSON Schema.
    return list(current.model_json_schema()["properties"]) if hasattr(current, "model_fields") else []


def _model_in(annotation: Any) -> Any:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    for inner in getattr(annotation, "__args__", ()):
        if (found := _model_in(inner)) is not None:
            return found
    return None


def _all_nodes(cluster: Cluster) -> tuple[Node, ...]:
    """The nodes listed, then ``kube-worker-1`` and so on, ``workers`` of them, at ``::101`` and following."""
    base = int(cluster.fabric.subnet.network_address) + 0x100
    generated = (
        Node.model_validate(
            {"name": f"kube-worker-{number}", "roles": ["worker"], "address": str(IPv6Address(base + number))}
        )
        for number in range(1, cluster.workers + 1)
    )
    return (*cluster.nodes, *generated)


def _with_pod_subnets(cluster: Cluster, nodes: Iterable[Node]) -> Iterable[Node]:
    for node in nodes:
        if node.in_kubernetes and node.pod_subnet is None and 16 <= cluster.pods.prefix.prefixlen <= 48:
            yield node.model_copy(update={"pod_subnet": pod_subnet(cluster.pods.prefix, node.address)})
        else:
            yield node
