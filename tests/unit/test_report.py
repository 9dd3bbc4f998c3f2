"""What a report shows: where things stand in its drawings, what it says, and that it needs and trusts nobody."""

from __future__ import annotations

import base64
import hashlib
import re
import time
from html.parser import HTMLParser
from itertools import combinations, pairwise
from pathlib import Path

import pytest

from configs.words import MONOSPACE, answer_time, counted, duration, fitted, milliseconds
from flows.run import markdown, matrix, run_outcome
from flows.run.record import (
    CheckOfRun,
    Dns64OfRun,
    ErrorOfRun,
    Nat64OfRun,
    NodeOfRun,
    RunRecord,
    StepOfRun,
    Topology,
    find,
    new_path,
    write,
)
from flows.run.summary import COLOURS, Mark, node_marks
from kubev6.report import page, reading, timeline, topology
from kubev6.report.topology import NARROW, WIDE, Box, Drawing
from tasks.kubernetes import pod_pairs
from tests.unit import sample_run
from tests.unit.sample_run import step

CSS = (Path(page.__file__).parent / "report.css").read_text()
HOSTILE = "<script>alert(1)</script>\"'&`"
SIZES = (3, 4, 12, 13, 14, 50)
VOID = {"meta", "line", "rect", "br"}


# --- words ---


@pytest.mark.parametrize(
    ("seconds", "words"),
    [(0.04, "0.0 s"), (12.34, "12.3 s"), (59.96, "1 min 0 s"), (72, "1 min 12 s"), (7500, "2 h 05 min")],
)
def test_a_duration_is_said_as_a_person_does(seconds: float, words: str) -> None:
    assert duration(seconds) == words


@pytest.mark.parametrize(
    ("seconds", "short", "told"),
    [(0.0004, "0.4", "0.4 ms"), (0.01234, "12", "12 ms"), (0.9996, "1.0k", "1.0 s"), (10.2, "10.2k", "10.2 s")],
)
def test_the_time_of_an_answer_fits_a_cell(seconds: float, short: str, told: str) -> None:
    assert milliseconds(seconds) == short
    assert answer_time(seconds) == told


def test_one_thing_is_not_several() -> None:
    assert (counted(1, "change"), counted(0, "change"), counted(2, "patch", "patches")) == (
        "1 change",
        "0 changes",
        "2 patches",
    )


def test_a_long_name_is_cut_in_its_middle_because_names_differ_at_their_ends() -> None:
    assert fitted("kube-worker-1", 200, 10) == "kube-worker-1"
    cut = fitted("a-very-long-name-of-a-machine-in-rack-17", 100, 10)
    assert cut == "a-very-…-rack-17"
    assert len(cut) * MONOSPACE * 10 <= 100


# --- topology ---


def marks(drawn: Topology) -> dict[str, Mark]:
    return {node.name: Mark("12 changes") for node in drawn.nodes}


def apart(one: Box, other: Box) -> bool:
    return one.x + one.width < other.x or other.x + other.width < one.x or one.bottom < other.y or other.bottom < one.y


def box_names(drawing: Drawing) -> list[str]:
    return [box.name for box in drawing.boxes]


@pytest.mark.parametrize("width", [WIDE, NARROW])
@pytest.mark.parametrize("nodes", SIZES)
def test_every_node_is_drawn_once_and_nothing_covers_anything(nodes: int, width: float) -> None:
    drawn = sample_run.topology(nodes)
    drawing = topology.draw(drawn, marks(drawn), width)
    assert sorted(box_names(drawing)) == sorted([*(node.name for node in drawn.nodes), "IPv4 Internet", "Services"])
    assert drawing.width == width
    for one, other in combinations(drawing.boxes, 2):
        assert apart(one, other), (one.name, other.name)
    for box in drawing.boxes:
        assert box.x >= 0
        assert box.x + box.width <= drawing.width
        assert box.bottom <= drawing.height


@pytest.mark.parametrize("width", [WIDE, NARROW])
@pytest.mark.parametrize("nodes", SIZES)
def test_every_node_hangs_from_the_one_fabric(nodes: int, width: float) -> None:
    drawing = topology.draw(sample_run.topology(nodes), {}, width)
    fabric = [wire for wire in drawing.wires if wire.kind == "fabric"]
    rails = {wire.y1 for wire in fabric if wire.y1 == wire.y2}
    for box in drawing.boxes:
        if box.kind in ("support", "control-plane", "worker"):
            ends = [wire for wire in drawing.wires if wire.kind == "wire" and wire.x1 == wire.x2 == box.middle]
            assert any({wire.y1, wire.y2} & rails and {wire.y1, wire.y2} & {box.y, box.bottom} for wire in ends), (
                box.name
            )
    joined = {(wire.y1, wire.y2) for wire in fabric if wire.x1 == wire.x2}
    assert joined == set(pairwise(sorted(rails)))


@pytest.mark.parametrize("width", [WIDE, NARROW])
def test_no_text_is_wider_than_its_box(width: float) -> None:
    long = NodeOfRun(
        name="a" * 63,
        roles=("worker",),
        address="2001:db8:1111:2222:3333:4444:5555:6666",
        pod_subnet="2001:db8:1111:2222::/64",
    )
    drawn = sample_run.topology(20)
    drawn = drawn.model_copy(update={"nodes": (*drawn.nodes, long)})
    for box in topology.draw(drawn, {long.name: Mark("kubernetes, kubeadm join, and more failed", "bad")}, width).boxes:
        for line in box.lines:
            left = line.x - (len(line.text) * MONOSPACE * line.size / 2 if "middle" in line.kind else 0)
            assert box.x <= left
            assert left + len(line.text) * MONOSPACE * line.size <= box.x + box.width, line.text
            assert box.y < line.y < box.bottom
    assert f"● {long.name}" in next(box.words for box in topology.draw(drawn, {}, width).boxes if box.name == long.name)


def test_a_node_shows_what_it_is_where_it_is_and_what_was_done_to_it() -> None:
    drawing = topology.draw(sample_run.topology(4), {"kube-worker-1": Mark("runtime failed", "bad")})
    box = next(box for box in drawing.boxes if box.name == "kube-worker-1")
    assert [line.text for line in box.lines] == [
        "● kube-worker-1",
        "worker",
        "fd00::101",
        "pods fd00:101::/64",
        "✗ runtime failed",
    ]
    assert box.tone == "bad"
    support = next(box for box in drawing.boxes if box.name == "kube-support")
    assert "NAT64 fd00:64:ff9b::/96 (tayga)" in [line.text for line in support.lines]
    services = next(box for box in drawing.boxes if box.kind == "services")
    assert {"fd00:1234::/110", "kubernetes at fd00:1234::1"} <= {line.text for line in services.lines}


def test_a_translator_that_was_there_before_stands_between_the_internet_and_the_fabric() -> None:
    drawn = sample_run.topology(
        4,
        nat64=Nat64OfRun(prefix="64:ff9b::/96", by="existing", address="fd00::1"),
        dns64=Dns64OfRun(by="existing", address="fd00::2"),
    )
    drawing = topology.draw(drawn, {})
    gateway = next(box for box in drawing.boxes if box.kind == "gateway")
    assert "fd00::1" in [line.text for line in gateway.lines]
    support = next(box for box in drawing.boxes if box.name == "kube-support")
    assert support.y > gateway.bottom
    assert not any("64 " in line.text for line in support.lines)


# --- time line ---


def drawn_steps(*steps: StepOfRun, seconds: float = 0.0) -> timeline.Timeline:
    return timeline.draw(steps, ["kube-support", "kube-worker-1"], seconds)


@pytest.mark.parametrize("record", [sample_run.finished(4), sample_run.failed(50)], ids=["4 nodes", "50 nodes"])
def test_every_step_is_a_bar_inside_the_drawing_and_none_covers_another(record: RunRecord) -> None:
    drawing = timeline.draw(record.steps, [node.name for node in record.topology.nodes], record.seconds)  # type: ignore[union-attr]
    assert len(drawing.bars) == len(record.steps)
    by_line: dict[float, list[timeline.Bar]] = {}
    for bar in drawing.bars:
        assert bar.x >= timeline.LABELS
        assert bar.x + bar.width <= drawing.width
        assert bar.y + bar.height < drawing.height
        by_line.setdefault(bar.y, []).append(bar)
    for bars in by_line.values():
        ordered = sorted(bars, key=lambda bar: bar.x)
        for before, after in pairwise(ordered):
            assert before.x + before.width <= after.x + 1.6
    for above, below in pairwise(drawing.rows):
        assert above.y + above.height < below.y


def test_rows_are_first_what_concerns_all_then_the_nodes_in_their_order() -> None:
    steps = [step("kube-worker-1", "a", 1, 1), step("kube-support", "a", 2, 1), step("release", "b", 3, 1)]
    assert [row.name for row in drawn_steps(*steps).rows] == ["release", "kube-support", "kube-worker-1"]


def test_steps_of_one_subject_at_once_get_a_line_each() -> None:
    drawing = drawn_steps(
        step("build", "a", 0, 10), step("build", "b", 2, 3), step("build", "c", 5, 4), step("build", "d", 10, 1)
    )
    a, b, c, d = drawing.bars
    assert a.y == d.y < b.y == c.y


def test_bars_tell_without_colour_what_they_are() -> None:
    failed = step("kube-worker-1", "network", 0, 50).model_copy(update={"outcome": "failed", "text": "no route\nmore"})
    brief = failed.model_copy(update={"start": 50.0, "seconds": 0.01})
    cut_off = step("kube-support", "runtime", 50, 30).model_copy(update={"outcome": "not ended"})
    drawing = drawn_steps(
        failed, brief, cut_off, step("kube-support", "network", 0, 3), step("x", "network", 0, 0.1), seconds=100
    )
    assert [bar.label for bar in drawing.bars] == [
        "",
        "A",
        "… B runtime",
        "✗ A network",
        "✗",
    ]  # by row: x, support, worker
    assert drawing.bars[3].words == "kube-worker-1: network, 50.0 s: FAILED, no route"
    assert [(kind.letter, kind.title, kind.failed) for kind in drawing.kinds] == [
        ("A", "network", 2),
        ("B", "runtime", 0),
    ]


def test_kinds_of_steps_never_share_a_letter() -> None:
    drawing = drawn_steps(*(step("build", f"kind {number}", number, 1) for number in range(60)))
    letters = [kind.letter for kind in drawing.kinds]
    assert len(set(letters)) == 60
    assert letters[25:28] == ["Z", "AA", "AB"]


@pytest.mark.parametrize("seconds", [0.05, 0.9, 9, 70, 599, 4000, 90000, 10**6])
def test_the_scale_has_a_handful_of_round_marks(seconds: float) -> None:
    ticks = drawn_steps(step("build", "a", 0, seconds)).ticks
    assert 1 <= len(ticks) <= 10
    assert ticks[0].label == "0 s"
    assert len({tick.label for tick in ticks}) == len(ticks)


def test_the_scale_counts_minutes_and_hours() -> None:
    assert [tick.label for tick in drawn_steps(step("build", "a", 0, 250)).ticks][1:3] == ["30 s", "1:00"]
    assert drawn_steps(step("build", "a", 0, 9000)).ticks[-1].label == "2:30:00"


# --- connectivity ---


def cells(found: matrix.Matrix | None, source: str) -> list[matrix.Cell]:
    assert found is not None
    return list(dict(found.rows)[source])


def test_the_square_of_pods_says_ok_failed_or_not_tried_for_every_pair() -> None:
    drawn = sample_run.topology(5)
    checks = [check for check in sample_run.proof(drawn) if check.target != "pod on kube-worker-3"]
    bad = next(c for c in checks if (c.source, c.target) == ("pod on kube-control-plane", "pod on kube-worker-2"))
    checks[checks.index(bad)] = bad.model_copy(update={"ok": False, "seen": "no route", "seconds": 10.0})
    found = matrix.pod_to_pod(drawn, checks)
    assert [cell.state for cell in cells(found, "kube-control-plane")] == ["none", "ok", "failed", "none"]
    itself, good, failed, not_tried = cells(found, "kube-control-plane")
    assert itself.words.endswith("itself")
    assert float(good.text) > 0
    assert failed.words == "pod on kube-control-plane to pod on kube-worker-2: FAILED after 10.0 s: no route"
    assert not_tried.words.endswith("not tried")
    assert not_tried.text != itself.text


def proof_of_some_pairs(count: int) -> list[CheckOfRun]:
    nodes = [f"kube-{number}" for number in range(count)]
    return [
        CheckOfRun(name="pod to pod", source=f"pod on {one}", target=f"pod on {other}", ok=True, seen=other)
        for one, other in pod_pairs.pairs(nodes)
    ]


def test_of_a_large_cluster_each_pod_stands_with_those_that_it_asked_and_the_others_are_told() -> None:
    found = matrix.pod_to_pod(sample_run.topology(21), proof_of_some_pairs(20))
    assert found is not None
    assert found.note == "pod to pod: 60 of 380 pairs; `kubev6 verify --full` asks all"
    assert [cell.text.partition(":")[0] for cell in cells(found, "kube-19")] == ["kube-0", "kube-1", "kube-3"]
    assert len(found.rows) == 20


def test_the_report_and_prefects_artifact_tell_that_not_all_pairs_were_asked() -> None:
    record = sample_run.finished(21).model_copy(update={"checks": tuple(proof_of_some_pairs(20))})
    assert "60 of 380 pairs; <code>kubev6 verify --full</code> asks all" in page.page(record)
    assert "60 of 380 pairs" in " ".join(each.text for each in markdown.pages(Path("run"), record))


def test_slower_answers_are_of_another_shade() -> None:
    drawn = sample_run.topology(4)
    pods = ["pod on kube-control-plane", "pod on kube-worker-1", "pod on kube-worker-2"]
    times = (0.001, 0.01, 0.05, 0.3, 0.5, 5.0)
    pairs = [(one, other) for one in pods for other in pods if one != other]
    checks = [
        CheckOfRun(name="pod to pod", source=one, target=other, ok=True, seen="", seconds=seconds)
        for (one, other), seconds in zip(pairs, times, strict=True)
    ]
    found = matrix.pod_to_pod(drawn, checks)
    assert found is not None
    shades = [cell.shade for _, row in found.rows for cell in row if cell.state == "ok"]
    assert shades == [0, 1, 2, 3, 4, 4]
    assert len(matrix.shades()) == 5
    assert matrix.shades()[0] == "under 5 ms"
    assert matrix.shades()[-1] == "500 ms and more"


def test_what_else_is_reached_is_shown_for_every_node_and_its_pod() -> None:
    drawn = sample_run.topology(4)
    found = matrix.services_and_outside(drawn, sample_run.proof(drawn))
    assert found is not None
    assert found.groups == (("from its pod", 8), ("from the node itself", 5))
    assert [name for name, _ in found.rows] == ["kube-control-plane", "kube-worker-1", "kube-worker-2"]
    assert all(cell.state == "ok" for _, row in found.rows for cell in row)


def test_of_several_answers_to_one_question_the_worst_counts() -> None:
    drawn = sample_run.topology(3)
    answers = [
        CheckOfRun(name="API", source="kube-worker-1", target=target, ok=ok, seen="x", seconds=seconds)
        for target, ok, seconds in (("a", True, 9.0), ("b", False, 0.1), ("c", True, 0.2))
    ]
    (cell,) = cells(matrix.services_and_outside(drawn, answers), "kube-worker-1")
    assert cell.state == "failed"


def test_what_holds_and_will_not_for_long_is_shown_at_once_and_not_as_something_that_a_node_reaches() -> None:
    record = sample_run.finished()
    seen = "ends soon: apiserver on 2026-12-11; run `kubev6 certs renew`"
    warned = CheckOfRun(
        name="certificates", source="files", target="kube-control-plane", ok=True, seen=seen, warns=True
    )
    assert record.topology is not None
    checks = (*record.checks, warned)
    assert matrix.services_and_outside(record.topology, checks) == matrix.services_and_outside(
        record.topology, record.checks
    )
    shown = page.page(record.model_copy(update={"checks": checks}))
    assert "Checks that hold, and will not for long" in shown
    assert '<span class="open">! warning</span> certificates' in shown
    assert "Checks that hold, and will not for long" not in page.page(record)
    told = " ".join(each.text for each in markdown.pages(Path("run"), record.model_copy(update={"checks": checks})))
    assert "- ! kube-control-plane: certificates: ends soon: apiserver" in told


def test_without_a_proof_there_is_no_matrix() -> None:
    drawn = sample_run.topology(4)
    assert matrix.pod_to_pod(drawn, ()) is None
    assert matrix.services_and_outside(drawn, ()) is None


# --- what it came to ---


def test_every_end_has_a_word_a_sentence_and_what_to_do_unless_all_is_well() -> None:
    good = sample_run.finished()
    seen = {
        status: run_outcome.run_outcome(good.model_copy(update={"status": status}))
        for status in ("running", "succeeded", "proof failed", "failed", "stopped")
    }
    assert len({each.word for each in seen.values()}) == 5
    assert {status for status, each in seen.items() if not each.todo} == {"succeeded"}
    assert [seen[status].tone for status in ("succeeded", "failed", "stopped")] == ["good", "bad", "open"]


def test_what_was_achieved_is_said_in_the_words_of_the_command() -> None:
    good = sample_run.finished()
    said = {
        command: run_outcome.run_outcome(good.model_copy(update={"command": command})).sentence
        for command in ("deploy", "build", "reset", "series-apply", "certs-renew")
    }
    assert said["certs-renew"] == "113 certificates were renewed, and all 51 checks of the proof hold."
    assert said["deploy"] == "The cluster is up, and all 51 checks of its proof hold. 113 changes were made."
    assert said["build"] == f"Release debian-1.20, {sample_run.VERSION}, is in the store."
    assert said["reset"] == "113 things were undone."
    assert said["series-apply"] == "Every patch found its place: 3 applied, 1 already upstream."


def test_a_run_that_changed_nothing_says_so() -> None:
    unchanged = sample_run.finished().model_copy(update={"changes": ()})
    assert run_outcome.run_outcome(unchanged).sentence.endswith("Nothing had to be changed.")


def test_the_node_that_all_failures_have_in_common_is_named_and_not_one_whose_name_begins_alike() -> None:
    record = sample_run.badly_proved(13)
    assert run_outcome.culprits(record) == ("kube-worker-11",)  # and not kube-worker-1
    assert "kube-worker-11" in run_outcome.run_outcome(record).todo
    assert node_marks(record)["kube-worker-11"].tone == "bad"
    assert node_marks(record)["kube-worker-1"].tone == "good"


def test_of_a_step_that_was_tried_again_the_last_time_counts() -> None:
    failed = step("kube-worker-1", "runtime", 1, 1).model_copy(update={"outcome": "failed"})
    record = sample_run.finished().model_copy(update={"steps": (failed, step("kube-worker-1", "runtime", 3, 1))})
    assert node_marks(record)["kube-worker-1"].tone == "good"


def test_a_node_that_could_not_even_be_reached_is_marked() -> None:
    error = ErrorOfRun(message="kube-worker-1: connect: no route", node="kube-worker-1", step="connect")
    record = sample_run.finished().model_copy(
        update={"errors": (error,), "steps": (step("kube-worker-1", "machine", 0, 1),)}
    )
    assert node_marks(record) == {"kube-worker-1": Mark("connect failed", "bad")}


# --- the page ---


class Reader(HTMLParser):
    """Keeps the elements of a page, and complains about ends that have no beginning."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str]]] = []
        self.children: dict[str, list[str]] = {}
        self.texts: list[str] = []
        self.open: list[str] = []
        self.feed(text)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, {name: value or "" for name, value in attrs}))
        if self.open:
            self.children.setdefault(self.open[-1], []).append(tag)
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, {name: value or "" for name, value in attrs}))

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if self.open and self.open[-1] != "style":
            self.texts.append(data)

    def all(self, tag: str) -> list[dict[str, str]]:
        return [attributes for name, attributes in self.elements if name == tag]


ALL = {
    "finished": sample_run.finished(),
    "failed": sample_run.failed(),
    "proof failed": sample_run.badly_proved(),
    "50 nodes": sample_run.badly_proved(50),
    "build": sample_run.finished().model_copy(update={"command": "build", "topology": None, "checks": ()}),
    "bare": RunRecord(command="series-apply", subject="x", started=sample_run.finished().started),
}


@pytest.fixture(params=list(ALL.values()), ids=list(ALL))
def record(request: pytest.FixtureRequest) -> RunRecord:
    assert isinstance(request.param, RunRecord)
    return request.param


def test_a_page_loads_nothing_and_runs_nothing(record: RunRecord) -> None:
    text = page.page(record)
    reader = Reader(text)
    assert not {tag for tag, _ in reader.elements} & {
        "script",
        "link",
        "img",
        "iframe",
        "object",
        "embed",
        "base",
        "form",
    }
    for tag, attributes in reader.elements:
        assert not {"src", "srcset", "style", "background"} & set(attributes), tag
        assert not [name for name in attributes if name.startswith("on")], tag
        assert attributes.get("href", "#").startswith("#"), tag
    assert "http://" not in CSS + "".join(
        str(attributes) for _, attributes in reader.elements if "title" not in attributes
    )
    assert "@import" not in text
    assert re.findall(r"url\(([^)]*)\)", text) == ["#hatch"]


def test_the_browser_is_told_to_allow_its_own_style_sheet_and_nothing_else(record: RunRecord) -> None:
    text = page.page(record)
    (style,) = re.findall(r"<style>(.*)</style>", text, re.DOTALL)
    digest = base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()
    policy = next(meta["content"] for meta in Reader(text).all("meta") if meta.get("http-equiv"))
    assert policy.startswith(f"default-src 'none'; style-src 'sha256-{digest}';")
    assert "unsafe" not in policy


def test_a_page_is_for_everybody(record: RunRecord) -> None:
    reader = Reader(page.page(record))
    assert reader.all("html") == [{"lang": "en"}]
    levels = [int(tag[1]) for tag, _ in reader.elements if re.fullmatch(r"h[1-6]", tag)]
    assert levels.count(1) == 1
    assert all(after <= before + 1 for before, after in pairwise(levels))
    ids = [attributes["id"] for _, attributes in reader.elements if "id" in attributes]
    assert len(set(ids)) == len(ids)
    assert len(reader.all("caption")) == len(reader.all("table"))
    assert all("scope" in head for head in reader.all("th"))
    for svg in reader.all("svg"):
        assert svg.get("aria-hidden") or set(svg["aria-labelledby"].split()) <= set(ids)
    assert {link["href"].removeprefix("#") for link in reader.all("a")} <= set(ids)


def test_a_page_says_all_that_the_record_holds() -> None:
    record = sample_run.finished()
    text = " ".join(" ".join(Reader(page.page(record)).texts).split())
    for words in (
        "Succeeded",
        "1 March 2026, 09:30:00 UTC",
        "1 min 11 s",
        record.release.version,  # type: ignore[union-attr]
        "fd00:102::/64",
        "fabric fd00::/64 on eth1",
        "create file /etc/kubev6/kubernetes-11.conf (sha256 3f2a1b7, mode 0644)",
        "machines brought up",
        "already upstream",
        "André Martins",
        "#52033",
        "stand-in for CoreDNS",
        "node Ready",
        "beside its stages",
    ):
        assert words in text, words
    assert "dane@example.org" not in text


def test_a_failed_run_begins_with_what_went_wrong_and_what_to_do() -> None:
    text = page.page(sample_run.failed())
    assert text.index("What went wrong</h2>") < text.index("No space left on device") < text.index("Topology</h2>")
    assert "make room there (df -h /var), then run the same command again" in text
    assert "Not tried: this run did not come to the proof." in text


def test_of_many_failed_checks_the_rest_is_folded_and_none_is_lost() -> None:
    record = sample_run.badly_proved(50)
    failed = [check for check in record.checks if not check.ok]
    text = page.page(record)
    assert f"The first {page.SHOWN_AT_ONCE} of {len(failed)} checks that failed" in text
    wrong = text[text.index('id="wrong"') : text.index('id="topology"')]
    assert wrong.count("✗ FAILED") == len(failed)
    assert "Every failed check has to do with kube-worker-48." in wrong


def test_hostile_words_stay_words() -> None:
    good = sample_run.badly_proved()
    assert good.topology is not None
    hostile_node = NodeOfRun(name=HOSTILE, roles=("worker",), address=HOSTILE, pod_subnet=HOSTILE)
    record = good.model_copy(
        update={
            "command": HOSTILE,
            "subject": HOSTILE,
            "log": HOSTILE,
            "topology": good.topology.model_copy(
                update={"description": HOSTILE, "nodes": (*good.topology.nodes, hostile_node)}
            ),
            "errors": (ErrorOfRun(message=HOSTILE, todo=f"`{HOSTILE}`"),),
            "steps": (StepOfRun(subject=HOSTILE, title=HOSTILE, start=0, seconds=1, outcome="failed", text=HOSTILE),),
            "changes": tuple(
                change.model_copy(update={"stage": HOSTILE, **dict.fromkeys(told, HOSTILE)})
                for told in (("text",), ("kind", "subject", "action", "before", "after"))
                for change in good.changes
            ),
            "checks": tuple(check.model_copy(update={"name": HOSTILE, "seen": HOSTILE}) for check in good.checks),
            "release": good.release.model_copy(update={"version": HOSTILE, "stand_ins": {HOSTILE: HOSTILE}}),  # type: ignore[union-attr]
            "series": good.series.model_copy(update={"name": HOSTILE}),  # type: ignore[union-attr]
        }
    )
    text = page.page(record)
    assert "<script" not in text
    reader = Reader(text)
    assert not reader.all("script")
    assert any("<script>alert(1)</script>" in each for each in reader.texts)


def test_commands_in_advice_are_set_as_such() -> None:
    assert page.with_commands("run `kubev6 deploy` <now>") == "run <code>kubev6 deploy</code> &lt;now&gt;"


def test_fifty_nodes_are_drawn_at_once_and_small() -> None:
    record = sample_run.finished(50)
    assert len(record.steps) >= 250
    assert len(record.checks) > 49 * 48
    page.page(sample_run.finished(3))  # the templates are compiled once
    began = time.process_time()
    text = page.page(record)
    assert time.process_time() - began < 1.0
    assert len(text.encode()) < 2_000_000


# --- its looks ---


def colours(dark: bool) -> dict[str, str]:
    light = dict(re.findall(r"--([\w-]+): (#[0-9a-f]{6})", CSS.partition("@media")[0]))
    changed = dict(re.findall(r"--([\w-]+): (#[0-9a-f]{6})", CSS.partition("@media")[2]))
    return {**light, **changed} if dark else light


def luminance(colour: str) -> float:
    """Relative luminance, by the Web Content Accessibility Guidelines 2.2."""
    parts = [int(colour[at : at + 2], 16) / 255 for at in (1, 3, 5)]
    red, green, blue = (part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
@pytest.mark.parametrize(
    ("ink", "grounds"),
    [
        ("text", ("ground", "panel", "bad-ground")),
        ("quiet", ("ground", "panel", "bad-ground")),
        ("link", ("ground",)),
        ("good", ("ground", "panel", "good-ground")),
        ("bad", ("ground", "panel", "bad-ground")),
        ("open", ("ground", "panel", "open-ground")),
        ("heat-text", tuple(f"heat{number}" for number in range(len(matrix.WARMTH) + 1))),
        ("failed-text", ("failed-cell", "failed-stripe")),
        ("bar-text", tuple(f"k{number}" for number in range(COLOURS))),
    ],
)
def test_every_text_can_be_read_on_its_ground(ink: str, grounds: tuple[str, ...], dark: bool) -> None:
    known = colours(dark)
    for ground in grounds:
        lighter, darker = sorted((luminance(known[ink]), luminance(known[ground])), reverse=True)
        assert (lighter + 0.05) / (darker + 0.05) >= 4.5, f"{ink} on {ground}"


# --- files ---


@pytest.mark.usefixtures("own_data")
def test_the_list_of_runs_is_one_line_each() -> None:
    for record in (sample_run.finished(), sample_run.failed()):
        write(record, new_path("deploy", "lab", record.started))
    newest, oldest = reading.listed()
    assert re.fullmatch(r"20260301T093000Z-deploy-lab-2 +40.0 s  Failed: kube-worker-2: runtime: .*", newest)
    assert re.fullmatch(r"20260301T093000Z-deploy-lab +1 min 11 s  Succeeded", oldest)


@pytest.mark.usefixtures("own_data")
def test_a_report_is_written_beside_its_record_for_nobody_else() -> None:
    path = new_path("deploy", "lab", sample_run.finished().started)
    write(sample_run.finished(), path)
    drawn = reading.draw(*find(path.stem))
    assert drawn == path.with_suffix(".html").resolve()
    assert drawn.stat().st_mode & 0o077 == 0
    assert drawn.read_text() == page.page(sample_run.finished())
    assert len(list(path.parent.iterdir())) == 2
