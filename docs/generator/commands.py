"""The page about the command line, from its parser."""

from __future__ import annotations

import argparse
from itertools import groupby

from docs.generator import text
from kubev6.cli.command import EXIT_STATUSES
from kubev6.cli.parser import GROUPS, START, build_parser


def page() -> str:
    """The page about all commands."""
    (commands,) = (each for each in build_parser()._actions if isinstance(each, argparse._SubParsersAction))
    blocks, shared = [], dict[str, str]()
    for title, modules in GROUPS:
        parsers = [commands.choices[module.__name__.rpartition(".")[2]] for module in modules]
        blocks.append(f"## {title}")
        blocks += [block for parser in parsers for block in _command(parser, shared)]
    return text.page(
        "# The command line",
        text.paragraph(START),
        text.paragraph(EXIT_STATUSES),
        "A default stands in parentheses. `kubev6 --version` prints the version, `--help` goes with every command.",
        *blocks,
        *(block for title, arguments in shared.items() for block in (f"## {title}", arguments)),
    )


def _command(parser: argparse.ArgumentParser, shared: dict[str, str]) -> list[str]:
    """The section of a command. Groups of options that several commands take are put into ``shared``."""
    own, besides = "", list[str]()
    for group in parser._action_groups:
        shown = [each for each in group._group_actions if each.help != argparse.SUPPRESS and each.dest != "help"]
        arguments = "".join(f"{_argument(parser, each)}\n" for each in shown)
        if group.title in ("positional arguments", "options"):
            own += arguments
        elif arguments:
            title = str(group.title).capitalize()
            assert shared.setdefault(title, arguments.rstrip()) == arguments.rstrip(), f"{parser.prog}: another {title}"
            besides.append(f"Besides: [{title.lower()}](#{title.lower().replace(' ', '-')}).")
    examples = (parser.epilog or "").partition("Examples:\n")[2].partition("\n\n")[0]
    return [
        f"### {parser.prog}",
        *_described(parser.description or ""),
        text.code(_usage(parser)),
        own.rstrip(),
        *besides,
        "Examples:",
        text.code("\n".join(line.strip() for line in examples.splitlines()), "sh"),
    ]


def _described(description: str) -> list[str]:
    """The paragraphs of a description; lines that are indented there stay lines."""
    blocks = []
    for indented, lines in groupby(description.splitlines(), key=lambda line: line.startswith(" ")):
        for blank, some in groupby(lines, key=lambda line: not line.strip()):
            if not blank:
                given = list(some)
                blocks.append(text.code("\n".join(given)) if indented else text.paragraph(" ".join(given)))
    return blocks


def _usage(parser: argparse.ArgumentParser) -> str:
    if parser.usage:
        return parser.usage % {"prog": parser.prog}
    positional = [_metavar(each) for each in parser._actions if not each.option_strings]
    return " ".join([parser.prog, *positional, "[OPTIONS]"])


def _argument(parser: argparse.ArgumentParser, action: argparse.Action) -> str:
    """An argument, as an item of a list."""
    words = ", ".join(action.option_strings)
    value = "" if action.nargs == 0 else _metavar(action)
    name = " ".join(filter(None, [words, f"[{value}]" if words and action.nargs == "?" else value]))
    told = parser._get_formatter()._expand_help(action)
    choices = list(map(str, action.choices or ()))
    if told == ", ".join(choices):
        return text.item(f"**`{name}`**: One of {text.choice(choices)}.")
    more = f" One of {text.choice(choices)}." if choices and action.metavar else ""
    return text.item(f"**`{name}`**: {told[0].upper()}{told[1:]}.{more}")


def _metavar(action: argparse.Action) -> str:
    """What stands for an argument's value."""
    if action.choices and not action.metavar:
        return "|".join(map(str, action.choices))
    name = str(action.metavar or action.dest.upper())
    more = {"*": f"[{name} ...]", "+": f"{name} ...", "?": name if action.option_strings else f"[{name}]"}
    return more.get(str(action.nargs), name)
