"""What commands have in common: the shape of their help, and the options that several of them take."""

from __future__ import annotations

import argparse
import re
import shutil
import textwrap
from collections.abc import Callable, Iterable
from importlib.util import find_spec
from itertools import groupby

from configs.errors import KubeV6Error
from configs.logins import holds_secret, without_login
from kubev6.cli import names
from tasks.release.refresh import STAGES
from tasks.release.series.git_remote import WANTS_NO_LOGIN

EXIT_STATUSES = (
    "Exit status: 0 all went well, 1 something failed, 2 the command line is wrong, 130 stopped by Ctrl-C or SIGTERM."
)
WIDEST = 110
"""Columns of help; longer lines are read worse."""


class Help(argparse.HelpFormatter):
    """Help as wide as the terminal, within reason. Lines that are indented stay lines."""

    def __init__(self, prog: str) -> None:
        columns = shutil.get_terminal_size((WIDEST, 0)).columns
        super().__init__(prog, max_help_position=26, width=min(columns, WIDEST) - 2)

    def _fill_text(self, text: str, width: int, indent: str) -> str:
        """Descriptions and what follows them; called by argparse, whose own formatters differ in it too."""
        return "\n".join(indent + line for line in _filled(text, width - len(indent)))


def _filled(text: str, width: int) -> list[str]:
    """Paragraphs, examples and lists (a name, two spaces, words) that are no wider than the terminal."""
    filled = []
    for indented, lines in groupby(text.splitlines(), key=lambda line: line.startswith(" ")):
        for is_blank, some in groupby(lines, key=lambda line: not line.strip()):
            if is_blank:
                filled += [""]
            elif not indented:
                filled += textwrap.wrap(" ".join(some), width, break_on_hyphens=False)
            else:
                for line in some:
                    named = re.match(r" +\S+ {2,}(?=\S)", line)
                    # An example is to be copied, so it stays one line.
                    filled += textwrap.wrap(line, width, subsequent_indent=" " * named.end()) if named else [line]
    return filled


def completed_by(action: argparse.Action, completer: Callable[..., Iterable[str]]) -> None:
    """Let a shell complete an argument.

    Args:
        action: The argument.
        completer: Gives what it may be, see :mod:`kubev6.cli.names`.
    """
    action.completer = completer  # type: ignore[attr-defined]  # read by argcomplete


def add_cluster(parser: argparse.ArgumentParser) -> None:
    """``--cluster``: the cluster that a command is about."""
    cluster = parser.add_argument(
        "--cluster", default="lab", metavar="CLUSTER", help="a cluster file or the name of a shipped one (%(default)s)"
    )
    completed_by(cluster, names.clusters)


def add_mirror(parser: argparse.ArgumentParser) -> None:
    """``--mirror``: where a release is fetched from."""
    parser.add_argument(
        "--mirror",
        default="",
        metavar="PLACE",
        help="an address or a directory where PLACE/HOST/PATH is what https://HOST/PATH is, and "
        "PLACE/REGISTRY/REPOSITORY/TAG.tar an image (KUBEV6_MIRROR, else the publishers themselves)",
    )


def add_refresh(parser: argparse.ArgumentParser) -> None:
    """``--refresh``: what of a build is made again."""
    parser.add_argument(
        "--refresh",
        nargs="?",
        const="all",
        default="",
        choices=STAGES,
        metavar="STAGE",
        help="make again what the cache has: source, series, compile, images, or all of them, which is what --refresh "
        "alone means; it takes the place of what is there when it is whole. What is not built is fetched again",
    )


def add_if_busy(parser: argparse.ArgumentParser, default: str) -> None:
    """``--if-busy``: whether a command that wants a cluster for itself waits for it."""
    parser.add_argument(
        "--if-busy",
        choices=("wait", "refuse"),
        default=default,
        help="what to do when another run works on this cluster (%(default)s)",
    )


def add_json(parser: argparse.ArgumentParser, text: str = "print the result as JSON") -> None:
    """``--json``: what a command comes to, for machines."""
    parser.add_argument("--json", action="store_true", help=text)


def add_check(parser: argparse.ArgumentParser, what: str) -> None:
    """``--check``: some of upstream's tests; each comes as it was written, its profile and its expression.

    Args:
        parser: Of the command.
        what: What it does with them, in words that end in ``tests``.
    """
    parser.add_argument(
        "--check",
        action="append",
        default=[],
        type=_check,
        metavar="CHECK",
        help=f"{what} in whose name an expression is found, such as e2e:NodePort, or of another profile than network, "
        "e2e/conformance:DNS; may be repeated",
    )


def _check(text: str) -> tuple[str, str, str]:
    from configs.schema.e2e import check_of

    try:
        return (text, *check_of(text))
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from None


def add_showing(parser: argparse.ArgumentParser) -> None:
    """How a command that runs steps shows them."""
    shown = parser.add_argument_group("while it runs")
    shown.add_argument(
        "-v",
        "--verbose",
        action="store_true",
        help="show every word of progress, the commands, Prefect's own lines",
    )
    shown.add_argument("--no-progress", action="store_true", help="show plain lines also on a terminal")
    shown.add_argument("--log-json", action="store_true", help="each event as one line of JSON on standard error")


def add_task_runner(parser: argparse.ArgumentParser) -> None:
    """``--task-runner``: where the tasks of a flow run."""
    parser.add_argument(
        "--task-runner",
        type=_task_runner,
        default="threads",
        metavar="RUNNER",
        help="where the tasks run: threads of this process, `dask` or `ray` for worker processes of its own, or the "
        "address of a Dask scheduler (tcp://host:8786, tls://...) or a Ray cluster (ray://...) whose workers have the "
        "same kubev6, the same data directory on this machine or a shared file system, and keys and passwords in their "
        "own environment (%(default)s)",
    )


def refuse_missing_runner(task_runner: str) -> None:
    """Refuse a task runner whose packages are not installed here, before anything is started.

    Args:
        task_runner: What ``--task-runner`` says.

    Raises:
        KubeV6Error: They are not.
    """
    if task_runner == "threads":
        return
    engine, package = ("Ray", "prefect_ray") if task_runner.startswith("ray") else ("Dask", "prefect_dask")
    if find_spec(package) is None:
        raise KubeV6Error(
            f"--task-runner {task_runner}: {engine} is not installed here ({package} is missing)",
            todo=f"install it beside kubev6: pip install {package.replace('_', '-')}",
        )


def _task_runner(word: str) -> str:
    if word in ("threads", "dask", "ray") or re.fullmatch(r"(tcp|tls|ray)://\S+:\d+", word):
        return word
    raise argparse.ArgumentTypeError(
        f"{word!r} is neither threads, dask nor ray, nor an address such as tcp://host:8786"
    )


def add_source(parser: argparse.ArgumentParser) -> None:
    """``--source``: other places for the remotes of a series."""
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
