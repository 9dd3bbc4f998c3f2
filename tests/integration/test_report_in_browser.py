"""The report in a real browser: it opens at once, asks nobody for anything, and suits screens, eyes and paper."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from flows.run.record import RunRecord
from kubev6.report.page import page
from tests.integration import chromium
from tests.integration.chromium import Browser
from tests.unit import sample_run

pytestmark = pytest.mark.skipif(chromium.PROGRAM is None, reason="chromium is not installed: make test-packages")
RUNS = {
    "finished": sample_run.finished(4),
    "failed": sample_run.failed(4),
    "proof failed": sample_run.badly_proved(50),
}
WINDOWS = {"wide": 1280, "narrow": 360}
LOADED = "performance.getEntriesByType('navigation')[0].loadEventEnd"
PAINTED = "performance.getEntriesByName('first-contentful-paint')[0].startTime"


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    with chromium.browser(tmp_path_factory.mktemp("profile")) as started:
        yield started


def write(record: RunRecord, directory: Path) -> Path:
    file = directory / "report.html"
    file.write_text(page(record))
    return file


def test_a_run_of_fifty_nodes_opens_in_under_a_second(browser: Browser, tmp_path: Path) -> None:
    file = write(sample_run.badly_proved(50), tmp_path)
    assert file.stat().st_size < 2_000_000
    browser.look(WINDOWS["wide"])
    took = []
    for _ in range(3):  # the best of some: this machine may be doing other things
        browser.open(file)
        browser.picture()  # waits until all is drawn
        took.append(max(browser.value(LOADED), browser.value(PAINTED)))
    assert 0 < min(took) < 1000


@pytest.mark.parametrize("record", list(RUNS.values()), ids=list(RUNS))
def test_the_page_asks_nobody_for_anything_and_the_browser_has_nothing_to_complain_of(
    browser: Browser, tmp_path: Path, record: RunRecord
) -> None:
    file = write(record, tmp_path)
    browser.open(file)
    assert browser.requested() == [file.as_uri()]
    assert browser.complaints() == []
    assert browser.value("document.compatMode") == "CSS1Compat"


@pytest.mark.parametrize("window", list(WINDOWS))
@pytest.mark.parametrize("record", list(RUNS.values()), ids=list(RUNS))
def test_the_page_itself_never_scrolls_sideways(
    browser: Browser, tmp_path: Path, record: RunRecord, window: str
) -> None:
    browser.look(WINDOWS[window])
    browser.open(write(record, tmp_path))
    assert browser.value("document.documentElement.scrollWidth") <= WINDOWS[window]
    shown = {name: browser.value(f"document.querySelector('figure.{name}').offsetWidth > 0") for name in WINDOWS}
    assert shown == {name: name == window for name in WINDOWS}


def test_the_page_is_dark_where_the_person_likes_dark_and_light_on_paper(browser: Browser, tmp_path: Path) -> None:
    ground = "getComputedStyle(document.body).backgroundColor"
    file = write(sample_run.finished(), tmp_path)
    seen = {}
    for scheme, medium in (("light", "screen"), ("dark", "screen"), ("dark", "print")):
        browser.look(WINDOWS["wide"], scheme=scheme, medium=medium)
        browser.open(file)
        seen[scheme, medium] = browser.value(ground)
    assert seen["dark", "screen"] != seen["light", "screen"]
    assert seen["dark", "print"] == seen["light", "screen"] == "rgb(255, 255, 255)"


def test_what_is_folded_on_the_screen_is_on_the_paper(browser: Browser, tmp_path: Path) -> None:
    height = "document.querySelector('.changes').getBoundingClientRect().height"
    browser.look(WINDOWS["wide"])
    browser.open(write(sample_run.finished(), tmp_path))
    assert (
        browser.value(
            f"document.querySelector('.changes').checkVisibility({{contentVisibilityAuto: true}}) && {height}"
        )
        is False
    )
    browser.look(WINDOWS["wide"], medium="print")
    assert browser.value(height) > 0
    assert browser.paper().startswith(b"%PDF")


def test_texts_of_drawings_stay_inside_their_boxes_in_the_typeface_there_is(browser: Browser, tmp_path: Path) -> None:
    browser.look(WINDOWS["wide"])
    browser.open(write(sample_run.badly_proved(50), tmp_path))
    outside = """
        [...document.querySelectorAll('figure.wide .box, .bar')].flatMap(group => {
            const box = group.querySelector('rect').getBBox();
            return [...group.querySelectorAll('text')].filter(text => {
                const seen = text.getBBox();
                return text.textContent != '\\u2717' && (seen.x < box.x || seen.x + seen.width > box.x + box.width + 1);
            }).map(text => text.textContent);
        })
    """
    assert browser.value(outside) == []
    assert browser.value("document.querySelectorAll('figure.wide .box').length") == 52


def test_a_table_wider_than_the_window_is_reached_by_the_keyboard(browser: Browser, tmp_path: Path) -> None:
    browser.look(WINDOWS["narrow"])
    browser.open(write(sample_run.finished(), tmp_path))
    unreachable = """
        [...document.querySelectorAll('.scroll')].filter(part => part.scrollWidth > part.clientWidth + 1)
            .filter(part => part.tabIndex != 0 || !part.getAttribute('aria-label')).length
    """
    assert browser.value(unreachable) == 0
