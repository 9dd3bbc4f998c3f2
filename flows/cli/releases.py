"""The commands that make releases, or get them."""

from __future__ import annotations

import argparse

from configs.logins import holds_secret, without_login
from flows.cli import names
from flows.cli.command import Commands, add_json, add_mirror, add_refresh, add_showing, command, completed_by
from tasks.series.git_remote import WANTS_NO_LOGIN


def add(commands: Commands[argparse.ArgumentParser]) -> None:
    """Add them."""
    _add_build(commands)
    _add_fetch(commands)
    _add_releases(commands)
    _add_series(commands)


def _add_build(commands: Commands[argparse.ArgumentParser]) -> None:
    build = command(
        commands,
        "build",
        "build a release from source into the store",
        "Makes a git repository of the source, picks the series of patches onto it, compiles it inside a container\n"
        "and makes the images. What has been built already is taken as it is.",
        [
            "kubev6 build",
            "kubev6 build debian-1.20 --refresh compile",
            "kubev6 build v1.9.0-alpha.0.ipv6.0 --source upstream=/src/kubernetes --source leblancd=fork.bundle",
        ],
    )
    release = build.add_argument(
        "release",
        nargs="?",
        default="debian-1.20",
        metavar="RELEASE",
        help="a release file or the name of a shipped one (%(default)s)",
    )
    completed_by(release, names.releases)
    _add_source(build)
    add_mirror(build)
    add_refresh(build)
    add_showing(build)


def _add_fetch(commands: Commands[argparse.ArgumentParser]) -> None:
    fetch = command(
        commands,
        "fetch",
        "fetch a prebuilt release into the store, or onto a stick",
        "Downloads the release's files and images; what broke off goes on where it ended, and what is in the store is\n"
        "not fetched. Each file has to have its checksum: the one in the release file, the one that its publisher\n"
        "gives, or else that of its first download. --to also writes it all as a directory that --mirror takes, for\n"
        "a site that has no network.",
        [
            "kubev6 fetch v1.9.0-alpha.0.ipv6.0",
            "kubev6 fetch v1.9.0-alpha.0.ipv6.0 --to /media/usb",
            "kubev6 fetch v1.34.2 --refresh --mirror http://mirror.example/kubev6",
        ],
    )
    release = fetch.add_argument("release", metavar="RELEASE", help="a release file or the name of a shipped one")
    completed_by(release, names.releases)
    add_mirror(fetch)
    fetch.add_argument(
        "--refresh",
        action="store_true",
        help="fetch also what is in the store; what comes has to have the same checksums as what is there",
    )
    fetch.add_argument("--to", metavar="DIRECTORY", help="also write the release as a mirror, with its SHA256SUMS")
    add_showing(fetch)


def _add_releases(commands: Commands[argparse.ArgumentParser]) -> None:
    command(
        commands,
        "releases",
        "list the releases known here and how each can be had",
        "Lists what the store holds, and what could be built or fetched into it.",
        ["kubev6 releases"],
    )


def _add_series(commands: Commands[argparse.ArgumentParser]) -> None:
    series = command(
        commands,
        "series",
        "a series of patches: apply, status",
        "`apply` picks the patches onto their base, without building anything, and prints what became of each and\n"
        "the ids of the result, which are the same every time and everywhere. `status` tries them on a newer base:\n"
        "it goes on behind a patch that conflicts, on top of those that applied. A patch whose change the base holds\n"
        "already is dropped, and that is no failure. Both exit with 1 when a patch conflicts; `apply` then leaves\n"
        "nothing behind.",
        [
            "kubev6 series apply v1.9.0-alpha.0.ipv6.0",
            "kubev6 series apply v1.9.0-alpha.0.ipv6.0 --source upstream=/src/kubernetes --source leblancd=fork.bundle",
            "kubev6 series status v1.9.0-alpha.0.ipv6.0 --onto release-1.9",
        ],
        misfit=lambda args: "--onto goes with series status" if args.onto and args.action != "status" else "",
    )
    series.add_argument("action", choices=("apply", "status"), help="what to do")
    named = series.add_argument("name", metavar="SERIES", help="a series file or the name of a shipped one")
    completed_by(named, names.series)
    _add_source(series)
    series.add_argument(
        "--onto",
        metavar="REF",
        help="with status: the other base, a commit id or a ref of the base's remote (its HEAD)",
    )
    add_json(series)
    add_showing(series)


def _add_source(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--source",
        action="append",
        default=[],
        type=_source,
        metavar="REMOTE=PLACE",
        help="take what the series' REMOTE has from PLACE: a URL, a directory or a bundle; may be repeated",
    )


def _source(given: str) -> tuple[str, str]:
    """The two sides of ``REMOTE=PLACE``."""
    if holds_secret(given):
        raise argparse.ArgumentTypeError(f"{without_login(given)} is given with a login; {WANTS_NO_LOGIN}")
    remote, _, place = given.partition("=")
    if not remote or not place:
        raise argparse.ArgumentTypeError(f"{given!r} is not of the form REMOTE=PLACE")
    return remote, place
