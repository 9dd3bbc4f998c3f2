"""Fetch a prebuilt release into the store, or onto a stick.

Downloads the release's files and images; what broke off goes on where it ended, and what is in the store is
not fetched. Each file has to have its checksum: the one in the release file, the one that its publisher
gives, or else that of its first download. --to also writes it all as a directory that --mirror takes, for
a site that has no network.

Examples:
  kubev6 fetch v1.9.0-alpha.0.ipv6.0
  kubev6 fetch v1.9.0-alpha.0.ipv6.0 --to /media/usb
  kubev6 fetch v1.34.2 --refresh --mirror http://mirror.example/kubev6
"""

from __future__ import annotations

import argparse

from kubev6.cli import names
from kubev6.cli.command import add_mirror, add_showing, completed_by
from kubev6.console.standard_output import tell


def add(parser: argparse.ArgumentParser) -> None:
    """Add its arguments."""
    release = parser.add_argument("release", metavar="RELEASE", help="a release file or the name of a shipped one")
    completed_by(release, names.releases)
    add_mirror(parser)
    parser.add_argument(
        "--refresh",
        action="store_true",
        help="fetch also what is in the store; what comes has to have the same checksums as what is there",
    )
    parser.add_argument("--to", metavar="DIRECTORY", help="also write the release as a mirror, with its SHA256SUMS")
    add_showing(parser)


def run(args: argparse.Namespace) -> int:
    """Fetch a release into the store, and onto a stick."""
    from pathlib import Path

    from configs.schema.loading import load_release
    from kubev6.cli.running import running
    from tasks.release.fetch import mirror, mirror_directory

    release = load_release(args.release)
    mirror.chosen(args.mirror)
    if args.to:
        mirror_directory.provide(Path(args.to))
    with running("fetch", args, about=release.name) as here:
        here.prefect.start()
        from flows.fetch import fetch as flow

        manifest = here.prefect.outcome(flow, args.release, args.mirror, args.to or "", args.refresh)
    rows = [(binary.name, binary.size, binary.checked) for binary in manifest.binaries]
    rows += [(f"{plugin.name} (CNI {manifest.cni_version})", plugin.size, plugin.checked) for plugin in manifest.cni]
    rows += [(f"{image.name}:{image.tag}", image.size, image.checked) for image in manifest.images]
    for name, size, checked in rows:
        tell(f"{name:<50}  {size / 1e6:>6.1f} MB  {checked}")
    also = f", and a mirror of it is in {args.to}" if args.to else ""
    tell(f"{manifest.name}: {manifest.version} is in the store{also}")
    here.prefect.check_told()
    return 0
