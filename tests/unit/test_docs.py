"""README, CONTRIBUTING and docs/: what they tell a person to type, to open or to set is there."""

from __future__ import annotations

import ast
import importlib
import io
import re
import shlex
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import redirect_stderr, redirect_stdout
from functools import cache
from itertools import groupby, pairwise
from pathlib import Path

import pytest
import yaml

from kubev6.cli.parser import build_parser
from tasks.secrets import KINDS
from tests.checkout import REPO

DOCS = REPO / "docs"
README = REPO / "README.md"
PAGES = (README, REPO / "CONTRIBUTING.md", *sorted(DOCS.rglob("*.md")))
SOURCES = ("configs", "flows", "kubev6", "tasks")
FENCE = re.compile(r"^```(\w*)\n(.*?)^```$", re.DOTALL | re.MULTILINE)
OPERATORS = "<>|&;()"
CODE = re.compile(r"`([^`\n]+)`")
LINK = re.compile(r"\]\(([^)\s]+)\)")
each_page = pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(REPO)))


def prose(page: Path) -> str:
    """A page without its blocks of code."""
    return re.sub(r"^ {4,}.*$", "", FENCE.sub("", page.read_text()), flags=re.MULTILINE)


def lines_of_code(page: Path) -> list[str]:
    """The lines of a page's blocks of code, but not those of output."""
    text = page.read_text()
    blocks = [lines for language, lines in FENCE.findall(text) if language != "text"]
    blocks += re.findall(r"^ {4}(.*)$", FENCE.sub("", text), re.MULTILINE)
    return [line.strip() for block in blocks for line in block.replace("\\\n", " ").splitlines()]


def in_backticks(page: Path) -> list[str]:
    """What stands in backticks in a page, but for the names of commands without anything behind them."""
    names = {f"kubev6 {name}" for name in every_command()}
    return [code for code in CODE.findall(prose(page)) if code not in names]


def every_command() -> tuple[str, ...]:
    """The names of all commands."""
    (choices,) = (each.choices for each in build_parser()._actions if isinstance(each.choices, dict))
    return tuple(choices)


def commands(line: str) -> Iterator[list[str]]:
    """The words of every command in a line of shell. A comment is none; where an output goes to is one by itself."""
    lexer = shlex.shlex(line, posix=True, punctuation_chars=OPERATORS)
    lexer.commenters = "#"
    lexer.whitespace_split = True
    try:
        words = list(lexer)
    except ValueError:  # no shell reads it: a quotation of something else
        assert not line.startswith(("kubev6 ", "make ")), line
        return
    for is_operator, some in groupby(words, key=lambda word: bool(word) and set(word) <= set(OPERATORS)):
        if not is_operator:
            yield list(some)


def typed(page: Path) -> Iterator[list[str]]:
    """The words of every command that a page shows."""
    for line in (*lines_of_code(page), *in_backticks(page)):
        yield from commands(line)


def of_kubev6(page: Path) -> Iterator[list[str]]:
    """What follows the program's name in every command line of ours."""
    for words in typed(page):
        if words[0] in ("kubev6", ".venv/bin/kubev6") and len(words) > 1:
            yield words[1:]
        elif words[:2] == ["python", "flows/deploy.py"]:
            yield ["deploy", *words[2:]]


def anchors(page: Path) -> set[str]:
    """What the headings of a page can be linked by, as GitHub makes it: one that is there already gets a number."""
    seen: Counter[str] = Counter()
    found = set()
    for head in re.findall(r"^#+ (.+)$", FENCE.sub("", page.read_text()), re.MULTILINE):
        name = re.sub(r"[^\w\- ]", "", head.lower()).replace(" ", "-")
        found.add(f"{name}-{seen[name]}" if seen[name] else name)
        seen[name] += 1
    return found


def refused(words: Sequence[str]) -> str:
    """Why the program does not take a command line; empty when it does."""
    at = words.index("--") if "--" in words else len(words)
    told = io.StringIO()
    try:
        with redirect_stdout(told), redirect_stderr(told):
            args = build_parser().parse_args(words[:at])
    except SystemExit as ended:  # --help ends well
        return told.getvalue() if ended.code else ""
    args.rest = list(words[at + 1 :])
    if at < len(words) and not args.takes_rest:
        return "nothing may follow --"
    return str(args.misfit(args))


@each_page
def test_every_command_line_is_one_that_the_program_takes(page: Path) -> None:
    assert not {" ".join(words): why for words in of_kubev6(page) if (why := refused(words))}


def test_every_command_is_shown_somewhere() -> None:
    shown = {words[0] for page in PAGES for words in of_kubev6(page)}
    assert shown >= set(every_command())


@each_page
def test_every_target_of_make_exists(page: Path) -> None:
    targets = set(re.findall(r"^([a-z0-9-]+):", (REPO / "Makefile").read_text(), re.MULTILINE))
    named = {word for words in typed(page) if words[0] == "make" for word in words[1:] if "=" not in word}
    assert named <= targets


@each_page
def test_every_deployment_and_its_parameters_exist(page: Path) -> None:
    deployments = {each["name"]: each for each in yaml.safe_load((REPO / "prefect.yaml").read_text())["deployments"]}
    for words in typed(page):
        if words[:3] == ["prefect", "deployment", "run"]:
            module, _, name = deployments[words[3].removeprefix("kubev6/")]["entrypoint"].rpartition(".")
            flow = getattr(importlib.import_module(module), name)
            given = {after.partition("=")[0] for word, after in pairwise(words) if word == "--param"}
            assert given <= set(flow.parameters.properties), words


@each_page
def test_every_link_leads_somewhere(page: Path) -> None:
    for link in LINK.findall(CODE.sub("", prose(page))):
        if re.match(r"[a-z]+://", link):
            continue
        path, _, anchor = link.partition("#")
        target = (page.parent / path) if path else page
        assert target.exists(), link
        assert not anchor or anchor in anchors(target), link


@each_page
def test_every_file_of_the_project_that_is_named_is_there(page: Path) -> None:
    own = re.compile(r"(?:build|configs|docs|flows|kubev6|tasks|tests)/[\w./-]*")
    for named in CODE.findall(prose(page)):
        if own.fullmatch(named) and not re.search(r"\b[A-Z]{2,}\b", named):
            assert (REPO / named).exists(), named


@cache
def said_by_the_code() -> str:
    """Every text in the code, with a sign that no text has in the place of what is known at run time only."""
    told = []
    for source in SOURCES:
        for file in (REPO / source).rglob("*.py"):
            for node in ast.walk(ast.parse(file.read_text())):
                if isinstance(node, ast.JoinedStr):
                    told.append(
                        "".join(
                            str(getattr(part, "value", "")) if isinstance(part, ast.Constant) else "\0"
                            for part in node.values
                        )
                    )
                elif isinstance(node, ast.Constant) and isinstance(node.value, str):
                    told.append(node.value)
    return "\0\0".join(told)


def messages() -> Iterator[str]:
    """What the tables of the page about troubleshooting are looked up by: what their first column has in backticks."""
    for line in (DOCS / "troubleshooting.md").read_text().splitlines():
        if line.startswith("| `"):
            yield from CODE.findall(line.split(" | ")[0])


@pytest.mark.parametrize("message", list(messages()))
def test_every_message_is_one_that_the_code_has(message: str) -> None:
    # Words in capitals stand for names, and numbers are known at run time.
    parts = re.split(r"\b(?:[A-Z][A-Z0-9_]+|[NM])\b|(?<!\w)\d+(?!\w)", message)
    missing = [part for part in parts if part.strip(" ,;:'()") not in said_by_the_code()]
    assert not missing


def test_every_page_is_in_the_index() -> None:
    linked = {(DOCS / link.partition("#")[0]).resolve() for link in LINK.findall((DOCS / "index.md").read_text())}
    assert set(DOCS.rglob("*.md")) <= {DOCS / "index.md", *linked}


@each_page
def test_code_in_backticks_ends_in_the_line_where_it_begins(page: Path) -> None:
    assert not [line for line in prose(page).splitlines() if line.count("`") % 2]


def test_the_readme_is_read_in_a_minute() -> None:
    lines = README.read_text().splitlines()
    assert len(lines) <= 100
    assert max(map(len, lines)) <= 120


@cache
def read_in_the_code() -> frozenset[str]:
    """The variables of the environment that the code names as words of their own."""
    files = [file for source in SOURCES for file in (REPO / source).rglob("*.py")]
    return frozenset(name for file in files for name in re.findall(r"[\"'](KUBEV6_[A-Z_]+)[\"']", file.read_text()))


def named_in_the_docs() -> set[str]:
    """The variables of our programs; those of the tests are in CONTRIBUTING."""
    return {
        name for page in (README, *DOCS.rglob("*.md")) for name in re.findall(r"\bKUBEV6_[A-Z_]+", page.read_text())
    }


def test_every_variable_that_the_docs_name_is_read() -> None:
    by_other_names = {kind + ending for kind in KINDS for ending in ("_FILE", "_BLOCK")}
    assert named_in_the_docs() <= read_in_the_code() | by_other_names


def test_every_variable_that_is_read_is_in_the_docs() -> None:
    assert read_in_the_code() <= named_in_the_docs()
