"""What deployments are given, as types that a server checks when a run is asked for, before anything is begun.

A worker runs in the repository and not where the person is who asks, so a path has to begin at the root. None of this
may hold a login: Prefect keeps the parameters of every run in clear.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

from pydantic import AfterValidator, Field, TypeAdapter, ValidationError

from configs.errors import ConfigError
from configs.schema.e2e import expression
from configs.schema.loading import Kind, shipped
from tasks.paths import expanded
from tasks.release.series.git_remote import path_of

LONGEST = 4096
"""Characters of a parameter; no path has more (PATH_MAX)."""
_PLAIN = r"[^\x00-\x1f\x7f]"
_FILE = rf"/[^\s\x00-\x1f\x7f]{_PLAIN}*"
_HOST = r"https?://[^\s/@?#]+"
_OWN_HOST = r"([^\s/@-][^\s/@]*)?"
_BY_URL = rf"{_HOST}(/\S*)?|(ssh|git|git\+ssh|ftps?|file)://([^\s/:@-][^\s/:@]*@)?{_OWN_HOST}(/\S*)?"
_SSH_HOST = r"(\[[0-9A-Fa-f:.]+\]|[^\s/@:\[-][^\s/@:\[]*)"
"""No option of ssh's; and what follows begins with no colon, which would name a helper that git is to run."""
_BY_SSH = rf"[^\s/@:-][^\s/@:]*@{_SSH_HOST}:[^\s:]\S*|{_SSH_HOST}:/?[^\s/@:][^\s@]*"


def _names(kind: Kind) -> str:
    return "|".join(name.replace(".", r"\.") for name in shipped(kind))


ClusterName = Annotated[str, Field(pattern=rf"^({_names('clusters')}|{_FILE})$", max_length=LONGEST)]
"""A shipped cluster, or the whole path of a cluster file."""
ReleaseName = Annotated[str, Field(pattern=rf"^({_names('releases')}|{_FILE})$", max_length=LONGEST)]
"""A shipped release, or the whole path of a release file."""
ProfileName = Annotated[str, Field(pattern=rf"^({_names('e2e')}|{_FILE})$", max_length=LONGEST)]
"""A shipped profile of upstream's tests, or the whole path of one."""
Focus = Annotated[str, Field(pattern=rf"^{_PLAIN}*$", max_length=1000), AfterValidator(expression)]
"""A regular expression; empty for none."""
AtOnce = Annotated[int, Field(ge=1, le=64)]
"""How many of something go on at a time."""
Times = Annotated[int, Field(ge=1, le=1000)]
"""How often something is done."""
NoName = Literal[""]
"""None is named."""
MirrorPlace = Annotated[str, Field(pattern=rf"^({_HOST}(/[^\s?#]*)?|/{_PLAIN}*)?$", max_length=LONGEST)]
"""The address of a mirror, or the whole path of its directory; empty for none."""
RegistryAddress = Annotated[str, Field(pattern=rf"^({_HOST}/?)?$", max_length=LONGEST)]
"""The address of a registry; empty for none."""
SourcePlace = Annotated[str, Field(pattern=rf"^({_BY_URL}|{_BY_SSH}|/{_PLAIN}*)$", max_length=LONGEST)]
"""Where a git repository or a bundle is: a URL, which holds no password or token, or a whole path."""
TreePlace = Annotated[str, Field(pattern=rf"^/{_PLAIN}*$", max_length=LONGEST)]
"""The whole path of a working tree."""
FileName = Annotated[str, Field(pattern=rf"^/{_PLAIN}+$", max_length=LONGEST)]
"""The whole path of a file."""
PublicKey = Annotated[
    str, Field(pattern=rf"^(age1[a-z0-9]+|ssh-(ed25519|rsa) {_PLAIN}+|/{_PLAIN}+)$", max_length=LONGEST)
]
"""A public key of age's or ssh's, or the whole path of a file with some."""
BackupPlace = Annotated[str, Field(pattern=rf"^(/{_PLAIN}*)?$", max_length=LONGEST)]
"""The whole path of a directory or a file; empty for the data directory."""
KeptBackups = Annotated[int, Field(ge=0, le=1000)]
"""How many backups are kept; 0 for all."""
CommitId = Annotated[str, Field(pattern=r"^([0-9a-f]{40})?$")]
"""The full id of a commit; empty for none."""
IfBusy = Literal["wait", "refuse"]
"""What a run does when another one works on the cluster."""
Kept = Annotated[int, Field(ge=1, le=365)]
"""How many of something are kept."""


def named(given: str) -> str:
    """A cluster or a release, as a person wrote it at the command line: a file by its whole path, a name as it is.

    Args:
        given: A path or a name.
    """
    path = Path(given)
    return str(path.absolute()) if path.suffix in (".yaml", ".yml") or len(path.parts) > 1 else given


def place(given: str) -> str:
    """A mirror, as a person wrote it at the command line: a directory by its whole path, an address as it is.

    Args:
        given: A path or an address; empty for none.
    """
    return given if not given or "://" in given else str(Path(expanded(given)).absolute())


def file(given: str) -> str:
    """A file, as a person wrote it at the command line: by its whole path.

    Args:
        given: A path; empty for none.
    """
    return str(Path(expanded(given)).absolute()) if given else ""


def source(given: str) -> str:
    """A git repository or a bundle, as a person wrote it at the command line: a path as a whole, a URL as it is.

    Args:
        given: A URL or a path.

    Raises:
        ConfigError: It is neither.
    """
    found = str(path_of(given, base=Path.cwd()) or given)
    try:
        return TypeAdapter(SourcePlace).validate_python(found)
    except ValidationError:
        raise ConfigError(
            f"--source: {given.rpartition('@')[2]} is no address of a git repository",  # without a login
            todo="give a URL, HOST:PATH for ssh, or the path of a repository or a bundle",
        ) from None
