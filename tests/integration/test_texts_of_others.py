"""A hostile commit, picked for real: wherever its title and author are shown they are words, and as data they stay."""

from __future__ import annotations

import asyncio
import io
import json
import logging
import re
import sys
from collections.abc import Callable
from dataclasses import dataclass
from html import unescape
from pathlib import Path

import pytest
from markdown_it import MarkdownIt
from prefect.states import exception_to_failed_state

from configs.errors import KubeV6Error
from configs.words import INVISIBLE
from flows.run import markdown, notify
from flows.run import record as run_record
from flows.run.lifecycle import failed
from flows.run.redaction import hide_in_all
from kubev6.cli import main
from kubev6.console.display import PlainConsole
from kubev6.console.live import Running, live_table
from tests.integration.git_project import Project

pytestmark = pytest.mark.usefixtures("own_data")

TITLE = (
    "mend \x1b]0;owned\x07\x1b[2J \u202egnp.exe\u202c | ``` <script>alert(1)</script> `<b> "
    "[pay](https://evil.example/) https://evil.example/ www.evil.example"
)
AUTHOR = ("Mallory \x1b[8m\u2066\u202eX | `", "m@example.org")
SHOWN = r"mend \x1b]0;owned\x07\x1b[2J \u202egnp.exe\u202c |"
"""How the title begins where it is shown: what would steer is spelled out."""


@dataclass
class Picked:
    """What came of the hostile series on standard output and standard error, and the project it came from."""

    project: Project
    file: Path
    capsys: pytest.CaptureFixture[str]
    tmp_path: Path

    def kubev6(self, *words: str) -> str:
        """Run a command, and give all that it prints."""
        main(list(words))
        said = self.capsys.readouterr()
        return said.out + said.err

    def record(self) -> tuple[Path, run_record.RunRecord]:
        """Pick the series, and give the record of that."""
        self.kubev6("series", "apply", str(self.file))
        return run_record.runs()[0]

    def error(self) -> KubeV6Error:
        """An error that quotes the title."""
        return KubeV6Error(f"{TITLE} by {AUTHOR[0]} conflicts", todo=f"look at {TITLE}")


@pytest.fixture
def picked(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Picked:
    project = Project(tmp_path / "project")
    project.commit("start", {"a.txt": "one\n"})
    base = project.git("rev-parse", "HEAD")
    hostile = project.commit(TITLE, {"a.txt": "two\n"}, author=AUTHOR)
    file = tmp_path / "hostile-1.yaml"
    file.write_text(
        f"remotes: {{up: {project.path}}}\nbase: {{remote: up, commit: '{base}'}}\n"
        f"patches:\n  - {{remote: up, commit: '{hostile}'}}\n"
    )
    return Picked(project, file, capsys, tmp_path)


def conflicting(picked: Picked) -> None:
    """Let the base have something else where the patch changes it."""
    path = picked.project.path
    base = picked.project.git("rev-parse", "HEAD~1")
    picked.project.git("checkout", "--quiet", "-b", "other", base)
    other = picked.project.commit("other", {"a.txt": "three\n"})
    picked.file.write_text(picked.file.read_text().replace(base, other))
    assert (path / "a.txt").read_text() == "three\n"


def on_a_terminal(picked: Picked) -> str:
    return picked.kubev6("series", "apply", str(picked.file), "--verbose")


def as_a_conflict(picked: Picked) -> str:
    conflicting(picked)
    return picked.kubev6("series", "apply", str(picked.file))


def as_a_comparison(picked: Picked) -> str:
    return picked.kubev6("series", "status", str(picked.file))


def as_json(picked: Picked) -> str:
    return picked.kubev6("series", "apply", str(picked.file), "--json")


def as_json_lines(picked: Picked) -> str:
    conflicting(picked)
    return picked.kubev6("series", "apply", str(picked.file), "--log-json")


def in_live_lines(_: Picked) -> str:
    console = PlainConsole(file=io.StringIO(), width=200, force_terminal=True, color_system=None)
    steps = [Running(f"n\u202e{TITLE}", TITLE, 0, 0, text=TITLE, done=1, total=2)]
    console.print(live_table(steps, width=200, height=20, now=1, ascii_only=False))
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue()


def in_the_run_log(picked: Picked) -> str:
    conflicting(picked)
    picked.kubev6("series", "apply", str(picked.file))
    return Path(run_record.runs()[0][1].log).read_text()


def in_a_report(picked: Picked) -> str:
    path, _ = picked.record()
    return Path(picked.kubev6("report", path.stem).strip()).read_text()


def in_the_list_of_runs(picked: Picked) -> str:
    conflicting(picked)
    picked.record()
    return picked.kubev6("report", "--list")


def in_two_runs_side_by_side(picked: Picked) -> str:
    first, _ = picked.record()
    conflicting(picked)
    second, _ = picked.record()
    return picked.kubev6("compare", first.stem, second.stem)


def in_artifacts(picked: Picked) -> str:
    return "\n".join(page.text for page in markdown.pages(*picked.record()))


def in_the_state_of_a_flow(picked: Picked) -> str:
    return str(failed(picked.error()).message)


def in_the_state_of_a_task(picked: Picked) -> str:
    return str(asyncio.run(exception_to_failed_state(picked.error())).message)


def in_a_log_of_prefect(_: Picked) -> str:
    heard = io.StringIO()
    handler, logger = logging.StreamHandler(heard), logging.getLogger("prefect.flow_runs")
    logger.addHandler(handler)
    hide_in_all()
    try:
        logger.error("%s", TITLE, exc_info=ValueError(TITLE))
    finally:
        logger.removeHandler(handler)
    return heard.getvalue()


def in_a_notification(picked: Picked) -> str:
    taken = picked.tmp_path / "taken"
    command = f"{sys.executable} -c \"import sys; open('{taken}', 'w').write(sys.stdin.read())\""
    with pytest.MonkeyPatch.context() as patched:
        patched.setenv(notify.COMMAND, command)
        notify.tell("kubev6-build", f"build-{TITLE}", "7", "Failed", f"{TITLE}\nsecond line", "")
    told = json.loads(taken.read_text())
    assert told["message"].endswith("\nsecond line")
    return "\n".join(told.values())


@pytest.mark.parametrize(
    "shown",
    [
        on_a_terminal,
        as_a_conflict,
        as_a_comparison,
        as_json,
        as_json_lines,
        in_live_lines,
        in_the_run_log,
        in_a_report,
        in_the_list_of_runs,
        in_two_runs_side_by_side,
        in_artifacts,
        in_the_state_of_a_flow,
        in_the_state_of_a_task,
        in_a_log_of_prefect,
        in_a_notification,
    ],
)
def test_a_hostile_title_steers_nothing_wherever_it_is_shown(picked: Picked, shown: Callable[[Picked], str]) -> None:
    text = shown(picked)
    assert "gnp.exe" in re.sub(r"\s+", "", text)
    assert set(INVISIBLE.findall(text)) <= {"\n", "\t"}


def test_a_page_of_the_report_shows_a_hostile_title_as_words(picked: Picked) -> None:
    page = in_a_report(picked)
    assert not re.search('<script|<b>|href="http', page)
    assert SHOWN in unescape(page)


def test_an_artifact_shows_a_hostile_title_as_words(picked: Picked) -> None:
    page = MarkdownIt("commonmark", {"html": True}).enable("table").render(written := in_artifacts(picked))
    assert not re.search(r"[^\\]://evil|www\.evil", written)  # which would become links on Prefect's page
    assert not re.search("<script|<b>|<a ", page)
    assert SHOWN in unescape(page)
    row = next(line for line in page.split("<tr>") if "owned" in line)
    assert row.count("<td") == 6


def test_what_is_data_keeps_a_title_as_it_is(picked: Picked) -> None:
    _, record = picked.record()
    assert record.series is not None
    assert record.series.patches[0].title == TITLE
    picked.capsys.readouterr()
    main(["series", "apply", str(picked.file), "--json"])
    patch = json.loads(picked.capsys.readouterr().out)["patches"][0]
    assert (patch["title"], patch["author"]) == (TITLE, f"{AUTHOR[0]} <{AUTHOR[1]}>")
