"""A series of patches picked onto a base.

A series is data (``build/series/*.yaml``). Its patches are commits of the source's patch branch, named by their
patch name or title. Committer and date are fixed, so the same series on the same base gives the same commit ids.
"""

from __future__ import annotations

import hashlib
import re
import shutil
import tempfile
from dataclasses import dataclass
from pathlib import Path

import git
import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from configs.errors import ConfigError, KubeV6Error
from configs.manifest import PatchEntry
from tasks.exclusive import exclusive
from tasks.paths import REPO, cache_dir
from tasks.source import PATCH_BRANCH, TRAILER, Source, describe, open_repository
from tasks.steps import step

SERIES = REPO / "build" / "series"
_PICKED_FROM = re.compile(r"^\(cherry picked from commit ([0-9a-f]{40})\)$", re.MULTILINE)
_GENERATED = re.compile(r"(^|/)(zz_generated\.[^/]*|bindata)\.go$")
"""Files of the tree that Kubernetes' own makefile makes anew when what they come from is newer."""


class PatchReference(BaseModel):
    """One patch of a series.

    Attributes:
        patch: Its name on the patch branch (``CVE-2021-25743.patch``, ``reflect2``), or its title.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    patch: str = Field(min_length=1)


class Series(BaseModel):
    """A series file.

    Attributes:
        name: Name of the file without its suffix.
        path: The file, for errors.
        description: What it is for.
        base: Source package whose upstream tree it is picked onto.
        patches: The patches in order.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str = Field(pattern=r"^[a-z0-9]([a-z0-9.-]{0,22}[a-z0-9])?$")
    path: Path
    description: str = ""
    base: str
    patches: tuple[PatchReference, ...]


@dataclass(frozen=True, slots=True)
class Picked:
    """A series on its base.

    Attributes:
        series: Name of the series.
        base: Commit id of the base.
        commit: Commit id of the result.
        tree: Tree id of the result.
        patches: What became of each patch.
    """

    series: str
    base: str
    commit: str
    tree: str
    patches: tuple[PatchEntry, ...]


def load(where: str | Path) -> Series:
    """Read a series file.

    Args:
        where: Name of a file in ``build/series`` without its suffix, or a path.

    Raises:
        ConfigError: There is none, or it cannot be right; names file and field.
    """
    path = Path(where)
    if path.suffix != ".yaml":
        path = SERIES / f"{where}.yaml"
    try:
        data = yaml.safe_load(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        known = ", ".join(sorted(found.stem for found in SERIES.glob("*.yaml")))
        raise ConfigError(f"there is no series {path}", todo=f"name a file, or one of: {known}") from None
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise ConfigError(f"{path}: cannot be read: {error}".replace("\n", " ")) from None
    if not isinstance(data, dict):
        raise ConfigError(f"{path}: holds no mapping", todo="keys wanted: description, base, patches")
    try:
        return Series.model_validate({**data, "name": path.stem, "path": path})
    except ValidationError as error:
        raise ConfigError(f"{path}: {describe(error)}") from None


def pick(series: Series, source: Source) -> Picked:
    """Cherry-pick a series onto its source's base. Doing it again gives the same ids, and is quick.

    A patch whose change the base holds already is dropped, and reported as such.

    Raises:
        ConfigError: The series is for another source, or names a patch that the source does not have.
        KubeV6Error: A patch conflicts; names the patch and the files. The repository is left clean.
    """
    if series.base != source.package:
        raise ConfigError(
            f"{series.path}: base: is {series.base}, but the release is built from {source.package}",
            todo="name the release's source package there, or another series in the release",
        )
    repo = open_repository(source.repository, committed=source.timestamp)
    wanted = _resolve(repo, series, source)
    identity = hashlib.sha256("\n".join((source.base, *(commit.hexsha for commit in wanted))).encode()).hexdigest()
    done = f"refs/kubev6/picked/{identity}"
    with exclusive(source.repository.with_name(f".{source.repository.name}.lock")):
        if not repo.git.for_each_ref(done):
            with step(series.name, "patches") as shown:
                repo.git.update_ref(done, _cherry_pick(repo, series, source, wanted))
                fates = _fates(repo, source, done, wanted)
                dropped = sum(1 for entry in fates if entry.fate == "already upstream")
                shown.ended_as(f"{len(fates) - dropped} applied, {dropped} already upstream")
    result = repo.commit(done)
    return Picked(series.name, source.base, result.hexsha, result.tree.hexsha, _fates(repo, source, done, wanted))


def check_out(picked: Picked, source: Source) -> Path:
    """Put the result of a series into its own working directory and return that.

    Only files whose content differs are written, and generated files stay as the last compilation left them unless
    the series changes them: what was generated and compiled there before stays good.
    """
    place = cache_dir() / "worktree" / picked.series
    place.mkdir(parents=True, exist_ok=True)
    index = place.with_name(f".{picked.series}.index")
    # What was checked out last counts until all of this is done, so that a run that dies is simply done again.
    fresh = index.with_suffix(".unfinished")
    fresh.with_name(f"{fresh.name}.lock").unlink(missing_ok=True)
    repo = open_repository(source.repository, work_tree=place, index=fresh, committed=source.timestamp)
    if index.exists():
        shutil.copyfile(index, fresh)
    else:
        repo.git.read_tree("--empty")
    changed = set(_names(repo.git.diff_index("--cached", "--name-only", "-z", picked.commit)))
    for name in _names(repo.git.diff_index("--cached", "--name-only", "-z", "--diff-filter=A", picked.commit)):
        (place / name).unlink(missing_ok=True)
    repo.git.read_tree("--reset", picked.commit)
    # Files that were only touched, as code generators do, are told from changed ones before anything is written.
    repo.git.update_index("-q", "--refresh")
    different = _names(repo.git.diff_files("--name-only", "-z"))
    outdated = [name for name in different if name in changed or not _GENERATED.search(name)]
    with tempfile.TemporaryFile() as names:
        names.write("\0".join(outdated).encode())
        names.seek(0)
        repo.git.checkout_index("--force", "--index", "-z", "--stdin", istream=names)
    repo.git.clean("-ffd", "--quiet")
    fresh.replace(index)
    return place


def _names(listed: str) -> list[str]:
    return [name for name in listed.split("\0") if name]


def _resolve(repo: git.Repo, series: Series, source: Source) -> list[git.Commit]:
    offered = list(repo.iter_commits(f"{source.base}..{PATCH_BRANCH}", reverse=True))
    names = {_name(commit): commit for commit in offered}
    titles = {str(commit.summary): commit for commit in offered}
    wanted = []
    for position, reference in enumerate(series.patches):
        commit = names.get(reference.patch) or titles.get(reference.patch)
        if commit is None:
            raise ConfigError(
                f"{series.path}: patches[{position}].patch: {source.package} {source.version} has no patch "
                f"{reference.patch!r}",
                todo=f"it has: {', '.join(names)}",
            )
        if commit in wanted:
            raise ConfigError(f"{series.path}: patches[{position}].patch: {reference.patch!r} is named twice")
        wanted.append(commit)
    return wanted


def _name(commit: git.Commit) -> str:
    found = re.search(rf"^{TRAILER}: (.+)$", str(commit.message), re.MULTILINE)
    return str(found[1]) if found else str(commit.summary)


def _cherry_pick(repo: git.Repo, series: Series, source: Source, wanted: list[git.Commit]) -> str:
    """Pick the commits in the repository's own working tree; always leaves it at the base, clean."""
    _start_over(repo, source.base)
    try:
        for commit in wanted:
            try:
                repo.git.cherry_pick("-x", "--keep-redundant-commits", "--allow-empty", commit.hexsha)
            except git.GitCommandError as error:
                files = sorted(set(repo.git.diff("--name-only", "--diff-filter=U").splitlines()))
                raise KubeV6Error(
                    f"series {series.name}: patch {_name(commit)} ({commit.summary!s}) conflicts with "
                    f"{source.package} {source.version} and what was picked before it, in "
                    f"{', '.join(files) if files else 'no file'}",
                    todo=f"mend the patch, or its place in {series.path}",
                    detail=str(error.stderr),
                ) from None
            if repo.head.commit.tree == repo.head.commit.parents[0].tree:
                repo.git.reset("--quiet", "--soft", "HEAD~1")
        return repo.head.commit.hexsha
    finally:
        _start_over(repo, source.base)


def _start_over(repo: git.Repo, base: str) -> None:
    for lock in ("index.lock", "HEAD.lock"):  # of a git that was killed; the caller holds the repository's lock
        (Path(repo.git_dir) / lock).unlink(missing_ok=True)
    repo.git.cherry_pick("--quit")
    repo.git.update_ref("--no-deref", "HEAD", base)
    repo.git.reset("--quiet", "--hard", base)
    repo.git.clean("-ffdx", "--quiet")


def _fates(repo: git.Repo, source: Source, result: str, wanted: list[git.Commit]) -> tuple[PatchEntry, ...]:
    picked: dict[str, str] = {}
    for commit in repo.iter_commits(f"{source.base}..{result}"):
        origin = _PICKED_FROM.findall(str(commit.message))
        picked[origin[-1]] = commit.hexsha
    return tuple(
        PatchEntry(
            title=str(commit.summary),
            author=f"{commit.author.name} <{commit.author.email}>",
            source=_name(commit),
            commit=picked.get(commit.hexsha, ""),
            fate="applied" if commit.hexsha in picked else "already upstream",
        )
        for commit in wanted
    )
