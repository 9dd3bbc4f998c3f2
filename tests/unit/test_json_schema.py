"""The JSON Schema of the files that people write, as an editor uses it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from jsonschema import Draft202012Validator

from configs.schema import cluster, e2e, release
from configs.schema.docstrings import described
from configs.schema.field_types import Model
from configs.schema.loading import CONFIGS
from kubev6.cli import main
from kubev6.cli.schema import KINDS, schema
from tasks.release.series import series_file
from tests.unit.sample import GOOD
from tests.unit.test_schema import changed

SHIPPED = [
    *((path, "cluster") for path in sorted((CONFIGS / "clusters").glob("*.yaml"))),
    *((path, "release") for path in sorted((CONFIGS / "releases").glob("*.yaml"))),
    *((path, "profile") for path in sorted((CONFIGS / "e2e").glob("*.yaml"))),
    *((path, "series") for path in sorted(series_file.SERIES.glob("*.yaml"))),
]
RELEASE: dict[str, Any] = {"name": "mine", "kubernetes": "1.20.2", "build": {"series": "debian-1.20"}}
COMMIT = {"remote": "up", "commit": "0123abc"}
SERIES: dict[str, Any] = {"remotes": {"up": "https://example.org/demo"}, "base": COMMIT, "patches": [COMMIT]}
MODELS = [
    model
    for module in (cluster, e2e, release, series_file)
    for model in vars(module).values()
    if isinstance(model, type) and issubclass(model, Model) and model.__module__ == module.__name__
]


def errors(kind: str, data: object) -> list[str]:
    return [error.json_path for error in Draft202012Validator(schema(kind)).iter_errors(data)]


@pytest.mark.parametrize("kind", KINDS)
def test_the_command_prints_a_schema_that_says_what_it_is_of(kind: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["schema", kind]) == 0
    printed = json.loads(capsys.readouterr().out)
    Draft202012Validator.check_schema(printed)
    assert printed["title"] == f"kubev6 {kind} file"
    assert printed["$schema"] == Draft202012Validator.META_SCHEMA["$id"]


@pytest.mark.parametrize(("path", "kind"), SHIPPED, ids=lambda given: given.stem if isinstance(given, Path) else given)
def test_every_shipped_file_is_right_by_its_schema(path: Path, kind: str) -> None:
    assert errors(kind, yaml.safe_load(path.read_text())) == []


def test_what_the_tests_below_begin_with_is_right() -> None:
    assert (errors("cluster", GOOD), errors("release", RELEASE), errors("series", SERIES)) == ([], [], [])


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("name", "Rack_1"),
        ("fabric.subnet", "10.0.0.0/8"),
        ("fabric.subnet", "fd00::"),
        ("fabric.interface", "an interface with a long name"),
        ("fabric.mtu", 1279),
        ("fabric.speed", 1000),
        ("nat64.by", "tiaga"),
        ("registry", {"port": 65536}),
        ("verify.outside", "https://example.com/"),
        ("nodes.1.address", "192.0.2.1"),
        ("nodes.1.address", "fd00::100/64"),
        ("nodes.1.roles", []),
        ("nodes.1.roles", ["master"]),
        ("nodes.1.ssh", {"host": "kube-1", "password": "secret"}),
        ("dns64", {"exclude_any": "sometimes"}),
        ("workers", -1),
    ],
)
def test_a_wrong_cluster_file_is_wrong_by_its_schema(field: str, value: object) -> None:
    assert errors("cluster", changed(field, value)) != []


@pytest.mark.parametrize("missing", ["name", "release", "fabric", "pods", "services", "nat64", "verify", "nodes"])
def test_what_a_cluster_file_must_have_is_missed(missing: str) -> None:
    assert errors("cluster", {name: value for name, value in GOOD.items() if name != missing}) == ["$"]


@pytest.mark.parametrize(
    "wrong",
    [
        {"kubernetes": "newest"},
        {"runtime": "cri-o"},
        {"build": {"series": "debian-1.20", "toolchain": {"image": "golang"}}},
        {"build": None, "fetch": {"binaries": {}}},
        {"fetch": {"binaries": {"kubeadm": {"url": "ftp://example.org/kubeadm"}}}},
        {"fetch": {"binaries": {"kubeadm": {"url": "https://example.org/kubeadm", "sha256": "abc"}}}},
        {"cni": {"version": "1", "url": "https://example.org/cni.tgz"}},
        {"patches": []},
    ],
)
def test_a_wrong_release_file_is_wrong_by_its_schema(wrong: dict[str, Any]) -> None:
    assert errors("release", {**RELEASE, **wrong}) != []


def test_a_release_is_built_or_fetched() -> None:
    assert errors("release", {name: RELEASE[name] for name in ("name", "kubernetes")}) == ["$"]


@pytest.mark.parametrize(
    "wrong",
    [
        {"base": {"remote": "up", "commit": "HEAD"}},
        {"patches": [{"commit": "0123abc"}]},
        {"patches": [{"patch": "reflect2"}]},
        {"remotes": {"up": "-oProxyCommand=x"}},
        {"rewrites": [{"title": "One text", "paths": [], "replace": "a", "by": "b"}]},
        {"name": "a name is that of the file"},
    ],
)
def test_a_wrong_series_file_is_wrong_by_its_schema(wrong: dict[str, Any]) -> None:
    assert errors("series", {**SERIES, **wrong}) != []


def parts(node: object) -> Iterator[dict[str, Any]]:
    """Every schema inside a schema that has examples."""
    if isinstance(node, dict):
        if isinstance(node.get("examples"), list):
            yield node
        for each in node.values():
            yield from parts(each)
    elif isinstance(node, list):
        for each in node:
            yield from parts(each)


@pytest.mark.parametrize("kind", KINDS)
def test_every_example_is_right_where_it_stands(kind: str) -> None:
    whole = schema(kind)
    found = list(parts(whole))
    assert len(found) > 10
    for each in found:
        validator = Draft202012Validator({**each, "$defs": whole["$defs"]})
        assert [error.message for example in each["examples"] for error in validator.iter_errors(example)] == []


@pytest.mark.parametrize("model", MODELS, ids=lambda model: model.__name__)
def test_a_docstring_describes_every_field_and_nothing_else(model: type[Model]) -> None:
    text, fields = described(model)
    assert text
    assert set(fields) == set(model.model_fields)
    assert all(words.endswith(".") and "``" not in words for words in fields.values())
