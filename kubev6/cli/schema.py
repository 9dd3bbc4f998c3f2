"""Print the JSON Schema of a cluster, release, series or profile file.

An editor that knows JSON Schema completes the keys of such a file, explains them, and marks what is wrong.
One that has yaml-language-server finds the schema by the first line of the file:
  # yaml-language-server: $schema=cluster.schema.json
Not all that is refused is told by a schema: `kubev6 render FILE` checks a whole cluster file.

Examples:
  kubev6 schema cluster > cluster.schema.json
  kubev6 schema release > release.schema.json
"""

from __future__ import annotations

import argparse
import json
from typing import Any

KINDS = ("cluster", "release", "series", "profile")
DIALECT = "https://json-schema.org/draft/2020-12/schema"


def add(parser: argparse.ArgumentParser) -> None:
    """Add its arguments."""
    parser.add_argument("kind", metavar="KIND", choices=KINDS, help=", ".join(KINDS))


def run(args: argparse.Namespace) -> int:
    """Print a JSON Schema."""
    print(json.dumps(schema(args.kind), indent=2, ensure_ascii=False))
    return 0


def schema(kind: str) -> dict[str, Any]:
    """The JSON Schema of a kind of file.

    Args:
        kind: One of :data:`KINDS`.
    """
    from pydantic import TypeAdapter

    wanted: TypeAdapter[Any]
    if kind == "cluster":
        from configs.schema.cluster import Cluster

        wanted = TypeAdapter(Cluster)
    elif kind == "release":
        from configs.schema.release import Release

        wanted = TypeAdapter(Release)
    elif kind == "profile":
        from configs.schema.e2e import Profile

        wanted = TypeAdapter(Profile)
    else:
        from tasks.release.series.series_file import WrittenSeries

        wanted = TypeAdapter(WrittenSeries)
    return {"$schema": DIALECT, **wanted.json_schema(), "title": f"kubev6 {kind} file"}
