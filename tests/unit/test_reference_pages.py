"""The pages of docs/: those that are made are current, and no link in any of them leads nowhere."""

from __future__ import annotations

import re
import shlex
from collections import Counter
from pathlib import Path

import pytest

from docs.generator import DIRECTORY, commands, files, pages
from kubev6.cli import build_parser
from kubev6.cli.schema import KINDS, schema
from tests.checkout import REPO

MADE = pages()
PAGES = sorted((REPO / "docs").rglob("*.md"))
LINK = re.compile(r"\[(?:[^]\[]|\[\])+\]\(([^)]+)\)")


def anchors(page: Path) -> set[str]:
    """What a link can name of a page, as GitHub makes it of headings."""
    seen: Counter[str] = Counter()
    found = set()
    for heading in re.findall(r"^#+ (.*)$", re.sub(r"```.*?```", "", page.read_text(), flags=re.DOTALL), re.MULTILINE):
        name = re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-")
        found.add(f"{name}-{seen[name]}" if seen[name] else name)
        seen[name] += 1
    return found


@pytest.mark.parametrize("name", MADE)
def test_a_page_that_is_made_is_current(name: str) -> None:
    assert (DIRECTORY / name).read_text() == MADE[name], "run `make docs`"


def test_no_page_is_left_of_what_is_made_no_longer() -> None:
    assert sorted(path.name for path in DIRECTORY.iterdir()) == sorted(MADE)


def test_making_them_does_not_depend_on_the_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "50")
    assert pages() == MADE


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_link_leads_somewhere(page: Path) -> None:
    for link in LINK.findall(page.read_text()):
        if not re.match(r"https?://", link):
            path, _, anchor = link.partition("#")
            target = (page.parent / path) if path else page
            assert target.exists(), link
            assert not anchor or anchor in anchors(target), link


def test_every_page_is_in_the_index() -> None:
    linked = {(REPO / "docs" / link).resolve() for link in LINK.findall((REPO / "docs" / "index.md").read_text())}
    assert {page for page in PAGES if page.name != "index.md"} <= linked


@pytest.mark.parametrize("kind", KINDS)
def test_a_page_about_a_file_tells_every_key(kind: str) -> None:
    text, whole = files.page(kind), schema(kind)
    for mapping in (whole, *whole["$defs"].values()):
        for name, about in mapping.get("properties", {}).items():
            assert f"- **`{name}`** (" in text
            assert about["description"].partition(" ")[2] in " ".join(text.split())


def test_the_page_about_the_command_line_tells_every_option_of_every_command() -> None:
    text = commands.page()
    (subparsers,) = (each for each in build_parser()._actions if each.dest == "==SUPPRESS==" and each.choices)
    assert isinstance(subparsers.choices, dict)
    for name, parser in subparsers.choices.items():
        section = text.partition(f"\n### kubev6 {name}\n")[2].partition("\n### ")[0] + text.partition("\n## While")[2]
        for action in parser._actions:
            assert all(word in section for word in action.option_strings if action.dest != "help"), (name, action)


def command_lines(page: Path) -> list[str]:
    """The lines of a page that are to be typed as they are and call kubev6."""
    text = page.read_text()
    fenced = [
        lines
        for language, lines in re.findall(r"^```(\w*)\n(.*?)^```", text, re.DOTALL | re.MULTILINE)
        if language != "text"
    ]
    shown = "\n".join([*fenced, *re.findall(r"^ {4}(.*)$", text, re.MULTILINE)])
    lines = (line.strip().removeprefix("$ ").removeprefix(".venv/bin/") for line in shown.splitlines())
    return [line for line in lines if line.startswith("kubev6 ")]


@pytest.mark.parametrize("page", [REPO / "README.md", REPO / "CONTRIBUTING.md", *PAGES], ids=lambda page: page.name)
def test_every_command_line_that_is_shown_is_one(page: Path) -> None:
    for line in command_lines(page):
        words = shlex.split(re.split(r"\s(?:>|&&|\|)\s", line)[0], comments=True)[1:]
        own = words[: words.index("--")] if "--" in words else words
        assert build_parser().parse_args(own).run, line
