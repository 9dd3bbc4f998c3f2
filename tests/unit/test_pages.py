"""The rule in Prefect's pages by which a browser asks nobody but their server."""

from __future__ import annotations

from pathlib import Path

import prefect
import pytest

from configs.errors import KubeV6Error
from kubev6.server import pages

pytestmark = pytest.mark.usefixtures("own_data")


def page(text: str, version: str = "v2") -> Path:
    place = pages.directory() / version / "index.html"
    place.parent.mkdir(parents=True, exist_ok=True)
    place.write_text(text)
    return place


def test_every_page_has_the_rule_once_before_anything_that_is_loaded() -> None:
    v1, v2 = page("<html><head><script src=a></script></head>", "v1"), page("<html>\n  <head>\n    <link href=b>")
    for _ in range(2):
        pages.close()
        assert v1.read_text() == f"<html><head>{pages.RULE}<script src=a></script></head>"
        assert v2.read_text() == f"<html>\n  <head>{pages.RULE}\n    <link href=b>"


def test_prefects_own_pages_have_the_form_that_is_looked_for() -> None:
    for place in (prefect.__ui_static_path__, prefect.__ui_v2_static_path__):
        assert pages.HEAD in (Path(place) / "index.html").read_text()


def test_a_page_of_another_form_is_one_line_and_none_is_none() -> None:
    pages.close()
    page("no page")
    with pytest.raises(KubeV6Error, match=r"v2/index.html: is no page with a <head>; remove it and start"):
        pages.close()
