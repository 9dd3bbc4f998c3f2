"""The pages about the files that people write, from their JSON Schema."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from configs.schema.loading import CONFIGS
from docs.generator import text
from kubev6.cli.schema import schema
from tasks.paths import RECIPES

FORMATS = {"ipv6": "IPv6 address", "ipv6network": "IPv6 prefix", "ipv4network": "IPv4 prefix"}
TYPES = {"string": "text", "boolean": "`true` or `false`", "array": "list", "object": "mapping"}


@dataclass(frozen=True, slots=True)
class Kind:
    """What a page says besides the keys.

    Attributes:
        intro: What such a file is for, and what reads it.
        directory: Where the shipped ones are.
        example: Name of the shipped one that the page shows whole.
    """

    intro: str
    directory: Path
    example: str


FILES = {
    "cluster": Kind(
        "A cluster file says which machines and networks a cluster has, and what is to run there. Every command that "
        "is about a cluster takes the path of such a file, or the name of a shipped one. `kubev6 render FILE` checks "
        "it without contacting a machine: an error names the file, the field, what stands there and what would be "
        "right.",
        CONFIGS / "clusters",
        "bare-metal",
    ),
    "release": Kind(
        "A release file says which Kubernetes it is, and what it is built from or where it is published. A cluster "
        "file names one in `release`, by its path or by the name of a shipped one; `kubev6 build` and `kubev6 fetch` "
        "take the same.",
        CONFIGS / "releases",
        "v1.34.2",
    ),
    "series": Kind(
        "A series file says which patches are picked, in which order, onto what. A release file names one in "
        "`build.series`, by its path or by the name of a shipped one; `kubev6 series` takes the same. The name of the "
        "file, without its suffix, is that of the series: at most 24 lower-case letters, digits, dots and dashes.",
        RECIPES / "series",
        "v1.9.0-alpha.0.ipv6.0",
    ),
    "profile": Kind(
        "A profile says which of upstream's tests `kubev6 e2e` runs, and which of them are known to fail and why. The "
        "command takes the path of such a file, or the name of a shipped one.",
        CONFIGS / "e2e",
        "network",
    ),
}
"""What each page is about."""


def page(kind: str) -> str:
    """The page about a kind of file.

    Args:
        kind: One of :data:`kubev6.cli.schema.KINDS`.
    """
    about, whole = FILES[kind], schema(kind)
    shipped = [f"`{path.stem}`: {_description(path)}." for path in sorted(about.directory.glob("*.yaml"))]
    roots = [_resolved(whole, each) for each in whole.get("anyOf", ()) if "$ref" in each] or [whole]
    told = _Sections(whole)
    sections = [block for root in roots for block in told.of(root, "The keys" if len(roots) == 1 else "")]
    example = (about.directory / f"{about.example}.yaml").read_text(encoding="utf-8")
    return text.page(
        f"# The {kind} file",
        text.paragraph(about.intro),
        "Shipped:",
        "\n".join(text.item(each) for each in shipped),
        text.paragraph(
            "An editor that has yaml-language-server completes, explains and checks such a file, when the file begins "
            "with the comment below and the schema is beside it."
        ),
        text.code(f"kubev6 schema {kind} > {kind}.schema.json", "sh"),
        text.code(f"# yaml-language-server: $schema={kind}.schema.json", "yaml"),
        *sections,
        f"## A whole file: `{about.example}`",
        text.code(example, "yaml"),
    )


def _description(path: Path) -> str:
    return str(yaml.safe_load(path.read_text(encoding="utf-8"))["description"])


def _resolved(whole: dict[str, Any], part: dict[str, Any]) -> dict[str, Any]:
    """What a reference is to."""
    name = part["$ref"].rpartition("/")[2]
    found: dict[str, Any] = whole["$defs"][name]
    return found


class _Sections:
    """The sections about mappings, each told where it is met first."""

    def __init__(self, whole: dict[str, Any]) -> None:
        self._whole = whole
        self._links: dict[str, str] = {}
        self._anchors: list[str] = []

    def of(self, root: dict[str, Any], title: str) -> list[str]:
        """The sections about a mapping and all mappings inside it: headings, paragraphs and lists.

        Args:
            root: Its schema.
            title: The heading of the first; its description when empty.
        """
        waiting = [("", root)]
        made: list[str] = []
        while waiting:
            path, mapping = waiting.pop(0)
            found = [(name, f"{path}.{name}".lstrip("."), about) for name, about in mapping["properties"].items()]
            inside = [each for _, below, about in found for each in self._inside(below, about)]
            heading = f"`{path}`" if path else title or mapping["description"].removesuffix(".")
            told = mapping["description"].split("\n\n") if path or title else []
            items = [self._item(name, about, name in mapping.get("required", ())) for name, _, about in found]
            made += [f"## {heading}", *map(text.paragraph, told), "\n".join(items) or "It has no keys."]
            waiting = [*inside, *waiting]
        return made

    def _inside(self, path: str, about: dict[str, Any]) -> list[tuple[str, dict[str, Any]]]:
        """The mappings inside a key that no section has told yet."""
        found = []
        for below, part in _parts(path, about):
            if "$ref" in part and part["$ref"] not in self._links:
                self._links[part["$ref"]] = f"[`{below}`](#{self._anchor(below)})"
                found.append((below, _resolved(self._whole, part)))
        return found

    def _anchor(self, place: str) -> str:
        """How GitHub and most others name the heading of a section; the second of a name gets a number."""
        name = "".join(each for each in place.lower() if each.isalnum() or each in "-_")
        self._anchors.append(name)
        before = self._anchors.count(name) - 1
        return f"{name}-{before}" if before else name

    def _item(self, name: str, about: dict[str, Any], required: bool) -> str:
        default = about.get("default")
        shown = "" if default in (None, "", []) or isinstance(default, dict) else f"default `{_yaml(default)}`"
        rule = "required" if required else shown or "optional"
        example = _example(about)
        told = f"**`{name}`** ({self._type(about)}; {rule}): {about['description']}"
        return text.item(told if example is None else f"{told} Example: `{name}: {_yaml(example)}`")

    def _type(self, about: dict[str, Any]) -> str:
        if "anyOf" in about:
            return ", or ".join(self._type(each) for each in about["anyOf"] if each != {"type": "null"})
        if "$ref" in about:
            return f"mapping {self._links[about['$ref']]}"
        if "enum" in about:
            return text.choice(about["enum"])
        if about["type"] == "array":
            return f"list of {self._type(about['items']).replace('mapping', 'mappings')}"
        if about["type"] == "object":
            (values,) = _values(about)
            return f"mapping of names to {self._type(values)}"
        if about["type"] == "integer":
            ends = [str(about[end]) for end in ("minimum", "maximum") if end in about]
            return "number" + (f" from {' to '.join(ends)}" if ends else "")
        return FORMATS.get(about.get("format", ""), TYPES[about["type"]])


def _parts(path: str, about: dict[str, Any]) -> list[tuple[str, dict[str, Any]]]:
    """A key's schema, and those inside it, each with the path of what it is about."""
    found = [(path, about)]
    found += [part for each in about.get("anyOf", ()) for part in _parts(path, each)]
    if "items" in about:
        found += _parts(f"{path}[]", about["items"])
    if about.get("type") == "object":
        found += [part for each in _values(about) for part in _parts(f"{path}.NAME", each)]
    return found


def _values(about: dict[str, Any]) -> list[dict[str, Any]]:
    """The schemas of the values of a mapping whose keys are names."""
    by_name = about.get("patternProperties") or {"": about["additionalProperties"]}
    return list(by_name.values())


def _example(about: dict[str, Any]) -> object:
    """What a key may hold; None where a section of its own or its default says it."""
    if "examples" in about:
        return about["examples"][0]
    if isinstance(about.get("default"), bool):
        return not about["default"]
    if "enum" in about:
        return next(each for each in about["enum"] if each != about.get("default"))
    if "items" in about:
        inner = _example(about["items"])
        return None if inner is None else [inner]
    inner = [found for each in about.get("anyOf", ()) if (found := _example(each)) is not None]
    return inner[0] if inner else None


def _yaml(value: object) -> str:
    """A value as it stands in a file, in one line."""
    written = yaml.safe_dump(value, default_flow_style=True, width=10**6, allow_unicode=True)
    return written.removesuffix("...\n").strip()
