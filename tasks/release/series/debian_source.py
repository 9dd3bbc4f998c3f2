"""A Debian source package as a git repository.

The base commit is the upstream tree. The branch ``patches`` holds Debian's own series on top of it, then our overlay
(``build/overlay/<package>.yaml`` and the patch files in ``build/overlay/<package>/``), one commit each. Authors, dates
and messages come from the patches and the changelog, never from the machine, so the same package gives the same
commit ids everywhere.
"""

from __future__ import annotations

import hashlib
import json
import logging
import os
import re
import shutil
import tempfile
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path

import git

from configs.errors import KubeV6Error
from configs.schema.field_types import Model
from configs.schema.reading import read_yaml, validated
from tasks import bounded
from tasks.docker import toolchain
from tasks.docker.toolchain import Toolchain
from tasks.exclusive import exclusive
from tasks.paths import RECIPES, cache_dir
from tasks.release.series.patch_header import read_header, text_of
from tasks.release.series.repository import COMMITTER, commit_all, commit_index, create_repository, kind_of
from tasks.release.series.source import Source
from tasks.replace import replace_directory
from tasks.steps import Step, step

log = logging.getLogger("kubev6.series")
OVERLAY = RECIPES / "overlay"
PATCH_BRANCH = "patches"
TRAILER = "Patch-Name"
"""Trailer of a commit on the patch branch that holds the patch's name."""

_INPUTS = "kubev6.json"


@dataclass(frozen=True, slots=True)
class _Inputs:
    """What a repository was made from, as it is written down in it."""

    version: str
    base: str
    timestamp: int
    overlay: str


class Overlay(Model):
    """A directory of the tree that is replaced by what a Debian package of the toolchain holds.

    Attributes:
        name: Name by which a series refers to it.
        title: First line of the commit message.
        reason: Why, for the commit message.
        package: The Debian package, part of the toolchain image.
        path: The package's directory.
        into: The directory of the tree that is replaced.
        keep: Names in there that stay.
    """

    name: str
    title: str
    reason: str
    package: str
    path: str
    into: str
    keep: tuple[str, ...] = ()


def find(package: str, version: str | None) -> Source | None:
    """The repository of a source package that was made before, without Docker or the network.

    Args:
        package: Source package name.
        version: Exact Debian version; the one made last when None.

    Returns:
        The source, or None when it is not there, or when our overlay has changed since.
    """
    pattern = f"{package}-{version}" if version else f"{package}-[0-9]*"
    found = sorted(_sources().glob(pattern), key=lambda path: path.stat().st_mtime, reverse=True)
    for path in found:
        kept = bounded.kept(path / ".git" / _INPUTS, _Inputs, "the repository is made again")
        if kept is None or kept.overlay != _overlay_digest(package):
            continue
        found_here = _source(package, kept.version, path, kept.base, kept.timestamp)
        if _has_its_commits(found_here):
            return found_here
        log.warning("the repository %s has lost commits; it is made again", path)
    return None


def _has_its_commits(source: Source) -> bool:
    try:
        repo = source.open()
        return all(kind_of(repo, f"{each}^{{tree}}") == "tree" for each in (source.base, PATCH_BRANCH))
    except (git.GitError, OSError):
        return False


def obtain(package: str, version: str | None = None, *, force: bool = False) -> Source:
    """The repository of a source package, made from the archive when it is not there yet.

    Args:
        package: Source package name.
        version: Exact Debian version; when None what is unpacked here already, else what the archive offers.
        force: Get it from the archive although it is here.

    Raises:
        KubeV6Error: The archive cannot be reached or does not have it, or a patch of it does not apply.
        ConfigError: The overlay's description cannot be right.
    """
    overlays = read_overlays(package)
    with exclusive(_sources() / f".{package}.lock"):
        known = None if force else find(package, version)
        if known is not None:
            return known
        tools = toolchain.ready()
        with step("build", "source") as shown:
            source = _make(package, version, overlays, tools, shown)
            shown.ended_as(f"{package} {source.version}, base {source.base[:7]}")
        return source


def read_overlays(package: str) -> tuple[Overlay, ...]:
    """Our overlays for a source package; none when ``build/overlay`` has no file for it.

    Raises:
        ConfigError: The file cannot be right; names file and field.
    """
    path = OVERLAY / f"{package}.yaml"
    return validated(path, tuple[Overlay, ...], read_yaml(path)) if path.exists() else ()


def own_patches(package: str) -> tuple[Path, ...]:
    """Our own patch files for a source package, in the order of their names."""
    return tuple(sorted((OVERLAY / package).glob("*.patch")))


def _make(package: str, version: str | None, overlays: tuple[Overlay, ...], tools: Toolchain, shown: Step) -> Source:
    for left_behind in _sources().glob(f".unpacked-{package}-*"):
        shutil.rmtree(left_behind)
    with tempfile.TemporaryDirectory(prefix=f".unpacked-{package}-", dir=_sources()) as made:
        unpacked = Path(made)
        shown.progress(f"downloading {package}")
        wanted = f"{package}={version}" if version else package
        _download(wanted, unpacked, overlays, tools)
        version = (unpacked / "version").read_text().strip()
        timestamp = int((unpacked / "timestamp").read_text())
        tree = unpacked / "tree"
        debian = unpacked / "debian"
        (tree / "debian").rename(debian)
        shown.progress("writing the base commit")
        repo = create_repository(tree, committed=timestamp)
        base = commit_all(
            repo,
            f"{package}: upstream tree\n\nAs in Debian's source package {package} {version}.\n",
            author=COMMITTER,
            date=f"{timestamp} +0000",
        )
        repo.git.branch(PATCH_BRANCH)
        repo.git.symbolic_ref("HEAD", f"refs/heads/{PATCH_BRANCH}")
        for name in _series(debian / "patches" / "series"):
            shown.progress(f"patch {name}")
            _commit_patch(repo, debian / "patches" / name, name, timestamp)
        for overlay in overlays:
            shown.progress(f"overlay {overlay.name}")
            files = unpacked / "overlay" / overlay.name
            _commit_overlay(repo, tree, overlay, files, tools.version_of(overlay.package), timestamp)
        for patch in own_patches(package):
            shown.progress(f"patch {patch.name}")
            _commit_patch(repo, patch, patch.name, timestamp)
        repo.git.checkout("--quiet", "--detach", base)
        inputs = _Inputs(version, base, timestamp, _overlay_digest(package))
        (tree / ".git" / _INPUTS).write_text(json.dumps(asdict(inputs)))
        repo.close()
        place = _sources() / f"{package}-{version}"
        with exclusive(place.with_name(f".{place.name}.lock"), what="source"):
            replace_directory(tree, place)
    return _source(package, version, place, base, timestamp)


def _source(package: str, version: str, place: Path, base: str, timestamp: int) -> Source:
    return Source(package, version, f"Debian source package {package} {version}", place, base, timestamp)


def _download(wanted: str, into: Path, overlays: tuple[Overlay, ...], tools: Toolchain) -> None:
    owner = f"{os.getuid()}:{os.getgid()}"
    copies = [f"{overlay.name}={overlay.path}" for overlay in overlays]
    lines: list[str] = []
    try:
        toolchain.run(
            tools.image,
            ["download-source", owner, wanted, *copies],
            name="source download",
            mounts={into: "/out"},
            network=True,
            deadline=900,
            on_line=lines.append,
        )
    except KubeV6Error as error:
        said = [line for line in lines if line.startswith(("E:", "W:", "Err:"))]
        raise KubeV6Error(
            f"the source package {wanted} could not be had from the Debian archive: "
            f"{said[-1] if said else error.message}",
            todo="check that the machine's package mirror answers and carries source packages",
            transient=any("Could not connect" in line or "Temporary failure" in line for line in said),
            detail=error.detail,
        ) from None


def _series(path: Path) -> Iterator[str]:
    if not path.exists():
        return
    for line in path.read_text().splitlines():
        name = line.split("#", 1)[0].split()
        if name:
            yield name[0]


def _commit_patch(repo: git.Repo, patch: Path, name: str, timestamp: int) -> None:
    try:
        header = read_header(text_of(bounded.content(patch)), name=name)
    except (OSError, bounded.TooMuchError) as error:
        seen = f"{patch}: cannot be read: {bounded.reason(error)}"
        raise KubeV6Error(seen, todo="mend it, or take it out of the series") from None
    try:
        repo.git.apply("--index", "--allow-empty", "--whitespace=nowarn", "-p1", str(patch))
    except git.GitCommandError as error:
        said = re.findall(r"error: ([^'\n]+)", str(error.stderr))
        raise KubeV6Error(
            f"{patch}: does not apply on top of the patches before it: {'; '.join(said)}",
            todo="make it again against the patch branch",
            detail=str(error.stderr),
        ) from None
    if not repo.git.diff("--cached", "--name-only"):
        return  # some packages keep the empty file of a patch that went upstream
    date = header.date or datetime.fromtimestamp(timestamp, UTC)
    message = "\n\n".join(part for part in (header.title, header.body, f"{TRAILER}: {name}") if part)
    commit_index(repo, message + "\n", author=header.author, date=date.strftime("%Y-%m-%dT%H:%M:%S%z"))


def _commit_overlay(repo: git.Repo, tree: Path, overlay: Overlay, files: Path, version: str, timestamp: int) -> None:
    target = tree / overlay.into
    for path in target.iterdir() if target.is_dir() else ():
        if path.name not in overlay.keep:
            shutil.rmtree(path) if path.is_dir() else path.unlink()
    shutil.copytree(files, target, dirs_exist_ok=True, symlinks=True)
    repo.git.add("--all", "--force", overlay.into)
    message = (
        f"{overlay.title}\n\n{overlay.reason.strip()}\n\n"
        f"From Debian's package {overlay.package} {version}.\n\n{TRAILER}: {overlay.name}\n"
    )
    commit_index(repo, message, author=COMMITTER, date=f"{timestamp} +0000")


def _overlay_digest(package: str) -> str:
    digest = hashlib.sha256()
    for path in (OVERLAY / f"{package}.yaml", *own_patches(package)):
        if path.exists():
            digest.update(f"{path.name}\0{hashlib.sha256(path.read_bytes()).hexdigest()}\n".encode())
    return digest.hexdigest()


def _sources() -> Path:
    return cache_dir() / "source"
