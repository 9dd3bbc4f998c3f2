"""What Prefect's page is given to show of a run: Markdown, compared with golden files, and what may not get into it."""

from __future__ import annotations

import os
import re
from collections.abc import Callable
from pathlib import Path

import pytest

from flows.run import markdown
from flows.run.record import CheckOfRun, ImageOfRun, RunRecord
from tests.unit import sample_run
from tests.unit.sample_run import step

GOLDEN = Path(__file__).parent / "golden" / "markdown"
RECORD = Path("/data/runs/20260301T093000Z-deploy-lab.json")
IMAGES = (
    ImageOfRun(
        registry="http://[fd00::64]:5000", name="kube-proxy", tag="v1.20.2_kubev6", digest=f"sha256:{'7c' * 32}"
    ),
    ImageOfRun(registry="http://mirror.example.org", name="kube-proxy", tag="20260301", digest=f"sha256:{'7c' * 32}"),
)


def with_images() -> RunRecord:
    return sample_run.finished().model_copy(update={"images": IMAGES})


def stopped() -> RunRecord:
    return sample_run.failed().model_copy(update={"status": "stopped", "errors": ()})


@pytest.mark.parametrize(
    ("name", "make"),
    [
        ("finished", with_images),
        ("failed", sample_run.failed),
        ("proof-failed", sample_run.badly_proved),
        ("stopped", stopped),
    ],
)
def test_the_pages_of_a_run_are_the_golden_ones(name: str, make: Callable[[], RunRecord]) -> None:
    text = "\n".join(f"<!-- {page.key}: {page.title} -->\n{page.text}" for page in markdown.pages(RECORD, make()))
    golden = GOLDEN / f"{name}.md"
    if os.environ.get("KUBEV6_WRITE_GOLDEN"):
        golden.parent.mkdir(exist_ok=True)
        golden.write_text(text)
    assert text == golden.read_text()


def test_a_run_of_no_cluster_has_no_page_for_what_it_does_not_have() -> None:
    build = RunRecord(command="build", subject="Debian_1.20", started=sample_run.finished().started, status="succeeded")
    assert [page.key for page in markdown.pages(RECORD, build)] == ["run-debian-1-20"]


def test_keys_are_what_prefect_takes_and_stay_the_same_for_a_cluster() -> None:
    for nodes in (3, 50):
        keys = [page.key for page in markdown.pages(RECORD, sample_run.finished(nodes))]
        assert keys == ["run-lab", "nodes-lab", "connectivity-lab", "patches-lab"]
        assert all(re.fullmatch("[a-z0-9-]+", key) for key in keys)


def test_every_row_of_a_table_has_as_many_cells_as_its_head() -> None:
    hostile = CheckOfRun(name="a|b", source="pod on x|y", target="pod on *z*", ok=False, seen="1|2\n<b>")
    record = with_images().model_copy(update={"checks": (*with_images().checks, hostile)})
    for page in markdown.pages(RECORD, record):
        for table in re.findall(r"(?:^\|.*\n?)+", page.text, re.MULTILINE):
            cells = {len(re.findall(r"(?<!\\)\|", line)) for line in table.splitlines()}
            assert len(cells) == 1, table


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("kube_proxy of [fd00::1]:443", r"kube_proxy of \[fd00::1\]:443"),
        ("__init__ *x* <script>&", r"\_\_init\_\_ \*x\* \<script\>\&"),
        ("a|b `kubectl get a_b | wc` #1", r"a\|b `kubectl get a_b \| wc` \#1"),
        ("one ` alone", "one ' alone"),
        ("two\n\n# lines", r"two \# lines"),
    ],
)
def test_a_text_is_shown_as_it_is(text: str, shown: str) -> None:
    assert markdown.plain(text) == shown


def test_nobody_s_mail_address_is_shown() -> None:
    assert not [page.key for page in markdown.pages(RECORD, sample_run.finished()) if "@" in page.text]


def test_a_step_that_had_not_ended_is_not_called_good() -> None:
    record = sample_run.finished().model_copy(
        update={"steps": (step("a", "x", 0, 1).model_copy(update={"outcome": "not ended"}), step("b", "x", 0, 1))}
    )
    assert "| x | 2 in all | … 1 not ended |" in markdown.pages(RECORD, record)[0].text


def test_fifty_nodes_are_small_enough_for_a_page() -> None:
    assert sum(len(page.text) for page in markdown.pages(RECORD, sample_run.badly_proved(50))) < 100_000
