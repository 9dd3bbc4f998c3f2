"""Series files (``build/series/*.yaml``): which patches, in which order, onto what."""

from __future__ import annotations

import hashlib
import os
import re
from pathlib import Path
from typing import Annotated

from pydantic import AfterValidator, BeforeValidator, Field
from pydantic.json_schema import SkipJsonSchema

from configs.errors import ConfigError
from configs.logins import holds_secret
from configs.schema.field_types import Model
from configs.schema.loading import is_path
from configs.schema.reading import checked, read_yaml
from configs.words import shortened
from tasks.paths import RECIPES
from tasks.release.series.git_remote import WANTS_NO_LOGIN

SERIES = RECIPES / "series"
MOST_PATCHES = 2000
"""Of a series; all of Debian's for its kernel are half of that, and git is told all ids of a fetch at once."""


WORKING_TREE = "working-tree"
"""What the names of working trees begin with, which stand for series."""
_AT = re.compile(r"(?s)(.+)@([0-9a-f]{40})")
"""The directory of a working tree, and one of its commits."""


def _address(value: str) -> str:
    if holds_secret(value):
        raise ValueError(f"holds a login; {WANTS_NO_LOGIN}")
    return value


RemoteName = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.-]*$", examples=["upstream"])]
Address = Annotated[
    str,
    Field(pattern=r"^[^-\s]\S*$", examples=["https://github.com/kubernetes/kubernetes"]),
    AfterValidator(_address),
]
CommitId = Annotated[str, Field(pattern=r"^[0-9a-f]{7,40}$", examples=["98ed5dd8a26929245e4aa30f110242ac7bb7cbbd"])]
Ref = Annotated[str, Field(pattern=r"^[A-Za-z0-9_][^\s~^:?*\[\\]*$", examples=["refs/pull/48551/head"])]


class NamedPatch(Model):
    """A patch of a Debian source package, or of our overlay for it.

    Attributes:
        patch: Its name on the patch branch (``CVE-2021-25743.patch``, ``reflect2``), or its title.
    """

    patch: str = Field(min_length=1, examples=["CVE-2021-25743.patch"])


class Remote(Model):
    """A git repository somewhere.

    Attributes:
        url: What git fetches from (https, ssh), a local path (a relative one from the series file on), or a bundle.
        refs: Where to look for commits that it does not hand out by their id, besides its branches.
    """

    url: Address
    refs: tuple[Ref, ...] = ()


def _whole(given: object) -> object:
    """A remote written out, where only its address is given."""
    return {"url": given} if isinstance(given, str) else given


WrittenRemote = Annotated[Remote, BeforeValidator(_whole, json_schema_input_type=Address | Remote)]


class PinnedCommit(Model):
    """A commit of a remote.

    Attributes:
        remote: Name of the remote.
        commit: Its id; it may be abbreviated where a ref of the remote leads to it.
        ref: A branch, a tag or ``refs/pull/N/head`` whose head it has to be; asked every time.
    """

    remote: RemoteName
    commit: CommitId
    ref: Ref | None = None


class PatchCommit(PinnedCommit):
    """A commit to be picked. What it says besides is for people; title and author are the commit's own.

    Attributes:
        title: First line of its message.
        author: Who wrote it.
        pull_request: Number of the pull request in which it was proposed to the base's project.
        fate: What became of it there, for example ``merged 2017-10-13``.
    """

    title: str = Field(default="", examples=["Add IPv6 support to iptables proxier"])
    author: str = Field(default="", examples=["Dane LeBlanc"])
    pull_request: int | None = Field(default=None, ge=1, examples=[48551])
    fate: str = Field(default="", examples=["merged 2017-09-23"])


class Rewrite(Model):
    """A commit of our own on top of the picked ones: one text becomes another.

    Attributes:
        title: First line of its message.
        reason: The rest of its message.
        paths: Files and directories in which the text is looked for, in git's pathspecs.
        replace: The text as it stands there.
        by: What takes its place.
    """

    title: str = Field(min_length=1, examples=["Take the DNS images from their own project"])
    reason: str = Field(default="", examples=["Nobody else can push to the registry that is named there."])
    paths: tuple[str, ...] = Field(min_length=1, examples=[["cmd/kubeadm/app/phases/addons/dns"]])
    replace: str = Field(min_length=1, examples=["diverdane/"])
    by: str = Field(examples=["gcr.io/google_containers/"])


class _Series(Model):
    """What every series has.

    Attributes:
        name: Name of the file without its suffix.
        path: The file, for errors.
        description: What it is for.
        rewrites: Commits of our own that follow the patches.
    """

    name: SkipJsonSchema[Annotated[str, Field(pattern=r"^[a-z0-9]([a-z0-9.-]{0,22}[a-z0-9])?$")]]
    path: SkipJsonSchema[Path]
    description: str = Field(default="", examples=["Debian's fixes for kubectl"])
    rewrites: tuple[Rewrite, ...] = Field(default=(), max_length=MOST_PATCHES)


class DebianSeries(_Series):
    """A series of patches of a Debian source package.

    Attributes:
        base: The source package, onto whose upstream tree it is picked.
        patches: The patches in order.
    """

    base: str = Field(examples=["kubernetes"], pattern=r"^[a-z0-9][a-z0-9+.-]{1,127}$")
    patches: tuple[NamedPatch, ...] = Field(max_length=MOST_PATCHES)


class GitSeries(_Series):
    """A series of commits of git repositories.

    Attributes:
        remotes: The repositories by name, each whole or by its address alone.
        base: The commit that it is picked onto.
        patches: The commits in order.
    """

    remotes: dict[RemoteName, WrittenRemote] = Field(min_length=1)
    base: PinnedCommit
    patches: tuple[PatchCommit, ...] = Field(max_length=MOST_PATCHES)


class WorkingTree(_Series):
    """The working tree of a git repository in the place of a series.

    It is taken as it stands, uncommitted changes too, or as a commit has it, which need not be checked out there.

    Attributes:
        path: The directory.
        commit: The commit's full id; empty for the tree as it stands.
        patches: None.
    """

    commit: str = ""

    patches: tuple[PatchCommit, ...] = Field(default=(), max_length=0)


WrittenSeries = DebianSeries | GitSeries
"""What a series file holds."""
Series = WrittenSeries | WorkingTree


def working_tree(directory: Path, commit: str = "") -> WorkingTree:
    """What stands for a working tree where a series is wanted.

    Args:
        directory: The directory; each has its own name, under which what was compiled of it is kept.
        commit: The full id of a commit; empty for the tree as it stands.
    """
    name = f"{WORKING_TREE}.{hashlib.sha256(os.fsencode(directory)).hexdigest()[:8]}"
    return WorkingTree(name=name, path=directory, commit=commit)


def written(directory: str, commit: str) -> str:
    """What :func:`load` reads as a working tree; the arguments are those of :func:`working_tree`."""
    return f"{directory}@{commit}" if commit else directory


def is_working_tree(name: str) -> bool:
    """Whether a series of this name is a working tree."""
    return name.startswith(f"{WORKING_TREE}.")


def load(where: str | Path) -> Series:
    """Read a series file.

    Args:
        where: Name of a file in ``build/series`` without its suffix, or a path; that of a directory stands for the
            working tree which is there, and with ``@`` and the full id of a commit for that commit.

    Raises:
        ConfigError: There is none, or it cannot be right; names file and field.
    """
    path = Path(where) if is_path(where) else SERIES / f"{where}.yaml"
    if (found := _AT.fullmatch(str(path))) and not path.exists() and Path(found[1]).is_dir():
        return working_tree(Path(found[1]).resolve(), found[2])
    if not os.path.exists(path):  # noqa: PTH110 - what no path can be does not exist either
        known = ", ".join(sorted(found.stem for found in SERIES.glob("*.yaml")))
        raise ConfigError(f"there is no series {shortened(str(path), 300)}", todo=f"name a file, or one of: {known}")
    if path.is_dir():
        return working_tree(path.resolve())
    if is_working_tree(path.stem):
        raise ConfigError(f"{path}: what is called {WORKING_TREE} is a working tree", todo="give the file another name")
    data = read_yaml(path)
    more = {"name": path.stem, "path": path}
    if not (isinstance(data, dict) and ("remotes" in data or isinstance(data.get("base"), dict))):
        return checked(path, DebianSeries, data, **more)
    series = checked(path, GitSeries, data, **more)
    _check(series)
    return series


def _check(series: GitSeries) -> None:
    seen: set[str] = set()
    places: list[tuple[str, PinnedCommit]] = [("base", series.base)]
    places += [(f"patches[{position}]", patch) for position, patch in enumerate(series.patches)]
    for where, pinned in places:
        if pinned.remote not in series.remotes:
            raise ConfigError(
                f"{series.path}: {where}.remote: there is no remote {pinned.remote!r}",
                todo=f"its remotes are {', '.join(series.remotes)}",
            )
        if where != "base" and pinned.commit in seen:
            raise ConfigError(f"{series.path}: {where}.commit: {pinned.commit!r} is named twice")
        if where != "base":
            seen.add(pinned.commit)
