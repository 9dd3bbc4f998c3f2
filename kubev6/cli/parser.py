"""The parser of all commands, with the help that teaches them."""

from __future__ import annotations

import argparse
from types import ModuleType
from typing import Any

from kubev6.cli import (
    backup,
    bisect,
    build,
    bundle,
    cache,
    certs,
    compare,
    completion,
    deploy,
    dev,
    e2e,
    fetch,
    images,
    kubectl,
    lab,
    releases,
    render,
    replace,
    report,
    reset,
    restore,
    rollback,
    schema,
    series,
    server,
    ssh,
    verify,
)
from kubev6.cli.command import EXIT_STATUSES, Help

GROUPS = (
    (
        "Bring a cluster up, and take it down again",
        (deploy, dev, bisect, rollback, replace, backup, restore, reset, lab),
    ),
    ("Look at a cluster, and use it", (verify, e2e, certs, report, compare, render, kubectl, ssh, bundle)),
    ("Releases and their patches", (build, fetch, images, releases, series)),
    ("This machine, Prefect, your shell and your editor", (cache, server, completion, schema)),
)
"""Each command is a module: its docstring is its help, ``add`` says what it takes, ``run`` does it."""
START = "Start with `kubev6 deploy`: it brings up the lab, four machines as containers of this one."


def build_parser() -> argparse.ArgumentParser:
    """The parser of the whole command line."""
    parser = argparse.ArgumentParser(
        prog="kubev6",
        usage="kubev6 COMMAND ...",
        epilog=f"{START}\nEach command has its own help: kubev6 deploy --help\n\n{EXIT_STATUSES}",
        formatter_class=Help,
    )
    parser.add_argument("--version", action=_Version, help="print kubev6's version, and exit")
    # Not listed by argparse, which knows no groups of commands.
    commands = parser.add_subparsers(prog="kubev6", metavar="COMMAND", required=True, help=argparse.SUPPRESS)
    lists = ["\n".join([f"{title}:", *(_add(commands, module) for module in modules)]) for title, modules in GROUPS]
    parser.description = "\n\n".join(
        ["Bring up IPv6-only Kubernetes clusters, from patched source or a release, and prove it.", *lists]
    )
    return parser


def _add(commands: argparse._SubParsersAction[argparse.ArgumentParser], module: ModuleType) -> str:
    """Add a command; returns its line for the list of all."""
    text, _, examples = str(module.__doc__).partition("\nExamples:\n")
    parser = commands.add_parser(
        module.__name__.rpartition(".")[2],
        description=text,
        epilog=f"Examples:\n{examples}\n{EXIT_STATUSES}",
        formatter_class=Help,
    )
    # misfit: says what does not go together in the arguments. takes_rest: what follows behind -- is for somebody else.
    parser.set_defaults(run=module.run, refuse=parser.error, misfit=lambda _: "", takes_rest=False)
    module.add(parser)
    short = text.partition("\n")[0].removesuffix(".")
    return f"    {parser.prog.split()[-1]:<11} {short[0].lower()}{short[1:]}"


class _Version(argparse.Action):
    """``--version``: looked up when it is asked for, since that takes longer than to parse a command line."""

    def __init__(self, option_strings: list[str], dest: str, **given: Any) -> None:
        super().__init__(option_strings, dest, nargs=0, default=argparse.SUPPRESS, **given)

    def __call__(self, parser: argparse.ArgumentParser, *_: object) -> None:
        from importlib.metadata import version

        print(f"kubev6 {version('kubev6')}")
        parser.exit()
