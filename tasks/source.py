"""A Debian source package as a git repository.

The base commit is the upstream tree. The branch ``patches`` holds Debian's own series on top of it, then our overlay
(``build/overlay/<package>.yaml`` and the patch files in ``build/overlay/<package>/``), one commit each. Authors, dates
and messages come from the patches and the changelog, never from the machine, so the same package gives the same
commit ids everywhere.
"""

from __future__ import annotations

import email.header
import email.utils
import hashlib
import json
import os
import re
import shutil
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import git
import yaml
from pydantic import BaseModel, ConfigDict, TypeAdapter, ValidationError

from configs.errors import ConfigError, KubeV6Error
from tasks import toolchain
from tasks.exclusive import exclusive
from tasks.paths import REPO, cache_dir
from tasks.steps import Step, step
from tasks.toolchain import Toolchain

OVERLAY = REPO / "build" / "overlay"
COMMITTER = "kubev6 <kubev6@localhost>"
PATCH_BRANCH = "patches"
TRAILER = "Patch-Name"
"""Trailer of a commit on the patch branch that holds the patch's name."""

_INPUTS = "kubev6.json"
_PLAIN_GIT = {"GIT_CONFIG_NOSYSTEM": "1", "GIT_CONFIG_GLOBAL": "/dev/null", "LC_ALL": "C"}
"""Environment in which git knows nothing of this machine's own settings."""


@dataclass(frozen=True, slots=True)
class Source:
    """The repository of one version of a source package.

    Attributes:
        package: Source package name.
        version: Its Debian version.
        repository: The repository; its working tree is only used for cherry-picking.
        base: Commit id of the upstream tree.
        timestamp: When Debian released that version, seconds since 1970.
    """

    package: str
    version: str
    repository: Path
    base: str
    timestamp: int


@dataclass(frozen=True, slots=True)
class Header:
    """What the head of a patch file says (DEP-3, or mail headers as git format-patch writes them)."""

    title: str
    author: str
    date: datetime | None
    body: str


class Overlay(BaseModel):
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

    model_config = ConfigDict(frozen=True, extra="forbid")

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
        try:
            kept = json.loads((path / ".git" / _INPUTS).read_text())
        except (OSError, ValueError):
            continue
        if kept["overlay"] == _overlay_digest(package):
            return Source(package, kept["version"], path, kept["base"], kept["timestamp"])
    return None


def obtain(package: str, version: str | None = None) -> Source:
    """The repository of a source package, made from the archive when it is not there yet.

    Args:
        package: Source package name.
        version: Exact Debian version; when None what is unpacked here already, else what the archive offers.

    Raises:
        KubeV6Error: The archive cannot be reached or does not have it, or a patch of it does not apply.
        ConfigError: The overlay's description cannot be right.
    """
    overlays = read_overlays(package)
    with exclusive(_sources() / f".{package}.lock"):
        known = find(package, version)
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
    if not path.exists():
        return ()
    try:
        return TypeAdapter(tuple[Overlay, ...]).validate_python(yaml.safe_load(path.read_text()))
    except yaml.YAMLError as error:
        raise ConfigError(f"{path}: is not YAML: {error}".replace("\n", " ")) from None
    except ValidationError as error:
        raise ConfigError(f"{path}: {describe(error)}") from None


def own_patches(package: str) -> tuple[Path, ...]:
    """Our own patch files for a source package, in the order of their names."""
    return tuple(sorted((OVERLAY / package).glob("*.patch")))


def describe(error: ValidationError) -> str:
    """A validation error in one line: field path, what was seen and what is wrong with it."""
    parts = []
    for detail in error.errors():
        where = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in detail["loc"]).lstrip(".")
        parts.append(f"{where}: {detail['msg'][0].lower()}{detail['msg'][1:]} (found {detail['input']!r})")
    return "; ".join(parts)


def open_repository(
    repository: Path, *, work_tree: Path | None = None, index: Path | None = None, committed: int = 0
) -> git.Repo:
    """Open one of our repositories so that nothing of the user's own git settings takes part.

    Args:
        repository: Directory with a ``.git``.
        work_tree: Another directory to check out into; the repository's own when None.
        index: The index file that goes with it.
        committed: Committer's date of new commits, seconds since 1970.
    """
    repo = git.Repo(repository)
    name, address = email.utils.parseaddr(COMMITTER)
    repo.git.update_environment(
        GIT_DIR=str(repository / ".git"),
        GIT_WORK_TREE=str(work_tree or repository),
        GIT_INDEX_FILE=str(index or repository / ".git" / "index"),
        GIT_COMMITTER_NAME=name,
        GIT_COMMITTER_EMAIL=address,
        GIT_COMMITTER_DATE=f"{committed} +0000",
        **_PLAIN_GIT,
    )
    return repo


def create_repository(path: Path, *, committed: int) -> git.Repo:
    """Make an empty repository that stores every file as it is: no filters, no ignored files, no hooks."""
    path.mkdir(parents=True, exist_ok=True)
    git.Git(path).init(
        "--quiet", "--initial-branch=base", "--template=", env={"GIT_DIR": str(path / ".git"), **_PLAIN_GIT}
    )
    repo = open_repository(path, committed=committed)
    with repo.config_writer() as config:
        for section, key, value in (
            ("core", "autocrlf", "false"),
            ("core", "fileMode", "true"),
            ("core", "hooksPath", "/dev/null"),
            ("core", "excludesFile", "/dev/null"),
            ("core", "compression", "1"),
            ("core", "quotePath", "false"),
            ("commit", "gpgSign", "false"),
            ("gc", "auto", "0"),
            ("rerere", "enabled", "false"),
        ):
            config.set_value(section, key, value)
    attributes = path / ".git" / "info" / "attributes"
    attributes.parent.mkdir(exist_ok=True)
    attributes.write_text("* -text -eol -ident -filter -working-tree-encoding !merge\n")
    return repo


def commit_all(repo: git.Repo, message: str, *, author: str, date: str) -> str:
    """Commit everything that is in the working tree and return the commit id.

    Args:
        repo: A repository of :func:`open_repository`.
        message: Whole commit message.
        author: ``Name <address>``.
        date: Author's date in a form that git reads.
    """
    repo.git.add("--all", "--force", ".")
    _commit(repo, message, author=author, date=date)
    return repo.head.commit.hexsha


def read_header(text: str, *, name: str) -> Header:
    """Read the head of a patch.

    Args:
        text: The patch file.
        name: Its file name, the title of last resort.

    The fields are those of Debian Enhancement Proposal 3.
    """
    head = re.split(r"^(?:---(?: |$)|diff --git |Index: )", text, maxsplit=1, flags=re.MULTILINE)[0]
    fields: dict[str, str] = {}
    last = ""
    lines = head.splitlines()
    end = 0
    for end, line in enumerate(lines):  # noqa: B007 - where the fields end is what is looked for
        if line[:1].isspace() and last:
            fields[last] += "\n" + line.strip().removeprefix(".")
        elif found := re.match(r"([A-Za-z][A-Za-z-]*): *(.*)", line):
            last = found[1].lower()
            fields.setdefault(last, "")
            fields[last] = (fields[last] + "\n" + found[2]).strip()
        elif line.strip() or last in ("from", "date", "subject"):
            break
    subject = _decoded(fields.get("subject") or fields.get("description", "").split("\n", 1)[0])
    title = re.sub(r"^\[PATCH[^]]*\]\s*", "", " ".join(subject.split())) or name
    author = _decoded(fields.get("from") or fields.get("author") or COMMITTER).split("\n", 1)[0]
    real_name, address = email.utils.parseaddr(author)
    described = fields.get("description", "") if "subject" in fields else ""
    body = "\n\n".join(part for part in (described, "\n".join(lines[end:]).strip()) if part)
    return Header(
        title=title,
        author=f"{real_name or address or 'unknown'} <{address or 'unknown@localhost'}>",
        date=_date(fields.get("date") or fields.get("last-update") or ""),
        body=body,
    )


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
        inputs = {
            "version": version,
            "base": base,
            "timestamp": timestamp,
            "overlay": _overlay_digest(package),
        }
        (tree / ".git" / _INPUTS).write_text(json.dumps(inputs))
        repo.close()
        place = _sources() / f"{package}-{version}"
        if place.exists():
            shutil.rmtree(place)
        tree.rename(place)
    return Source(package, version, place, base, timestamp)


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
        repo.git.apply("--index", "--allow-empty", "--whitespace=nowarn", "-p1", str(patch))
    except git.GitCommandError as error:
        said = re.findall(r"error: ([^'\n]+)", str(error.stderr))
        raise KubeV6Error(
            f"{patch}: does not apply on top of the patches before it: {'; '.join(said)}",
            todo="make it anew against the patch branch",
            detail=str(error.stderr),
        ) from None
    if not repo.git.diff("--cached", "--name-only"):
        return  # some packages keep the empty file of a patch that went upstream
    header = read_header(patch.read_text(errors="replace"), name=name)
    date = header.date or datetime.fromtimestamp(timestamp, UTC)
    message = "\n\n".join(part for part in (header.title, header.body, f"{TRAILER}: {name}") if part)
    _commit(repo, message + "\n", author=header.author, date=date.strftime("%Y-%m-%dT%H:%M:%S%z"))


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
    _commit(repo, message, author=COMMITTER, date=f"{timestamp} +0000")


def _commit(repo: git.Repo, message: str, *, author: str, date: str) -> None:
    repo.git.commit(
        "--quiet",
        "--no-verify",
        "--cleanup=whitespace",
        f"--author={author}",
        f"--date={date}",
        f"--message={message}",
    )


def _date(text: str) -> datetime | None:
    for read in (email.utils.parsedate_to_datetime, datetime.fromisoformat):
        try:
            found = read(text.strip())
        except ValueError:
            continue
        return found if found.tzinfo else found.replace(tzinfo=UTC)
    return None


def _decoded(text: str) -> str:
    return str(email.header.make_header(email.header.decode_header(text)))


def _overlay_digest(package: str) -> str:
    digest = hashlib.sha256()
    for path in (OVERLAY / f"{package}.yaml", *own_patches(package)):
        if path.exists():
            digest.update(f"{path.name}\0{hashlib.sha256(path.read_bytes()).hexdigest()}\n".encode())
    return digest.hexdigest()


def _sources() -> Path:
    return cache_dir() / "source"
