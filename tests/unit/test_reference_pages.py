"""The pages of docs/ that are made from the code, and from what was seen: they are current, and whole."""

from __future__ import annotations

import json
import os

import pytest

from docs.generator import DIRECTORY, benchmarks, commands, faults, files, pages, racks
from kubev6.cli import build_parser
from kubev6.cli.schema import KINDS, schema
from tests.faults.facts import write_down
from tests.faults.scenarios import SEED, names
from tests.racks.sites import CASES

MADE = pages()


@pytest.mark.parametrize("name", MADE)
def test_a_page_that_is_made_is_current(name: str) -> None:
    assert (DIRECTORY / name).read_text() == MADE[name], "run `make docs`"


def test_no_page_is_left_of_what_is_made_no_longer() -> None:
    assert sorted(path.name for path in DIRECTORY.iterdir()) == sorted(MADE)


def test_the_page_about_faults_is_that_of_what_was_seen_and_names_what_has_not_been_tried() -> None:
    if os.environ.get("KUBEV6_WRITE_GOLDEN"):
        write_down({})
    assert list(json.loads(faults.FACTS.read_text())) == list(names(SEED)), "KUBEV6_WRITE_GOLDEN=1 writes them"
    assert faults.PAGE.read_text() == faults.page(), "run `make docs`"


@pytest.mark.parametrize(
    ("fact", "row"),
    [
        ({"said": "a | `b`", "seconds": 1.5, "ok": True}, "| name | `a / 'b'` | 1.5 | yes |"),
        ({"said": "", "seconds": None, "ok": False}, "| name | - | - | no |"),
        (faults.NOT_YET, "| name | - | - | not run yet |"),
    ],
)
def test_a_line_of_that_page_says_what_came_of_it(fact: faults.Fact, row: str) -> None:
    assert faults.row("name", fact) == row


def test_the_page_about_speed_is_that_of_what_was_measured() -> None:
    assert benchmarks.PAGE.read_text() == benchmarks.page(), "run `make docs`"
    assert benchmarks.PLOT.read_text() == benchmarks.plot(), "run `make docs`"


@pytest.mark.parametrize(
    ("seconds", "at_most", "rows"),
    [
        (
            {"kubev6": [1.0, 1.2, 1.1], "other": [3.3, 2.9, 4.0]},
            1.0,
            [
                "| name: work | kubev6 | 1.10 (1.00 to 1.20) |  | at most 1 s | missed |",
                "|  | other | 3.30 (2.90 to 4.00) | 3.00 | at least 2 | met |",
            ],
        ),
        (
            {"kubev6": [0.5], "other": [0.9], "by hand": [0.1]},
            None,
            [
                "| name: work | kubev6 | 0.50 (0.50 to 0.50) |  |  |  |",
                "|  | other | 0.90 (0.90 to 0.90) | 1.80 | at least 2 | missed |",
                "|  | by hand | 0.10 (0.10 to 0.10) | 0.20 |  |  |",
            ],
        ),
    ],
)
def test_lines_of_that_page_say_whether_a_goal_is_met(
    seconds: dict[str, list[float]], at_most: float | None, rows: list[str]
) -> None:
    fact = benchmarks.Fact(work="work", turns=3, seconds=seconds, goals={"other": 2.0}, at_most=at_most)
    assert list(benchmarks.rows("name", fact)) == rows


def test_the_page_about_networking_tools_is_that_of_what_was_seen_of_cases_that_are_there() -> None:
    assert racks.PAGE.read_text() == racks.page(), "run `make docs`"
    titles = {each.title for each in CASES}
    facts = json.loads(racks.FACTS.read_text())
    assert facts["cases"].keys() <= titles
    assert {name.rpartition(", ")[0] for name in facts["breaks"]} <= titles


def test_making_them_does_not_depend_on_the_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "50")
    assert pages() == MADE


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
