"""Build a release from source into the store.

Makes a git repository of the source, picks the series of patches onto it, compiles it inside a container
and makes the images. What has been built already is taken as it is.

Examples:
  kubev6 build
  kubev6 build debian-1.20 --refresh compile
  kubev6 build v1.9.0-alpha.0.ipv6.0 --source upstream=/src/kubernetes --source leblancd=fork.bundle
"""

from __future__ import annotations

import argparse

from kubev6.cli import names
from kubev6.cli.command import add_mirror, add_refresh, add_showing, add_source, completed_by
from kubev6.console.standard_output import tell


def add(parser: argparse.ArgumentParser) -> None:
    """Add its arguments."""
    release = parser.add_argument(
        "release",
        nargs="?",
        default="debian-1.20",
        metavar="RELEASE",
        help="a release file or the name of a shipped one (%(default)s)",
    )
    completed_by(release, names.releases)
    add_source(parser)
    add_mirror(parser)
    add_refresh(parser)
    add_showing(parser)


def run(args: argparse.Namespace) -> int:
    """Build a release into the store."""
    from configs.schema.loading import load_release
    from flows import parameters
    from kubev6.cli.running import running
    from tasks.release.fetch import mirror
    from tasks.release.series import series_file

    release = load_release(args.release)
    if release.build is not None:
        series_file.load(release.build.series)
    mirror.chosen(args.mirror)
    sources = {remote: parameters.source(place) for remote, place in args.source}
    with running("build", args, about=release.name) as here:
        here.prefect.start()
        from flows.build import build as flow

        manifest = here.prefect.outcome(flow, args.release, sources, args.mirror, args.refresh)
    tell(f"{manifest.name}: {manifest.version} is in the store")
    here.prefect.check_told()
    return 0
