"""Take an image from an archive into the store, for a site whose registries cannot be reached.

`import` reads what `docker save` or `skopeo copy docker://... docker-archive:...` write: one image. Builds and
downloads that want its reference find it from then on, as if it had been fetched. A release that was built
with a stand-in for CoreDNS takes the real one when its images are made again.

Examples:
  kubev6 images import coredns.tar --as coredns/coredns:1.7.0
  kubev6 images import etcd.tar
"""

from __future__ import annotations

import argparse

from kubev6.console.standard_output import tell


def add(parser: argparse.ArgumentParser) -> None:
    """Add its arguments."""
    parser.add_argument("action", choices=("import",), help="take an image into the store")
    parser.add_argument("file", metavar="FILE", help="the archive")
    parser.add_argument(
        "--as",
        dest="reference",
        type=_reference,
        action="append",
        default=[],
        metavar="REFERENCE",
        help="what the image is called, with its tag (what the archive says); may be repeated",
    )


def _reference(given: str) -> str:
    """An image reference with a tag."""
    from configs.schema.field_types import image_reference

    try:
        return image_reference(given)
    except ValueError as error:
        raise argparse.ArgumentTypeError(f"{given!r} {error}") from None


def run(args: argparse.Namespace) -> int:
    """Take an image into the store."""
    from pathlib import Path

    from tasks.release.fetch.import_image import import_image
    from tasks.release.store import Store

    for reference in import_image(Path(args.file), Store(), args.reference):
        tell(f"{reference} is in the store")
    return 0
