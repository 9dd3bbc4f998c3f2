"""List the releases known here and how each can be had, or write the file of another one.

Without an action, lists what the store holds, and what could be built or fetched into it. `new` writes the
release file of an upstream Kubernetes from the release's own tree: which etcd, CoreDNS and pause its kubeadm
asks for is written there. Without --from that is read where upstream publishes it. A checkout that has the
tag gives the release a `build` section and a series too.

Examples:
  kubev6 releases
  kubev6 releases new 1.34.5
  kubev6 releases new 1.34.5 --from /src/kubernetes --to configs/releases
"""

from __future__ import annotations

import argparse

from kubev6.console import standard_error
from kubev6.console.standard_output import tell


def add(parser: argparse.ArgumentParser) -> None:
    """Add its arguments."""
    parser.set_defaults(misfit=_misfit)
    parser.add_argument("action", nargs="?", choices=("new",), help="write the release file of a version")
    parser.add_argument("version", nargs="?", metavar="VERSION", help="with new: the version, such as 1.34.5")
    parser.add_argument(
        "--from",
        dest="source",
        metavar="PLACE",
        default="",
        help="with new: a tree of that version: a directory, a checkout, or an address (what upstream publishes)",
    )
    parser.add_argument(
        "--to",
        metavar="DIRECTORY",
        default="",
        help="with new: where the file goes, called after the version (the working directory)",
    )


def _misfit(args: argparse.Namespace) -> str:
    if args.action is None:
        return "--from and --to go with releases new" if args.source or args.to else ""
    return "" if args.version else "releases new wants a version, such as 1.34.5"


def run(args: argparse.Namespace) -> int:
    """List the releases known here, or write the file of another one."""
    return _new(args) if args.action else _list()


def _list() -> int:
    from tasks.release.choose import choices, how
    from tasks.release.store import Store

    store = Store()
    for manifest in store.list():
        programs = sum(each.size for each in (*manifest.binaries, *manifest.cni))
        size = (programs + sum(each.size for each in manifest.images)) / 1e6
        tell(f"{manifest.name}  {manifest.version}  {manifest.source.kind} {manifest.created}  {size:.0f} MB")
    listed = choices(store)
    for line in (*listed, *how(listed)):
        tell(str(line))
    return 0


def _new(args: argparse.Namespace) -> int:
    from pathlib import Path

    from configs.plan.versions import newer_than_rules
    from tasks.release import upstream
    from tasks.shell import quote

    written = upstream.write(args.version, args.source, Path(args.to or "."))
    found = written.constants
    go = f", Go {found.go}" if found.go else ""
    tell(f"{written.release}: etcd {found.etcd}, CoreDNS {found.coredns}, pause {found.pause}{go}")
    if written.series:
        tell(f"{written.series}: what it is built from")
    if said := newer_than_rules(args.version):
        standard_error.say(said, level="warning")
    fetch = quote(["kubev6", "fetch", str(written.release)])
    if written.series is None:
        tell(f"next: {fetch}")
        return 0
    here = Path(args.source or "")
    tree = ["--source", f"upstream={here.resolve()}"] if args.source and here.is_dir() else []
    build = quote(["kubev6", "build", str(written.release), *tree])
    tell(f"next: {fetch}, where its publisher is reachable, or {build}")
    return 0
